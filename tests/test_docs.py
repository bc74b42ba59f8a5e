"""README and docs/ say what the program does: links lead somewhere, commands are understood, quotations are current."""

import ast
import importlib.util
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
import yaml
from typer.main import get_command

from gainbench.cli import app
from gainbench.data import DATASETS
from gainbench.options import split_labels
from gainbench.registry import installed_methods
from gainbench.run.check import check_method
from gainbench.spec import MethodSpec, Suite, suite_names

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "baselines" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GENERATED = ROOT / "docs" / "cli.md"
MEASURED = ROOT / "docs" / "metrics_parity.md"

PROGRAM = r"(?:python -m )?gainbench"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

named = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@dataclass(frozen=True)
class Command:
    """A command of a page; a whole one stands on a line of its own, others are mentioned in a sentence."""

    text: str
    whole: bool


def commands(page: Path) -> list[Command]:
    """What a page says that a person may type, without the program's name."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    fenced = "\n".join(match[2] for match in FENCE.finditer(text) if match[1] in {"", "sh", "bash"})
    running = FENCE.sub("", text)
    lines = [line.split(" #")[0].strip() for line in fenced.splitlines()]
    found = [Command(line, whole=True) for line in lines if re.match(rf"{PROGRAM} ", line)]
    spans = re.findall(rf"`({PROGRAM} [^`\n]+)`", running)
    return [*found, *(Command(span, whole=False) for span in spans)]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def understand(command: Command) -> dict[str, object]:
    """Parse a command as the program would; what it was given, by parameter.

    A mention may leave out what the verb requires, and may end in ``...``.
    """
    words = shlex.split(re.sub(rf"^{PROGRAM} ", "", command.text))
    words = [word for word in words if word != "..."]
    verb, name = get_command(app), "gainbench"
    while words and hasattr(verb, "commands"):
        word = words.pop(0)
        assert word in verb.commands, f"{command.text}: {name} has no verb {word!r}"
        verb, name = verb.commands[word], f"{name} {word}"
    if "--help" in words or hasattr(verb, "commands"):
        return {}
    try:
        return verb.make_context(name, words, resilient_parsing=not command.whole).params
    except Exception as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        raise AssertionError(f"{command.text}: {message}") from error


def test_pages_have_commands_to_check():
    assert sum(len(commands(page)) for page in PAGES) > 40
    assert all(commands(page) for page in PAGES if page not in {GENERATED, MEASURED})


@named
def test_every_command_is_one_that_the_program_understands(page):
    plugins = set(re.findall(r'^\s+name = "(\w+)"$', page.read_text(encoding="utf-8"), re.MULTILINE))
    files = set(re.findall(r"[\w/.-]+\.yaml", FENCE.sub("", page.read_text(encoding="utf-8"))))
    if page == GENERATED:
        return
    for command in commands(page):
        given = understand(command)
        suite = given.get("suite")
        if isinstance(suite, str) and suite.endswith(".yaml"):
            assert (ROOT / suite).is_file() or suite in files, f"{command.text}: no {suite} here, nor on the page"
        elif isinstance(suite, str) and "run" in command.text.split():
            assert suite in suite_names(), command.text
        methods = split_labels([given["methods"]] if isinstance(given.get("methods"), str) else given.get("methods"))
        for label in methods or ():
            assert MethodSpec.parse(label).name in {*installed_methods(), *plugins}, command.text
        for name in split_labels(given.get("datasets")) or ():
            assert name in DATASETS, command.text
        for pair in given.get("data") or ():
            assert pair.partition("=")[0] in DATASETS, command.text


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("gainbench runs --suite smoke", "no verb 'runs'"),
        ("gainbench run --suite smoke --iteration 3", "--iteration"),
        ("gainbench run --scale tiny", "suite"),
        ("gainbench list everything", "everything"),
    ],
)
def test_a_wrong_command_is_noticed(command, message):
    with pytest.raises(AssertionError, match=message):
        understand(Command(command, whole=True))


@named
def test_links_lead_to_files_and_headings_that_exist(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(found), f"{page.name}: {target}"


@named
def test_targets_of_make_exist(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@named
def test_code_and_suites_on_pages_are_well_formed(page):
    for language, content in FENCE.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            ast.parse(content)
        if language == "yaml" and "methods:" in content:
            Suite(**yaml.safe_load(content))


def test_paths_in_the_running_text_exist():
    for page in PAGES:
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        for path in re.findall(r"`((?:docs|notebooks|tests|baselines|gainbench)/[\w/.]+\.\w+)`", text):
            assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_what_pages_quote_from_the_program_is_what_it_says_now():
    # To renew it: python docs/renew.py
    spec = importlib.util.spec_from_file_location("renew", ROOT / "docs" / "renew.py")
    renew = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(renew)
    behind = [page.name for page in renew.pages() if renew.renewed(page.read_text("utf-8")) != page.read_text("utf-8")]
    assert behind == []


def test_the_reference_names_every_verb_and_option():
    text = GENERATED.read_text(encoding="utf-8")

    def walk(verb, name):
        for child, command in getattr(verb, "commands", {}).items():
            if not command.hidden:
                yield from walk(command, f"{name} {child}")
        if not hasattr(verb, "commands"):
            yield name, [option for parameter in verb.params for option in parameter.opts if option.startswith("--")]

    for name, options in walk(get_command(app), "gainbench"):
        section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for option in options:
            if option != "--help":
                assert option in section, f"{name} {option}"


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "add_a_method.md"], ids=lambda page: page.name)
def test_the_methods_on_pages_keep_the_contract(page, tmp_path):
    plugin = tmp_path / "plugin.py"
    sources = [content for language, content in FENCE.findall(page.read_text("utf-8")) if language == "python"]
    plugin.write_text(next(source for source in sources if "class" in source))
    assert [verdict for verdict in check_method(plugin) if not verdict.passed] == []


def test_the_readme_is_at_most_150_lines():
    assert len(README.splitlines()) <= 150


def test_typer_is_asked_for_parsing_only():
    # Were `make_context` to run a verb, the tests above would train networks.
    assert isinstance(app, typer.Typer)
    assert understand(Command("gainbench run --suite smoke --iterations 3", whole=True))["iterations"] == 3

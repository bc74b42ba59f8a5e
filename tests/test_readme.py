import re
from pathlib import Path

from typer.testing import CliRunner

from gainbench.cli import app
from gainbench.gain.readings import readings_markdown
from gainbench.run.check import check_method

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_readings_is_what_the_code_says():
    # To renew it: python -m gainbench list readings
    table = README.split("<!-- begin: python -m gainbench list readings -->\n")[1].split("<!-- end -->")[0]
    assert table == readings_markdown()


def test_every_verb_and_option_that_the_readme_names_exists(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    commands = re.findall(r"gainbench ((?:run|list|check|assets|compare|plan|status)\b[^`#\n]*)", README)
    assert len(commands) >= 7
    for command in commands:
        verb, *rest = command.removesuffix("-->").split()
        shown = CliRunner().invoke(app, [verb, "--help"])
        assert shown.exit_code == 0, command
        for option in (word.split("=")[0] for word in rest if word.startswith("--")):
            assert option in shown.output, command


def test_links_and_targets_exist():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"make ([a-z]+)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_method_in_the_readme_keeps_the_contract(tmp_path):
    plugin = tmp_path / "plain.py"
    plugin.write_text(re.search(r"```python\n(.*?)```", README, re.DOTALL)[1])
    assert [verdict for verdict in check_method(plugin) if not verdict.passed] == []


def test_it_is_at_most_150_lines():
    assert len(README.splitlines()) <= 150

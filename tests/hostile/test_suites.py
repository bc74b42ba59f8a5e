"""Suite files of strangers: a suite, or a clear error that says what was found; in moments, and nothing is run."""

import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gainbench.errors import SpecError
from gainbench.plain_yaml import TEXT_LIMIT
from gainbench.spec import MethodSpec, Suite, load_suite

from .corpus import bounded_memory, laughs

BASE = "name: a\ndatasets: [folder]\nmethods: [telea]\nmetrics: [l1_hole]\n"

WRONG = {
    "unknown key": (BASE + "metrcs: [x]\n", "unknown key 'metrcs'; did you mean 'metrics'?"),
    "unknown key in a method": (BASE.replace("[telea]", "[{name: telea, prams: {}}]"), "did you mean 'params'?"),
    "wrong type": (BASE + "iterations: [1]\n", "iterations: Input should be a valid integer"),
    "text for a list": (BASE.replace("[folder]", "folder"), "datasets: Input should be a valid tuple"),
    "a number as key": (BASE + "1: 2\n", "Keys should be strings"),
    "nothing as key": (BASE + "~: 2\n", "Keys should be strings"),
    "a list as key": (BASE + "[a, b]: 2\n", "unhashable key"),
    "a list as masks": (BASE + "masks: [a]\n", "masks: Input should be a valid dictionary"),
    "a key twice": (BASE + "name: b\n", "line 5: the key 'name' stands twice"),
    "laughs": (BASE.replace("datasets: [folder]\n", "") + laughs(), "values, aliases unfolded"),
    "laughs in options": (laughs("x") + BASE, "values, aliases unfolded"),
    "itself": (BASE.replace("[telea]", "&m [*m]"), "stands inside of what it refers to"),
    "an alias to nothing": (BASE + "question: *nothing\n", "found undefined alias"),
    "brackets": (BASE + "question: " + "[" * 100_000, "lists or mappings inside of one another"),
    "brackets in an option": (BASE.replace("[telea]", f"['telea[radius={'{' * 5000}]']"), "inside of one another"),
    "too long": (BASE + "# " + "x" * TEXT_LIMIT, "characters, expected at most"),
    "much too long": (BASE + "# " + "x" * 5 * TEXT_LIMIT, "no suite is as long"),
    "code": (BASE + "question: !!python/object/apply:os.system ['exit 1']\n", "tags such as"),
    "a harmless tag": (BASE + "question: !!binary aGVsbG8=\n", "tags such as"),
    "a tag that does not fit": (BASE + "samples: !!int ''\n", "tags such as"),
    "the thirteenth month": (BASE + "question: 2001-13-01\n", "line 5: '2001-13-01' cannot be read"),
    "a number without digits": (BASE + "iterations: 0x_\n", "line 5: '0x_' cannot be read"),
    "5,000 digits": (BASE + f"iterations: {'9' * 5000}\n", "line 5: '9999"),
    "beyond 64 bits": (BASE + "seeds: [9223372036854775808]\n", "beyond 64 bits"),
    "no seed": (BASE + "seeds: []\n", "seeds: Tuple should have at least 1 item"),
    "quote in an option": (BASE.replace("[telea]", '["telea[radius=\'3]"]'), "no value that YAML knows"),
    "option twice": (BASE.replace("[telea]", "['telea[radius=3,radius=4]']"), "stands twice"),
    "no number as option": (BASE.replace("[telea]", "[{name: telea, params: {radius: .nan}}]"), "option radius is nan"),
    "a date as option": (BASE.replace("[telea]", "[{name: telea, params: {a: 2001-01-01}}]"), "option a is date"),
    "option with a comma": (BASE.replace("[telea]", "[{name: telea, params: {'a,b': 1}}]"), "no name of an option"),
    "bins of no area": (BASE + "masks: {bins: [[.nan, .inf]]}\n", "[nan, inf] is no bin"),
    "bins upside down": (BASE + "masks: {bins: [[0.5, 0.1]]}\n", "[0.5, 0.1] is no bin"),
    "a name that leaves the folder": (BASE.replace("name: a", "name: ../../a"), "no slash"),
    "a name of control letters": (BASE.replace("name: a", 'name: "a\\0\\n"'), "no control character"),
    "half a letter": (BASE.replace("name: a", 'name: "\\ud800"'), "half a character"),
    "two documents": (BASE + "---\n" + BASE, "expected a single document"),
    "nothing": ("", "holds NoneType"),
    "a null byte": (BASE + "\0", "unacceptable character"),
    "many mistakes": (BASE + "".join(f"key{number}: 1\n" for number in range(3000)), "and 2992 more"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_suite_is_one_short_message_in_a_moment(tmp_path, name):
    text, message = WRONG[name]
    path = tmp_path / "suite.yaml"
    path.write_text(text, encoding="utf-8")
    begun = time.process_time()
    with bounded_memory(), pytest.raises(SpecError) as raised:
        load_suite(path)
    assert message in str(raised.value)
    assert str(path) in str(raised.value)
    assert len(str(raised.value)) < 3000
    assert time.process_time() - begun < 10


def test_what_is_no_file_of_text_is_told(tmp_path):
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "itself.yaml").symlink_to(tmp_path / "itself.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff\n")
    for name in ("folder.yaml", "itself.yaml", "latin.yaml", "absent.yaml", f"{'long' * 100}.yaml", "nul\0.yaml"):
        with pytest.raises(SpecError, match=r"no suite file at|cannot be read as UTF-8"):
            load_suite(tmp_path / name)
    with pytest.raises(SpecError, match="no suite file"):
        load_suite(Path("/dev/zero").with_suffix(".yaml"))
    for name in ("\0", "x" * 100_000, ""):
        with pytest.raises(SpecError, match="no suite named"):
            load_suite(name)


def test_aliases_and_merges_that_people_write_are_taken(tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text(
        "name: a\ndatasets: [folder]\nmetrics: &m [l1_hole]\n"
        "methods:\n- &t {name: telea, params: &p {radius: 3}}\n- {name: telea, params: {<<: *p, radius: 5}}\n"
    )
    assert [method.label for method in load_suite(path).methods] == ["telea[radius=3]", "telea[radius=5]"]


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), st.text(max_size=8), st.binary(max_size=4)
)
KEYS = st.one_of(st.sampled_from([*Suite.model_fields, "params", "protocol", "bins", "seed"]), SCALARS)
ANY = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4))
)
TREES = st.dictionaries(KEYS, ANY, max_size=8)
VALID = {
    "name": "a",
    "datasets": ["folder"],
    "methods": ["telea", {"name": "gain", "params": {"guidance": "canny"}}],
    "masks": {"protocol": "irregular-v1", "seed": 3, "bins": [[0.1, 0.2]]},
    "metrics": ["l1_hole"],
    "seeds": [0, 1],
    "samples": "all",
}


def read(folder: Path, text: str) -> Suite | None:
    path = folder / "suite.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        return load_suite(path)
    except SpecError:
        return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("suites")


@settings(max_examples=25, deadline=None)
@given(tree=TREES)
def test_any_structure_is_a_suite_or_a_clear_error(folder, tree):
    read(folder, yaml.safe_dump(tree, allow_unicode=True))


@settings(max_examples=40, deadline=None)
@given(changes=st.dictionaries(st.sampled_from([*VALID, "scale", "iterations", "question"]), ANY, max_size=2))
def test_a_suite_that_is_taken_comes_back_as_it_was(folder, changes):
    suite = read(folder, yaml.safe_dump(VALID | changes))
    if suite is not None:
        assert read(folder, yaml.safe_dump(suite.model_dump(mode="json"))) == suite
        again = suite.model_copy(update={"methods": tuple(MethodSpec.parse(one.label) for one in suite.methods)})
        assert again == suite
    if not changes:
        assert suite is not None


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_text_near_a_suite_is_a_suite_or_a_clear_error(folder, data):
    text = list(yaml.safe_dump(VALID))
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(text) - 1))
        text[place] = data.draw(st.sampled_from([*"&*!|>{}[],:#?-%@`'\"\\\t\n0~<", "!!int ", "<<", "\u2028", "🙂", ""]))
    read(folder, "".join(text))


PLAIN = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
        st.sampled_from(
            ["true", "3", "1e-05", "null", "a,b", "[x]", "it's", '"', "'", "~", "2001-01-01", "a: b", "#", "="]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("abc", max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=80, deadline=None)
@given(
    name=st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True),
    params=st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True), PLAIN, max_size=4),
)
def test_what_a_method_is_printed_as_reads_back_as_the_method(name, params):
    spec = MethodSpec(name=name, params=params)
    assert MethodSpec.parse(spec.label) == spec
    assert {key: type(value) for key, value in MethodSpec.parse(spec.label).params.items()} == {
        key: type(value) for key, value in params.items()
    }
    assert spec.label.isprintable()


@settings(max_examples=80, deadline=None)
@given(
    st.one_of(st.text(max_size=30), st.text("gain[]=,'\"{}:#&*!|> 0\\\n", max_size=30).map(lambda rest: "g[a=" + rest))
)
def test_any_text_is_a_method_or_a_clear_error(text):
    try:
        spec = MethodSpec.parse(text)
    except SpecError as error:
        assert len(str(error)) < 1000  # noqa: PT017 - most texts are no method, and either is right
        return
    assert MethodSpec.parse(spec.label) == spec

import pytest

from gainbench.errors import SpecError
from gainbench.spec import CellSpec, MaskSpec, MethodSpec, Scale, load_suite, scales, suite_names

TINY = Scale(name="tiny", size=64, base=8, batch=8, iterations=10, test_pictures=4)


def cell(**changes):
    fields = {
        "dataset": "orl-400",
        "manifest_hash": "m",
        "method": MethodSpec(name="gain"),
        "revision": 1,
        "seed": 0,
        "scale": TINY,
        "masks": MaskSpec(),
        "mask_hash": "h",
        "metrics": ("l1_mean",),
    }
    return CellSpec(**(fields | changes))


@pytest.mark.parametrize("name", suite_names())
def test_every_shipped_suite_loads(name):
    assert load_suite(name).name == name


def test_scales_are_shipped_smallest_first():
    assert list(scales()) == ["tiny", "cpu", "gpu", "full"]
    assert scales()["full"] == Scale(name="full", size=256, base=64, batch=8, iterations=1_000_000, test_pictures=None)


def test_rates_are_constant_at_full_scale_only():
    assert {name: scale.schedule for name, scale in scales().items()} == {
        "tiny": "linear",
        "cpu": "linear",
        "gpu": "linear",
        "full": "constant",
    }


@pytest.mark.parametrize(
    ("text", "name", "params"),
    [
        ("gain", "gain", {}),
        ("gain[guidance=canny]", "gain", {"guidance": "canny"}),
        (" gain[ priority_delta=0.8 , attention=false ] ", "gain", {"priority_delta": 0.8, "attention": False}),
        ("x[a=null,b=3]", "x", {"a": None, "b": 3}),
    ],
)
def test_methods_are_read_from_text(text, name, params):
    spec = MethodSpec.parse(text)
    assert (spec.name, spec.params) == (name, params)
    assert MethodSpec.parse(spec.label) == spec


@pytest.mark.parametrize("text", ["", "gain[", "gain[canny]", "two words", "gain]x["])
def test_other_text_is_refused_with_the_form_expected(text):
    with pytest.raises(SpecError, match="expected"):
        MethodSpec.parse(text)


def test_the_label_does_not_depend_on_the_order_of_options():
    assert MethodSpec.parse("g[b=1,a=2]").label == MethodSpec.parse("g[a=2,b=1]").label == "g[a=2,b=1]"


def write(tmp_path, text):
    path = tmp_path / "suite.yaml"
    path.write_text(text)
    return path


def test_an_unknown_key_names_the_nearest_valid_one(tmp_path):
    path = write(tmp_path, "name: x\ndataset: [a]\nmethods: [gain]\nmetrics: [l1_mean]\n")
    with pytest.raises(SpecError, match=r"unknown key 'dataset'; did you mean 'datasets'\?"):
        load_suite(path)


def test_an_unknown_key_inside_masks_is_compared_with_the_keys_of_masks(tmp_path):
    path = write(tmp_path, "name: x\ndatasets: [a]\nmethods: [gain]\nmetrics: [l1_mean]\nmasks: {protocl: y}\n")
    with pytest.raises(SpecError, match=r"unknown key 'masks.protocl'; did you mean 'protocol'\?"):
        load_suite(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\ndatasets: []\nmethods: [gain]\nmetrics: [m]\n", "datasets"),
        ("name: x\ndatasets: [a]\nmethods: [gain, gain]\nmetrics: [m]\n", "methods named twice: gain"),
        (
            "name: x\ndatasets: [a]\nmethods: [gain]\nmetrics: [m]\nseeds: [1, 0, 1]\n",
            "seeds named twice: 1; name each",
        ),
        (
            "name: x\ndatasets: [a]\nmethods: [gain]\nmetrics: [m]\nmasks: {bins: [[0.1, 0.2], [0.10000001, 0.2]]}\n",
            "masks.bins: bins named twice: 0.1-0.2",
        ),
        (
            "name: x\ndatasets: [a]\nmethods: [gain]\nmetrics: [m]\nmasks: {borders: [clear, clear]}\n",
            "masks.borders: borders named twice: clear",
        ),
        ("name: x\ndatasets: [a]\nmethods: ['gain[x']\nmetrics: [m]\n", "is not a method"),
        ("name: x\ndatasets: [a]\nmethods: [gain]\nmetrics: [m]\niterations: -1\n", "iterations"),
        ("- a\n- b\n", "holds list"),
        ("name: [unclosed\n", "is not YAML"),
        ("name: !!python/object/apply:os.getcwd []\n", "is not YAML"),
    ],
)
def test_a_wrong_suite_is_refused_with_its_reason(tmp_path, text, message):
    with pytest.raises(SpecError, match=message):
        load_suite(write(tmp_path, text))


def test_an_unknown_suite_names_the_nearest():
    with pytest.raises(SpecError, match="did you mean 'smoke'"):
        load_suite("smok")


@pytest.mark.parametrize(
    "changes",
    [
        {"manifest_hash": "n"},
        {"mask_hash": "i"},
        {"method": MethodSpec(name="gain", params={"guidance": "canny"})},
        {"revision": 2},
        {"plugin_hash": "p"},
        {"seed": 1},
        {"scale": TINY.model_copy(update={"iterations": 11})},
    ],
)
def test_what_decides_the_rows_changes_the_key(changes):
    assert cell(**changes).key != cell().key


def test_metrics_and_paths_do_not_change_the_key():
    assert cell(metrics=("psnr_rgb",), data_path="/elsewhere", plugin="p.py", samples=9).key == cell().key


def test_the_key_is_pinned():
    # A change of this value orphans every stored result: raise SCHEMA_VERSION when it is meant.
    assert cell().key == "23b15b487db349a8aa9033c6934888d4"


def test_folder_names_are_safe_for_every_file_system():
    spec = cell(method=MethodSpec.parse("gain[guidance=canny,delta=0.8]"))
    assert spec.folder_name == f"orl-400/gain_delta=0.8_guidance=canny-s0-{spec.key[:8]}"

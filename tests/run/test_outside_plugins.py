"""Methods that this project does not know: by path, from a package that pip installed, and freshly generated."""

import json
import os
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gainbench.cli import app
from gainbench.errors import MethodError
from gainbench.registry import GROUP, installed_methods
from gainbench.run.check import check_method
from gainbench.run.grid import run_suite
from gainbench.run.new_method import new_method
from gainbench.run.store import read_results
from gainbench.spec import MethodSpec, Scale

PLUGINS = Path(__file__).parent.parent / "plugins"
NEAREST = PLUGINS / "nearest_pixel.py"
SMALL = Scale(name="check", size=32, base=4, batch=4, iterations=20, test_pictures=1)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder into which pip installed the stranger's package; its source stays as it is."""
    folder = tmp_path_factory.mktemp("stranger")
    source = folder / "source"
    source.mkdir()
    for path in (PLUGINS / "stranger").iterdir():
        if path.is_file():
            (source / path.name).write_bytes(path.read_bytes())
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", folder / "site", source], check=True)
    return folder / "site"


@pytest.fixture
def installed(site, monkeypatch):
    monkeypatch.syspath_prepend(str(site))
    yield site
    sys.modules.pop("gainbench_stranger", None)


def failures(method):
    return [f"{v.behaviour}: {v.detail}" for v in check_method(method, scale=SMALL) if not v.passed]


def run(suite, root, pictures, methods, **options):
    """Run the little suite with these methods; how each cell ended and what it measured."""
    run_suite(suite, root=root, data_paths={"folder": pictures}, methods=methods, **options)
    stored = read_results(root)
    return {cell.spec.method.name: cell.status.state for cell in stored.cells}, stored.rows


def test_pip_installed_a_distribution_whose_entry_point_is_found(installed):
    (point,) = (point for point in metadata.entry_points(group=GROUP) if point.name == "stranger")
    assert point.dist is not None
    assert (point.dist.name, point.dist.version) == ("gainbench-stranger", "0.3.0")
    entry = installed_methods()["stranger"]
    assert (entry.source, entry.problem) == ("gainbench-stranger", "")
    assert Path(sys.modules["gainbench_stranger"].__file__).parent == installed


@pytest.mark.assets
def test_the_installed_package_keeps_the_contract(installed):
    assert failures("stranger") == []


@pytest.mark.assets
def test_the_file_keeps_the_contract():
    assert failures(NEAREST) == []


@pytest.mark.assets
def test_a_generated_plugin_keeps_the_contract_unedited(tmp_path):
    assert failures(new_method("my_method", tmp_path)) == []


@pytest.mark.usefixtures("own_cache")
def test_the_file_joins_a_suite(tmp_path, suite, pictures):
    states, rows = run(suite, tmp_path, pictures, ["nearest_pixel", "telea"], plugin=NEAREST)
    assert states == {"nearest_pixel": "done", "telea": "done"}
    assert rows.groupby("method").size().to_dict() == {"nearest_pixel": 6, "telea": 6}


@pytest.mark.usefixtures("own_cache")
def test_the_installed_package_joins_a_suite(installed, tmp_path, suite, pictures, monkeypatch):
    # Cells are processes of their own, which find the package as any installed one: on Python's path.
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(installed), before])))
    with_it = suite.model_copy(update={"methods": (MethodSpec(name="stranger"), *suite.methods)})
    states, rows = run(with_it, tmp_path, pictures, ["stranger", "telea"])
    assert states == {"stranger": "done", "telea": "done"}
    assert rows.groupby("method").size().to_dict() == {"stranger": 6, "telea": 6}


@pytest.mark.usefixtures("own_cache")
def test_a_generated_plugin_joins_a_suite(tmp_path, suite, pictures):
    (tmp_path / "little.yaml").write_text(json.dumps(suite.model_dump(mode="json")))
    written = CliRunner().invoke(app, ["new-method", "brush", "--folder", str(tmp_path)])
    assert written.exit_code == 0
    assert str(tmp_path / "brush.py") in written.output
    states, rows = run(suite, tmp_path / "runs", pictures, ["brush"], plugin=tmp_path / "brush.py")
    assert states == {"brush": "done"}
    assert set(rows["method"]) == {"brush"}


@pytest.mark.parametrize(
    "name", ["", "My", "9lives", "two words", "dash-ed", "under__score", "_x", "x_", "class", "../up", "gain[a=1]"]
)
def test_names_that_suites_or_python_cannot_say_are_refused(tmp_path, name):
    with pytest.raises(MethodError, match="cannot name a method"):
        new_method(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_an_installed_method_is_refused(tmp_path):
    with pytest.raises(MethodError, match="gainbench already has a method named 'telea'"):
        new_method("telea", tmp_path)


@pytest.mark.parametrize("name", ["random", "torch", "gainbench"])
def test_a_file_that_would_be_imported_for_a_module_is_refused(tmp_path, name):
    with pytest.raises(MethodError, match=f"Python module named '{name}'.*{name}_fill"):
        new_method(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command_that_comes_next_can_be_pasted(tmp_path):
    (folder := tmp_path / "my methods").mkdir()
    told = CliRunner().invoke(app, ["new-method", "brush", "--folder", str(folder)]).output
    (line,) = [line for line in told.splitlines() if line.startswith("next: ")]
    assert shlex.split(line)[1:] == ["gainbench", "check", str(folder / "brush.py")]


def test_what_merely_lies_in_the_current_folder_takes_no_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ideas").mkdir()
    (tmp_path / "blur.py").write_text("")
    assert new_method("ideas").name == "ideas.py"
    assert new_method("blur", "ideas") == Path("ideas/blur.py")


@pytest.mark.parametrize(("name", "kind"), [("phase", "Phase"), ("tensor", "Tensor"), ("batch", "Batch")])
def test_a_class_that_would_hide_what_the_file_imports_is_refused(tmp_path, name, kind):
    with pytest.raises(MethodError, match=f"would be named {kind}"):
        new_method(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_and_no_folder_made(tmp_path):
    new_method("mine", tmp_path).write_text("my own work\n")
    with pytest.raises(MethodError, match="exists and is left as it is"):
        new_method("mine", tmp_path)
    assert (tmp_path / "mine.py").read_text() == "my own work\n"
    with pytest.raises(MethodError, match="no folder at"):
        new_method("mine", tmp_path / "nowhere")

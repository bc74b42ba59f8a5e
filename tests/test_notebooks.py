"""Notebooks: pairs that say the same, short, without outputs, on the public interface alone; and they run."""

import ast
import os
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

import gainbench

FOLDER = Path(__file__).parent.parent / "notebooks"
SCRIPTS = sorted(FOLDER.glob("*.py"))
PUBLIC_PACKAGES = ("gainbench.nn", "gainbench.guidance")

each = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)


def test_there_are_notebooks_and_each_has_its_pair():
    assert len(SCRIPTS) >= 4
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {path.stem for path in SCRIPTS}


@each
def test_a_pair_says_the_same(script):
    # To renew it: make notebooks
    written, notebook = (jupytext.read(path) for path in (script, script.with_suffix(".ipynb")))
    cells = [[(cell.cell_type, cell.source) for cell in pair.cells] for pair in (written, notebook)]
    assert cells[0] == cells[1]


@each
def test_it_is_short_and_has_no_outputs(script):
    notebook = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    assert len(notebook.cells) <= 12
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in code] == [[]] * len(code)
    assert {cell.execution_count for cell in code} == {None}


@each
def test_it_uses_public_names_only(script):
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "gainbench":
            assert {alias.name for alias in node.names} <= {*gainbench.__all__}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gainbench"):
            assert node.module.startswith(PUBLIC_PACKAGES), node.module
        elif isinstance(node, ast.Import):
            assert all(not alias.name.startswith("gainbench.") for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "gainbench":
            assert node.attr in gainbench.__all__, node.attr


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """One results root for all notebooks, empty at first: each runs what it needs, and cells are shared."""
    root = Path(os.environ.get("GAINBENCH_NOTEBOOK_ROOT") or tmp_path_factory.mktemp("results"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GAINBENCH_RUN", str(root / "smoke-tiny"))
        environment.setenv("GAINBENCH_ABLATION", str(root / "ablation-tiny"))
        environment.setenv("GAINBENCH_ROOT", str(root / "own"))
        yield root


@pytest.mark.slow
@each
def test_it_runs_from_a_clean_kernel(script, results):
    notebook = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": str(FOLDER)}}).execute()
    assert any(cell.get("outputs") for cell in notebook.cells)

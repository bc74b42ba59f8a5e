"""What a reference has is not trained again: weights are evaluated here, rows are taken, the rest is as ever."""

import json
import shutil

import pytest
import torch

from gainbench.errors import RunError
from gainbench.registry import find_method
from gainbench.run import cell as cell_module
from gainbench.run import train_cell as training_module
from gainbench.run.plan import plan_suite
from gainbench.run.reference import find_reference
from gainbench.run.store import read_results
from gainbench.run_display import _planned_lines
from gainbench.spec import MethodSpec


@pytest.fixture
def no_training(monkeypatch):
    def refused(*_args, **_options):
        raise AssertionError("something was trained")

    monkeypatch.setattr(training_module, "train", refused)


@pytest.fixture
def copied(reference, tmp_path):
    """The reference results, to be damaged."""
    shutil.copytree(reference, tmp_path / "reference")
    return tmp_path / "reference"


@pytest.fixture
def planned(suite, pictures, plugin, reference, tmp_path):
    def plan(**options):
        options = {"suite": suite, "reference_dir": reference} | options
        return plan_suite(
            options.pop("suite"), root=tmp_path / "runs", data_paths={"folder": pictures}, plugin=plugin, **options
        )

    return plan


def file_of(reference, method, name):
    return next(reference.glob(f"cells/folder/{method}-*/{name}"))


@pytest.mark.usefixtures("no_training")
def test_weights_are_evaluated_here_and_give_the_committed_rows(run, reference, tmp_path):
    ran = run(tmp_path, reference_dir=reference)
    assert [status.state for status in ran.statuses] == ["done"] * 4
    assert {spec.method.label for spec in ran.started} == {"sturdy", "delicate", "enormous", "telea"}
    here, committed = read_results(tmp_path), read_results(reference)
    shas = {cell.spec.key: cell.result.rows_sha256 for cell in committed.cells}
    assert all(cell.result.rows_sha256 == shas[cell.spec.key] for cell in here.cells)
    taken = {cell.spec.method.label: cell.taken and cell.taken.kind for cell in here.cells}
    assert taken == {"sturdy": "weights", "delicate": "weights", "enormous": "weights", "telea": None}
    assert {cell.result.environment["precision"] for cell in here.cells if cell.taken} == {"fp32"}


@pytest.mark.usefixtures("no_training")
def test_rows_without_weights_are_taken_as_they_are(run, suite, reference, tmp_path, monkeypatch):
    monkeypatch.setattr(cell_module, "evaluate_method", None)
    ran = run(tmp_path, reference_dir=reference, methods=["sturdy"], seeds=[1])
    assert ran.started == []
    assert ran.unfinished == []
    (cell,) = read_results(tmp_path).cells
    assert cell.taken.kind == "rows"
    assert cell.result.rows_sha256 == cell.taken.rows_sha256
    # A metric that is asked for later cannot be had without weights: a training would give other rows.
    wider = suite.model_copy(update={"metrics": (*suite.metrics, "l1_hole")})
    again = run(tmp_path, reference_dir=reference, methods=["sturdy"], seeds=[1], suite=wider)
    assert again.started == []
    assert again.unfinished == []


def test_a_second_run_takes_nothing_again(run, reference, tmp_path):
    run(tmp_path, reference_dir=reference, methods=["sturdy", "telea"])
    assert run(tmp_path, reference_dir=reference, methods=["sturdy", "telea"]).started == []


def test_what_is_used_is_told(planned):
    sentences = planned(seeds=[0, 1]).reference_sentences()
    assert "3 of 8 cells are evaluated with the committed weights" in sentences[0]
    assert "--fresh" in sentences[0]
    assert sentences[1].endswith("of 1 of 8 cells there are rows alone, taken as they are: sturdy seed 1")


@pytest.mark.parametrize(
    "change", [{"iterations": 4}, {"seeds": [5]}, {"masks": 3}, {"params": "telea[radius=4.0]"}], ids=str
)
def test_cells_of_another_key_are_not_the_reference_s(planned, suite, change):
    if "masks" in change:
        masks = suite.masks.model_copy(update={"seed": change["masks"]})
        change = {"suite": suite.model_copy(update={"masks": masks})}
    elif "params" in change:
        method = MethodSpec.parse(change["params"])
        change = {"suite": suite.model_copy(update={"methods": (method,)}), "methods": [method.label]}
    plan = planned(**change)
    assert plan.cells
    assert {(cell.stage, cell.reference) for cell in plan.cells} == {("new", None)}
    assert {cell.stage for cell in planned().cells if cell.spec.method.name != "telea"} == {"evaluate"}


def test_another_revision_of_a_method_is_not_the_reference_s(planned, monkeypatch):
    monkeypatch.setattr(find_method("telea"), "revision", 99)
    kinds = {cell.spec.method.name: cell.reference for cell in planned().cells}
    assert kinds["telea"] is None
    assert kinds["sturdy"] is not None


@pytest.mark.usefixtures("no_training")
def test_only_runs_what_the_reference_has_and_adds_its_other_seeds(run, reference, copied, tmp_path):
    shutil.rmtree(file_of(copied, "delicate", "spec.json").parent)
    ran = run(tmp_path / "runs", reference="only", reference_dir=copied)
    assert [(cell.spec.method.label, cell.spec.seed) for cell in ran.plan.cells] == [
        ("sturdy", 0), ("sturdy", 1), ("delicate", 0), ("enormous", 0), ("telea", 0),
    ]  # fmt: skip
    assert [status.state for status in ran.statuses] == ["done", "done", "pending", "done", "done"]
    assert ran.unfinished == []
    assert ran.plan.reference_sentences()[-1] == "reference: not trained, as there is none of them: folder delicate"
    assert "left alone" not in " ".join(_planned_lines(ran.plan, ran.started))
    # What is there by the command line alone is what was asked for.
    plain = run(tmp_path / "runs", reference="only", reference_dir=copied, seeds=[0])
    assert {cell.spec.seed for cell in plain.plan.cells} == {0}


def test_only_without_any_reference_says_what_to_do(run, reference, tmp_path):
    with pytest.raises(RunError, match=r"nothing of little-tiny would be run. Without --reference only it is trained"):
        run(tmp_path, reference="only", reference_dir=reference, iterations=7)
    assert not (tmp_path / "cells").exists()


def test_fresh_trains_what_was_taken_before(run, reference, tmp_path):
    run(tmp_path, reference_dir=reference, methods=["sturdy"], seeds=[0, 1])
    ran = run(tmp_path, reference="none", methods=["sturdy"], seeds=[0, 1])
    assert [spec.seed for spec in ran.started] == [0, 1]
    cells = read_results(tmp_path).cells
    assert [cell.taken for cell in cells] == [None, None]
    assert all((cell.folder / "weights.safetensors").is_file() for cell in cells)


def test_what_was_trained_here_comes_before_the_reference(run, reference, tmp_path):
    first = run(tmp_path, reference="none", methods=["sturdy"])
    again = run(tmp_path, reference_dir=reference, methods=["sturdy"])
    assert again.started == []
    assert read_results(tmp_path).cells[0].taken is None
    assert first.plan.cells[0].spec.key == again.plan.cells[0].spec.key


@pytest.mark.parametrize("name", ["weights.safetensors", "reference.json", "result.json", "rows.parquet"])
@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_damaged_reference_results_are_refused_and_named(run, copied, tmp_path, name, damage):
    method, seed = ("sturdy-s0", 0) if name == "weights.safetensors" else ("sturdy-s1", 1)
    path = file_of(copied, method, name)
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else content[:-9] + b"x" + content[-8:])
    with pytest.raises(RunError, match=r"reference results are damaged: .*git checkout -- results/reference"):
        run(tmp_path / "runs", reference_dir=copied, methods=["sturdy"], seeds=[seed])
    assert not list((tmp_path / "runs").glob("cells/*/*"))


def test_weights_that_would_run_code_are_never_read_as_such(run, copied, tmp_path):
    # The hash vouches for them, so a foreign reference gets as far as the reader, which knows safetensors alone.
    path, entry = (file_of(copied, "sturdy-s0", name) for name in ("weights.safetensors", "reference.json"))
    torch.save({"level": torch.tensor(0.5)}, path)
    changed = json.loads(entry.read_text()) | {
        "weights_sha256": __import__("hashlib").sha256(path.read_bytes()).hexdigest()
    }
    entry.write_text(json.dumps(changed))
    ran = run(tmp_path / "runs", reference_dir=copied, methods=["sturdy"])
    assert [status.state for status in ran.statuses] == ["failed"]
    assert "not a readable safetensors file" in ran.statuses[0].cause


def test_a_folder_without_reference_results_is_refused(run, tmp_path):
    with pytest.raises(RunError, match="no reference results in"):
        run(tmp_path / "runs", reference_dir=tmp_path)


def test_reference_results_are_looked_for_in_the_clone_alone(reference, tmp_path, monkeypatch):
    clone = tmp_path / "clone"
    module = clone / "gainbench" / "run" / "reference.py"
    monkeypatch.setattr("gainbench.run.reference.__file__", str(module))
    shutil.copytree(reference, clone / "results" / "reference")
    assert find_reference() is None, "an installed package has no pyproject.toml beside it"
    (clone / "pyproject.toml").touch()
    assert find_reference() == clone / "results" / "reference"
    assert find_reference(reference) == reference

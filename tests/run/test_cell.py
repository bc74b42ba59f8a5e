"""One cell: the same bytes every time, trained once, evaluated as often as metrics are added, committed last."""

import json
import threading
from pathlib import Path

import pandas as pd
import pytest
import torch
from filelock import FileLock

from gainbench.errors import DivergedError, RunError
from gainbench.run import cell as cell_module
from gainbench.run.cell import run_cell
from gainbench.run.plan import plan_suite
from gainbench.run.store import cell_folder, read_cell, read_rows
from gainbench.training import resolve_precision

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def planned(suite, pictures, plugin):
    def spec(method: str, root: Path, **changes):
        changed = suite.model_copy(update=changes)
        plan = plan_suite(changed, root=root, methods=[method], plugin=plugin, data_paths={"folder": pictures})
        return plan.cells[0].spec

    return spec


def test_one_row_for_every_picture_and_hole(planned, tmp_path):
    spec = planned("steady", tmp_path)
    result = run_cell(spec, tmp_path)
    rows = read_rows(cell_folder(tmp_path, spec), result)
    assert len(rows) == 3 * 2  # a fifth of fifteen pictures, two bins
    assert rows.groupby("image_id").size().tolist() == [2, 2, 2]
    assert set(rows["bin"]) == {"0.1-0.2", "0.3-0.4"}
    assert rows[["l1_mean", "psnr_rgb", "runtime_ms"]].notna().all(axis=None)
    assert result.metrics == ("l1_mean", "psnr_rgb")
    # What `auto` is depends on the processor.
    assert result.environment["precision"] == resolve_precision("auto", torch.device("cpu"))


@pytest.mark.parametrize("method", ["steady", "learning"])
def test_the_same_seed_gives_the_same_bytes(planned, tmp_path, method):
    contents = []
    for name in ("first", "second"):
        spec = planned(method, tmp_path / name)
        run_cell(spec, tmp_path / name, threads=1)
        contents.append((cell_folder(tmp_path / name, spec) / "rows.parquet").read_bytes())
    assert contents[0] == contents[1]


def test_another_seed_trains_other_weights_on_the_same_holes(planned, tmp_path):
    specs = [planned("learning", tmp_path, seeds=(seed,)) for seed in (0, 1)]
    results = [run_cell(spec, tmp_path) for spec in specs]
    assert results[0].pairing_sha256 == results[1].pairing_sha256
    assert results[0].rows_sha256 != results[1].rows_sha256


def test_an_added_metric_is_evaluated_with_the_stored_weights(planned, tmp_path):
    spec = planned("learning", tmp_path, metrics=("psnr_rgb",))
    first = run_cell(spec, tmp_path)
    folder = cell_folder(tmp_path, spec)
    weights, training = (folder / "weights.safetensors").stat(), (folder / "training.json").read_text()
    second = run_cell(planned("learning", tmp_path, metrics=("l1_mean",)), tmp_path)
    # Suites share cells: what another suite asked for is kept.
    assert second.metrics == ("l1_mean", "psnr_rgb")
    assert (folder / "weights.safetensors").stat() == weights
    assert (folder / "training.json").read_text() == training
    assert second.cost["training_seconds"] == first.cost["training_seconds"]


def test_a_finished_cell_is_returned_as_it_is(planned, tmp_path, monkeypatch):
    spec = planned("steady", tmp_path)
    first = run_cell(spec, tmp_path)
    monkeypatch.setattr(cell_module, "evaluate_method", None)
    assert run_cell(spec, tmp_path) == first


def test_a_failing_evaluation_leaves_the_old_result_whole(planned, tmp_path, monkeypatch):
    spec = planned("steady", tmp_path, metrics=("l1_mean",))
    first = run_cell(spec, tmp_path)

    def broken(*_args, **_options):
        raise ArithmeticError

    monkeypatch.setattr(cell_module, "evaluate_method", broken)
    with pytest.raises(ArithmeticError):
        run_cell(planned("steady", tmp_path), tmp_path)
    stored = read_cell(tmp_path, spec)
    assert stored.result == first
    assert len(read_rows(stored.folder, first)) == 6


def test_a_metric_without_weights_is_absent_with_its_reason(planned, tmp_path):
    spec = planned("steady", tmp_path, metrics=("l1_mean", "fid"))
    result = run_cell(spec, tmp_path)
    assert result.metrics == ("l1_mean",)
    assert "fid-weights" in result.missing["fid"] or "FID_WEIGHTS" in result.missing["fid"]
    assert not any(record["metric"] == "fid" for record in result.set_metrics)


def test_masks_that_shrink_are_kept_beside_the_rows_and_do_not_change_them(planned, tmp_path):
    spec = planned("closing", tmp_path)
    run_cell(spec, tmp_path)
    stored = read_cell(tmp_path, spec)
    shrinkage = stored.shrinkage()
    assert shrinkage.steps == ("hole", "half", "all")
    assert len(shrinkage.rows) == 6  # three pictures, two bins
    content = (stored.folder / "shrinkage.npz").read_bytes()
    (stored.folder / "result.json").unlink()
    run_cell(spec, tmp_path)
    assert (stored.folder / "shrinkage.npz").read_bytes() == content
    steady = planned("steady", tmp_path)
    assert run_cell(steady, tmp_path).rows_sha256 == stored.result.rows_sha256
    assert read_cell(tmp_path, steady).shrinkage() is None


def test_samples_are_kept_for_as_many_pictures_as_asked(planned, tmp_path):
    spec = planned("steady", tmp_path)
    run_cell(spec, tmp_path)
    listed = json.loads((cell_folder(tmp_path, spec) / "samples" / "samples.json").read_text())
    assert len({sample["image_id"] for sample in listed}) == 1


def test_all_samples_are_those_of_every_test_picture(planned, tmp_path):
    spec = planned("steady", tmp_path, samples="all")
    assert spec.samples == 3
    run_cell(spec, tmp_path)
    folder = cell_folder(tmp_path, spec) / "samples"
    names = [f"{row:05d}.png" for row in range(6)]
    assert all([path.name for path in sorted((folder / sub).iterdir())] == names for sub in ("completed", "hole"))
    photographs = pd.read_csv(folder / "photographs.csv", dtype=str)
    rows = pd.read_parquet(cell_folder(tmp_path, spec) / "rows.parquet")
    assert photographs["photograph"].tolist() == rows["photograph"].tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"manifest_hash": "0" * 32}, "photographs of folder changed"),
        ({"mask_hash": "0" * 32}, "holes of irregular-v1 changed"),
        ({"revision": 99}, "revision"),
        ({"plugin_hash": "0" * 32}, "troublesome.py changed"),
    ],
)
def test_what_changed_since_planning_is_refused(planned, tmp_path, change, message):
    with pytest.raises(RunError, match=message):
        run_cell(planned("steady", tmp_path).model_copy(update=change), tmp_path)


def test_a_diverging_training_leaves_neither_weights_nor_result(planned, tmp_path):
    spec = planned("diverging", tmp_path)
    with pytest.raises(DivergedError, match="step 0"):
        run_cell(spec, tmp_path)
    left = {path.name for path in cell_folder(tmp_path, spec).iterdir()}
    assert not left & {"weights.safetensors", "result.json", "rows.parquet"}


def test_what_a_killed_process_left_half_written_is_removed(planned, tmp_path):
    spec = planned("steady", tmp_path)
    folder = cell_folder(tmp_path, spec)
    (folder / "samples.partial").mkdir(parents=True)
    (folder / "samples.partial" / "00000-completed.png").touch()
    (folder / ".rows.parquet.k3j2_x9a.parquet").touch()
    run_cell(spec, tmp_path)
    assert {path.name for path in folder.iterdir()} == {
        *[".lock", "spec.json", "rows.parquet", "timings.parquet", "features.npz", "samples", "result.json"]
    }


def test_two_processes_never_work_on_one_cell(planned, tmp_path, monkeypatch):
    spec = planned("steady", tmp_path)
    folder = cell_folder(tmp_path, spec)
    folder.mkdir(parents=True)
    monkeypatch.setattr(cell_module, "LOCK_SECONDS", 0.1)
    with FileLock(folder / ".lock"), pytest.raises(RunError, match="another process works in"):
        run_cell(spec, tmp_path)


def test_the_pairing_is_drawn_once_and_kept_with_its_table(planned, tmp_path, monkeypatch):
    first = run_cell(planned("steady", tmp_path), tmp_path)
    monkeypatch.setattr("gainbench.run.pairings.build_pairing", None)
    second = run_cell(planned("steady[level=0.25]", tmp_path), tmp_path)
    assert first.pairing_sha256 == second.pairing_sha256
    table = pd.read_parquet(tmp_path / "pairings" / f"{first.pairing_sha256[:12]}.parquet")
    assert len(table) == 6
    assert {"image_id", "mask_id", "area", "radius"} <= set(table.columns)


def test_a_damaged_pairing_is_drawn_again(planned, tmp_path):
    first = run_cell(planned("steady", tmp_path), tmp_path)
    holes = tmp_path / "pairings" / f"{first.pairing_sha256[:12]}.npy"
    holes.write_bytes(holes.read_bytes()[:-1] + b"\x7f")
    second = run_cell(planned("steady[level=0.25]", tmp_path), tmp_path)
    assert first.pairing_sha256 == second.pairing_sha256


def test_progress_names_training_and_evaluating(planned, tmp_path):
    seen: list[tuple[str, int, int]] = []
    run_cell(planned("learning", tmp_path), tmp_path, progress=lambda *told: seen.append(told))
    assert [told for told in seen if told[0] == "training"] == [("training", done, 3) for done in (1, 2, 3)]
    assert seen[-1] == ("evaluating", 6, 6)
    assert threading.active_count() < 20

"""The grid as a whole: one run at a time, threads that do not depend on what is left, and the debug executor."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from gainbench.errors import RunError
from gainbench.run import grid as grid_module
from gainbench.run.grid import run_suite
from gainbench.run.status import end
from gainbench.run.store import read_results

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def run(suite, pictures, plugin, tmp_path):
    def run_it(**options):
        options = {"methods": ["steady"], "executor": "in_process"} | options
        return run_suite(suite, root=tmp_path / "runs", data_paths={"folder": pictures}, plugin=plugin, **options)

    return run_it


class Recorder:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.execution = None
        self.told: list[tuple[str, str]] = []

    def planned(self, plan, started, execution) -> None:
        self.execution = execution

    def cell(self, spec, status, progress) -> None:
        self.told.append((spec.method.label, status.state))


def test_a_second_run_does_nothing(run):
    first, second = run(), run()
    assert [spec.method.label for spec in first.started] == ["steady"]
    assert second.started == []
    assert [status.state for status in second.statuses] == ["done"]
    assert second.unfinished == []


def test_reusing_a_cell_of_another_precision_is_told(run, caplog):
    run(precision="fp32")
    run(precision="fp32")
    assert "another precision" not in caplog.text
    again = run(precision="bf16")
    assert again.started == []
    assert "1 finished cells were computed in another precision than bf16" in caplog.text


def test_a_half_trained_cell_that_goes_on_in_its_own_precision_is_told(run, monkeypatch, tmp_path, caplog):
    trouble = tmp_path / "trouble"
    trouble.touch()
    monkeypatch.setenv("TROUBLE", str(trouble))
    options = {"methods": ["stumbling"], "checkpoint_seconds": 0.0, "retry": "failed"}
    run(precision="bf16", **options)
    trouble.unlink()
    (cell,) = run(precision="fp32", **options).plan.cells
    assert "1 half-trained cells go on in the precision that they began with, not in fp32" in caplog.text
    noted = json.loads((cell.stored.folder / "result.json").read_text())["environment"]
    assert (noted["training_precision"], noted["precision"]) == ("bf16", "bf16")


def test_weights_that_were_trained_in_another_precision_are_told_now_and_later(run, caplog):
    (cell,) = run(methods=["learning"], precision="bf16").plan.cells
    result = cell.stored.folder / "result.json"
    result.unlink()
    run(methods=["learning"], precision="fp32")
    assert "1 cells are evaluated in fp32 with weights that were trained in another precision" in caplog.text
    noted = json.loads(result.read_text())["environment"]
    assert (noted["training_precision"], noted["precision"]) == ("bf16", "fp32")
    caplog.clear()
    assert run(methods=["learning"], precision="fp32").started == []
    assert "1 finished cells were computed in another precision than fp32" in caplog.text


def test_the_debug_executor_gives_the_same_statuses(run):
    ran = run(methods=["raising", "diverging", "steady"])
    assert [status.state for status in ran.statuses] == ["failed", "nan", "done"]
    assert "not in the mood" in ran.statuses[0].cause


def test_failed_cells_are_tried_again_only_when_asked(run):
    run(methods=["raising"])
    left = run(methods=["raising"])
    assert left.started == []
    assert [status.state for _, status in left.unfinished] == ["failed"]
    assert len(run(methods=["raising"], retry="failed").started) == 1


@pytest.mark.parametrize("state", ["interrupted", "killed", "timeout"])
def test_cells_that_were_ended_from_outside_are_tried_again_by_themselves(run, state):
    folder = run(methods=["raising"]).plan.cells[0].stored.folder
    end(folder, state, cause="by a test")
    assert len(run(methods=["raising"]).started) == 1


def test_the_debug_executor_refuses_limits_that_it_cannot_keep(run):
    for limit in ({"timeout": 5.0}, {"memory_limit": 500.0}):
        with pytest.raises(RunError, match="in_process"):
            run(**limit)


def test_a_second_run_in_the_same_root_is_refused_while_the_first_lasts(run, tmp_path):
    (tmp_path / "runs").mkdir()
    code = "import filelock, sys\nwith filelock.FileLock(sys.argv[1]): print(flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "runs" / ".lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    other.stdout.readline()
    with pytest.raises(RunError, match="another run works in"):
        run(wait=0.1)
    threading.Timer(0.3, other.communicate).start()
    assert run(wait=30.0).unfinished == []
    assert other.wait(10) == 0


def test_an_address_of_an_object_store_is_no_results_root(suite, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="cannot be kept at the address s3:"):
        run_suite(suite, root=Path("s3://bucket/runs"))
    assert list(tmp_path.iterdir()) == []


def test_threads_do_not_depend_on_what_is_left_of_the_plan(run, monkeypatch):
    monkeypatch.setattr(grid_module, "_physical_cores", lambda: 4)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    executions = []
    for _ in range(2):  # the second time, nothing is left
        recorder = Recorder()
        run(methods=["steady", "raising"], watch=recorder)
        executions.append((recorder.execution.jobs, recorder.execution.threads))
    assert executions == [(2, 2), (2, 2)]
    recorder = Recorder()
    run(methods=["steady", "raising"], watch=recorder, jobs=1)
    assert (recorder.execution.jobs, recorder.execution.threads) == (1, 4)


def test_the_watch_is_told_of_every_state(run):
    recorder = Recorder()
    run(methods=["learning"], watch=recorder)
    assert recorder.told[0] == ("learning", "running")
    assert recorder.told[-1] == ("learning", "done")


def test_every_method_of_a_data_set_is_evaluated_on_the_same_holes(run, tmp_path):
    run(methods=["steady", "learning"])
    stored = read_results(tmp_path / "runs")
    holes = stored.rows.groupby("method")["mask_id"].agg(list)
    assert holes["steady"] == holes["learning"]
    assert len(holes["steady"]) == 6


def test_the_processes_that_share_a_cell_count_as_jobs_and_divide_the_threads(run, monkeypatch):
    monkeypatch.setattr(grid_module, "_physical_cores", lambda: 8)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    recorder = Recorder()
    run(methods=["steady", "raising"], watch=recorder, devices=2)
    execution = recorder.execution
    assert (execution.jobs, execution.threads, execution.devices_per_cell) == (2, 2, 2)
    recorder = Recorder()
    run(methods=["steady", "raising"], watch=recorder, devices=8)
    assert (recorder.execution.jobs, recorder.execution.threads) == (1, 1)


def test_devices_that_cannot_share_a_batch_are_refused_before_anything_starts(run):
    recorder = Recorder()
    with pytest.raises(RunError, match=r"--devices 3: .* batches of 8 pictures .* possible are 1, 2, 4, 8"):
        run(methods=["steady", "learning"], watch=recorder, devices=3)
    assert recorder.told == []
    # A method that does not train has no batch to share.
    assert run(devices=3).unfinished == []


@pytest.mark.slow
def test_a_cell_shared_by_two_processes_is_the_cell_of_one_up_to_rounding(run, tmp_path):
    options = {"methods": ["learning"], "executor": "local"}
    (alone,) = run(**options).plan.cells
    result, weights = alone.stored.folder / "result.json", alone.stored.folder / "weights.safetensors"
    expected, was = load_file(weights), json.loads(result.read_text())
    shutil.rmtree(alone.stored.folder)
    (shared,) = run(**options, devices=2).plan.cells
    assert shared.spec.key == alone.spec.key
    now = json.loads(result.read_text())
    assert (was["environment"]["training_devices"], now["environment"]["training_devices"]) == (1, 2)
    for name, tensor in load_file(weights).items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_cell_one_of_whose_processes_raises_is_a_status_and_leaves_nothing(run, monkeypatch, tmp_path):
    trouble = tmp_path / "trouble"
    trouble.touch()
    monkeypatch.setenv("TROUBLE", str(trouble))
    before = set(psutil.Process().children(recursive=True))
    ran = run(methods=["stumbling", "steady"], executor="local", devices=2)
    assert sorted(status.state for status in ran.statuses) == ["done", "failed"]
    ((_, status),) = ran.unfinished
    assert "of 2: ArithmeticError: stumbled at step 2" in status.cause
    assert set(psutil.Process().children(recursive=True)) <= before
    root = str(tmp_path / "runs")
    assert not [process for process in psutil.process_iter(["cmdline"]) if root in (process.info["cmdline"] or ())]

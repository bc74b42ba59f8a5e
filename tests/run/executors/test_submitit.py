"""Cells as jobs: submitit's own local cluster stands for Slurm."""

import pytest

from gainbench.errors import RunError
from gainbench.run.executors.submitit import SubmititExecutor
from gainbench.run.grid import run_suite
from gainbench.run.store import read_results

pytest.importorskip("submitit", reason="needs gainbench[slurm]")
pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def run(suite, pictures, plugin, tmp_path):
    def run_it(methods, **options):
        return run_suite(
            suite, root=tmp_path, data_paths={"folder": pictures}, plugin=plugin, methods=methods, **options
        )

    return run_it


def test_a_grid_finishes_one_cell_raises_and_a_rerun_runs_only_what_is_missing(run, tmp_path):
    executor = SubmititExecutor(cluster="local", options={"partition": "gpu", "mail-user": "me"})
    ran = run(["steady", "raising"], executor=executor)
    assert [status.state for status in ran.statuses] == ["done", "failed"]
    assert ran.statuses[1].cause == "ArithmeticError: the method is not in the mood"
    assert "in inpaint" in "".join(ran.statuses[1].log_tail)
    stored = read_results(tmp_path)
    assert len(stored.rows) == 6
    assert [cell.status for cell in stored.cells] == ran.statuses

    assert run(["steady", "raising"], executor=executor).started == []
    again = run(["steady", "raising"], executor=executor, retry="failed")
    assert [spec.method.name for spec in again.started] == ["raising"]
    assert [status.attempts for status in again.statuses] == [1, 2]


@pytest.mark.slow
def test_statuses_and_numbers_are_those_of_the_local_executor(suite, pictures, plugin, tmp_path):
    stored = []
    for place in ("local", SubmititExecutor(cluster="local")):
        root = tmp_path / str(len(stored))
        run_suite(
            suite,
            root=root,
            data_paths={"folder": pictures},
            plugin=plugin,
            methods=["steady", "learning", "raising", "killed", "diverging", "leaving"],
            jobs=2,
            executor=place,
        )
        stored.append(read_results(root))
    here, there = stored
    assert [(cell.status.state, cell.status.cause, cell.status.signal) for cell in there.cells] == [
        (cell.status.state, cell.status.cause, cell.status.signal) for cell in here.cells
    ]
    assert len(here.rows) == 12
    assert there.rows.drop(columns="runtime_ms").equals(here.rows.drop(columns="runtime_ms"))


def test_a_cluster_that_is_not_there_is_said(run):
    with pytest.raises(RunError, match="submitit cannot use slurm"):
        run(["steady"], executor=SubmititExecutor(cluster="slurm"))

"""A cluster of two nodes on this machine, and what happens to cells when workers, nodes and the run itself die."""

import os
import signal
import socket

import pandas as pd
import psutil
import pytest

from gainbench.errors import RunError
from gainbench.run.executors import Execution
from gainbench.run.executors.ray import RayExecutor

pytest.importorskip("ray", reason="needs gainbench[ray]")
pytestmark = pytest.mark.slow

METHODS = ("steady", "learning", "raising", "killed")


def ports() -> dict[str, int]:
    """Ports for a node's agents, so that a raylet on a busy machine need not wait until they have found some."""
    held = [socket.socket() for _ in range(4)]
    for one in held:
        one.bind(("", 0))
    found = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    names = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
    return dict(zip(names, found, strict=True))


class TwoNodes:
    """A head with one CPU and a node with two; each says that it has a GPU."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 1, "num_gpus": 1, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head | ports())
        self.node = self.cluster.add_node(num_cpus=2, num_gpus=1, **ports())

    @property
    def options(self) -> tuple[str, ...]:
        return ("--executor", "ray", "--ray-address", self.cluster.address)

    def is_on_node(self, process: psutil.Process) -> bool:
        raylets = {info.process.pid for info in self.node.all_processes["raylet"]}
        return bool(raylets & {parent.pid for parent in process.parents()})


@pytest.fixture(scope="module")
def nodes(own_cache):
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "RAY_USAGE_STATS_ENABLED": "0",
            # A busy machine is slow to start its nodes, and not dead.
            "RAY_raylet_start_wait_time_s": "300",
            "RAY_worker_register_timeout_seconds": "300",
            "RAY_health_check_initial_delay_ms": "120000",
        }.items():
            environment.setenv(name, value)
        two = TwoNodes()
        yield two
        two.cluster.shutdown()


def numbers(results):
    rows = results.rows.drop(columns="runtime_ms").sort_values(["key", "image_id", "mask_id"], ignore_index=True)
    table = pd.read_csv(results.folder / "tables" / "folder.csv")
    return rows, table[table["metric"].isin(["l1_mean", "psnr_rgb"])].reset_index(drop=True)


def test_a_grid_gives_the_statuses_and_numbers_of_the_local_executor(nodes, grid, plugin):
    remote, local = grid("remote", plugin), grid("local", plugin)
    narrowed = ("--methods", ",".join(METHODS))
    assert remote.run(*nodes.options, "--cpus-per-cell", "0.5", "--gpus-per-cell", "0.5", *narrowed) == 2
    assert "4 at a time, 1 threads each" in remote.output
    assert local.run("--jobs", "2", *narrowed) == 2
    assert remote.states() == {"steady-0": "done", "learning-0": "done", "raising-0": "failed", "killed-0": "killed"}
    assert remote.states() == local.states()
    for name, cell in remote.cells().items():
        assert cell.status.cause == local.cells()[name].status.cause
        assert cell.status.signal == local.cells()[name].status.signal
    assert "in inpaint" in "".join(remote.cells()["raising-0"].status.log_tail)
    for ours, theirs in zip(numbers(remote.results()), numbers(local.results()), strict=True):
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)

    assert remote.run(*nodes.options, "--retry", "failed", *narrowed) == 2
    assert {name: cell.status.attempts for name, cell in remote.cells().items()} == {
        "steady-0": 1,
        "learning-0": 1,
        "raising-0": 2,
        "killed-0": 2,
    }


def test_a_cell_gets_the_gpu_and_the_threads_that_it_holds(nodes, grid, placed):
    told = grid("told", placed)
    told.run(*nodes.options, "--methods", "telling", "--cpus-per-cell", "2", "--gpus-per-cell", "1")
    cause = told.cells()["telling-0"].status.cause
    assert "'CUDA_VISIBLE_DEVICES': '0', 'OMP_NUM_THREADS': '2'} and 2 threads" in cause
    told.run(*nodes.options, "--methods", "telling", "--gpus-per-cell", "0", "--retry", "failed")
    cause = told.cells()["telling-0"].status.cause
    assert "'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': '1'} and 1 threads" in cause


def test_what_no_node_has_is_refused_at_once(nodes):
    with (
        pytest.raises(RunError, match="no node of the Ray cluster has the 1 CPUs and 2 GPUs"),
        RayExecutor(address=nodes.cluster.address, gpus=2.0).opened(Execution(), jobs=None, cells=1),
    ):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_cell_outlives_its_run(nodes, grid, placed, tmp_path, number):
    (tmp_path / "wait").touch()
    waiting = grid("waiting", placed)
    run = waiting.start(*nodes.options, "--methods", f"waiting[path={tmp_path / 'wait'}]", "--seeds", "0,1")
    waiting.wait_for(lambda: len(waiting.processes()) == 2)
    os.kill(run.pid, number)
    run.wait(120)
    waiting.wait_for(lambda: not waiting.processes(), seconds=60)
    if number == signal.SIGTERM:
        assert set(waiting.states().values()) == {"interrupted"}


def test_a_worker_and_a_node_that_die_take_their_cells_with_them_and_no_others(nodes, grid, placed, tmp_path):
    (tmp_path / "wait").touch()
    waiting = grid("waiting", placed)
    command = (*nodes.options, "--gpus-per-cell", "0", "--methods", f"waiting[path={tmp_path / 'wait'}]")
    command += ("--seeds", "0,1,2,3")
    run = waiting.start(*command)
    waiting.wait_for(lambda: len(waiting.processes()) == 3)
    first = waiting.processes()
    (on_head,) = [name for name, process in first.items() if not nodes.is_on_node(process)]
    (queued,) = waiting.cells().keys() - first.keys()
    first[on_head].parent().kill()
    waiting.wait_for(lambda: queued in waiting.processes())
    assert on_head not in waiting.processes()
    nodes.cluster.remove_node(nodes.node, allow_graceful=False)
    waiting.wait_for(lambda: set(waiting.processes()) == {queued})
    (tmp_path / "wait").unlink()
    assert run.wait(300) == 3

    lost = set(first)
    assert waiting.states() == {name: "killed" if name in lost else "done" for name in (*lost, queued)}
    for name in lost:
        assert "its Ray worker or node died" in waiting.cells()[name].status.cause
    assert waiting.run(*command) == 0
    assert {name: (cell.status.state, cell.status.attempts) for name, cell in waiting.cells().items()} == {
        name: ("done", 2 if name in lost else 1) for name in (*lost, queued)
    }

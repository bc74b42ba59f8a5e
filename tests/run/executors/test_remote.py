"""A run that follows cells from afar: what nodes say is believed, what they cannot say is found out."""

import importlib.util
import os

import pytest

from gainbench.atomic import write_json
from gainbench.cli.elsewhere import Cluster, Place, chosen_executor
from gainbench.errors import RunError, SpecError
from gainbench.run.executors import Execution, remote
from gainbench.run.executors.local import LocalExecutor
from gainbench.run.executors.ray import RayExecutor
from gainbench.run.executors.remote import Lost, Order, carry_out, follow
from gainbench.run.executors.submitit import SubmititExecutor
from gainbench.run.layout import RESULT, cell_folder
from gainbench.run.status import begin, end, read_status
from gainbench.spec import CellSpec, MaskSpec, MethodSpec, Scale


def spec(seed: int = 0) -> CellSpec:
    return CellSpec(
        dataset="folder",
        manifest_hash="m" * 32,
        method=MethodSpec(name="telea"),
        revision=1,
        seed=seed,
        scale=Scale(name="tiny", size=64, base=8, batch=8, iterations=3, test_pictures=40),
        masks=MaskSpec(),
        mask_hash="h" * 32,
        metrics=("l1_mean",),
    )


class Nodes:
    """A cluster whose nodes do what a test says: ``behave(order)`` gives the outcome, or raises."""

    def __init__(self, behave) -> None:
        self._behave = behave
        self._orders = []
        self.most = 0
        self.cancelled = []

    def submit(self, order):
        self._orders.append(order)
        return len(self._orders) - 1

    def ended(self, tickets):
        self.most = max(self.most, len(tickets))
        return tickets[:1]

    def outcome(self, ticket):
        return self._behave(self._orders[ticket])

    def cancel(self, tickets) -> None:
        self.cancelled += [self._orders[ticket].spec.seed for ticket in tickets]


def started(order: Order):
    folder = cell_folder(order.root, order.spec)
    begin(folder, pid=1, threads=1, precision="fp32", counted=True)
    return folder


def followed(nodes, specs, root, at_once=None):
    told = []
    statuses = follow(nodes, specs, root, Execution(), lambda *said: told.append(said), at_once=at_once)
    return statuses, told


def test_statuses_come_in_the_order_of_the_cells_and_each_end_is_told_once(tmp_path):
    def behave(order):
        folder = started(order)
        write_json(folder / RESULT, {})
        return end(folder, "done" if order.spec.seed else "failed", cause="" if order.spec.seed else "no mood")

    statuses, told = followed(Nodes(behave), [spec(0), spec(1)], tmp_path)
    assert [(status.state, status.cause) for status in statuses] == [("failed", "no mood"), ("done", "")]
    assert [(one.seed, status.state) for one, status, _ in told if status.state != "running"] == [
        (0, "failed"),
        (1, "done"),
    ]
    assert list(tmp_path.glob(".run-*")) == []


def test_no_more_cells_are_sent_at_a_time_than_were_asked_for(tmp_path):
    for at_once, most in ((2, 2), (None, 5)):
        nodes = Nodes(lambda _order: Lost("killed", "gone"))
        followed(nodes, [spec(seed) for seed in range(5)], tmp_path, at_once=at_once)
        assert nodes.most == most


def test_a_cell_whose_node_died_is_killed_unless_it_had_said_how_it_ended(tmp_path):
    def behave(order):
        folder = started(order)
        if order.spec.seed:
            end(folder, "nan", cause="not finite")
        return Lost("killed", "the node died")

    statuses, _ = followed(Nodes(behave), [spec(0), spec(1)], tmp_path)
    assert [(status.state, status.cause) for status in statuses] == [("killed", "the node died"), ("nan", "not finite")]
    assert [read_status(cell_folder(tmp_path, spec(seed))) for seed in (0, 1)] == statuses


def test_what_an_earlier_attempt_said_is_not_taken_for_the_lost_ones_end(tmp_path):
    folder = cell_folder(tmp_path, spec())
    begin(folder, pid=1, threads=1, precision="fp32", counted=True)
    end(folder, "failed", cause="long ago")
    (status,), _ = followed(Nodes(lambda _order: Lost("killed", "before it began")), [spec()], tmp_path)
    assert (status.state, status.cause, status.attempts) == ("killed", "before it began", 1)


def test_a_cell_that_was_never_begun_keeps_the_status_of_the_process_that_holds_it(tmp_path, hold):
    folder = cell_folder(tmp_path, spec())
    begin(folder, pid=os.getpid(), threads=1, precision="fp32", counted=True)
    hold(folder)
    (status,), _ = followed(Nodes(lambda _order: Lost("timeout", "its time was over")), [spec()], tmp_path)
    assert (status.state, status.cause) == ("timeout", "its time was over")
    assert read_status(folder).state == "running"


def test_a_cell_that_is_done_where_this_machine_does_not_see_it_is_not_taken_for_done(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "VISIBLE_SECONDS", 0.0)
    (status,), _ = followed(Nodes(lambda order: end(started(order), "done")), [spec()], tmp_path)
    assert status.state == "failed"
    assert "its result is not seen" in status.cause


def test_an_interrupted_run_cancels_what_was_sent_and_says_so_where_it_had_begun(tmp_path):
    class Interrupted(Nodes):
        def ended(self, tickets):
            started(self._orders[1])
            raise KeyboardInterrupt

    nodes = Interrupted(None)
    with pytest.raises(KeyboardInterrupt):
        followed(nodes, [spec(0), spec(1)], tmp_path)
    assert nodes.cancelled == [0, 1]
    assert [read_status(cell_folder(tmp_path, spec(seed))).state for seed in (0, 1)] == ["pending", "interrupted"]


def test_a_node_that_does_not_share_the_results_root_refuses(tmp_path):
    lost = carry_out(Order(spec(), tmp_path, Execution(), ".run-of-another.lock"))
    assert lost.state == "failed"
    assert "must be a folder that all nodes share" in lost.cause


def test_a_node_runs_a_cell_in_a_process_with_the_limits_of_the_run(tmp_path):
    (tmp_path / ".run.lock").touch()
    status = carry_out(Order(spec(), tmp_path, Execution(memory_limit=1.0), ".run.lock"))
    assert status.state == "killed"
    assert "more than the 1 allowed" in status.cause


def test_an_extra_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(RunError, match=r"pip install 'gainbench\[ray\]'"):
        RayExecutor()
    with pytest.raises(RunError, match=r"pip install 'gainbench\[slurm\]'"):
        SubmititExecutor()


@pytest.fixture
def everything_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: True)


@pytest.mark.parametrize(
    ("executor", "given", "message"),
    [
        (RayExecutor, {"address": "ray://head:10001"}, "start it on a node"),
        (RayExecutor, {"cpus": 0.0}, "0 CPUs"),
        (RayExecutor, {"gpus": -1.0}, "-1 GPUs"),
        (RayExecutor, {"gpus": 1.5}, "1.5 GPUs"),
        (SubmititExecutor, {"cpus": 0.5}, "0.5 CPUs"),
        (SubmititExecutor, {"gpus": 0.5}, "0.5 GPUs"),
        (SubmititExecutor, {"options": {"time": "1-00:00:00"}}, "expected minutes"),
    ],
)
def test_amounts_that_a_cluster_cannot_hand_out_are_refused(everything_installed, executor, given, message):
    with pytest.raises(RunError, match=message):
        executor(**given)


NOTHING = {"ray_address": None, "cluster": None, "slurm": None, "cpus": None, "gpus": None}


@pytest.mark.parametrize(
    ("place", "given"),
    [
        (Place.local, {"ray_address": "auto"}),
        (Place.local, {"cpus": 2.0}),
        (Place.local, {"gpus": 0.0}),
        (Place.ray, {"slurm": ["partition=gpu"]}),
        (Place.ray, {"cluster": Cluster.local}),
        (Place.submitit, {"ray_address": "auto"}),
    ],
)
def test_an_option_of_another_executor_is_refused(everything_installed, place, given):
    with pytest.raises(SpecError, match=f"says nothing to --executor {place}"):
        chosen_executor(place, **(NOTHING | given))


def test_options_describe_the_executor(everything_installed):
    assert isinstance(chosen_executor(Place.local, **NOTHING), LocalExecutor)
    assert isinstance(chosen_executor(Place.ray, **(NOTHING | {"gpus": 0.5, "cpus": 0.5})), RayExecutor)
    slurm = NOTHING | {"slurm": ["partition=gpu", "--account=me"], "gpus": 2.0}
    assert isinstance(chosen_executor(Place.submitit, **slurm), SubmititExecutor)
    with pytest.raises(SpecError, match="not KEY=VALUE"):
        chosen_executor(Place.submitit, **(NOTHING | {"slurm": ["gpu"]}))

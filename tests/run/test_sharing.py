"""What several processes need to share a cell's training is asked for before anything starts, on every executor."""

import importlib.util

import pytest

from gainbench.errors import RunError
from gainbench.run.executors import Execution
from gainbench.run.executors.in_process import InProcessExecutor
from gainbench.run.executors.local import LocalExecutor
from gainbench.run.executors.submitit import SubmititExecutor
from gainbench.run.sharing import check_shareable, threads_of_each
from gainbench.spec import Scale

SCALE = Scale(name="tiny", size=64, base=8, batch=6, iterations=3, test_pictures=40)


def test_the_extra_is_named_where_it_is_missing_and_one_device_does_without(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(RunError, match=r"--devices 2: .* pip install 'gainbench\[accelerate\]'"):
        check_shareable(SCALE, 2)
    check_shareable(SCALE, 1)


@pytest.mark.parametrize("devices", [4, 5, 12])
def test_a_batch_is_shared_equally_or_not_at_all(devices):
    with pytest.raises(RunError, match=rf"--devices {devices}: .* of 6 pictures of scale tiny .* are 1, 2, 3, 6$"):
        check_shareable(SCALE, devices)


@pytest.mark.parametrize("executor", [LocalExecutor, InProcessExecutor])
def test_every_process_has_a_gpu_or_none_has(executor):
    def opened(gpus: int, devices: int):
        execution = Execution(devices=tuple(range(gpus)), devices_per_cell=devices)
        return executor().opened(execution, jobs=None, cells=1)

    with pytest.raises(RunError, match="--devices 4: each process needs a GPU of its own, and a cell has 2"):
        opened(2, 4)
    for gpus, devices in ((0, 4), (4, 4), (1, 1)):
        with opened(gpus, devices) as execution:
            assert execution.devices_per_cell == devices


def test_a_job_of_a_cluster_holds_what_its_processes_need(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: True)
    execution = Execution(devices_per_cell=2)
    with SubmititExecutor(cpus=6, gpus=2).opened(execution, jobs=None, cells=3) as fitted:
        assert (fitted.jobs, fitted.threads, fitted.devices_per_cell) == (3, 3, 2)
    for given, message in (({"cpus": 6, "gpus": 1}, "a cell has 1; .*--gpus-per-cell"), ({}, "--cpus-per-cell 2")):
        with (
            pytest.raises(RunError, match=message),
            SubmititExecutor(**given).opened(execution, jobs=None, cells=3),
        ):
            pass


def test_one_process_alone_takes_a_share_of_a_cpu():
    assert (threads_of_each(0.5, 1), threads_of_each(3, 1), threads_of_each(7, 2)) == (1, 3, 3)

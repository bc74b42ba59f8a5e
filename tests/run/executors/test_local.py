"""A process a cell: it ends with its time, with its run, and takes nothing with it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from gainbench.run.executors import Execution, kept_settings
from gainbench.run.executors.local import LocalExecutor
from gainbench.run.layout import cell_folder
from gainbench.run.status import begin, end, log_tail, read_status
from gainbench.spec import CellSpec, MaskSpec, MethodSpec, Scale


@pytest.fixture
def spec() -> CellSpec:
    return CellSpec(
        dataset="folder",
        manifest_hash="m" * 32,
        method=MethodSpec(name="telea"),
        revision=1,
        seed=0,
        scale=Scale(name="tiny", size=64, base=8, batch=8, iterations=3, test_pictures=40),
        masks=MaskSpec(),
        mask_hash="h" * 32,
        metrics=("l1_mean",),
    )


@pytest.fixture
def nothing_left():
    """No process that a test started outlives it."""
    before = set(psutil.Process().children(recursive=True))
    yield
    assert set(psutil.Process().children(recursive=True)) <= before


def silent(*_told) -> None: ...


def test_a_cell_that_takes_too_long_is_ended_and_says_so(nothing_left, spec, tmp_path):
    # The limit is shorter than a process needs to load torch, so the cell is at work when it is reached.
    statuses = LocalExecutor().execute([spec], tmp_path, Execution(timeout=0.3), silent)
    assert [status.state for status in statuses] == ["timeout"]
    assert "longer than 0.3 s" in statuses[0].cause
    assert read_status(cell_folder(tmp_path, spec)) == statuses[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_to_the_run_ends_its_cells_and_says_that_they_were_interrupted(nothing_left, spec, tmp_path, number):
    before = signal.getsignal(number)

    def interrupt_soon(*_told) -> None:
        threading.Timer(0.2, os.kill, (os.getpid(), number)).start()

    with pytest.raises(KeyboardInterrupt):
        LocalExecutor().execute([spec], tmp_path, Execution(), interrupt_soon)
    assert read_status(cell_folder(tmp_path, spec)).state == "interrupted"
    assert signal.getsignal(number) is before


def test_a_cell_ends_when_the_pipe_to_its_run_closes():
    code = (
        "from gainbench.run.executors.child import end_with_parent; import subprocess, sys, time; end_with_parent();"
        "print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    grandchild = psutil.Process(int(child.stdout.readline()))
    child.stdin.close()
    assert child.wait(10) == -signal.SIGKILL
    grandchild.wait(10)


def test_a_cell_that_began_keeps_its_threads_and_precision(spec, tmp_path):
    folder = cell_folder(tmp_path, spec)
    begin(folder, pid=os.getpid(), threads=3, precision="bf16", counted=True)
    end(folder, "killed", cause="by a test")
    now = Execution(threads=1, precision="fp32")
    assert kept_settings(tmp_path, spec, now) == (1, "fp32")
    (folder / "checkpoint").mkdir()
    assert kept_settings(tmp_path, spec, now) == (3, "bf16")


def test_attempts_and_time_are_counted(spec, tmp_path):
    folder = cell_folder(tmp_path, spec)
    for attempt in (1, 2):
        begin(folder, pid=os.getpid(), threads=1, precision="fp32", counted=True)
        begin(folder, pid=os.getpid(), threads=1, precision="fp32", counted=False)
        time.sleep(0.02)
        status = end(folder, "failed", cause="by a test")
        assert status.attempts == attempt
        assert 0.02 <= status.seconds < 2
    assert json.loads((folder / "status.json").read_text())["state"] == "failed"


def test_a_status_keeps_the_last_lines_of_a_long_log(tmp_path):
    (tmp_path / "log.txt").write_text("".join(f"line {number}\n" for number in range(10_000)))
    tail = log_tail(tmp_path)
    assert tail[-1] == "line 9999"
    assert len(tail) == 20

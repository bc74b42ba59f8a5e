"""A process a cell: it ends with its time, with its run, and takes nothing with it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace

import psutil
import pytest

from gainbench.atomic import write_json
from gainbench.run.executors import Execution, kept_settings
from gainbench.run.executors.in_process import InProcessExecutor
from gainbench.run.executors.local import LocalExecutor, _environment, _resident_mib
from gainbench.run.layout import cell_folder
from gainbench.run.status import CellStatus, begin, end, log_tail, read_progress, read_status, write_status
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


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        (None, "no checkpoint yet and begins anew"),
        ("checkpoint/2.pt", "its checkpoint is kept"),
        ("weights.safetensors", "its trained weights are kept"),
    ],
)
@pytest.mark.parametrize(
    ("limit", "option"), [({"timeout": 0.0}, "--timeout"), ({"memory_limit": 1.0}, "--memory-limit")]
)
def test_a_cell_that_was_ended_says_what_the_next_attempt_finds(
    nothing_left, spec, tmp_path, kept, told, limit, option
):
    if kept is not None:
        path = cell_folder(tmp_path, spec) / kept
        path.parent.mkdir(parents=True)
        path.touch()
    (status,) = LocalExecutor().execute([spec], tmp_path, Execution(**limit), silent)
    assert f"{told}: run again with a larger {option}" in status.cause
    assert ("is kept" in status.cause) == (kept == "checkpoint/2.pt")


def test_a_cell_that_takes_too_much_memory_is_ended_and_says_so(nothing_left, spec, tmp_path):
    # Python alone takes more than a MiB, long before torch is loaded.
    (status,) = LocalExecutor().execute([spec], tmp_path, Execution(memory_limit=1.0), silent)
    assert status.state == "killed"
    assert "more than the 1 allowed" in status.cause
    assert "--memory-limit" in status.cause


def test_the_memory_of_what_a_process_started_counts():
    hold = "import time; held = bytearray(200 * 2**20); print(flush=True); time.sleep(60)"
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {hold!r}]); time.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    try:
        parent.stdout.readline()
        assert 200 < _resident_mib(parent.pid) < 300
    finally:
        os.killpg(parent.pid, signal.SIGKILL)
        parent.wait()
    assert _resident_mib(parent.pid) == 0


def test_a_cell_whose_folder_cannot_be_made_fails_alone(nothing_left, spec, tmp_path):
    other = spec.model_copy(update={"seed": 1})
    # The folder's parents cannot be made either: a file stands in their place.
    blocked = cell_folder(tmp_path, spec)
    blocked.parent.mkdir(parents=True)
    blocked.touch()
    statuses = LocalExecutor().execute([spec, other], tmp_path, Execution(timeout=0.3), silent)
    assert [status.state for status in statuses] == ["failed", "timeout"]
    assert f"could not be started: [Errno 17] File exists: '{blocked}'" in statuses[0].cause


def test_a_note_of_progress_that_cannot_be_read_is_none(tmp_path):
    for content in ("", "[]", '{"what": 1}', "null"):
        (tmp_path / "progress.json").write_text(content)
        assert read_progress(tmp_path) is None


def test_where_room_is_short_a_status_takes_that_of_the_progress(spec, tmp_path, monkeypatch):
    folder = cell_folder(tmp_path, spec)
    begin(folder, pid=os.getpid(), threads=1, precision="fp32", counted=True)
    (folder / "progress.json").write_text("{}")
    (folder / "log.txt").write_text("the last words")
    written = write_json

    def short_of_room(path, value):
        if (folder / "progress.json").exists():
            raise OSError(28, "No space left on device")
        written(path, value)

    monkeypatch.setattr("gainbench.run.status.write_json", short_of_room)
    assert end(folder, "failed", cause="by a test").log_tail == ()
    assert (read_status(folder).state, read_status(folder).cause) == ("failed", "by a test")


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
    assert kept_settings(tmp_path, spec, now) == (1, "fp32")
    (folder / "checkpoint" / "2.pt").touch()
    assert kept_settings(tmp_path, spec, now) == (3, "bf16")
    # Shared by two processes, it would take six threads.
    assert kept_settings(tmp_path, spec, replace(now, devices_per_cell=2)) == (1, "bf16")


def test_weights_are_evaluated_in_the_precision_that_is_asked_for_by_name(spec, tmp_path):
    folder = cell_folder(tmp_path, spec)
    begin(folder, pid=os.getpid(), threads=3, precision="bf16", counted=True)
    end(folder, "killed", cause="by a test")
    (folder / "weights.safetensors").touch()
    assert kept_settings(tmp_path, spec, Execution(threads=1, precision="fp32")) == (3, "fp32")
    assert kept_settings(tmp_path, spec, Execution(threads=1)) == (3, "bf16")


@pytest.fixture
def foreign(spec, tmp_path, hold):
    """A cell that another process works on, as a job of a run that is gone does, and what that one has written."""
    folder = cell_folder(tmp_path, spec)
    holder = hold(folder)
    begin_as(holder.pid, folder)
    (folder / "checkpoint").mkdir()
    (folder / "samples.partial").mkdir()
    for name in ("progress.json", ".rows.parquet.k3j2_x9a.parquet", "checkpoint/.2.pt.a1b2c3d4.pt"):
        (folder / name).touch()
    written = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return folder, holder, lambda: {path: path.read_bytes() for path in written if path.is_file()} == written


def begin_as(pid, folder):
    process = psutil.Process(pid)
    status = CellStatus(state="running", attempts=1, pid=pid, pid_started=process.create_time(), started=time.time())
    write_status(folder, status.model_copy(update={"host": socket.gethostname()}))


def test_a_cell_that_another_process_holds_is_left_as_it_is(nothing_left, foreign, spec, tmp_path):
    folder, _holder, untouched = foreign
    (status,) = LocalExecutor().execute([spec], tmp_path, Execution(timeout=0.3), silent)
    assert status.state == "timeout"
    assert untouched()
    assert (folder / "samples.partial").is_dir()
    for told in (
        begin(folder, pid=os.getpid(), threads=1, precision="fp32", counted=True),
        read_status(folder),
    ):
        assert (told.state, told.attempts) == ("running", 1)
    assert end(folder, "failed", cause="by a test").cause == "by a test"
    assert untouched()


def test_an_attempt_at_a_cell_that_another_process_keeps_fails_and_says_why(foreign, spec, tmp_path, monkeypatch):
    folder, _holder, untouched = foreign
    monkeypatch.setattr("gainbench.run.attempt.LOCK_SECONDS", 0.1)
    (status,) = InProcessExecutor().execute([spec], tmp_path, Execution(), silent)
    assert (status.state, status.attempts) == ("failed", 1)
    assert status.cause == f"another process works in {folder}; wait for it to end, or end it"
    assert untouched()


def test_an_attempt_counts_once_whoever_notes_it(nothing_left, spec, tmp_path, hold):
    # The cell's data set has no folder here, so the attempt fails as soon as it is begun.
    folder = cell_folder(tmp_path, spec)
    (status,) = LocalExecutor().execute([spec], tmp_path, Execution(), silent)
    assert (status.state, status.attempts) == ("failed", 1)
    holder = hold(folder)
    (status,) = LocalExecutor().execute([spec], tmp_path, Execution(), lambda *_told: holder.communicate())
    assert (status.state, status.attempts) == ("failed", 2)
    assert read_status(folder) == status


@pytest.mark.parametrize(
    ("visible", "second"), [(None, "2,3"), ("4, 5,6,7", "6,7"), ("GPU-a,GPU-b,GPU-c,GPU-d", "GPU-c,GPU-d")]
)
def test_the_processes_of_one_cell_have_gpus_of_their_own(monkeypatch, visible, second):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    execution = Execution(jobs=2, devices=(0, 1, 2, 3), devices_per_cell=2)
    seen = [_environment(4, slot, execution)["CUDA_VISIBLE_DEVICES"] for slot in range(3)]
    assert seen[1] == second
    # A third cell at a time, as --jobs may ask for, begins with the first again.
    assert seen[2] == seen[0]


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

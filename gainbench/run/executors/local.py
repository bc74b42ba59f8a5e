"""Every cell in a process and session of its own: what one does, the others do not feel."""

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from gainbench.atomic import write_json
from gainbench.run.executors import Execution, Watch, kept_settings
from gainbench.run.holding import LEAVING_SECONDS, cell_held, occupied
from gainbench.run.layout import LOG, PROGRESS, SPEC, WEIGHTS, cell_folder, half_trained, remove_partial
from gainbench.run.sharing import check_gpus
from gainbench.run.signals import signals_ignored, signals_interrupt
from gainbench.run.status import CellStatus, Ending, begin, end, read_progress, read_status, unwritten
from gainbench.spec import CellSpec

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1
GRACE_SECONDS = 5.0
"""How long a process may take to end by itself before it is killed."""

LEAST_ROOM = 64 * 1024
"""Bytes of free disk below which not even a status fits with certainty."""


@dataclass
class _Child:
    """A cell's process.

    Attributes:
        place: the cell's place among the specs.
        slot: which of the jobs' places it takes; decides the GPU.
        verdict: the state and cause it was ended with for taking more time or memory than it may, and the option that
            grants more.
    """

    place: int
    slot: int
    spec: CellSpec
    folder: Path
    process: subprocess.Popen[bytes]
    begun: float = field(default_factory=time.monotonic)
    verdict: tuple[Ending, str, str] | None = None


class LocalExecutor:
    """Runs ``gainbench cell`` once a cell, as many at a time as there are jobs."""

    def opened(self, execution: Execution, *, jobs: int | None, cells: int) -> AbstractContextManager[Execution]:  # noqa: ARG002
        """Nothing has to be held: the execution fits this machine already.

        Raises:
            RunError: a cell is to have more processes than there are GPUs.
        """
        check_gpus(len(execution.devices), execution.devices_per_cell)
        return nullcontext(execution)

    def execute(self, specs: Sequence[CellSpec], root: Path, execution: Execution, watch: Watch) -> list[CellStatus]:
        """Run the cells; see :class:`gainbench.run.executors.Executor`."""
        waiting = deque(enumerate(specs))
        statuses: dict[int, CellStatus] = {}
        children: list[_Child] = []
        with signals_interrupt():
            try:
                while waiting or children:
                    while waiting and len(children) < execution.jobs:
                        place, spec = waiting.popleft()
                        slot = min(set(range(execution.jobs)) - {child.slot for child in children})
                        try:
                            children.append(_start(place, slot, spec, root, execution))
                        except OSError as error:
                            statuses[place] = _not_started(cell_folder(root, spec), error)
                            watch(spec, statuses[place], None)
                        else:
                            watch(spec, read_status(children[-1].folder), None)
                    time.sleep(POLL_SECONDS)
                    for child in list(children):
                        if child.process.poll() is None:
                            self._supervise(child, execution, watch)
                        else:
                            children.remove(child)
                            statuses[child.place] = _concluded(child)
                            watch(child.spec, statuses[child.place], None)
            except BaseException:
                _end_all(children)
                raise
        return [statuses[place] for place in range(len(specs))]

    def _supervise(self, child: _Child, execution: Execution, watch: Watch) -> None:
        child.verdict = _overspent(child, execution)
        if child.verdict is not None:
            _stop([child])
        elif (progress := read_progress(child.folder)) is not None:
            status = read_status(child.folder)
            # A cell that has just written its end is still a process; it is told of once, when that is gone.
            if status.state == "running":
                watch(child.spec, status, progress)


def _start(place: int, slot: int, spec: CellSpec, root: Path, execution: Execution) -> _Child:
    folder = cell_folder(root, spec)
    folder.mkdir(parents=True, exist_ok=True)
    threads, precision = kept_settings(root, spec, execution)
    write_json(folder / SPEC, spec.model_dump(mode="json"))
    devices = execution.devices_per_cell
    with cell_held(folder) as ours:
        if ours:
            (folder / PROGRESS).unlink(missing_ok=True)
            # The parent counts the attempt, so that even a process that dies at birth leaves a status.
            begin(folder, pid=os.getpid(), threads=threads, devices=devices, precision=precision, counted=True)
    command = [sys.executable, "-m", "gainbench", "cell", str(folder / SPEC), "--out", str(root), "--supervised"]
    command += ["--threads", str(threads), "--devices", str(devices), "--precision", precision]
    command += ["--checkpoint-seconds", str(execution.checkpoint_seconds), *(["--noted"] if ours else [])]
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - this very interpreter, arguments of our own making
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(threads * devices, slot, execution),
            start_new_session=True,
        )
    return _Child(place, slot, spec, folder, process)


def _not_started(folder: Path, error: OSError) -> CellStatus:
    """A full disk, a folder that may not be written or a system out of processes is one cell's failure, not the run's.

    What cannot be noted in the folder is told by the run alone.
    """
    return end(folder, "failed", cause=f"it could not be started: {error}")


def _overspent(child: _Child, execution: Execution) -> tuple[Ending, str, str] | None:
    if execution.timeout is not None and time.monotonic() - child.begun > execution.timeout:
        return "timeout", f"took longer than {execution.timeout:g} s", "--timeout"
    if execution.memory_limit is not None and (used := _resident_mib(child.process.pid)) > execution.memory_limit:
        cause = f"used {used:.0f} MiB of memory, more than the {execution.memory_limit:g} allowed"
        return "killed", cause, "--memory-limit"
    return None


def _left(folder: Path) -> str:
    """What the next attempt at a cell that was ended finds of this one, as half a sentence."""
    if (folder / WEIGHTS).is_file():
        return "its trained weights are kept"
    return "its checkpoint is kept" if half_trained(folder) else "it had no checkpoint yet and begins anew"


def _resident_mib(pid: int) -> float:
    """Resident memory of a process and of all that it started, in MiB; pages that they share count for each."""
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += one.memory_info().rss
    return total / 2**20


def _environment(threads: int, slot: int, execution: Execution) -> dict[str, str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **execution.environment}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    if len(execution.devices) > 1:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(_gpus(slot, execution))
    return environment


def _gpus(slot: int, execution: Execution) -> list[str]:
    """The GPUs of one of the jobs' places, as many as share a cell, named as this process's environment names them."""
    each = execution.devices_per_cell
    first = slot % max(1, len(execution.devices) // each) * each
    # Where only some GPUs are visible, torch counts those from 0, but a child needs their own names.
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    chosen = execution.devices[first : first + each]
    return [named[index] if index < len(named) else str(index) for index in chosen]


def _concluded(child: _Child) -> CellStatus:
    """The final status of a process that ended: its own word, or what its end says."""
    _signal(child, signal.SIGKILL)  # whatever the cell started and left behind
    ours = _put_away(child)
    code = child.process.returncode
    status = read_status(child.folder)
    if ours and status.state not in {"running", "interrupted"}:
        return status
    if child.verdict is not None:
        state, cause, option = child.verdict
        return end(child.folder, state, cause=f"{cause}; {_left(child.folder)}: run again with a larger {option}")
    if code < 0:
        name = signal.Signals(-code).name
        hint = "; if nobody did, the system may have run out of memory (try fewer --jobs)" if name == "SIGKILL" else ""
        return end(child.folder, "killed", cause=f"its process was ended by {name}{hint}", signal=name)
    if not ours:
        return unwritten(child.folder, "failed", cause=occupied(child.folder))
    full = "; there is no room left on its disk" if _is_full(child.folder) else ""
    return end(child.folder, "failed", cause=f"its process ended with code {code} and without a result{full}")


def _is_full(folder: Path) -> bool:
    return shutil.disk_usage(folder).free < LEAST_ROOM


def _end_all(children: list[_Child]) -> None:
    with signals_ignored():
        _stop(children)
        for child in children:
            if _put_away(child) and read_status(child.folder).state in {"running", "interrupted"}:
                end(child.folder, "interrupted", cause="the run was interrupted; run again to go on")


def _stop(children: list[_Child]) -> None:
    for child in children:
        _signal(child, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(max(0.0, deadline - time.monotonic()))
        _signal(child, signal.SIGKILL)
        child.process.wait()


def _signal(child: _Child, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, number)


def _put_away(child: _Child) -> bool:
    """Close the pipe of a process that is gone, and delete what it was writing when it went.

    Returns:
        False if another process holds the cell, such as a job of an earlier run: what is half-written is that one's.
    """
    if child.process.stdin is not None:
        child.process.stdin.close()
    with cell_held(child.folder, LEAVING_SECONDS) as ours:
        if ours:
            with contextlib.suppress(OSError):
                remove_partial(child.folder)
    return ours

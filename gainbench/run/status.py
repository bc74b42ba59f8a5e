"""How attempts at a cell went: ``status.json``, written by whoever runs the cell, whole or not at all."""

import json
import logging
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
from pydantic import Field

from gainbench.atomic import write_json
from gainbench.run.holding import cell_held
from gainbench.run.layout import LOG, PROGRESS, STATUS, read_model
from gainbench.spec import Precision, StrictModel

logger = logging.getLogger(__name__)

TAIL_LINES = 20
TAIL_BYTES = 4096

State = Literal["pending", "running", "interrupted", "done", "failed", "nan", "killed", "timeout"]
Ending = Literal["interrupted", "done", "failed", "nan", "killed", "timeout"]


class CellStatus(StrictModel):
    """How the last attempt at a cell went."""

    state: State = "pending"
    cause: str = Field(default="", description="why the cell is not done, in one or two sentences")
    log_tail: tuple[str, ...] = Field(default=(), description="the last lines of log.txt when it stopped")
    signal: str | None = Field(default=None, description="the signal that ended the process, such as SIGKILL")
    attempts: int = Field(default=0, description="times the cell was started")
    seconds: float = Field(default=0.0, description="wall time of the last attempt")
    started: float | None = Field(default=None, description="when the last attempt began, seconds since 1970")
    threads: int | None = Field(default=None, description="torch threads; kept on resume, as sums depend on them")
    devices: int | None = Field(default=None, description="processes that share a training, each with so many threads")
    precision: Precision | None = Field(default=None, description="arithmetic; kept on resume")
    pid: int | None = Field(default=None, gt=0, lt=2**31)
    pid_started: float | None = Field(default=None, description="start of the process, so that a reused pid is noticed")
    host: str | None = None


@dataclass(frozen=True)
class CellProgress:
    """How far a running cell is: ``training`` iterations or ``evaluating`` rows."""

    what: str
    done: int
    total: int


def read_progress(folder: Path) -> CellProgress | None:
    """What the cell in ``folder`` last said of its progress; None if it has not said anything that can be read."""
    try:
        read = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
        return CellProgress(str(read["what"]), int(read["done"]), int(read["total"]))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        # A display only: a file that a power cut left empty must not end the run that looks at it.
        return None


def read_status(folder: Path) -> CellStatus:
    """The status of the cell in ``folder``; one that says ``running`` while its process is gone is ``interrupted``.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / STATUS
    if not path.is_file():
        return CellStatus()
    status = read_model(path, CellStatus)
    if status.state == "running" and not _alive(status):
        return status.model_copy(
            update={"state": "interrupted", "cause": "the run that started it ended; run again to go on"}
        )
    return status


def write_status(folder: Path, status: CellStatus) -> CellStatus:
    """Write ``status.json`` atomically and return the status."""
    write_json(folder / STATUS, status.model_dump(mode="json"))
    return status


def begin(folder: Path, *, pid: int, threads: int, devices: int = 1, precision: Precision, counted: bool) -> CellStatus:
    """Note that process ``pid`` works on the cell from now on, unless another process holds it.

    Args:
        folder: the cell's.
        pid: the process to watch.
        threads: torch threads it uses, or each of the processes that share its training.
        devices: how many share it.
        precision: the arithmetic it was told to use.
        counted: whether this is a new attempt; False where another process already noted it.

    Returns:
        What is noted now: by the process that holds the cell, if that is another.
    """
    with cell_held(folder) as ours:
        before = read_status(folder)
        if not ours:
            return before
        return write_status(
            folder,
            CellStatus(
                state="running",
                attempts=before.attempts + int(counted),
                started=time.time() if counted else before.started,
                threads=threads,
                devices=devices,
                precision=precision,
                pid=pid,
                pid_started=psutil.Process(pid).create_time(),
                host=socket.gethostname(),
            ),
        )


def end(folder: Path, state: Ending, *, cause: str = "", signal: str | None = None) -> CellStatus:
    """Note how the attempt that was begun ended; unless it is done, the end of its log is kept with it.

    A status that cannot be written, as on a full disk, is returned all the same: it is what the run tells and counts.
    So is one of a cell that another process holds, whose own status stays.
    """
    with cell_held(folder) as ours:
        if not ours:
            return unwritten(folder, state, cause=cause, signal=signal)
        before = read_status(folder)
        status = CellStatus(
            state=state,
            cause=cause,
            log_tail=() if state == "done" else log_tail(folder),
            signal=signal,
            attempts=before.attempts,
            started=before.started,
            seconds=round(time.time() - before.started, 3) if before.started else 0.0,
            threads=before.threads,
            devices=before.devices,
            precision=before.precision,
        )
        try:
            return write_status(folder, status)
        except OSError as error:
            return _written_where_room_is_short(folder, status, error)


def unwritten(folder: Path, state: Ending, *, cause: str, signal: str | None = None) -> CellStatus:
    """How an attempt ended at a cell that another process holds: to be told, as the folder is that one's to write."""
    attempts = read_status(folder).attempts
    return CellStatus(state=state, cause=cause, signal=signal, log_tail=log_tail(folder), attempts=attempts)


def _written_where_room_is_short(folder: Path, status: CellStatus, problem: OSError) -> CellStatus:
    """Give the status the room of what is only shown, and leave out the log's end, which is in the log."""
    logger.warning("%s cannot be written: %s", folder / STATUS, problem)
    try:
        (folder / PROGRESS).unlink(missing_ok=True)
        return write_status(folder, status.model_copy(update={"log_tail": ()}))
    except OSError as error:
        logger.warning("%s still cannot be written: %s", folder / STATUS, error)
        return status


def log_tail(folder: Path) -> tuple[str, ...]:
    """The last lines of a cell's log; empty if there is none."""
    path = folder / LOG
    if not path.is_file():
        return ()
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return tuple(log.read().decode("utf-8", errors="replace").splitlines()[-TAIL_LINES:])


def _alive(status: CellStatus) -> bool:
    if status.pid is None or status.host != socket.gethostname():
        # A process on another machine cannot be seen from here: believe the file.
        return status.pid is not None
    try:
        return bool(abs(psutil.Process(status.pid).create_time() - (status.pid_started or 0.0)) < 1.0)
    except psutil.Error:
        return False

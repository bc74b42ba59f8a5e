"""One attempt at a cell: whatever a method does becomes a status with its cause. The border between it and the grid."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

from gainbench.errors import DivergedError, GainbenchError, KilledError, NotFiniteError
from gainbench.run.cell import run_cell
from gainbench.run.environment import compute_device
from gainbench.run.holding import LOCK_SECONDS, cell_held, occupied
from gainbench.run.layout import cell_folder
from gainbench.run.status import CellProgress, CellStatus, begin, end, unwritten
from gainbench.spec import CellSpec, Precision
from gainbench.training import resolve_precision

logger = logging.getLogger(__name__)

CAUSE_LENGTH = 2000
"""Characters of an exception's message that a status keeps."""


def attempt(
    spec: CellSpec,
    root: Path,
    *,
    threads: int,
    devices: int = 1,
    precision: Precision,
    checkpoint_seconds: float,
    progress: Callable[[CellProgress], None],
    counted: bool = True,
) -> CellStatus:
    """Run a cell and keep ``status.json``; an exception becomes the status ``failed`` or ``nan``.

    A cell that another process holds, and does not leave within ``LOCK_SECONDS``, is ``failed`` in what is returned
    alone: nothing of that process's is touched.

    Args:
        spec: the cell.
        root: the results root.
        threads: torch threads on the CPU, of each of several processes.
        devices: processes that share a training.
        precision: arithmetic of forward passes.
        checkpoint_seconds: wall time between training checkpoints.
        progress: told how far the cell is.
        counted: False if whoever started this process has already counted the attempt.

    Raises:
        KeyboardInterrupt: from outside, after ``interrupted`` was noted.
    """
    folder = cell_folder(root, spec)
    folder.mkdir(parents=True, exist_ok=True)
    precision = resolve_precision(precision, compute_device())
    # From its first note to its last the cell is this process's, so that no other's status is ever overwritten.
    with cell_held(folder, LOCK_SECONDS) as ours:
        if not ours:
            logger.error("%s: %s", spec.folder_name, occupied(folder))
            return unwritten(folder, "failed", cause=occupied(folder))
        begin(folder, pid=os.getpid(), threads=threads, devices=devices, precision=precision, counted=counted)
        try:
            run_cell(
                spec,
                root,
                precision=precision,
                threads=threads,
                devices=devices,
                checkpoint_seconds=checkpoint_seconds,
                progress=lambda what, done, total: progress(CellProgress(what, done, total)),
            )
        except KeyboardInterrupt:
            end(folder, "interrupted", cause="the run was interrupted; run again to go on")
            raise
        except (DivergedError, NotFiniteError) as error:
            logger.exception("%s: not a number", spec.folder_name)
            return end(folder, "nan", cause=_cause(error))
        except KilledError as error:
            logger.exception("%s: killed", spec.folder_name)
            return end(folder, "killed", cause=_cause(error), signal=error.signal)
        except (Exception, SystemExit) as error:
            logger.exception("%s: failed", spec.folder_name)
            return end(folder, "failed", cause=_cause(error))
        return end(folder, "done")


def _cause(error: BaseException) -> str:
    """What an exception says, bounded and always writable: a method may raise anything, with any message or none."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - a message is made by the method's code, which may fail once more
        message = "its message cannot be read"
    # A message may quote a file name that is not text, which no JSON can hold.
    message = message.encode("utf-8", "backslashreplace").decode()
    if len(message) > CAUSE_LENGTH:
        message = f"{message[:CAUSE_LENGTH]} ... ({len(message):,} characters, see the log)"
    if isinstance(error, GainbenchError):
        return message
    return f"{type(error).__name__}: {message}" if message else type(error).__name__

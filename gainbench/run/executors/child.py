"""The process of one cell: ``gainbench cell``, started by the local executor and seldom by hand."""

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

from gainbench.run.layout import PROGRESS, cell_folder, read_model
from gainbench.run.status import CellProgress
from gainbench.spec import CellSpec, Precision

PROGRESS_SECONDS = 0.5
"""Wall time between two notes of progress."""


def end_with_parent() -> None:
    """Watch standard input, a pipe whose other end only the parent holds; when it closes, end this process group.

    The kernel closes the pipe however the parent ends, SIGKILL included, so a cell never outlives its run.
    """
    threading.Thread(target=_wait_for_end, name="parent-watch", daemon=True).start()


def _wait_for_end() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def run_child(
    spec_path: Path,
    root: Path,
    *,
    threads: int,
    devices: int,
    precision: Precision,
    checkpoint_seconds: float,
    counted: bool,
) -> bool:
    """Run the cell that ``spec_path`` describes; its log goes to standard error.

    Returns:
        Whether the cell is done; ``status.json`` says more.

    Raises:
        RunError: the file does not describe a cell.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    spec = read_model(spec_path, CellSpec)
    from gainbench.run.attempt import attempt  # noqa: PLC0415 - loads torch, which takes longer than a parent may live

    return (
        attempt(
            spec,
            root,
            threads=threads,
            devices=devices,
            precision=precision,
            checkpoint_seconds=checkpoint_seconds,
            progress=_ProgressNote(cell_folder(root, spec) / PROGRESS),
            counted=counted,
        ).state
        == "done"
    )


class _ProgressNote:
    """Keeps ``progress.json`` for the parent to read: a display, not a result, so it is renamed but not synced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = 0.0

    def __call__(self, progress: CellProgress) -> None:
        if time.monotonic() - self._written < PROGRESS_SECONDS:
            return
        self._written = time.monotonic()
        temporary = self._path.with_name(f".{self._path.name}.new")
        # A disk too full for a note of progress may yet hold the result; whatever else is wrong shows there.
        with contextlib.suppress(OSError):
            temporary.write_text(json.dumps(vars(progress)), encoding="utf-8")
            temporary.replace(self._path)

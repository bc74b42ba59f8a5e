"""Whose a cell is: one process at a time holds its lock, and that one alone writes into its folder."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = ".lock"

LOCK_SECONDS = 60.0
"""How long to wait for a process that still works on the same cell; one whose run was killed leaves within seconds."""

LEAVING_SECONDS = 1.0
"""How long what a killed process had forked may take to be gone: until then it holds the lock in its stead."""


def cell_lock(folder: Path) -> FileLock:
    """The lock of the cell in ``folder``; a process that holds it may acquire it once more."""
    return FileLock(folder / LOCK, is_singleton=True)


@contextlib.contextmanager
def cell_held(folder: Path, seconds: float = 0.0) -> Iterator[bool]:
    """Hold a cell for the block, if no other process does.

    Args:
        folder: the cell's.
        seconds: how long to wait for the process that holds it.

    Yields:
        False if another process holds the cell: then nothing in its folder is to be written or deleted.
    """
    with contextlib.ExitStack() as afterwards:
        try:
            afterwards.enter_context(cell_lock(folder).acquire(timeout=seconds))
        except Timeout:
            ours = False
        except (OSError, NotImplementedError):
            # Where no lock can be made nobody has one: running the cell is refused there, and a status may say so.
            ours = True
        else:
            ours = True
        yield ours


def occupied(folder: Path) -> str:
    """Why a cell is left alone that another process holds, and what to do."""
    return f"another process works in {folder}; wait for it to end, or end it"

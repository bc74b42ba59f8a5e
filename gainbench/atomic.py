"""Files that are whole or absent: written beside their destination, then renamed onto it."""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_TEMPORARY = re.compile(r"\..+\.([a-z0-9_]{8}(\.\w+)?|new)")
"""What ``atomic_path`` calls a file that is not whole yet: hidden, eight characters of mkstemp's before the ending."""


@contextmanager
def atomic_path(destination: Path) -> Iterator[Path]:
    """Yield a temporary path in the destination's folder; rename it onto ``destination`` if the block succeeds.

    The parent folder is created. If the block raises, the temporary file is removed and the destination is untouched.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=destination.parent, prefix=f".{destination.name}.", suffix=destination.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        # mkstemp makes private files; results are meant to be read by others as any new file is.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(destination)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files that killed processes left in a folder; nobody may be writing into it."""
    for path in folder.glob(".*"):
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def write_bytes(destination: Path, content: bytes) -> None:
    """Write ``content`` to ``destination`` atomically."""
    with atomic_path(destination) as temporary:
        temporary.write_bytes(content)


def write_text(destination: Path, content: str) -> None:
    """Write ``content`` to ``destination`` atomically as UTF-8."""
    write_bytes(destination, content.encode())


def write_json(destination: Path, value: Any) -> None:
    """Write ``value`` to ``destination`` atomically as indented JSON; NaN and infinity are refused."""
    write_text(destination, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")

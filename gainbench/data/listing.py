"""The picture files below a folder, in an order that does not depend on the file system."""

import os
from collections.abc import Sequence
from pathlib import Path

from gainbench.errors import DataError
from gainbench.raster import SUFFIXES


def list_pictures(root: Path, below: Sequence[str] = ("",)) -> tuple[list[str], list[tuple[str, str]]]:
    """Candidates below a folder, links followed, hidden files and folders left out.

    Args:
        root: the folder.
        below: sub-folders to look in; all of it by default.

    Returns:
        The names relative to ``root`` with forward slashes, sorted; and (name, reason) of what cannot be listed:
        folders that a link leads to a second time, and names that are not text.

    Raises:
        DataError: the folder is missing or cannot be read.
    """
    if not root.is_dir():
        raise DataError(f"no folder of pictures at {root}")
    names: list[str] = []
    skipped: list[tuple[str, str]] = []
    seen: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        if Path(str(error.filename)) == root:
            raise DataError(f"{root} cannot be read: {error.strerror}") from error
        skipped.append((_printable(_relative(root, str(error.filename))), f"cannot be opened: {error.strerror}"))

    for start in below:
        for parent, folders, files in os.walk(root / start, followlinks=True, onerror=refuse):
            status = Path(parent).stat()
            if (status.st_dev, status.st_ino) in seen:
                skipped.append((_printable(_relative(root, parent)), "folder already read under another name"))
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
            for file in files:
                if file.startswith(".") or Path(file).suffix.lower() not in SUFFIXES:
                    continue
                name = _relative(root, str(Path(parent) / file))
                if _printable(name) == name:
                    names.append(name)
                else:
                    skipped.append((_printable(name), "name is not UTF-8"))
    return sorted(names), sorted(skipped)


def _relative(root: Path, path: str) -> str:
    return Path(path).relative_to(root).as_posix()


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()

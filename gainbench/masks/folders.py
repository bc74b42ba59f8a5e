"""The user's mask files: what they hold, read once and remembered, so that opening a protocol again costs nothing."""

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from gainbench.assets.cache import cache_folder
from gainbench.atomic import write_text
from gainbench.errors import MaskError
from gainbench.keyed import content_hash
from gainbench.masks.identity import packed
from gainbench.masks.reading import check_polarity, decode_mask, mask_content
from gainbench.masks.statistics import NATIVE_SIZE, BoolArray, border_class, resize_nearest
from gainbench.spec import Border, StrictModel

logger = logging.getLogger(__name__)

_Hashes = TypeAdapter(dict[str, str])


class MaskFile(StrictModel):
    """One mask file, measured at 512 x 512."""

    name: str
    file_hash: str
    area: float
    border: Border


class MaskFolder(StrictModel):
    """A folder of mask files.

    Attributes:
        files: sorted by name (relative path with forward slashes).
        sha256: over all masks in name order, each packed to bits.
        groups: the same over the masks of each group of names.
    """

    path: Path
    invert: bool
    files: tuple[MaskFile, ...]
    sha256: str
    groups: dict[str, str]

    def read(self, name: str) -> BoolArray:
        """One mask, resized (nearest) to the native size: bool (512, 512), True = hole."""
        path = self.path / name
        return _native(decode_mask(mask_content(path), path, invert=self.invert), path)


def open_folder(
    path: Path | None, protocol: str, *, invert: bool | None, group: Callable[[str], str], flipped_with: str = ""
) -> MaskFolder:
    """Read every PNG below a folder, or remember what the same files held before.

    Args:
        path: the folder; None raises.
        protocol: who asks, for messages.
        invert: see `read_mask`; the polarity check is on the median hole share.
        group: a file name's group, for `MaskFolder.groups`.
        flipped_with: what else the suite's `invert` flips, for messages.

    Raises:
        MaskError: no folder, no PNG in it, a file that is not a mask, inverted polarity.
    """
    if path is None:
        raise MaskError(f"{protocol} reads masks from your own folder: set `path` in the suite's `masks`")
    paths = _png_files(path, protocol)
    key = content_hash([protocol, invert is True, str(path.resolve()), _stamps(paths)])
    remembered = cache_folder() / "masks" / f"{key}.json"
    folder = _recall(remembered, path)
    if folder is None:
        logger.info("reading %d masks in %s", len(paths), path)
        folder = _read_folder(path, paths, invert=bool(invert), group=group)
        try:
            write_text(remembered, folder.model_dump_json())
        except OSError as error:
            logger.info("what %s holds is not remembered: %s", path, error)
    if invert is None:
        share = float(np.median([file.area for file in folder.files]))
        subject = f"{path}: the median hole share of its {len(folder.files)} masks"
        check_polarity(share, subject, flipped_with=flipped_with)
    return folder


def file_hashes(path: Path, protocol: str) -> dict[str, str]:
    """blake2b of every PNG file's bytes by relative name, remembered while sizes and times of modification stay.

    Raises:
        MaskError: no folder, or no PNG in it.
    """
    paths = _png_files(path, protocol)
    key = content_hash(["bytes", str(path), _stamps(paths)])
    remembered = cache_folder() / "masks" / f"{key}.json"
    try:
        hashes: dict[str, str] = _Hashes.validate_json(remembered.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        hashes = {name: _bytes_hash(mask_content(found)) for name, found in paths.items()}
        try:
            write_text(remembered, json.dumps(hashes))
        except OSError as error:
            logger.info("what %s holds is not remembered: %s", path, error)
    return hashes


def _png_files(path: Path, protocol: str) -> dict[str, Path]:
    """The PNG files below a folder by relative name, sorted."""
    if not path.is_dir():
        raise MaskError(f"no folder at {path}; {protocol} reads masks from there")
    # Archives made on macOS hold a hidden twin of every file.
    visible = (entry for entry in path.rglob("*") if not entry.name.startswith("."))
    found = {entry.relative_to(path).as_posix(): entry for entry in visible if entry.suffix.lower() == ".png"}
    # A folder may be called like a picture; a link that leads nowhere is a mask that is missing, and is told below.
    found = {name: entry for name, entry in found.items() if not entry.is_dir()}
    if not found:
        raise MaskError(f"no PNG in {path}; {protocol} reads masks from there")
    for name in found:
        if name.encode("utf-8", "replace").decode() != name:
            raise MaskError(f"the name of {name!a} in {path} is not UTF-8, so no table can name it: rename the file")
    return {name: found[name] for name in sorted(found)}


def _stamps(paths: dict[str, Path]) -> list[list[object]]:
    stamps: list[list[object]] = []
    for name, path in paths.items():
        try:
            status = path.stat()
        except OSError as error:
            raise MaskError(f"{path} cannot be opened: {error.strerror}; mend it or move it away") from error
        stamps.append([name, status.st_size, status.st_mtime_ns])
    return stamps


def _recall(remembered: Path, path: Path) -> MaskFolder | None:
    try:
        folder = MaskFolder.model_validate_json(remembered.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None
    return folder.model_copy(update={"path": path})


def _read_folder(path: Path, paths: dict[str, Path], *, invert: bool, group: Callable[[str], str]) -> MaskFolder:
    files = []
    whole = hashlib.sha256()
    groups: dict[str, hashlib._Hash] = {}
    for name, found in paths.items():
        content = mask_content(found)
        mask = _native(decode_mask(content, found, invert=invert), found)
        bits = packed(mask)
        whole.update(bits)
        groups.setdefault(group(name), hashlib.sha256()).update(bits)
        area = np.count_nonzero(mask) / mask.size
        files.append(MaskFile(name=name, file_hash=_bytes_hash(content), area=area, border=border_class(mask)))
    return MaskFolder(
        path=path,
        invert=invert,
        files=tuple(files),
        sha256=whole.hexdigest(),
        groups={name: digest.hexdigest() for name, digest in groups.items()},
    )


def _native(hole: BoolArray, path: Path) -> BoolArray:
    if hole.shape[0] != hole.shape[1]:
        raise MaskError(f"{path} is {hole.shape[1]} x {hole.shape[0]} pixels; expected a square mask")
    return resize_nearest(hole, NATIVE_SIZE)


def _bytes_hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()

"""Masks on disk: 8-bit PNG with two values, white = hole. Anything else is refused with what was found."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gainbench.errors import MaskError
from gainbench.masks.statistics import BoolArray

MAX_TYPICAL_SHARE = 0.65
"""A (median) hole share above this is taken for inverted polarity: published test holes end at .6."""

FLIP = "`invert: true` in the suite's `masks` (or `--invert-masks`)"
KEEP = "`invert: false` (or `--no-invert-masks`)"


def read_mask(path: Path, *, invert: bool | None = None) -> BoolArray:
    """Read one mask.

    Args:
        path: an 8-bit grey picture with the values 0 and 255 only.
        invert: None reads white as hole and refuses a mask that is mostly white; False reads white as hole whatever its
            share; True reads black as hole.

    Returns:
        bool (H, W), True = hole.

    Raises:
        MaskError: unreadable, grey levels, colours or transparency, no hole or nothing but hole, or mostly white.
    """
    hole = decode_mask(path.read_bytes() if path.is_file() else b"", path, invert=bool(invert))
    if invert is None:
        check_polarity(float(hole.mean()), f"{path}: its hole share")
    return hole


def check_polarity(share: float, subject: str) -> None:
    """Refuse a hole share that speaks for inverted masks, naming it and the flag that flips it.

    Raises:
        MaskError: ``share`` is above .65.
    """
    if share > MAX_TYPICAL_SHARE:
        raise MaskError(
            f"{subject} is {share:.2f}, above {MAX_TYPICAL_SHARE}: expected white = hole. If black is the hole, set "
            f"{FLIP}; if white really is, set {KEEP}"
        )


def decode_mask(content: bytes, path: Path, *, invert: bool) -> BoolArray:
    """The hole in an encoded mask, without the polarity check: bool (H, W), True = hole.

    Args:
        content: the file's bytes.
        path: its name for messages.
        invert: whether black is the hole.

    Raises:
        MaskError: see `read_mask`.
    """
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
    if picture is None:
        raise MaskError(f"{path} is not a readable picture; expected an 8-bit PNG with the values 0 and 255")
    grey = _grey(picture, path)
    hole: BoolArray = grey == 255
    hidden = int(np.count_nonzero(hole))
    if hidden + int(np.count_nonzero(grey == 0)) != grey.size:
        raise MaskError(f"{path} has {_levels_text(grey)}; expected two, 0 and 255: save it without antialiasing")
    if hidden in (0, grey.size):
        colour = "black" if hidden == 0 else "white"
        raise MaskError(f"{path} is {colour} throughout; expected a hole and something known around it")
    return ~hole if invert else hole


def _grey(picture: NDArray[np.generic], path: Path) -> NDArray[np.uint8]:
    """The one channel of a picture whose colour channels agree."""
    if picture.dtype != np.uint8:
        raise MaskError(f"{path} has {picture.dtype} pixels; expected 8 bits, the values 0 and 255")
    if picture.ndim == 2:
        return np.asarray(picture, np.uint8)
    channels = np.moveaxis(np.asarray(picture, np.uint8), -1, 0)
    colours, alpha = channels[:3], channels[3:]
    if alpha.size and int(alpha.min()) < 255:
        raise MaskError(f"{path} has transparent pixels; expected an opaque grey picture, white = hole")
    if any((channel != colours[0]).any() for channel in colours[1:]):
        raise MaskError(f"{path} has colours; expected a grey picture with the values 0 and 255")
    return np.ascontiguousarray(colours[0])


def _levels_text(grey: NDArray[np.uint8]) -> str:
    levels = np.unique(grey).tolist()
    shown = ", ".join(map(str, levels[:6]))
    return f"{len(levels)} grey levels ({shown}{', ...' if len(levels) > 6 else ''})"

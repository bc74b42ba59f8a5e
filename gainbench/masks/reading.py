"""Masks on disk: 8-bit PNG with two values, white = hole. Anything else is refused with what was found."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gainbench.errors import MaskError
from gainbench.masks.statistics import BoolArray
from gainbench.raster import FORMATS, LAYERED, content_of, decoding_problem, excess

MAX_TYPICAL_SHARE = 0.65
"""A (median) hole share above this is taken for inverted polarity: published test holes end at .6."""

FLIP = "`invert: true` in the suite's `masks` (or `--invert-masks`)"
EXPECTED = "expected an 8-bit PNG with the values 0 and 255"

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
    hole = decode_mask(mask_content(path), path, invert=bool(invert))
    if invert is None:
        check_polarity(float(hole.mean()), f"{path}: its hole share")
    return hole


def check_polarity(share: float, subject: str, *, flipped_with: str = "") -> None:
    """Refuse a hole share that speaks for inverted masks, naming it and the flag that flips it.

    Args:
        share: of the picture, in [0, 1].
        subject: whose share it is.
        flipped_with: what else the flag flips.

    Raises:
        MaskError: ``share`` is above .65.
    """
    if share > MAX_TYPICAL_SHARE:
        also = f"; either holds for {flipped_with}, too" if flipped_with else ""
        raise MaskError(
            f"{subject} is {share:.2f}, above {MAX_TYPICAL_SHARE}: expected white = hole. If black is the hole, set "
            f"{FLIP}; if white really is, set {KEEP}{also}"
        )


def mask_content(path: Path) -> bytes:
    """The bytes of a mask file.

    Raises:
        MaskError: there is no plain file, it cannot be opened, or it is absurdly long.
    """
    content = content_of(path)
    if isinstance(content, str):
        raise MaskError(f"{path} is not a readable picture ({content}); {EXPECTED}")
    return content


def decode_mask(content: bytes, path: Path, *, invert: bool) -> BoolArray:
    """The hole in an encoded mask, without the polarity check: bool (H, W), True = hole.

    Args:
        content: the file's bytes.
        path: its name for messages.
        invert: whether black is the hole.

    Raises:
        MaskError: see `read_mask`.
    """
    grey = _grey(_decoded(content, path), path)
    hole: BoolArray = grey == 255
    hidden = int(np.count_nonzero(hole))
    if hidden + int(np.count_nonzero(grey == 0)) != grey.size:
        raise MaskError(f"{path} has {_levels_text(grey)}; expected two, 0 and 255: save it without antialiasing")
    if hidden in (0, grey.size):
        colour = "black" if hidden == 0 else "white"
        raise MaskError(f"{path} is {colour} throughout; expected a hole and something known around it")
    return ~hole if invert else hole


def decode_grey(content: bytes, path: Path) -> NDArray[np.uint8]:
    """A picture of grey levels as training masks are: uint8 (H, W), colours by their luma.

    Raises:
        MaskError: not a readable picture of 8 bits and one frame.
    """
    return np.asarray(_decoded(content, path).convert("L"))


def _decoded(content: bytes, path: Path) -> Image.Image:
    """The picture, decoded to its end after its header was judged: a few kilobytes may promise gigabytes of pixels."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            problem = excess(picture) or ("" if picture.mode in ("1", *LAYERED) else f"its pixels are {picture.mode}")
            if not problem:
                picture.load()
                return picture
    except Exception as error:
        # Decoders raise anything on hostile bytes; each means the same here.
        problem = decoding_problem(error) if content else "empty file"
        raise MaskError(f"{path} is not a readable picture ({problem}); {EXPECTED}") from error
    raise MaskError(f"{path} cannot be a mask: {problem}; {EXPECTED}")


def _grey(picture: Image.Image, path: Path) -> NDArray[np.uint8]:
    """The one channel of a picture whose colour channels agree: uint8 (H, W)."""
    if picture.mode in ("1", "L") and not picture.has_transparency_data:
        return np.asarray(picture.convert("L"))
    channels = np.moveaxis(np.asarray(picture.convert("RGBA")), -1, 0)
    if int(channels[3].min()) < 255:
        raise MaskError(f"{path} has transparent pixels; expected an opaque grey picture, white = hole")
    if any((channel != channels[0]).any() for channel in channels[1:3]):
        raise MaskError(f"{path} has colours; expected a grey picture with the values 0 and 255")
    return np.ascontiguousarray(channels[0])


def _levels_text(grey: NDArray[np.uint8]) -> str:
    levels = np.unique(grey).tolist()
    shown = ", ".join(map(str, levels[:6]))
    return f"{len(levels)} grey levels ({shown}{', ...' if len(levels) > 6 else ''})"

"""Pictures as upright 8-bit RGB arrays."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from gainbench.data.inspection import Inspection, inspect_file
from gainbench.errors import DataError
from gainbench.raster import FORMATS

RESAMPLING = Image.Resampling.BICUBIC
"""Pillow's bicubic filter, which widens with the reduction and so is antialiased."""

Box = tuple[int, int, int, int]
"""Left, upper, right and lower edge in pixels of the upright picture; right and lower are the first outside."""


def use_of(found: Inspection, *, admit_gray: bool = False) -> str:
    """Why a file that was inspected cannot be used; empty if it can.

    Args:
        found: what the inspection says.
        admit_gray: whether the data set is gray by nature.
    """
    if found.kind == "gray" and not admit_gray:
        return "gray"
    return found.reason


def read_picture(path: Path, *, admit_gray: bool = False) -> NDArray[np.uint8]:
    """Read a whole picture, upright as its EXIF orientation says; a colour profile is not applied.

    Args:
        path: an 8-bit RGB file in one of the formats of ``raster.FORMATS``; what it is, its content decides.
        admit_gray: also take 8-bit gray files, three equal channels then.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        DataError: the file is missing, damaged, too large, or of another kind; says which.
    """
    problem = use_of(inspect_file(path), admit_gray=admit_gray)
    if problem:
        raise DataError(f"{path} cannot be used: {problem}; expected an 8-bit RGB picture without alpha")
    return np.asarray(decode(path))


def decode(path: Path) -> Image.Image:
    """Decode a file that was inspected, upright, as RGB.

    Raises:
        DataError: it is no longer what was inspected.
    """
    try:
        with Image.open(io.BytesIO(path.read_bytes()), formats=FORMATS) as picture:
            return ImageOps.exif_transpose(picture).convert("RGB")
    except Exception as error:
        # The file was whole when it was inspected; whatever is raised now, it has changed or gone since.
        raise DataError(f"{path} could be read before and now cannot: {error}; was it changed?") from error


def cut(picture: Image.Image, box: Box, size: int) -> NDArray[np.uint8]:
    """A square part of a picture, resampled to ``size`` by ``size``; nothing outside the box is read.

    Args:
        picture: RGB.
        box: the part.
        size: side in pixels.

    Returns:
        uint8 (size, size, 3).
    """
    # Pillow's own box argument lets the filter reach beyond the box, into the neighbouring tile.
    part = picture.crop(box)
    return np.array(part if part.size == (size, size) else part.resize((size, size), RESAMPLING))

"""What a picture file is, found out safely once and remembered: kind, sides, bytes' hash, and whether it decodes.

Files come from strangers: nothing is decoded before its header has been judged (``gainbench.raster``), and whatever a
decoder raises is a finding about the file, never a failure of the run.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from gainbench.raster import FORMATS, content_of, decoding_problem, refusal

INSPECTION_REVISION = 1
"""Raised when the same bytes would be judged otherwise: what was remembered before is then forgotten."""

Kind = Literal["rgb", "gray", "refused", "unreadable"]


@dataclass(frozen=True)
class Inspection:
    """What was found out about one file.

    Attributes:
        kind: ``rgb`` and ``gray`` are whole 8-bit pictures; ``refused`` is a picture of another kind; ``unreadable``
            is damaged or none at all.
        reason: why it cannot be used; empty for ``rgb`` and ``gray``.
        width: of the upright picture in pixels, its EXIF orientation applied; 0 if it cannot be used.
        height: likewise.
        sha256: of the file's bytes; empty if they could not be read.
    """

    kind: Kind
    reason: str = ""
    width: int = 0
    height: int = 0
    sha256: str = ""


def inspect_file(path: Path) -> Inspection:
    """Look at one file; never raises, whatever it holds."""
    content = content_of(path)
    if isinstance(content, str):
        return Inspection("unreadable", content)
    if not content:
        return Inspection("unreadable", "empty file", sha256=hashlib.sha256().hexdigest())
    return inspect_bytes(content)


def inspect_bytes(content: bytes) -> Inspection:
    """Look at the bytes of one picture file; never raises."""
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            if reason := refusal(picture):
                return Inspection("refused", reason, sha256=sha256)
            kind: Kind = "gray" if picture.mode == "L" else "rgb"
            width, height = picture.size
            # At an eighth of the sides a JPEG is read to its end, which shows truncation, at half the price.
            picture.draft(None, (1, 1))
            picture.load()
            # Not before: a PNG may keep its EXIF behind the pixels, so that asking for it decodes them.
            if picture.getexif().get(0x0112, 1) in (5, 6, 7, 8):
                width, height = height, width
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        return Inspection("refused", decoding_problem(error), sha256=sha256)
    except Exception as error:  # noqa: BLE001 - decoders raise anything on hostile bytes; each means the same here
        return Inspection("unreadable", decoding_problem(error), sha256=sha256)
    return Inspection(kind, "", width, height, sha256)

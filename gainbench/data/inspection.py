"""What a picture file is, found out safely once and remembered: kind, sides, bytes' hash, and whether it decodes.

Files come from strangers. Only raster formats that Pillow decodes itself are opened, nothing is decoded before its
header has been judged, and whatever a decoder raises is a finding about the file, never a failure of the run.
"""

import hashlib
import io
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "PPM", "WEBP", "BMP", "TIFF", "GIF")
"""Formats that are opened at all. Others, such as EPS, would hand the file to an outside program."""

PIXELS_LIMIT = 89_478_485
"""A header that promises more pixels is refused unread as a decompression bomb: Pillow's own threshold."""

BYTES_LIMIT = 512 * 1024 * 1024
"""A file of more bytes is refused unread."""

FLAT = ("RGB", "L")
"""Pillow's 8-bit modes that hold colours and nothing else."""

LAYERED = ("RGB", "RGBA", "L", "LA", "P", "PA")
"""Pillow's 8-bit modes that hold colours and perhaps alpha."""

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
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return Inspection("unreadable", "not a plain file")
        if status.st_size > BYTES_LIMIT:
            return Inspection("refused", f"{status.st_size:,} bytes, more than {BYTES_LIMIT:,}")
        content = path.read_bytes()
    except OSError as error:
        return Inspection("unreadable", f"cannot be opened: {error.strerror or type(error).__name__}")
    if not content:
        return Inspection("unreadable", "empty file", sha256=hashlib.sha256().hexdigest())
    return inspect_bytes(content)


def inspect_bytes(content: bytes) -> Inspection:
    """Look at the bytes of one picture file; never raises."""
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            kind, reason = _judge_header(picture)
            if reason:
                return Inspection(kind, reason, sha256=sha256)
            width, height = picture.size
            # At an eighth of the sides a JPEG is read to its end, which shows truncation, at half the price.
            picture.draft(None, (1, 1))
            picture.load()
            # Not before: a PNG may keep its EXIF behind the pixels, so that asking for it decodes them.
            if picture.getexif().get(0x0112, 1) in (5, 6, 7, 8):
                width, height = height, width
    except UnidentifiedImageError:
        return Inspection("unreadable", f"not a picture in any of {', '.join(FORMATS)}", sha256=sha256)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Inspection("refused", _bomb_reason(None), sha256=sha256)
    except Exception as error:  # noqa: BLE001 - decoders raise anything on hostile bytes; each means the same here
        return Inspection("unreadable", f"damaged or truncated: {_one_line(error)}", sha256=sha256)
    return Inspection(kind, "", width, height, sha256)


def _judge_header(picture: Image.Image) -> tuple[Kind, str]:
    reason = refusal(picture)
    if reason:
        return "refused", reason
    return ("gray" if picture.mode == "L" else "rgb"), ""


def refusal(picture: Image.Image, *, layered: bool = False) -> str:
    """Why an opened picture cannot be used, judged by its header; empty if it can.

    Args:
        picture: opened, not decoded.
        layered: also admit an alpha channel and palettes.
    """
    pixels = picture.width * picture.height
    if pixels > PIXELS_LIMIT:
        return _bomb_reason(pixels)
    # A telephone's MPO is a photograph with a preview behind it, not an animation.
    if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":
        return "animated or of several pages"
    if _is_deep(picture):
        return "more than 8 bits a channel"
    if picture.mode in (LAYERED if layered else FLAT) and (layered or not picture.has_transparency_data):
        return ""
    if picture.has_transparency_data:
        return "alpha channel"
    others = {"P": "palette of few colours", "1": "two colours only", "CMYK": "CMYK"}
    return others.get(picture.mode, f"mode {picture.mode}, expected 8-bit RGB")


def _bomb_reason(pixels: int | None) -> str:
    found = f"{pixels:,} pixels" if pixels is not None else "too many pixels"
    return f"{found}, more than {PIXELS_LIMIT:,}: refused as a decompression bomb"


def _is_deep(picture: Image.Image) -> bool:
    """Whether the file has more than 8 bits a channel; Pillow would silently reduce 48-bit colour to 24."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
        return True
    for tile in picture.tile if hasattr(picture, "tile") else ():
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if any(isinstance(part, str) and ";16" in part for part in arguments):
            return True
        if tile[0] == "ppm" and any(isinstance(part, int) and part > 255 for part in arguments):
            return True
    return False


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__} {' '.join(str(error).split())[:120]}".strip()

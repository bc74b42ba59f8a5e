"""Picture files of strangers: which may be opened at all, judged by size and header before a pixel is decoded.

Only raster formats that Pillow decodes itself are opened. What a file is, its content decides, never its name.
"""

import stat
from pathlib import Path

from PIL import Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "PPM", "WEBP", "BMP", "TIFF", "GIF")
"""Formats that are opened at all. Others, such as EPS, would hand the file to an outside program."""

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".webp", ".tif", ".tiff", ".gif"})
"""Endings that make a file a candidate; what it really is, its content decides."""

PIXELS_LIMIT = 89_478_485
"""A header that promises more pixels is refused unread as a decompression bomb: Pillow's own threshold."""

BYTES_LIMIT = 512 * 1024 * 1024
"""A file of more bytes is refused unread."""

FLAT = ("RGB", "L")
"""Pillow's 8-bit modes that hold colours and nothing else."""

LAYERED = ("RGB", "RGBA", "L", "LA", "P", "PA")
"""Pillow's 8-bit modes that hold colours and perhaps alpha."""


def content_of(path: Path) -> bytes | str:
    """The bytes of a plain file of sensible length, or why it has none to give; never raises, never waits.

    A pipe is not opened: reading it would wait for whoever writes into it.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return "not a plain file"
        if status.st_size > BYTES_LIMIT:
            return f"{status.st_size:,} bytes, more than {BYTES_LIMIT:,}"
        return path.read_bytes()
    except (OSError, ValueError) as error:
        # A name with a null character, which no file system has, is a ValueError.
        return f"cannot be opened: {getattr(error, 'strerror', None) or error}"


def refusal(picture: Image.Image, *, layered: bool = False) -> str:
    """Why an opened picture cannot be used, judged by its header; empty if it can.

    Args:
        picture: opened, not decoded.
        layered: also admit an alpha channel and palettes.
    """
    if reason := excess(picture):
        return reason
    if picture.mode in (LAYERED if layered else FLAT) and (layered or not picture.has_transparency_data):
        return ""
    if picture.has_transparency_data:
        return "alpha channel"
    others = {"P": "palette of few colours", "1": "two colours only", "CMYK": "CMYK"}
    return others.get(picture.mode, f"mode {picture.mode}, expected 8-bit RGB")


def excess(picture: Image.Image) -> str:
    """What an opened picture has too much of, whatever its colours: pixels, frames or bits; empty if nothing."""
    pixels = picture.width * picture.height
    if pixels > PIXELS_LIMIT:
        return bomb_reason(pixels)
    # A telephone's MPO is a photograph with a preview behind it, not an animation.
    if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":
        return "animated or of several pages"
    return "more than 8 bits a channel" if _is_deep(picture) else ""


def bomb_reason(pixels: int | None) -> str:
    """The sentence for a picture of so many pixels, or of more than Pillow would even open."""
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


def decoding_problem(error: Exception) -> str:
    """What an error of opening or decoding says about the file, in one line."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return bomb_reason(None)
    if isinstance(error, UnidentifiedImageError):
        return f"not a picture in any of {', '.join(FORMATS)}"
    return f"damaged or truncated: {type(error).__name__} {' '.join(str(error).split())[:120]}".strip()

"""Fuzz the mask loader: any bytes are a two-valued mask with a hole and something known, or a MaskError."""

import io
import warnings
from pathlib import Path

import atheris
import campaign
import numpy as np

with atheris.instrument_imports(include=["gainbench", "PIL"]):
    from PIL import Image

    from gainbench.errors import MaskError
    from gainbench.masks.reading import decode_grey, decode_mask

NAME = Path("hole.png")
WORDS = [
    "IHDR",
    "IDAT",
    "PLTE",
    "tRNS",
    "acTL",
    "fcTL",
    "IEND",
    "GIF89a",
    "RIFF",
    "WEBPVP8L",
    "II*\\x00",
    "P5\\x0a",
    "\\xff\\xd8\\xff",
]


def judge(data: bytes) -> None:
    """Raise if the bytes of a file bring the loader to anything but a mask or a clear error."""
    try:
        hole = decode_mask(data, NAME, invert=False)
    except MaskError as error:
        if len(str(error)) > 1000 or str(NAME) not in str(error):
            raise AssertionError(f"no clear message: {error}") from error
    else:
        if hole.dtype != np.bool_ or hole.ndim != 2 or not 0 < hole.sum() < hole.size:
            raise AssertionError(f"{hole.dtype} {hole.shape} with {hole.sum()} hidden is no mask")
        if not (decode_mask(data, NAME, invert=True) == ~hole).all():
            raise AssertionError("inverting is not inverting")
    try:
        grey = decode_grey(data, NAME)
    except MaskError:
        return
    if grey.dtype != np.uint8 or grey.ndim != 2:
        raise AssertionError(f"{grey.dtype} {grey.shape} are no grey levels")


def seeds() -> list[bytes]:
    """A small mask in every format and kind that is opened at all, or refused for what it is."""
    square = np.zeros((12, 12), np.uint8)
    square[3:7, 3:7] = 255
    mask, inverse = Image.fromarray(square), Image.fromarray(255 - square)
    kinds = [("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")]
    kinds += [(kind, "L") for kind in ("BMP", "PPM", "TIFF", "GIF", "JPEG")] + [("WEBP", "RGB"), ("TIFF", "CMYK")]
    written = []
    for kind, mode in kinds:
        content = io.BytesIO()
        mask.convert(mode).save(content, kind, **({"lossless": True} if kind == "WEBP" else {}))
        written.append(content.getvalue())
    for kind in ("PNG", "GIF", "TIFF"):
        content = io.BytesIO()
        mask.copy().save(content, kind, save_all=True, append_images=[inverse])
        written.append(content.getvalue())
    return written


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # decoders warn of damage that they then raise for
    campaign.run("mask-loader", judge, seeds(), WORDS)

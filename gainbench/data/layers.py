"""Pictures of anybody's making: colours and alpha apart, upright, and written back without loss.

Benchmarks read 8-bit RGB and nothing else (``reading``). Who fills holes in pictures of their own also has gray ones,
palettes and alpha channels; whatever would be changed by reading it (16 bit, CMYK, animations) is refused here too.
"""

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from gainbench.atomic import atomic_path
from gainbench.errors import DataError
from gainbench.raster import FORMATS, content_of, decoding_problem, refusal

EXPECTED = "expected an 8-bit RGB, gray or palette picture, with or without alpha"

REMEDIES = {
    "more than 8 bits a channel": "convert it to 8 bit first, as what is known could not pass unchanged",
    "CMYK": "convert it to RGB with its colour profile first",
    "animated or of several pages": "save the frame that is meant as a picture of its own",
}


@dataclass(frozen=True)
class Layers:
    """An upright picture.

    Attributes:
        colours: uint8 (H, W, 3), RGB; what a fully transparent pixel holds means nothing.
        alpha: uint8 (H, W), 255 = opaque; None if the picture has no alpha.
        gray: whether the file is gray; its three channels are equal then.
        profile: the ICC colour profile, which is handed on and not applied.
    """

    colours: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None
    gray: bool = False
    profile: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.colours.shape[0], self.colours.shape[1]

    @property
    def transparent(self) -> NDArray[np.bool_]:
        """Bool (H, W): pixels that show no colour at all."""
        return np.zeros(self.size, bool) if self.alpha is None else np.asarray(self.alpha == 0)

    def filled(self, hole: NDArray[np.bool_], fill: NDArray[np.uint8]) -> "Layers":
        """The picture with a fill in its hole, which becomes opaque; every other pixel is as it was.

        Args:
            hole: bool (H, W).
            fill: uint8 (H, W, 3).
        """
        if self.gray:
            fill = np.repeat(np.asarray(Image.fromarray(fill).convert("L"))[..., None], 3, axis=2)
        colours = np.where(hole[..., None], fill, self.colours)
        alpha = None if self.alpha is None else np.where(hole, np.uint8(255), self.alpha)
        return replace(self, colours=colours, alpha=alpha)


def read_layers(path: Path) -> Layers:
    """Read a picture, upright as its EXIF orientation says.

    Args:
        path: an 8-bit file in one of ``raster.FORMATS``; what it is, its content decides.

    Raises:
        DataError: missing, damaged, too large, of more than 8 bits a channel, CMYK or animated; says which.
    """
    try:
        found = _decoded(path)
    except Exception as error:  # noqa: BLE001 - decoders raise anything on hostile bytes; each means the same here
        found = decoding_problem(error)
    if isinstance(found, str):
        remedy = f"; {REMEDIES[found]}" if found in REMEDIES else ""
        raise DataError(f"{path} cannot be used: {found}; {EXPECTED}{remedy}")
    return found


def write_png(layers: Layers, path: Path) -> None:
    """Write a picture as PNG, atomically; its pixels are read back exactly.

    Raises:
        DataError: the file cannot be written.
    """
    picture = Image.fromarray(layers.colours)
    if layers.alpha is not None:
        picture.putalpha(Image.fromarray(layers.alpha))
    if layers.gray:
        picture = picture.convert("L" if layers.alpha is None else "LA")
    try:
        with atomic_path(path) as temporary:
            picture.save(temporary, format="PNG", icc_profile=layers.profile)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error


def _decoded(path: Path) -> Layers | str:
    """The picture, or why it cannot be used."""
    content = content_of(path)
    if isinstance(content, str):
        return content
    if not content:
        return "empty file"
    with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
        if problem := refusal(opened, layered=True):
            return problem
        picture = ImageOps.exif_transpose(opened)
    alpha = np.asarray(picture.convert("RGBA").getchannel("A")) if picture.has_transparency_data else None
    # Colours of transparent palette entries and all are taken as they are, never blended.
    colours = np.asarray(picture.convert("RGB" if alpha is None else "RGBA"))[..., :3]
    gray = picture.mode in ("L", "LA")
    return Layers(np.ascontiguousarray(colours), alpha, gray, picture.info.get("icc_profile"))

"""Vectors as colours: the direction is the hue, the length is how strong the colour is; no vector is white.

The hues lie on a circle of OKLab (B. Ottosson, 2020), so that equally long vectors look equally strong.
"""

import numpy as np
from numpy.typing import NDArray

from gainbench.report.canvas import Pixels

CHROMA, DARKER = 0.15, 0.4
"""At the rim of the wheel: distance from gray, and how much less light than white.

sRGB has less chroma in its cyans; there it is cut.
"""

Floats = NDArray[np.float64]


def vector_pixels(field: NDArray[np.floating], longest: float) -> Pixels:
    """Colour a field of vectors.

    Args:
        field: (H, W, 2), x to the right and y down.
        longest: the length that gets the full colour; longer ones get it too.

    Returns:
        RGB, uint8 (H, W, 3).
    """
    length = np.hypot(field[..., 0], field[..., 1])
    strength = np.clip(length / longest, 0, 1)
    direction = field / np.maximum(length, 1e-12)[..., None]
    a, b = (CHROMA * strength * direction[..., axis] for axis in (0, 1))
    rgb: Pixels = (_srgb(1 - DARKER * strength, a, b) * 255).round().astype(np.uint8)
    return rgb


def wheel_pixels(side: int) -> Pixels:
    """The legend: a disc whose every point has the colour of the vector from the centre to it; RGBA (side, side, 4)."""
    centred = (np.arange(side) + 0.5) / side * 2 - 1
    field = np.stack(np.meshgrid(centred, centred), axis=-1)
    inside = np.hypot(field[..., 0], field[..., 1]) <= 1
    return np.concatenate([vector_pixels(field, 1.0), (inside[..., None] * 255).astype(np.uint8)], axis=-1)


def _srgb(lightness: Floats, a: Floats, b: Floats) -> Floats:
    """OKLab to sRGB, clipped to [0, 1]."""
    long, medium, short = (
        (lightness + to_a * a + to_b * b) ** 3
        for to_a, to_b in ((0.3963377774, 0.2158037573), (-0.1055613458, -0.0638541728), (-0.0894841775, -1.2914855480))
    )
    linear = np.stack(
        [
            4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
            -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
            -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
        ],
        axis=-1,
    ).clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)

"""Masks as pictures: what is known, what a step filled, what is still hidden."""

import numpy as np
from matplotlib.colors import to_rgba
from numpy.typing import NDArray

from gainbench.report.canvas import Canvas, Pixels, text_width
from gainbench.report.gallery import HATCH
from gainbench.report.palette import COLOURS

Known = NDArray[np.bool_]

KNOWN_COLOUR, FILLED_COLOUR, HIDDEN_COLOUR = "#7a7a7a30", COLOURS[1], COLOURS[0]

LEGEND_SIZE = 7.5

STRIPES_A_SIDE = 42
"""Stripes over a hole, to the height of a picture: narrow enough for thin holes, wide enough to be seen as stripes."""


def mask_pixels(known: Known, before: Known | None = None) -> Pixels:
    """A mask in the three colours of the legend.

    Args:
        known: bool (h, w), True = known.
        before: the mask before this step, of the same part of the picture in any resolution; None if there is none.

    Returns:
        RGBA, uint8 (h, w, 4).
    """
    if before is None:
        before = known
    rows, columns = (np.arange(side) * old // side for side, old in zip(known.shape, before.shape, strict=True))
    filled = known & ~before[np.ix_(rows, columns)]
    colours = np.array([to_rgba(one) for one in (HIDDEN_COLOUR, KNOWN_COLOUR, FILLED_COLOUR)])
    pixels: Pixels = (colours[known.astype(int) + filled] * 255).round().astype(np.uint8)
    return pixels


def share_text(known: Known) -> str:
    """The share still hidden as it stands under a mask: ``12.3 %``, ``0.05 %``, ``0`` if nothing is."""
    share = 100 * (1 - known.mean())
    if known.all():
        return "0"
    return f"{share:.1f} %" if share >= 0.1 else f"{share:.2g} %"


def striped(picture: Pixels, hidden: Known) -> Pixels:
    """A picture with diagonal gray stripes over what is hidden: no photograph looks like that.

    Args:
        picture: RGB, uint8 (H, W, 3).
        hidden: bool (H, W).
    """
    rows, columns = np.indices(hidden.shape)
    stripes = np.array(HATCH, np.uint8)[(rows + columns) // max(2, len(hidden) // STRIPES_A_SIDE) % 2]
    return np.where(hidden[..., None], stripes, picture)


def draw_legend(canvas: Canvas, left: float, top: float, *, since: str = "by this step") -> None:
    """One line that explains the colours; a line of text high."""
    names = (("still hidden", HIDDEN_COLOUR), (f"filled {since}", FILLED_COLOUR), ("known before", KNOWN_COLOUR))
    for name, colour in names:
        swatch = np.full((1, 1, 4), np.round(np.array(to_rgba(colour)) * 255), np.uint8)
        canvas.picture(swatch, left, top + 0.02, 0.1, 0.1)
        canvas.text(left + 0.16, top, name, size=LEGEND_SIZE)
        left += 0.16 + text_width(name, LEGEND_SIZE) + 0.22

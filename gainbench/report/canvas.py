"""Figures of pictures and words, laid out in inches from their upper left corner."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

from gainbench.atomic import atomic_path
from gainbench.report.palette import INK, RC

PNG_DPI = 160

Pixels = NDArray[np.uint8]
"""(H, W, 3) or (H, W, 4)."""


def write_figure(draw: Callable[[], Figure], svg: Path, png: Path) -> Figure:
    """Draw a figure in the house's look and write it twice, atomically; the same content gives the same bytes."""
    with mpl.rc_context(RC):
        figure = draw()
        FigureCanvasAgg(figure)
        with atomic_path(svg) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": "gainbench"})
        with atomic_path(png) as temporary:
            figure.savefig(temporary, format="png", dpi=PNG_DPI, metadata={"Software": "gainbench"})
    return figure


def text_width(text: str, size: float) -> float:
    """Inches that the longest line of a text takes in points of ``size``."""
    lines = [line for line in text.split("\n") if line.strip()]
    return max((float(TextPath((0, 0), line, size=size).get_extents().width) / 72 for line in lines), default=0.0)


class Canvas:
    """A figure on which pictures and words have places in inches, right and down from the upper left corner.

    Args:
        width: in inches.
        height: in inches.
    """

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height))

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes without ticks and frame."""
        place = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(place)
        axes.set_axis_off()
        return axes

    def picture(self, pixels: Pixels, left: float, top: float, width: float, height: float) -> Axes:
        """A picture, each pixel a sharp rectangle, in a thin frame."""
        axes = self.axes(left, top, width, height)
        axes.imshow(pixels, interpolation="none", aspect="auto")
        rows, columns = pixels.shape[:2]
        frame: dict[str, Any] = {"color": INK, "linewidth": 0.6, "clip_on": False, "solid_joinstyle": "miter"}
        corners = [(-0.5, -0.5), (columns - 0.5, -0.5), (columns - 0.5, rows - 0.5), (-0.5, rows - 0.5), (-0.5, -0.5)]
        axes.plot(*zip(*corners, strict=True), **frame)
        axes.set_xlim(-0.5, columns - 0.5)
        axes.set_ylim(rows - 0.5, -0.5)
        return axes

    def text(self, left: float, top: float, text: str, *, size: float = 8, **style: Any) -> None:
        """Words; ``top`` is where the ``va`` of the text lies, by default its upper edge."""
        self.figure.text(
            left / self.width, 1 - top / self.height, text, fontsize=size, **{"va": "top", "color": INK, **style}
        )

"""One look for every figure: legible in print and on a dark page, for readers with any colour vision.

Every colour has a contrast of at least 3 to both white and near-black (#141414), so that transparent figures serve
both. That leaves a narrow band of lightness; the first four colours stay well apart under simulated protanopia and
deuteranopia too, and every method has its own marker beside its colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

COLOURS = ("#2b6cf0", "#d9730d", "#0f9f8f", "#c4265e", "#8a5a9e", "#78691e", "#c37869", "#1e96c3")
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "p")

INK = "#7a7a7a"
"""Text, axes and ticks: as far from white as from near-black."""

FAINT = "#7a7a7a50"
"""Grid lines and leaders."""

DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))

RC: Any = {
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "font.size": 9,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "gainbench",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
"""matplotlib settings of every figure. Letters stay text, which keeps SVG files small and searchable; DejaVu is wider
than what stands in for it elsewhere, so nothing grows into its neighbour. The salt makes SVG files reproducible."""


@dataclass(frozen=True)
class Style:
    """How a method is drawn wherever it appears."""

    colour: str
    marker: str
    dashes: str | tuple[int, tuple[float, ...]]


def method_styles(methods: Sequence[str]) -> dict[str, Style]:
    """A style for each method, by its place in the suite; after eight, colours return with other dashes."""
    return {
        method: Style(
            COLOURS[place % len(COLOURS)],
            MARKERS[(place + place // len(COLOURS)) % len(MARKERS)],
            DASHES[place // len(COLOURS) % len(DASHES)],
        )
        for place, method in enumerate(methods)
    }

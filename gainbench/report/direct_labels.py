"""Names beside the ends of what they name, in place of a legend."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from gainbench.report.canvas import text_width
from gainbench.report.palette import FAINT, INK, Style

LEADER = 0.42
"""Inches from a panel to the names beside it."""

LABEL_SIZE = 8.5

LABEL_GAP = 0.17
"""Inches between two names, at least; a panel grows where they would not fit beside it."""


@cache
def label_width(label: str) -> float:
    """Inches that a name takes."""
    return text_width(label, LABEL_SIZE)


def label_ends(
    axes: Axes, ends: Mapping[str, float], styles: Mapping[str, Style], *, width: float, height: float
) -> None:
    """Write names beside a panel, moved apart where they would overlap, each tied to its end by a leader.

    Args:
        axes: the panel; its limits must be final.
        ends: name -> where its line ends, in the panel's units; without a number no name is written.
        styles: name -> look; a name without one is written in the colour of text.
        width: the panel's, in inches.
        height: the panel's, in inches.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    known = {
        name: float(to_axes.transform((axes.get_xlim()[0], end))[1]) for name, end in ends.items() if np.isfinite(end)
    }
    names = sorted(known, key=known.__getitem__)
    leader = LEADER / width
    outside: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
    for name, beside in zip(names, spread([known[name] for name in names], LABEL_GAP / height), strict=True):
        style = styles.get(name)
        colour = style.colour if style else INK
        axes.plot([1.0, 1.0 + 0.55 * leader], [known[name], beside], color=FAINT, linewidth=0.8, **outside)
        if style:
            middle = 1.0 + 0.74 * leader
            axes.plot(middle, beside, color=colour, marker=style.marker, markersize=4.5, markeredgewidth=0, **outside)
        axes.text(1.0 + leader, beside, name, color=colour, fontsize=LABEL_SIZE, va="center", **outside)


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move sorted heights in [0, 1] apart until neighbours are at least ``gap`` apart, and no further than needed.

    Overlapping neighbours are merged into groups (pool adjacent violators) that stay around their own mean: the
    least-squares solution, kept within [0, 1] where there is room.
    """
    groups: list[tuple[float, int]] = []
    for place, height in enumerate(heights):
        # Without the gaps the labels only have to stay in order.
        mean, size = height - place * gap, 1
        while groups and groups[-1][0] > mean:
            before, members = groups.pop()
            mean, size = (mean * size + before * members) / (size + members), size + members
        groups.append((mean, size))
    highest = max(0.0, 1.0 - (len(heights) - 1) * gap)
    levels = [min(max(mean, 0.0), highest) for mean, size in groups for _ in range(size)]
    return [level + place * gap for place, level in enumerate(levels)]

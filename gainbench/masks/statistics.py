"""What makes a hole hard: its area, its largest inscribed disc, its pieces, and whether it reaches the border."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from gainbench.spec import Border

NATIVE_SIZE = 512
"""Side in pixels at which holes are drawn or stored; bins and statistics are those of this size."""

CLEAR_MARGIN = 50
"""Rows and columns along each border that a ``clear`` hole leaves known, at the native size (Liu et al. 2018)."""

BoolArray = NDArray[np.bool_]


class HoleStatistics(NamedTuple):
    """Measures of one hole.

    Attributes:
        area: share of the picture's pixels that are hidden, [0, 1].
        radius: largest Euclidean distance from a hidden pixel to a known one, in pixels of a 256-pixel picture;
            what lies outside the picture counts as known, so a hole on the border is no deeper than one inside.
        components: number of 8-connected pieces.
        touches_border: whether a pixel of the outermost rows or columns is hidden.
    """

    area: float
    radius: float
    components: int
    touches_border: bool


def hole_statistics(hole: BoolArray) -> HoleStatistics:
    """Measure a hole.

    Args:
        hole: (H, W), True = hole.
    """
    pixels = np.ascontiguousarray(hole).view(np.uint8)
    labels, _ = cv2.connectedComponentsWithAlgorithm(pixels, 8, cv2.CV_32S, cv2.CCL_SPAGHETTI)
    return HoleStatistics(
        area=cv2.countNonZero(pixels) / pixels.size,
        radius=largest_radius(hole) * 256 / max(hole.shape),
        components=labels - 1,
        touches_border=bool(hole[0].any() or hole[-1].any() or hole[:, 0].any() or hole[:, -1].any()),
    )


def largest_radius(hole: BoolArray) -> float:
    """Largest Euclidean distance from a hidden pixel to a known one, in pixels; outside the picture counts as known."""
    framed = cv2.copyMakeBorder(np.ascontiguousarray(hole).view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    return float(cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max())


def border_class(hole: BoolArray) -> Border:
    """``clear`` if a margin of 50 px (at 512; in proportion at other sizes) is known on every side, else ``touching``."""
    height, width = hole.shape
    down, across = CLEAR_MARGIN * height // NATIVE_SIZE, CLEAR_MARGIN * width // NATIVE_SIZE
    inner = np.count_nonzero(hole[down : height - down, across : width - across])
    return "clear" if inner == np.count_nonzero(hole) else "touching"


def in_bin(area: float, bounds: tuple[float, float]) -> bool:
    """Whether an area share lies in the half-open bin (lo, hi]."""
    return bounds[0] < area <= bounds[1]


def resize_nearest(hole: BoolArray, size: int) -> BoolArray:
    """Resize a hole to (size, size) by nearest neighbour: output pixel i reads input pixel floor((i + 1/2) * H / size).

    Interpolating filters with a threshold grow holes and move them to other bins; nearest keeps their area.

    Args:
        hole: (H, W), True = hole.
        size: side of the result in pixels.
    """
    height, width = hole.shape
    if (height, width) == (size, size):
        return hole
    # Whole-number arithmetic: (2 i + 1) H // (2 size) is the floor above without a rounding error at its jumps.
    odd = 2 * np.arange(size) + 1
    return hole[np.ix_(odd * height // (2 * size), odd * width // (2 * size))]

"""What makes a hole hard: its area, its largest inscribed disc, its pieces, and whether it reaches the border."""

import math
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
    # Only the count is kept: the labels' memory is free again before the distances need theirs.
    labels = cv2.connectedComponentsWithAlgorithm(pixels, 8, cv2.CV_32S, cv2.CCL_SPAGHETTI)[0]
    return HoleStatistics(
        area=cv2.countNonZero(pixels) / pixels.size,
        radius=largest_radius(hole) * 256 / max(hole.shape),
        components=labels - 1,
        touches_border=bool(hole[0].any() or hole[-1].any() or hole[:, 0].any() or hole[:, -1].any()),
    )


CHAMFER_LEAST = 2.1969 / 5**0.5
"""Least ratio of OpenCV's 5 x 5 chamfer distance (steps 1, 1.4, 2.1969) to the Euclidean: along a knight's move."""


def largest_radius(hole: BoolArray) -> float:
    """Largest Euclidean distance from a hidden pixel to a known one, in pixels; outside the picture counts as known.

    Exact. A chamfer transform, five times as fast as the Euclidean one, bounds every distance from above; the Euclidean
    one is then taken only where the bound leaves room for the maximum.
    """
    framed = cv2.copyMakeBorder(np.ascontiguousarray(hole).view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    chamfer = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_5)
    reach = 0
    largest = 0.0
    while True:
        _, peak, _, (x, y) = cv2.minMaxLoc(chamfer)
        bound = peak / CHAMFER_LEAST
        # Slack for single precision: squared distances are whole numbers, so the maximum is found all the same.
        if bound < largest * 0.99999 or bound == 0:
            return largest
        reach = reach or math.ceil(bound) + 1
        inner = max(reach // 2, 8)
        top, left = max(y - inner - reach, 0), max(x - inner - reach, 0)
        window = framed[top : y + inner + reach + 1, left : x + inner + reach + 1]
        # Distances in the window's inner part are true ones: no known pixel that counts is further than ``reach``.
        exact = cv2.distanceTransform(window, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        rows = slice(max(y - inner, 0), y + inner + 1)
        columns = slice(max(x - inner, 0), x + inner + 1)
        near = exact[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        # Rounding the square undoes OpenCV's single-precision roots, which differ between machines.
        largest = max(largest, math.sqrt(round(float(near.max()) ** 2)))
        chamfer[rows, columns] = 0


def border_class(hole: BoolArray) -> Border:
    """``clear`` if a margin of 50 px (at 512, in proportion at other sizes) is known all round, else ``touching``."""
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

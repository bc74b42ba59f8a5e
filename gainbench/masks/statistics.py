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
    return HoleStatistics(
        area=np.count_nonzero(hole) / hole.size,
        radius=largest_radius(hole) * 256 / max(hole.shape),
        components=count_components(hole),
        touches_border=bool(hole[0].any() or hole[-1].any() or hole[:, 0].any() or hole[:, -1].any()),
    )


def count_components(hole: BoolArray) -> int:
    """Number of 8-connected pieces of a hole.

    Pieces are counted by their outer contours: following those of smooth holes takes a third of the time of labelling.
    """
    framed = cv2.copyMakeBorder(np.ascontiguousarray(hole).view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    _, hierarchy = cv2.findContours(framed, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    # In this mode contours without a parent are the outer ones of pieces, even of pieces inside of a ring.
    return 0 if hierarchy is None else int(np.count_nonzero(hierarchy[0, :, 3] < 0))


CHAMFER_LEAST = 2.1969 / 5**0.5
"""Least ratio of OpenCV's 5 x 5 chamfer distance (steps 1, 1.4, 2.1969) to the Euclidean: along a knight's move."""


def largest_radius(hole: BoolArray) -> float:
    """Largest Euclidean distance from a hidden pixel to a known one, in pixels; outside the picture counts as known.

    Exact. A chamfer transform at half the size, a tenth of the work of a Euclidean one, bounds every distance from
    above, and the distance of the pixel where the bound peaks bounds the largest from below; the Euclidean transform
    is then taken only where the two leave room for the maximum.
    """
    pixels = np.ascontiguousarray(hole).view(np.uint8)
    down, across = pixels.shape[0] % 2, pixels.shape[1] % 2
    framed = cv2.copyMakeBorder(pixels, 2, 2 + down, 2, 2 + across, cv2.BORDER_CONSTANT)
    # A known pixel of the half size is a block of known pixels, so distances to it bound true ones from above.
    joined = framed[0::2] | framed[1::2]
    # Two bytes read as one number are zero where both are.
    halved = (joined.view(np.uint16) != 0).view(np.uint8)
    chamfer = cv2.distanceTransform(halved, cv2.DIST_L2, cv2.DIST_MASK_5)
    _, peak, _, (x, y) = cv2.minMaxLoc(chamfer)
    bound = 2 * peak / CHAMFER_LEAST
    if bound == 0:
        return 0.0
    # The first peak bounds every distance; later ones only those that are left.
    reach = math.ceil(bound) + 1
    inner = max(reach // 8, 4)
    largest = _distance_to_known(framed, 2 * x, 2 * y, reach)
    # Slack for single precision: squared distances are whole numbers, so the maximum is found all the same.
    while bound >= largest * 0.99999:
        rest = (chamfer >= largest * CHAMFER_LEAST * 0.49999).view(np.uint8)
        left, top, width, height = cv2.boundingRect(rest)
        # Everything that is left at once, unless it is spread so far that single peaks cost less.
        if (width + reach) * (height + reach) > 3 * (2 * inner + reach) ** 2:
            left, top = max(x - inner, 0), max(y - inner, 0)
            around = np.ascontiguousarray(rest[top : y + inner + 1, left : x + inner + 1])
            right, below, width, height = cv2.boundingRect(around)
            left, top = left + right, top + below
        right, bottom = left + width, top + height
        outer_left, outer_top = max(2 * left - reach, 0), max(2 * top - reach, 0)
        window = framed[outer_top : 2 * bottom + reach, outer_left : 2 * right + reach]
        # Distances in the window's inner part are true ones: no known pixel that counts is further than ``reach``.
        exact = cv2.distanceTransform(window, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        near = exact[
            2 * top - outer_top : 2 * bottom - outer_top,
            2 * left - outer_left : 2 * right - outer_left,
        ]
        # Rounding the square undoes OpenCV's single-precision roots, which differ between machines.
        largest = max(largest, math.sqrt(round(float(near.max()) ** 2)))
        chamfer[top:bottom, left:right] = 0
        _, peak, _, (x, y) = cv2.minMaxLoc(chamfer)
        bound = 2 * peak / CHAMFER_LEAST
    return largest


def _distance_to_known(framed: NDArray[np.uint8], x: int, y: int, reach: int) -> float:
    """Distance from pixel (x, y) to the nearest known one, which is at most ``reach`` away; 0 if it is known itself."""
    left, top = max(x - reach, 0), max(y - reach, 0)
    window = framed[top : y + reach + 1, left : x + reach + 1]
    down = np.arange(top - y, top - y + window.shape[0], dtype=np.int32) ** 2
    across = np.arange(left - x, left - x + window.shape[1], dtype=np.int32) ** 2
    # Hidden pixels are put out of reach instead of being left out, which would take a copy of the others.
    farther = np.int32(2 * (reach + 1) ** 2)
    return math.sqrt(int((window * farther + across + down[:, None]).min()))


def border_class(hole: BoolArray) -> Border:
    """``clear`` if a margin of 50 px (at 512, in proportion at other sizes) is known all round, else ``touching``."""
    height, width = hole.shape
    down, across = CLEAR_MARGIN * height // NATIVE_SIZE, CLEAR_MARGIN * width // NATIVE_SIZE
    margins = (hole[:down], hole[height - down :], hole[:, :across], hole[:, width - across :])
    return "touching" if any(margin.any() for margin in margins) else "clear"


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

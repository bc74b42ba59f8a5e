"""``irregular-v1``: random-walk strokes, six bins x {clear, touching}, nothing to download.

The strokes of a hole grow side by side, one segment each in turn, until the hole's area reaches a target inside its
bin. Widths, numbers of strokes and the distribution of targets are fitted, per bin and border class, to measures of the
test set of Liu et al. 2018 ("Image inpainting for irregular holes using partial convolutions"): area, largest inscribed
disc, pieces and contact with the border.

Coordinates, widths and directions are whole numbers and nothing is antialiased, so that a hole has the same bits on
every machine.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from gainbench.errors import MaskError
from gainbench.masks.draws import Draws, Integers
from gainbench.masks.identity import pixel_id
from gainbench.masks.protocols import BinnedProtocol, Bounds, Hole
from gainbench.masks.statistics import CLEAR_MARGIN, NATIVE_SIZE, BoolArray, resize_nearest
from gainbench.spec import BINS, BORDERS, Border, MaskSpec, bin_label

DIRECTIONS = 64
FIXED_POINT = 4096
_TURNS = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)
HEADINGS: Integers = np.rint(np.stack([np.cos(_TURNS), np.sin(_TURNS)]) * FIXED_POINT).astype(np.int64)
"""(2, 64) unit vectors in fixed point: a walk adds whole numbers only."""

SEGMENTS = 250
"""Segments of one hole before the walk is given up: they are numbered in bytes."""
NEVER = 255
"""The byte of pixels that no segment reaches."""


class Family(NamedTuple):
    """How the holes of one bin and border class are drawn; lengths are pixels at 512.

    Attributes:
        mean_area: mean of the target areas, as a share of the picture.
        strokes: least and largest number of strokes.
        width: least and largest width of a stroke.
        touching: share of holes that reach the picture's border.
    """

    mean_area: float
    strokes: tuple[int, int]
    width: tuple[int, int]
    touching: float


FAMILIES: dict[tuple[Bounds, Border], Family] = {
    ((0.01, 0.1), "clear"): Family(0.058, (3, 9), (8, 34), 0.0),
    ((0.01, 0.1), "touching"): Family(0.059, (3, 9), (8, 30), 0.97),
    ((0.1, 0.2), "clear"): Family(0.145, (6, 16), (10, 46), 0.0),
    ((0.1, 0.2), "touching"): Family(0.147, (6, 16), (10, 44), 0.99),
    ((0.2, 0.3), "clear"): Family(0.244, (16, 32), (8, 52), 0.0),
    ((0.2, 0.3), "touching"): Family(0.248, (14, 28), (10, 50), 1.0),
    ((0.3, 0.4), "clear"): Family(0.339, (14, 28), (10, 56), 0.0),
    ((0.3, 0.4), "touching"): Family(0.344, (14, 30), (10, 56), 1.0),
    ((0.4, 0.5), "clear"): Family(0.435, (12, 28), (10, 60), 0.0),
    ((0.4, 0.5), "touching"): Family(0.443, (14, 30), (12, 58), 1.0),
    ((0.5, 0.6), "clear"): Family(0.538, (8, 20), (25, 88), 0.0),
    ((0.5, 0.6), "touching"): Family(0.547, (16, 32), (18, 84), 1.0),
}


class IrregularProtocol(BinnedProtocol):
    """The default protocol: see the module."""

    name = "irregular-v1"
    version = 1

    def __init__(self, spec: MaskSpec) -> None:
        super().__init__(spec)
        unknown = [bounds for bounds in spec.bins if bounds not in BINS]
        if unknown:
            raise MaskError(
                f"{self.name} draws the bins {', '.join(map(bin_label, BINS))}; "
                f"the suite asks for {', '.join(map(bin_label, unknown))}"
            )

    def hole(self, image_id: str, bounds: Bounds, border: Border) -> Hole:
        """The hole of one image in one bin and border class; see `MaskProtocol.hole`."""
        if (bounds, border) not in FAMILIES:
            raise MaskError(f"{self.name} has no holes of bin {bin_label(bounds)}, border class {border!r}")
        mask = draw_irregular(bounds, border, self.name, self.version, "test", self.spec.seed, image_id)
        return Hole(mask, pixel_id(self.name, mask))

    def training_known(self, seed: int, sample: int, size: int) -> BoolArray:
        """Known pixels of a training sample, its bin and border class drawn uniformly; see `MaskProtocol`."""
        key = (self.name, self.version, "training", self.spec.seed, seed, sample)
        draws = Draws("class", *key)
        bounds, border = BINS[draws.integer(0, len(BINS) - 1)], BORDERS[draws.integer(0, len(BORDERS) - 1)]
        return ~resize_nearest(draw_irregular(bounds, border, *key), size)


def draw_irregular(bounds: Bounds, border: Border, *key: Any) -> BoolArray:
    """A hole with an area in ``bounds``: bool (512, 512), True = hole; a pure function of the arguments.

    Raises:
        MaskError: a hundred walks miss the bin, which no key does in practice.
    """
    family = FAMILIES[bounds, border]
    draws = Draws(*key, list(bounds), border)
    touches = border == "touching" and draws.integer(0, 999) < round(family.touching * 1000)
    margin = CLEAR_MARGIN if border == "clear" else 0 if touches else 1
    target = _target_pixels(family.mean_area, bounds, draws)
    for attempt in range(100):
        # Redrawn walks keep target and border contact, so that walks which fall short bias neither.
        walk = Draws(*key, list(bounds), border, attempt)
        inner = _walk(family, bounds, target, NATIVE_SIZE - 2 * margin, walk, from_border=border == "touching")
        if inner is not None:
            mask = np.zeros((NATIVE_SIZE, NATIVE_SIZE), np.bool_)
            mask[margin : NATIVE_SIZE - margin, margin : NATIVE_SIZE - margin] = inner
            return mask
    raise MaskError(f"no walk of irregular-v1 ends in bin {bin_label(bounds)} for {key}")


def _walk(
    family: Family, bounds: Bounds, target: int, side: int, draws: Draws, *, from_border: bool
) -> BoolArray | None:
    """Strokes in a picture of ``side`` until ``target`` pixels are covered; None if they never come into the bin."""
    strokes = draws.integer(*family.strokes)
    steps = SEGMENTS // strokes
    widths = draws.integers(*family.width, strokes)
    points = _paths(strokes, steps, widths, side, draws, from_border=from_border)

    arrival = np.full((side, side), NEVER, np.uint8)
    # Painted last to first, so that a pixel keeps the number of the earliest segment that covers it.
    for step in range(steps - 1, -1, -1):
        for stroke in range(strokes - 1, -1, -1):
            start, end = points[step][stroke], points[step + 1][stroke]
            cv2.line(arrival, start, end, step * strokes + stroke, widths[stroke])
    covered = np.cumsum(cv2.calcHist([arrival], [0], None, [256], [0, 256]).ravel()).astype(np.int64)[:NEVER]

    lowest, highest = (share * NATIVE_SIZE**2 for share in bounds)
    last = int(np.searchsorted(covered, target))
    if last == NEVER:
        return None
    # The hole ends with the segment that brings it nearest to the target without leaving the bin.
    before = int(covered[last - 1]) if last else 0
    for count, area in sorted([(last - 1, before), (last, int(covered[last]))], key=lambda end: abs(end[1] - target)):
        if lowest < area <= highest:
            inner: BoolArray = arrival <= count
            return inner
    return None


def _target_pixels(mean_area: float, bounds: Bounds, draws: Draws) -> int:
    """An area inside the bin: the smaller (larger) of two uniform draws as often as the mean asks for."""
    low, high = (round(share * NATIVE_SIZE**2) for share in bounds)
    first, second = draws.integers(low + 1, high, 2)
    offset = 0.5 - (mean_area - bounds[0]) / (bounds[1] - bounds[0])
    # The smaller of two uniform numbers has mean 1/3: taken with probability 6 offset, the mean is 1/2 - offset.
    paired = draws.integer(0, 999) < round(6000 * abs(offset))
    if not paired:
        return int(first)
    return int(min(first, second) if offset > 0 else max(first, second))


def _paths(
    strokes: int, steps: int, widths: NDArray[np.int64], side: int, draws: Draws, *, from_border: bool
) -> list[list[list[int]]]:
    """Vertices of random walks: ``[step][stroke] = [x, y]``, whole pixels of a picture of ``side``."""
    start = draws.integers(0, side - 1, 2 * strokes).reshape(2, strokes) * FIXED_POINT
    if from_border:
        edge = draws.integer(0, 3)
        start[edge % 2, 0] = (side - 1) * FIXED_POINT * (edge // 2)
    heading = draws.integers(0, DIRECTIONS - 1, strokes)
    turns = draws.integers(-8, 8, strokes * steps).reshape(steps, strokes)
    headings = (heading + np.cumsum(turns, axis=0)) % DIRECTIONS
    lengths = np.maximum(3 * widths // 4, 16)
    moves = HEADINGS[:, headings] * lengths
    path = np.concatenate([start[:, None], start[:, None] + np.cumsum(moves, axis=1)], axis=1) // FIXED_POINT
    # A walk that leaves the picture is reflected at its border.
    folded = path % (2 * side)
    folded = np.minimum(folded, 2 * side - 1 - folded)
    result: list[list[list[int]]] = folded.transpose(1, 2, 0).tolist()
    return result

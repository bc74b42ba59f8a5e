"""Squares of a large picture, and the order in which a network fills them.

A tile overlaps its neighbours. Of its fill only the core is kept, which ends in the middle of every overlap; the tiles
are filled from the one with the most known pixels on, and what is filled is known to those that come later. So a hole
larger than a tile closes from its rim inwards, and no tile is ever without a known pixel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Colours = NDArray[np.uint8]
Hidden = NDArray[np.bool_]
Fill = Callable[[Colours, Hidden], Colours]
"""Fills one tile: uint8 (h, w, 3), zero where hidden, and bool (h, w), True = hidden, to uint8 (h, w, 3)."""

OVERLAP_SHARE = 4
"""Neighbours share at least a quarter of a tile's side."""


@dataclass(frozen=True)
class Span:
    """One side of a tile: pixels from ``start`` on, before ``stop``; the core is what is kept of them."""

    start: int
    stop: int
    core_start: int
    core_stop: int


@dataclass(frozen=True)
class Tile:
    """A part of a picture, by rows and columns."""

    rows: Span
    columns: Span

    @property
    def whole(self) -> tuple[slice, slice]:
        """What the network sees."""
        return slice(self.rows.start, self.rows.stop), slice(self.columns.start, self.columns.stop)

    @property
    def core(self) -> tuple[slice, slice]:
        """What is kept of its fill, in the picture's coordinates."""
        return (
            slice(self.rows.core_start, self.rows.core_stop),
            slice(self.columns.core_start, self.columns.core_stop),
        )

    @property
    def core_within(self) -> tuple[slice, slice]:
        """The same in the tile's own coordinates."""
        return (
            slice(self.rows.core_start - self.rows.start, self.rows.core_stop - self.rows.start),
            slice(self.columns.core_start - self.columns.start, self.columns.core_stop - self.columns.start),
        )

    def sees_core_of(self, other: "Tile") -> bool:
        """Whether the other's core reaches into this tile."""
        pairs = ((self.rows, other.rows), (self.columns, other.columns))
        return all(own.start < its.core_stop and its.core_start < own.stop for own, its in pairs)


def spans(length: int, side: int) -> list[Span]:
    """Equally spaced spans of ``side`` pixels that cover ``length``; a single one if it fits.

    Args:
        length: of the picture's side, at least 1.
        side: of a tile, at least 4.
    """
    if length <= side:
        return [Span(0, length, 0, length)]
    step = side - side // OVERLAP_SHARE
    count = -(-(length - side) // step) + 1
    starts = [round(number * (length - side) / (count - 1)) for number in range(count)]
    edges = [0, *((before + side + after) // 2 for before, after in pairwise(starts)), length]
    return [Span(start, start + side, *core) for start, core in zip(starts, pairwise(edges), strict=True)]


def fill_by_tiles(colours: Colours, hidden: Hidden, side: int, fill: Fill) -> Colours:
    """Fill what is hidden, tile by tile.

    Args:
        colours: uint8 (H, W, 3); what it holds where hidden is never read.
        hidden: bool (H, W), True = to be filled; something must be known.
        side: of a tile in pixels; a picture within it is one tile.
        fill: fills one tile.

    Returns:
        uint8 (H, W, 3); pixels that are not hidden are as they were.
    """
    filled, unknown = np.where(hidden[..., None], np.uint8(0), colours), hidden.copy()
    height, width = hidden.shape
    tiles = [Tile(rows, columns) for rows in spans(height, side) for columns in spans(width, side)]
    known = {tile: _known(unknown, tile) for tile in tiles if unknown[tile.core].any()}
    while known:
        tile = max(known, key=lambda candidate: known[candidate])  # the first of equals
        del known[tile]
        output = fill(filled[tile.whole], unknown[tile.whole])[tile.core_within]
        wanted = unknown[tile.core]
        filled[tile.core][wanted] = output[wanted]
        unknown[tile.core] = False
        for other in known:
            if other.sees_core_of(tile):
                known[other] = _known(unknown, other)
    return filled


def _known(unknown: Hidden, tile: Tile) -> int:
    part = unknown[tile.whole]
    return part.size - int(np.count_nonzero(part))

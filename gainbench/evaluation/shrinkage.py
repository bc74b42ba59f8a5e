"""How holes close inside of a method, kept for the report: the masks of its layers, for a few test pictures.

The masks are holes and no pictures: they may be shown for every data set. This module imports no torch.
"""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gainbench.atomic import atomic_path
from gainbench.errors import EvaluationError

Known = NDArray[np.bool_]

HOLE = "hole"
"""The name of what comes before the first step: the hole itself."""

TRACED_PICTURES = 4
"""Pictures whose holes are followed, each with all its rows: enough for a look, and a few forward passes."""


@dataclass(frozen=True)
class Shrinkage:
    """How the holes of some rows of the pairing close.

    Attributes:
        rows: their places in the pairing's table, ascending.
        image_ids: of each row.
        bins: of each row.
        steps: ``HOLE``, then the method's own names, in the order of its forward pass.
        known: what is known after each step, bool (rows, h, w), True = known, of the layer's own resolution.
    """

    rows: tuple[int, ...]
    image_ids: tuple[str, ...]
    bins: tuple[str, ...]
    steps: tuple[str, ...]
    known: tuple[Known, ...]

    @property
    def hidden_share(self) -> NDArray[np.float64]:
        """Share of the map that is still hidden, (rows, steps); each map's own pixels are counted."""
        return np.stack([1.0 - known.mean((1, 2)) for known in self.known], axis=1)


def traced_rows(table: pd.DataFrame, pictures: int = TRACED_PICTURES) -> list[int]:
    """All rows of a few images, spread evenly over the pairing: the same for every method.

    Args:
        table: the pairing's table: column image_id.
        pictures: how many images.
    """
    images = list(dict.fromkeys(table["image_id"]))
    places = np.linspace(0, len(images) - 1, min(pictures, len(images))).round().astype(int)
    chosen = {images[place] for place in places}
    return [row for row, image in enumerate(table["image_id"]) if image in chosen]


def write_shrinkage(shrinkage: Shrinkage, path: Path) -> None:
    """Write atomically, eight positions a byte, compressed; the same content gives the same bytes."""
    arrays: dict[str, Any] = {
        "rows": np.array(shrinkage.rows, np.int64),
        "image_ids": np.array(shrinkage.image_ids, np.str_),
        "bins": np.array(shrinkage.bins, np.str_),
        "steps": np.array(shrinkage.steps, np.str_),
        "sizes": np.array([known.shape[1:] for known in shrinkage.known], np.int64),
    }
    for place, known in enumerate(shrinkage.known):
        arrays[_name(place)] = np.packbits(known.reshape(len(known), -1), axis=1)
    with atomic_path(path) as temporary, temporary.open("wb") as opened:
        np.savez_compressed(opened, allow_pickle=False, **arrays)


def read_shrinkage(path: Path) -> Shrinkage:
    """Undo ``write_shrinkage``.

    Raises:
        EvaluationError: the file is missing, cut short, or of another shape.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            rows = tuple(stored["rows"].tolist())
            known = tuple(
                _unpacked(stored[_name(place)], len(rows), size) for place, size in enumerate(stored["sizes"].tolist())
            )
            image_ids, bins, steps = (tuple(stored[name].tolist()) for name in ("image_ids", "bins", "steps"))
    except (OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise EvaluationError(f"not a whole file of masks: {error}") from error
    return Shrinkage(rows, image_ids, bins, steps, known)


def _name(place: int) -> str:
    return f"known_{place:03d}"


def _unpacked(packed: NDArray[np.uint8], rows: int, size: Sequence[int]) -> Known:
    height, width = size
    bits = np.unpackbits(packed, axis=1, count=height * width)
    return np.asarray(bits.reshape(rows, height, width), np.bool_)

"""Metrics of sets of pictures, one value per (bin, border) and for their pools."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

ALL = "all"
"""The name of a pool of all bins, or of both border classes, in records."""

_Features = NDArray[np.float32]

FEWEST = 2
"""Pictures that a covariance or an unbiased kernel estimate needs on each side."""


def set_records(
    table: pd.DataFrame,
    original_of_row: NDArray[np.int64],
    distances: Mapping[str, Callable[[_Features, _Features], float]],
    *,
    completed: _Features,
    originals: _Features,
    reference: _Features | None,
) -> list[dict[str, Any]]:
    """Distance between completed and original pictures for each bin and border class, pooled and overall.

    The real side holds each original once, also where a pool completes it several times under different holes. The two
    sides are not independent: a completed picture is measured against a set that holds its own original, so every
    distance comes out lower than between independent sets of this size (a perfect fill has a Frechet distance of 0
    and a kernel distance below 0), and pools must be compared with pools of the same pictures alone.

    The floor is the same distance between those originals and as many other real pictures (fewer if there are not as
    many): what real photographs score that share nothing with the originals.

    Args:
        table: the pairing's table: columns bin, border.
        original_of_row: (rows,) index into ``originals``.
        distances: metric id -> distance of two feature sets.
        completed: (rows, d).
        originals: (M, d).
        reference: (K, d) of other real pictures, or None.

    Returns:
        Records of metric, bin, border, value, n (completed pictures), n_real (originals), floor. ``all`` stands for
        a pool. value and floor are None where a side has fewer than two pictures.
    """
    records = []
    floors: dict[tuple[str, bytes], float | None] = {}
    for bin_name, border, rows in _groups(table):
        unique = np.unique(original_of_row[rows])
        for metric, distance in distances.items():
            key = (metric, unique.tobytes())
            if key not in floors:
                floors[key] = _floor(distance, originals[unique], reference)
            enough = len(rows) >= FEWEST and len(unique) >= FEWEST
            records.append(
                {
                    "metric": metric,
                    "bin": bin_name,
                    "border": border,
                    "value": float(distance(completed[rows], originals[unique])) if enough else None,
                    "n": len(rows),
                    "n_real": len(unique),
                    "floor": floors[key],
                }
            )
    return records


def _groups(table: pd.DataFrame) -> Iterator[tuple[str, str, NDArray[np.intp]]]:
    bins, borders = table["bin"].to_numpy(), table["border"].to_numpy()
    for bin_name in [*dict.fromkeys(bins), ALL]:
        for border in [*dict.fromkeys(borders), ALL]:
            inside = ((bins == bin_name) | (bin_name == ALL)) & ((borders == border) | (border == ALL))
            if inside.any():
                yield str(bin_name), str(border), np.flatnonzero(inside)


def _floor(
    distance: Callable[[_Features, _Features], float], originals: _Features, reference: _Features | None
) -> float | None:
    if reference is None:
        return None
    others = reference[: len(originals)]
    return float(distance(others, originals)) if min(len(others), len(originals)) >= FEWEST else None

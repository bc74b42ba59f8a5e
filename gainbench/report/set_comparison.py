"""Differences of set metrics (Frechet distance, KID) between two methods, from the features their cells keep."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gainbench.errors import EvaluationError
from gainbench.evaluation.metrics.catalogue import METRICS
from gainbench.evaluation.metrics.frechet import SET_METRICS, SetMetric
from gainbench.evaluation.stats import Difference, SetDistance, set_metric_difference
from gainbench.report.alignment import ROW_KEY
from gainbench.report.numbers import listed

FeaturesOf = Callable[[str], Mapping[str, NDArray[Any]]]
"""A cell's key -> its raw features, as :meth:`gainbench.run.StoredResults.features_of` gives them."""

SET_IDS = tuple(name for name, info in METRICS.items() if info.per == "set")


def set_difference(
    metric: str, rows_a: pd.DataFrame, rows_b: pd.DataFrame, features: tuple[FeaturesOf, FeaturesOf], resamples: int
) -> tuple[float, float, Difference]:
    """A set metric of one method on each side, over all holes that both filled.

    Both are measured against the originals of the shared rows, each original once; resampling draws completed pictures
    anew and leaves the originals. With several seeds a side's distance is the mean of its seeds'; the interval knows of
    photographs, not of seeds.

    Args:
        metric: id of a set metric.
        rows_a: all rows of one data set and method, in the order in which their cells keep them.
        rows_b: the same of the other side.
        features: of each side's cells.
        resamples: shared-index resamples.

    Returns:
        The distance of a, that of b, and b - a.

    Raises:
        EvaluationError: a side kept no such features, or features that do not fit its rows.
    """
    cells = [{key: own.set_index(ROW_KEY) for key, own in rows.groupby("key", sort=False)} for rows in (rows_a, rows_b)]
    indices = [own.index for side in cells for own in side.values()]
    shared = indices[0]
    for other in indices[1:]:
        shared = shared[shared.isin(other)]
    if not len(shared):
        raise EvaluationError(f"{metric}: no (picture, hole) is in every result of both sides")
    first = next(iter(cells[0].values()))
    photographs = first.loc[shared, "photograph"].to_numpy(str)
    a, b = (
        _mean([_by_rows(SET_METRICS[metric], own, shared, of(str(key)), metric) for key, own in side.items()])
        for side, of in zip(cells, features, strict=True)
    )
    every = np.arange(len(shared))
    return a(every), b(every), set_metric_difference(b, a, photographs, resamples=resamples)


def _by_rows(
    info: SetMetric, rows: pd.DataFrame, shared: pd.Index, features: Mapping[str, NDArray[Any]], metric: str
) -> SetDistance:
    """The distance of one cell as a function of the shared rows."""
    needed = (info.features, f"{info.features}_originals", "original_of_row")
    if absent := [name for name in needed if name not in features]:
        raise EvaluationError(
            f"{metric} compares features {info.features!r}, and {rows['method'].iloc[0]} on "
            f"{rows['dataset'].iloc[0]} kept none ({listed(absent)}); run it with {metric} among the suite's metrics"
        )
    completed, originals, original_of_row = (features[name] for name in needed)
    if not len(completed) == len(original_of_row) == len(rows):
        raise EvaluationError(
            f"{metric}: {rows['method'].iloc[0]} on {rows['dataset'].iloc[0]} has {len(rows)} rows and features of "
            f"{len(completed)}; run the cell again"
        )
    places = rows.index.get_indexer(shared)
    return info.distance_by_rows(completed[places], originals[np.unique(original_of_row[places])])


def _mean(distances: Sequence[SetDistance]) -> SetDistance:
    return lambda rows: float(np.mean([distance(rows) for distance in distances]))

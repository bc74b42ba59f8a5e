"""Rows of many cells in one order, so that differences can be taken row by row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gainbench.errors import ReportError
from gainbench.evaluation.stats import Difference, Interval, intervals_of_means, paired_differences

ALL = "all"
"""The name of all bins, or of both border classes, taken together."""

ROW_KEY = ["image_id", "bin", "border"]
"""What makes two rows of different cells the same (picture, hole)."""


@dataclass
class Block:
    """One data set's numbers, aligned: numbers[method] is (seeds, rows, metrics).

    Methods among ``oracles`` are given hidden pixels: they are shown, but never ranked.
    """

    metrics: list[str]
    photographs: NDArray[np.generic]
    bins: NDArray[np.generic]
    borders: NDArray[np.generic]
    oracles: frozenset[str] = frozenset()
    numbers: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def of(self, methods: Sequence[str]) -> "Block":
        """The same rows of some methods only."""
        return replace(self, numbers={name: own for name, own in self.numbers.items() if name in methods})


def aligned(
    rows: pd.DataFrame, metrics: list[str], methods: Sequence[str], oracles: frozenset[str] = frozenset()
) -> Block:
    """Put the rows of all cells of one data set in one order; a cell without a row has NaN there.

    Raises:
        ReportError: a cell has two rows for one picture, bin and border class.
    """
    present = [metric for metric in metrics if metric in rows and rows[metric].notna().any()]
    place = rows.groupby(ROW_KEY, sort=True).ngroup().to_numpy()
    twice = pd.MultiIndex.from_arrays([rows["key"], place]).duplicated()
    if twice.any():
        row = rows.loc[rows.index[twice][0], ["method", *ROW_KEY]]
        raise ReportError(f"two rows where one is expected: {', '.join(map(str, row))}; run the cell again")
    first = rows.iloc[np.unique(place, return_index=True)[1]]
    photographs, bins, borders = (first[column].to_numpy(str) for column in ("photograph", "bin", "border"))
    block = Block(present, photographs, bins, borders, oracles)
    numbers = rows[present].to_numpy(np.float64)
    for method in methods:
        cells = [(rows["key"] == key).to_numpy() for key in rows.loc[rows["method"] == method, "key"].unique()]
        values = np.full((len(cells), len(first), len(present)), np.nan)
        for seed, cell in enumerate(cells):
            values[seed, place[cell]] = numbers[cell]
        if cells:
            block.numbers[method] = values
    return block


def chosen_rows(block: Block, bin_: str, border: str) -> NDArray[np.intp]:
    """Places of the rows of a bin and border class; ``all`` takes every one."""
    every = np.ones(len(block.bins), dtype=bool)
    in_bin = every if bin_ == ALL else block.bins == bin_
    in_border = every if border == ALL else block.borders == border
    return np.flatnonzero(in_bin & in_border)


def mean_intervals(block: Block, chosen: NDArray[np.intp]) -> dict[str, dict[str, Interval]]:
    """Metric -> method -> interval of its mean over the chosen rows, for those that have one."""
    found: dict[str, dict[str, Interval]] = {metric: {} for metric in block.metrics}
    for _, group in _by_seeds(block.numbers):
        stacked = np.concatenate([block.numbers[method][:, chosen] for method in group], axis=2)
        columns = [(method, metric) for method in group for metric in block.metrics]
        intervals = intervals_of_means(stacked, block.photographs[chosen])
        for (method, metric), interval in zip(columns, intervals, strict=True):
            if interval.n:
                found[metric][method] = interval
    return {
        metric: {method: found[metric][method] for method in block.numbers if method in found[metric]}
        for metric in block.metrics
    }


def paired(
    block: Block, chosen: NDArray[np.intp], triples: Sequence[tuple[str, str, str]], flips: int
) -> Iterator[tuple[tuple[str, str, str], Difference]]:
    """For each (metric, a, b) the paired difference a - b over the chosen rows."""

    def seeds(triple: tuple[str, str, str]) -> tuple[int, int]:
        return len(block.numbers[triple[1]]), len(block.numbers[triple[2]])

    for _, alike in groupby(sorted(triples, key=seeds), key=seeds):
        group = list(alike)
        columns = [block.metrics.index(metric) for metric, _, _ in group]
        a, b = (
            np.stack([block.numbers[m][:, chosen, c] for m, c in zip(methods, columns, strict=True)], axis=2)
            for methods in ([first for _, first, _ in group], [second for *_, second in group])
        )
        yield from zip(group, paired_differences(a, b, block.photographs[chosen], flips=flips), strict=True)


def _by_seeds(values: dict[str, NDArray[np.float64]]) -> Iterator[tuple[int, list[str]]]:
    """Methods with as many training runs as one another."""
    for seeds in sorted({len(array) for array in values.values()}):
        yield seeds, [method for method, array in values.items() if len(array) == seeds]

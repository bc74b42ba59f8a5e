"""From rows to what may be said: every mean with its interval, the best method, and those not separable from it.

One score per (data set, metric, bin, border class) and method. Bins and border classes are also pooled, under the name
``all``. Comparisons with the best are paired by (picture, hole); Holm's correction runs over all comparisons of one
metric on one data set, so that a number carries the same marks in every table that shows it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gainbench.errors import ReportError
from gainbench.evaluation.metrics.catalogue import METRICS, MetricInfo, selected_metrics
from gainbench.evaluation.stats import (
    RESAMPLES,
    Difference,
    Interval,
    flips_for,
    holm,
    intervals_of_means,
    paired_differences,
    separable,
)
from gainbench.run.store import StoredCell, StoredResults
from gainbench.spec import BORDERS

ALL = "all"
"""The name of all bins, or of both border classes, taken together."""

ROW_KEY = ["image_id", "bin", "border"]


@dataclass(frozen=True, order=True)
class Place:
    """Where a number stands: one table cell for every method."""

    dataset: str
    metric: str
    bin: str
    border: str


@dataclass(frozen=True)
class Score:
    """A method's number in one place.

    Attributes:
        interval: the mean over rows and seeds with its interval.
        best: no method's mean is better.
        tied: not the best, and not separable from it.
        p: Holm-adjusted p of the paired difference to the best; None for the best itself.
        difference: the paired difference, this method minus the best; None for the best itself.
    """

    interval: Interval
    best: bool = False
    tied: bool = False
    p: float | None = None
    difference: Difference | None = None


@dataclass(frozen=True)
class SetScore:
    """A set metric's value for one method, mean over seeds; a set metric has no interval and is not ranked.

    Attributes:
        value: the distance to the originals.
        n: pictures in the completed set.
        floor: the same distance of other real pictures of the same number; None if there were not enough.
        seeds: training runs averaged.
    """

    value: float
    n: int
    floor: float | None
    seeds: int


@dataclass
class _Block:
    """One data set's numbers, aligned: numbers[method] is (seeds, rows, metrics)."""

    metrics: list[str]
    photographs: NDArray[np.generic]
    bins: NDArray[np.generic]
    borders: NDArray[np.generic]
    numbers: dict[str, NDArray[np.float64]] = field(default_factory=dict)


class Analysis:
    """Everything the tables and plots of a suite print, computed once from its stored results.

    Attributes:
        stored: what was read.
        datasets: data sets in the suite's order.
        methods: method labels in the suite's order.
        scores: place -> method -> score, for metrics of single pictures.
        set_scores: place -> method -> value, for metrics of sets.
    """

    def __init__(self, stored: StoredResults) -> None:
        self.stored = stored
        self.datasets = _in_order([cell.spec.dataset for cell in stored.cells])
        self.methods = _in_order([cell.spec.method.label for cell in stored.cells])
        self.scores: dict[Place, dict[str, Score]] = {}
        self._blocks: dict[str, _Block] = {}
        asked = [info.id for info in self.asked_metrics if info.per == "picture"]
        for dataset in self.datasets:
            rows = stored.rows[stored.rows["dataset"] == dataset]
            if len(rows):
                self._blocks[dataset] = _aligned(rows, asked, self.methods)
                self.scores |= self._scores(dataset)
        self.set_scores = dict(_set_scores(stored.set_metrics))

    @cached_property
    def asked_metrics(self) -> list[MetricInfo]:
        """The suite's metrics, in the catalogue's order."""
        asked = selected_metrics(self.stored.resolved.suite.metrics)
        return sorted(asked, key=lambda info: list(METRICS).index(info.id))

    def metrics(self, dataset: str, per: str) -> list[MetricInfo]:
        """The ``picture`` or ``set`` metrics that at least one method has on a data set."""
        present = {place.metric for place in (*self.scores, *self.set_scores) if place.dataset == dataset}
        return [info for info in self.asked_metrics if info.per == per and info.id in present]

    def bins(self, dataset: str) -> list[str]:
        """Bin labels of a data set, smallest holes first."""
        rows = self.stored.rows[self.stored.rows["dataset"] == dataset]
        if rows.empty:
            return []
        return list(rows.groupby("bin")["bin_lo"].min().sort_values(kind="stable").index)

    def borders(self, dataset: str) -> list[str]:
        """Border classes of a data set and then ``all``; ``all`` alone where there is one class only."""
        rows = self.stored.rows[self.stored.rows["dataset"] == dataset]
        found = set(rows["border"]) if len(rows) else set()
        return [*(border for border in BORDERS if border in found), ALL] if len(found) > 1 else [ALL]

    def cells(self, dataset: str, method: str | None = None) -> list[StoredCell]:
        """The cells of a data set, of one method or of all."""
        return [
            cell
            for cell in self.stored.cells
            if cell.spec.dataset == dataset and method in {None, cell.spec.method.label}
        ]

    def differences_to(self, reference: str, dataset: str, metric: str) -> dict[str, dict[str, Difference]]:
        """Bin -> method -> its paired difference to ``reference``, border classes pooled; the p are not adjusted."""
        block = self._blocks[dataset]
        found: dict[str, dict[str, Difference]] = {}
        for bin_ in self.bins(dataset):
            chosen = _chosen(block, bin_, ALL)
            others = [method for method in self.scores[Place(dataset, metric, bin_, ALL)] if method != reference]
            triples = [(metric, other, reference) for other in others]
            found[bin_] = {other: gap for (_, other, _), gap in _paired(block, chosen, triples, RESAMPLES)}
        return found

    def _scores(self, dataset: str) -> dict[Place, dict[str, Score]]:
        block = self._blocks[dataset]
        parts = [(bin_, border) for border in self.borders(dataset) for bin_ in [*self.bins(dataset), ALL]]
        flips = flips_for(max(1, len(block.numbers) - 1) * len(parts))
        scores: dict[Place, dict[str, Score]] = {}
        for bin_, border in parts:
            chosen = _chosen(block, bin_, border)
            intervals = _intervals(block, chosen)
            here = {Place(dataset, metric, bin_, border): found for metric, found in intervals.items() if found}
            scores |= _compared_with_best(block, chosen, here, flips)
        for metric in block.metrics:
            _mark_ties(scores, [place for place in scores if place.metric == metric])
        return scores


def is_oracle(method: str) -> bool:
    """Whether a method's label says that it is given hidden pixels; it is shown, but never ranked."""
    return "oracle" in method


def best_method(intervals: dict[str, Interval], metric: str) -> str | None:
    """The method with the best mean, oracles left out; the first of equals; None if fewer than two are ranked."""
    ranked = {method: interval.value for method, interval in intervals.items() if not is_oracle(method)}
    if len(ranked) < 2:
        return None
    return (min if METRICS[metric].direction == "lower" else max)(ranked, key=ranked.__getitem__)


def _aligned(rows: pd.DataFrame, metrics: list[str], methods: Sequence[str]) -> _Block:
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
    block = _Block(
        present, first["photograph"].to_numpy(str), first["bin"].to_numpy(str), first["border"].to_numpy(str)
    )
    numbers = rows[present].to_numpy(np.float64)
    for method in methods:
        cells = [(rows["key"] == key).to_numpy() for key in rows.loc[rows["method"] == method, "key"].unique()]
        values = np.full((len(cells), len(first), len(present)), np.nan)
        for seed, cell in enumerate(cells):
            values[seed, place[cell]] = numbers[cell]
        if cells:
            block.numbers[method] = values
    return block


def _chosen(block: _Block, bin_: str, border: str) -> NDArray[np.intp]:
    every = np.ones(len(block.bins), dtype=bool)
    in_bin = every if bin_ == ALL else block.bins == bin_
    in_border = every if border == ALL else block.borders == border
    return np.flatnonzero(in_bin & in_border)


def _intervals(block: _Block, chosen: NDArray[np.intp]) -> dict[str, dict[str, Interval]]:
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


def _compared_with_best(
    block: _Block, chosen: NDArray[np.intp], here: dict[Place, dict[str, Interval]], flips: int
) -> dict[Place, dict[str, Score]]:
    """Scores in the places of one bin and border class, with every ranked method's difference to the best."""
    bests = {place: best_method(found, place.metric) for place, found in here.items()}
    scores = {
        place: {method: Score(interval, best=method == bests[place]) for method, interval in found.items()}
        for place, found in here.items()
    }
    triples = [
        (place.metric, other, best)
        for place, best in bests.items()
        if best is not None
        for other in here[place]
        if other != best and not is_oracle(other)
    ]
    places = {place.metric: place for place in here}
    for (metric, other, _), difference in _paired(block, chosen, triples, flips):
        place = places[metric]
        scores[place][other] = Score(here[place][other], difference=difference)
    return scores


def _paired(
    block: _Block, chosen: NDArray[np.intp], triples: Sequence[tuple[str, str, str]], flips: int
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


def _mark_ties(scores: dict[Place, dict[str, Score]], places: Sequence[Place]) -> None:
    """Adjust the p values of one metric's comparisons together, and mark what is not separable from the best."""
    compared = [
        (place, method, score, score.difference)
        for place in places
        for method, score in scores[place].items()
        if score.difference is not None
    ]
    differences = [difference for *_, difference in compared]
    adjusted = holm([difference.p for difference in differences])
    real = separable(differences, adjusted)
    for (place, method, score, difference), p, apart in zip(compared, adjusted, real, strict=True):
        scores[place][method] = Score(score.interval, tied=not apart, p=float(p), difference=difference)


def _by_seeds(values: dict[str, NDArray[np.float64]]) -> Iterator[tuple[int, list[str]]]:
    """Methods with as many training runs as one another."""
    for seeds in sorted({len(array) for array in values.values()}):
        yield seeds, [method for method, array in values.items() if len(array) == seeds]


def _set_scores(records: pd.DataFrame) -> Iterator[tuple[Place, dict[str, SetScore]]]:
    known = records[records["value"].notna()]
    for keys, group in known.groupby(["dataset", "metric", "bin", "border"], sort=False):
        yield (
            Place(*(str(key) for key in keys)),
            {
                str(method): SetScore(
                    value=float(own["value"].mean()),
                    n=int(own["n"].iloc[0]),
                    floor=float(own["floor"].mean()) if own["floor"].notna().any() else None,
                    seeds=len(own),
                )
                for method, own in group.groupby("method", sort=False)
            },
        )


def _in_order(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))

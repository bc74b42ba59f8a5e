"""From rows to what may be said: every mean with its interval, the best method, and those not separable from it.

One score per (data set, metric, bin, border class) and method. Bins and border classes are also pooled, under the name
``all``. Comparisons with the best are paired by (picture, hole); Holm's correction runs over all comparisons of one
metric on one data set, so that a number carries the same marks in every table that shows it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gainbench.evaluation.metrics.catalogue import METRICS, MetricInfo, selected_metrics
from gainbench.evaluation.stats import Difference, Interval, flips_for, holm, separable
from gainbench.report.alignment import ALL, Block, aligned, chosen_rows, mean_intervals, paired
from gainbench.report.pairs import Names, Pair, compared_pairs, seen_from
from gainbench.run.store import StoredCell, StoredResults
from gainbench.spec import BORDERS

__all__ = ["ALL", "FEW_PICTURES", "Analysis", "Place", "Score", "SetScore", "best_method", "is_legacy"]


MOST_DRAWN = 24
"""Methods that figures, galleries and comparisons of every two show: with more, nobody can read them, and pairs grow
with the square. Which ones is the suite's order, never their numbers: choosing the best would spoil their p."""

FEW_PICTURES = 2000
"""Below this many pictures the Frechet distance is mostly bias and KID leads."""


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


class Scored(Protocol):
    """Numbers by place, as tables read them."""

    @property
    def scores(self) -> Mapping[Place, Mapping[str, Score]]:
        """Of metrics of single pictures: place -> method -> score."""

    @property
    def set_scores(self) -> Mapping[Place, Mapping[str, SetScore]]:
        """Of metrics of sets: place -> method -> value."""


class Analysis:
    """Everything the tables and plots of a suite print, computed once from its stored results.

    Attributes:
        stored: what was read.
        datasets: data sets in the suite's order.
        methods: method labels in the suite's order.
        oracles: those of them that are given hidden pixels; shown, but never ranked.
        trained: those of them that learn.
        scores: place -> method -> score, for metrics of single pictures.
        set_scores: place -> method -> value, for metrics of sets.
        drawn: the methods that figures show, the first of them where there are too many.
        pairs: place -> (first, second) of those -> their comparison, border classes pooled, names in the suite's order;
            other papers' definitions are left out.
    """

    def __init__(self, stored: StoredResults) -> None:
        self.stored = stored
        self.datasets = _in_order([cell.spec.dataset for cell in stored.cells])
        self.methods = _in_order([cell.spec.method.label for cell in stored.cells])
        self.oracles = frozenset(cell.spec.method.label for cell in stored.cells if _is_oracle(cell))
        self.trained = frozenset(cell.spec.method.label for cell in stored.cells if _is_trained(cell))
        self.drawn = self.methods[:MOST_DRAWN]
        self.scores: dict[Place, dict[str, Score]] = {}
        self.pairs: dict[Place, dict[Names, Pair]] = {}
        self._bins: dict[str, list[str]] = {}
        self._borders: dict[str, list[str]] = {}
        asked = [info.id for info in self.asked_metrics if info.per == "picture"]
        for dataset in self.datasets:
            rows = stored.rows[stored.rows["dataset"] == dataset]
            if len(rows):
                self._bins[dataset] = bins_of(rows)
                self._borders[dataset] = borders_of(rows)
                block = aligned(rows, [one for one in asked if not is_legacy(one)], self.methods, self.oracles)
                for (metric, bin_), pairs in compared_pairs(block.of(self.drawn), self.bins(dataset)).items():
                    self.pairs[Place(dataset, metric, bin_, ALL)] = pairs
                self.scores |= scores_in(dataset, block, self.bins(dataset), self.borders(dataset), self.pairs)
                if others := [metric for metric in asked if is_legacy(metric)]:
                    block = aligned(rows, others, self.methods, self.oracles)
                    self.scores |= scores_in(dataset, block, self.bins(dataset), [ALL], {})
        self.set_scores = dict(set_scores_in(stored.set_metrics))

    @cached_property
    def asked_metrics(self) -> list[MetricInfo]:
        """The suite's metrics, in the catalogue's order."""
        asked = selected_metrics(self.stored.resolved.suite.metrics)
        return sorted(asked, key=lambda info: list(METRICS).index(info.id))

    def metrics(self, dataset: str, per: str) -> list[MetricInfo]:
        """The ``picture`` or ``set`` metrics that at least one method has on a data set, the more telling ones first.

        Among set metrics KID leads while the sets are too small for a Frechet distance. Other papers' definitions are
        not among them: see :meth:`legacy_metrics`.
        """
        found = [info for info in self._present(dataset) if info.per == per and not is_legacy(info.id)]
        return sorted(found, key=lambda info: not info.id.startswith("kid")) if self.few_pictures(dataset) else found

    def legacy_metrics(self, dataset: str) -> list[MetricInfo]:
        """Other papers' definitions that at least one method has a value of."""
        return [info for info in self._present(dataset) if is_legacy(info.id)]

    def few_pictures(self, dataset: str) -> bool:
        """Whether the largest set of pictures of a data set is so small that a Frechet distance has a large bias."""
        sizes = [
            score.n for place, found in self.set_scores.items() if place.dataset == dataset for score in found.values()
        ]
        return max(sizes, default=FEW_PICTURES) < FEW_PICTURES

    def bins(self, dataset: str) -> list[str]:
        """Bin labels of a data set, smallest holes first; none while no cell is finished."""
        return self._bins.get(dataset, [])

    def borders(self, dataset: str) -> list[str]:
        """Border classes of a data set and then ``all``; ``all`` alone where there is one class only."""
        return self._borders.get(dataset, [ALL])

    def cells(self, dataset: str, method: str | None = None) -> list[StoredCell]:
        """The cells of a data set, of one method or of all."""
        return self._cells.get((dataset, method), [])

    @cached_property
    def _cells(self) -> dict[tuple[str, str | None], list[StoredCell]]:
        found: dict[tuple[str, str | None], list[StoredCell]] = {}
        for cell in self.stored.cells:
            for method in (None, cell.spec.method.label):
                found.setdefault((cell.spec.dataset, method), []).append(cell)
        return found

    def differences_to(self, reference: str, dataset: str, metric: str) -> dict[str, dict[str, Difference]]:
        """Bin -> method -> its paired difference to ``reference``, border classes pooled; the p are not adjusted."""
        found: dict[str, dict[str, Difference]] = {}
        for bin_ in self.bins(dataset):
            pairs = self.pairs.get(Place(dataset, metric, bin_, ALL), {})
            gaps = {method: _difference(pairs, method, reference) for method in self.methods}
            found[bin_] = {method: gap for method, gap in gaps.items() if gap is not None}
        return found

    def _present(self, dataset: str) -> list[MetricInfo]:
        present = {place.metric for place in (*self.scores, *self.set_scores) if place.dataset == dataset}
        return [info for info in self.asked_metrics if info.id in present]


def scores_in(
    dataset: str,
    block: Block,
    bins: Sequence[str],
    borders: Sequence[str],
    pairs: dict[Place, dict[Names, Pair]],
) -> dict[Place, dict[str, Score]]:
    """Every mean with its interval, the best, and those not separable from it, in each bin and border class.

    Args:
        dataset: what places are filed under.
        block: the aligned rows.
        bins: their bins; ``all`` is added.
        borders: their border classes, ``all`` among them.
        pairs: comparisons that were made already; they are not made again.
    """
    parts = [(bin_, border) for border in borders for bin_ in [*bins, ALL]]
    flips = flips_for(max(1, len(block.numbers) - 1) * len(parts))
    scores: dict[Place, dict[str, Score]] = {}
    for bin_, border in parts:
        chosen = chosen_rows(block, bin_, border)
        intervals = mean_intervals(block, chosen)
        here = {Place(dataset, metric, bin_, border): found for metric, found in intervals.items() if found}
        scores |= _compared_with_best(block, chosen, here, flips, pairs)
    for metric in block.metrics:
        _mark_ties(scores, [place for place in scores if place.metric == metric])
    return scores


def bins_of(rows: pd.DataFrame) -> list[str]:
    """The bins of some rows, smallest holes first."""
    return list(rows.groupby("bin")["bin_lo"].min().sort_values(kind="stable").index)


def borders_of(rows: pd.DataFrame) -> list[str]:
    """The border classes of some rows and then ``all``; ``all`` alone where there is one class only."""
    classes = [border for border in BORDERS if (rows["border"] == border).any()]
    return [*classes, ALL] if len(classes) > 1 else [ALL]


def is_legacy(metric: str) -> bool:
    """Whether a metric is another paper's definition: printed for comparison in a table of its own, never ranked by."""
    return metric.startswith("legacy_")


def best_method(intervals: dict[str, Interval], metric: str, oracles: Collection[str]) -> str | None:
    """The method with the best mean, oracles left out; the first of equals; None if fewer than two are ranked."""
    ranked = {method: interval.value for method, interval in intervals.items() if method not in oracles}
    if len(ranked) < 2:
        return None
    return (min if METRICS[metric].direction == "lower" else max)(ranked, key=ranked.__getitem__)


def _is_oracle(cell: StoredCell) -> bool:
    # Results of before it was recorded say it by their label alone.
    told = cell.result.oracle if cell.result is not None else None
    return "oracle" in cell.spec.method.label if told is None else told


def _is_trained(cell: StoredCell) -> bool:
    return cell.result is not None and "training_seconds" in cell.result.cost


def _compared_with_best(
    block: Block,
    chosen: NDArray[np.intp],
    here: dict[Place, dict[str, Interval]],
    flips: int,
    pairs: dict[Place, dict[Names, Pair]],
) -> dict[Place, dict[str, Score]]:
    """Scores in the places of one bin and border class, with every ranked method's difference to the best.

    Differences that ``pairs`` holds are taken from there.
    """
    bests = {place: best_method(found, place.metric, block.oracles) for place, found in here.items()}
    scores = {
        place: {method: Score(interval, best=method == bests[place]) for method, interval in found.items()}
        for place, found in here.items()
    }
    asked = [
        (place, other, best)
        for place, best in bests.items()
        if best is not None
        for other in here[place]
        if other != best and other not in block.oracles
    ]
    known = {(place, other): _difference(pairs.get(place, {}), other, best) for place, other, best in asked}
    triples = [(place.metric, other, best) for place, other, best in asked if known[place, other] is None]
    places = {place.metric: place for place in here}
    known |= {(places[metric], other): gap for (metric, other, _), gap in paired(block, chosen, triples, flips)}
    for (place, other), difference in known.items():
        scores[place][other] = Score(here[place][other], difference=difference)
    return scores


def _difference(pairs: dict[Names, Pair], method: str, other: str) -> Difference | None:
    """Method minus other, if the two were compared."""
    if (method, other) in pairs:
        return pairs[method, other].difference
    turned = pairs.get((other, method))
    return seen_from(turned).difference if turned else None


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


def set_scores_in(records: pd.DataFrame) -> Iterator[tuple[Place, dict[str, SetScore]]]:
    """Values of set metrics, averaged over seeds, by place.

    Args:
        records: columns dataset, method, metric, bin, border, value, n, floor.
    """
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

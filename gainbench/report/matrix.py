"""The win matrix as the page shows it: differences, Holm-adjusted p, and what holds at which hole size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gainbench.evaluation.metrics.catalogue import MetricInfo
from gainbench.evaluation.stats import Difference, Interval
from gainbench.report.analysis import ALL, Analysis, Place
from gainbench.report.numbers import bracket, decimals_of_intervals, fixed, holes_between, probability
from gainbench.report.pair_plots import ranked_methods
from gainbench.report.pairs import Names, Pair, seen_from

Outcome = Literal["better", "worse", "even"]

MINUS = "\N{MINUS SIGN}"

SIGNS: dict[Outcome, str] = {"better": "▲", "worse": "▼", "even": "·"}


@dataclass(frozen=True)
class MatrixCell:
    """One method (the row) against another (the column).

    Attributes:
        outcome: over all holes.
        difference: row minus column.
        interval: of the difference.
        p: Holm-adjusted.
        sizes: a sign for each hole size, smallest first.
        words: outcomes over all holes and by hole size, for readers who do not see signs and colours.
    """

    outcome: Outcome
    difference: str
    interval: str
    p: str
    sizes: str
    words: str


@dataclass(frozen=True)
class Matrix:
    """One metric's pairs; ``rows[i][j]`` is None on the diagonal and where two methods share no row."""

    metric: MetricInfo
    methods: tuple[str, ...]
    rows: tuple[tuple[MatrixCell | None, ...], ...]


def matrices(analysis: Analysis, dataset: str) -> list[Matrix]:
    """A matrix for each metric of single pictures that compares at least two methods."""
    found = []
    for info in analysis.metrics(dataset, "picture"):
        pooled = analysis.pairs.get(Place(dataset, info.id, ALL, ALL), {})
        methods = ranked_methods(analysis, pooled)
        if methods:
            gaps = [pair.difference for pair in pooled.values() if pair.p is not None]
            digits = decimals_of_intervals(map(_interval, gaps))
            rows = tuple(
                tuple(_cell(analysis, dataset, info.id, (row, column), digits) for column in methods) for row in methods
            )
            found.append(Matrix(info, tuple(methods), rows))
    return found


def _cell(analysis: Analysis, dataset: str, metric: str, names: Names, digits: int) -> MatrixCell | None:
    pair = _oriented(analysis, Place(dataset, metric, ALL, ALL), names)
    if pair is None or pair.p is None:
        return None
    first = names[0]
    bins = analysis.bins(dataset)
    by_bin = [_outcome(_oriented(analysis, Place(dataset, metric, bin_, ALL), names), first) for bin_ in bins]
    outcome, gap = _outcome(pair, first), pair.difference
    words = f"{'not separable' if outcome == 'even' else outcome} over all holes, {_sizes(bins, by_bin)}"
    return MatrixCell(
        outcome=outcome,
        difference=fixed(gap.value, digits).replace("-", MINUS),
        interval=bracket(_interval(gap), digits).replace("-", MINUS),
        p=probability(pair.p),
        sizes="".join(SIGNS[one] for one in by_bin),
        words=words,
    )


def _oriented(analysis: Analysis, place: Place, names: Names) -> Pair | None:
    pairs = analysis.pairs.get(place, {})
    if names in pairs:
        return pairs[names]
    turned = pairs.get((names[1], names[0]))
    return seen_from(turned) if turned else None


def _outcome(pair: Pair | None, first: str) -> Outcome:
    if pair is None or not pair.winner:
        return "even"
    return "better" if pair.winner == first else "worse"


def _sizes(bins: Sequence[str], outcomes: Sequence[Outcome]) -> str:
    parts = []
    for outcome in ("better", "worse"):
        some = [bin_ for bin_, one in zip(bins, outcomes, strict=True) if one == outcome]
        if some:
            parts.append(f"{outcome} at {holes_between(some, bins)}")
    return ", ".join(parts) if parts else "separable at no single hole size"


def _interval(gap: Difference) -> Interval:
    return Interval(gap.value, gap.low, gap.high, gap.n, gap.clusters, 1)

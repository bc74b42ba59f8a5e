"""Two sets of results against each other: did anything get worse?

Rows are paired by (data set, picture, hole). Differences are b - a; Holm's correction runs over all of them, bins and
metrics alike. What is separably worse in b is a regression. Set metrics are compared over all holes only: a bin has too
few pictures for them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np
import pandas as pd

from gainbench.errors import EvaluationError
from gainbench.evaluation.metrics.catalogue import METRICS
from gainbench.evaluation.stats import SET_RESAMPLES, Difference, Interval, flips_for, holm, separable
from gainbench.report.alignment import ALL, ROW_KEY, aligned, chosen_rows, paired
from gainbench.report.numbers import NOTHING, bracket, decimals_of_intervals, fixed, listed
from gainbench.report.set_comparison import SET_IDS, FeaturesOf, set_difference

Verdict = Literal["better", "worse", "not separable"]

A, B = "a", "b"


@dataclass(frozen=True)
class Compared:
    """One metric in one bin (or ``all``) of one data set, for one method of each side.

    Attributes:
        dataset: where.
        metric: of what.
        bin: bin label, or ``all``.
        method_a: label on the first side.
        method_b: label on the second side.
        mean_a: mean over the compared rows.
        mean_b: mean over the same rows.
        difference: b - a, paired, with its interval.
        p: Holm-adjusted.
        verdict: of b, seen from a.
    """

    dataset: str
    metric: str
    bin: str
    method_a: str
    method_b: str
    mean_a: float
    mean_b: float
    difference: Difference
    p: float
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """All that was compared."""

    entries: tuple[Compared, ...]

    @property
    def regressions(self) -> list[Compared]:
        """Where b is separably worse than a."""
        return [entry for entry in self.entries if entry.verdict == "worse"]


def compare(
    rows_a: pd.DataFrame,
    rows_b: pd.DataFrame,
    *,
    metrics: Sequence[str] | None = None,
    features: tuple[FeaturesOf, FeaturesOf] | None = None,
) -> Comparison:
    """Compare two sets of rows as ``gainbench.run.StoredResults.rows`` holds them.

    If each side has one method, these two are compared, whatever their names; otherwise methods of the same name are.

    Args:
        rows_a: what is compared against.
        rows_b: what is judged.
        metrics: ids; None takes all metrics of single pictures that both sides have.
        features: of each side's cells, which set metrics need: :meth:`gainbench.run.StoredResults.features_of`.

    Raises:
        EvaluationError: set metrics without features; no data set, method, metric or row in common; rows that fill
            other holes or another scale.
    """
    sets = [name for name in metrics or () if name in SET_IDS]
    if sets and features is None:
        raise EvaluationError(f"{listed(sets)} is a metric of sets of pictures: it is compared from features alone")
    only_sets = metrics is not None and len(sets) == len(metrics)
    chosen = [] if only_sets else _common_metrics(rows_a, rows_b, metrics)
    pairs = _method_pairs(rows_a, rows_b)
    datasets = [name for name in rows_a["dataset"].unique() if name in set(rows_b["dataset"])]
    places = rows_a[["dataset", "bin"]].drop_duplicates().shape[0] + len(datasets)
    count = (len(chosen) * places + len(sets) * len(datasets)) * len(pairs)
    entries: list[Compared] = []
    for dataset, pair in product(datasets, pairs):
        both = _sides_of(dataset, pair, rows_a, rows_b)
        if both is None:
            continue
        if chosen:
            entries += _compared(dataset, pair, both, chosen, flips_for(count))
        if features:
            resamples = flips_for(count, fewest=SET_RESAMPLES)
            entries += [_compared_set(metric, pair, both, features, resamples) for metric in sets]
    if not entries:
        raise EvaluationError(
            f"nothing to compare: {_sides(rows_a)} on one side, {_sides(rows_b)} on the other; no data set and method "
            "is on both"
        )
    differences = [entry.difference for entry in entries]
    adjusted = holm([difference.p for difference in differences])
    return Comparison(
        tuple(
            replace(entry, p=float(p), verdict=_verdict(entry) if apart else "not separable")
            for entry, p, apart in zip(entries, adjusted, separable(differences, adjusted), strict=True)
        )
    )


def comparison_listing(comparison: Comparison) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heading and lines of a table for a terminal: differences over all holes first, then by bin."""
    heading = ("data set", "method", "metric", "holes", "a", "b", "b - a", "95 % interval", "p", "b is")
    lines: list[tuple[str, ...]] = []
    for entry in sorted(comparison.entries, key=lambda entry: (entry.dataset, entry.metric, entry.bin != ALL)):
        gap = entry.difference
        interval = Interval(gap.value, gap.low, gap.high, gap.n, gap.clusters, 1)
        digits = decimals_of_intervals([interval])
        method = entry.method_a if entry.method_a == entry.method_b else f"{entry.method_a}, {entry.method_b}"
        lines.append(
            (
                entry.dataset,
                method,
                entry.metric,
                entry.bin,
                fixed(entry.mean_a, digits),
                fixed(entry.mean_b, digits),
                fixed(gap.value, digits),
                bracket(interval, digits) or NOTHING,
                f"{entry.p:.3f}",
                entry.verdict,
            )
        )
    return heading, lines


def _sides_of(
    dataset: str, pair: tuple[str, str], rows_a: pd.DataFrame, rows_b: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """The rows of one method on each side, the same holes; None if a side has none."""
    a, b = (
        side[(side["dataset"] == dataset) & (side["method"] == method)]
        for side, method in zip((rows_a, rows_b), pair, strict=True)
    )
    if a.empty or b.empty:
        return None
    _refuse_other_holes(a, b)
    return a, b


def _compared_set(
    metric: str,
    pair: tuple[str, str],
    sides: tuple[pd.DataFrame, pd.DataFrame],
    features: tuple[FeaturesOf, FeaturesOf],
    resamples: int,
) -> Compared:
    """The difference in one set metric, its p not adjusted yet."""
    a, b, difference = set_difference(metric, *sides, features, resamples)
    dataset = sides[0]["dataset"].iloc[0]
    return Compared(dataset, metric, ALL, *pair, a, b, difference, difference.p, "not separable")


def _compared(
    dataset: str, pair: tuple[str, str], sides: tuple[pd.DataFrame, pd.DataFrame], metrics: Sequence[str], flips: int
) -> Iterator[Compared]:
    """The differences of one method on each side, their p not adjusted yet."""
    # Sides are named apart: the same cell may stand on both.
    renamed = [side.assign(method=name, key=name + side["key"]) for side, name in zip(sides, (A, B), strict=True)]
    rows = pd.concat(renamed, ignore_index=True)
    block = aligned(rows, list(metrics), [A, B])
    triples = [(metric, B, A) for metric in block.metrics]
    for bin_ in [ALL, *rows.groupby("bin")["bin_lo"].min().sort_values(kind="stable").index]:
        chosen = chosen_rows(block, bin_, ALL)
        for (metric, _, _), difference in paired(block, chosen, triples, flips):
            if difference.n:
                column = block.metrics.index(metric)
                a, b = (block.numbers[name][:, chosen, column] for name in (A, B))
                shared = np.isfinite(a).all(axis=0) & np.isfinite(b).all(axis=0)
                yield Compared(
                    dataset=dataset,
                    metric=metric,
                    bin=bin_,
                    method_a=pair[0],
                    method_b=pair[1],
                    mean_a=float(a[:, shared].mean()),
                    mean_b=float(b[:, shared].mean()),
                    difference=difference,
                    p=difference.p,
                    verdict="not separable",
                )


def _refuse_other_holes(a: pd.DataFrame, b: pd.DataFrame) -> None:
    if a["scale"].iloc[0] != b["scale"].iloc[0]:
        raise EvaluationError(
            f"scales differ ({a['scale'].iloc[0]} and {b['scale'].iloc[0]}): their pictures are not the same"
        )
    keys = [*ROW_KEY, "mask_id"]
    both = a[keys].drop_duplicates().merge(b[keys].drop_duplicates(), on=ROW_KEY, suffixes=("_a", "_b"))
    dataset = a["dataset"].iloc[0]
    if both.empty:
        raise EvaluationError(f"no (picture, hole) of {dataset} is on both sides")
    other = both[both["mask_id_a"] != both["mask_id_b"]]
    if len(other):
        first = other.iloc[0]
        raise EvaluationError(
            f"{len(other)} of {len(both)} pictures of {dataset} were given other holes (first: {first['image_id']}, "
            f"{first['bin']}: {first['mask_id_a']} and {first['mask_id_b']}); only the same holes can be compared"
        )


def _common_metrics(a: pd.DataFrame, b: pd.DataFrame, wanted: Sequence[str] | None) -> list[str]:
    shared = [name for name, info in METRICS.items() if info.per == "picture" and name in a and name in b]
    if wanted is None:
        if not shared:
            raise EvaluationError("nothing to compare: the two sides share no metric")
        return shared
    absent = [name for name in wanted if name not in (*shared, *SET_IDS)]
    if absent:
        raise EvaluationError(f"{listed(absent)} is not on both sides; both have {listed(shared) or 'none'}")
    return [name for name in wanted if name in shared]


def _method_pairs(a: pd.DataFrame, b: pd.DataFrame) -> list[tuple[str, str]]:
    left, right = list(a["method"].unique()), list(b["method"].unique())
    if len(left) == len(right) == 1:
        return [(left[0], right[0])]
    shared = [name for name in left if name in right]
    return [(name, name) for name in shared]


def _sides(rows: pd.DataFrame) -> str:
    return f"{listed(sorted(rows['method'].unique())) or 'no method'} on {listed(sorted(rows['dataset'].unique()))}"


def _verdict(entry: Compared) -> Verdict:
    lower = METRICS[entry.metric].direction == "lower"
    return "better" if (entry.difference.value < 0) == lower else "worse"

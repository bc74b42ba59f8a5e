"""Every two methods against each other: who is better, by how much, with which hole sizes.

Holm's correction runs over all pairs, hole sizes and the pooled holes of one metric on one data set. That family is
larger than the tables', which compare with the best alone: a pair may be separable there and not here.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gainbench.evaluation.metrics.catalogue import METRICS
from gainbench.evaluation.pairwise import pairwise_differences
from gainbench.evaluation.stats import Difference, flips_for, holm, separable
from gainbench.report.alignment import ALL, Block, chosen_rows

Names = tuple[str, str]


@dataclass(frozen=True)
class Pair:
    """Two methods in one place.

    Attributes:
        difference: first minus second, paired by picture and hole, with its interval.
        p: Holm-adjusted; None where one of the two is an oracle, which is never ranked.
        winner: the one that is separably better; empty if they cannot be told apart or are not compared.
    """

    difference: Difference
    p: float | None = None
    winner: str = ""


def compared_pairs(block: Block, bins: Sequence[str]) -> dict[tuple[str, str], dict[Names, Pair]]:
    """(metric, bin or ``all``) -> (first, second) -> the pair; border classes pooled, names in the suite's order."""
    methods = list(block.numbers)
    if len(methods) < 2 or not block.metrics:
        return {}
    flips = flips_for(_comparisons(methods, bins, block.oracles))
    found: dict[tuple[str, str], dict[Names, Pair]] = {}
    for some in (list(bins), [ALL]):
        photographs, values = _side_by_side(block, some)
        places = [(metric, bin_) for bin_ in some for metric in block.metrics]
        for (i, j), several in pairwise_differences(values, photographs, flips=flips).items():
            for place, difference in zip(places, several, strict=True):
                if difference.n:
                    found.setdefault(place, {})[methods[i], methods[j]] = Pair(difference)
    for metric in block.metrics:
        _adjust(found, metric, block.oracles)
    return found


def least_p(methods: Sequence[str], bins: Sequence[str], oracles: Collection[str] = ()) -> float:
    """The smallest adjusted p that random sign flips can find among all comparisons of these methods."""
    comparisons = _comparisons(methods, bins, oracles)
    return comparisons / (flips_for(comparisons) + 1)


def _comparisons(methods: Sequence[str], bins: Sequence[str], oracles: Collection[str]) -> int:
    ranked = [method for method in methods if method not in oracles]
    return max(1, len(list(combinations(ranked, 2))) * (len(bins) + 1))


def seen_from(pair: Pair) -> Pair:
    """The same two methods, second minus first."""
    gap = pair.difference
    return replace(pair, difference=replace(gap, value=-gap.value, low=-gap.high, high=-gap.low))


def _side_by_side(block: Block, bins: Sequence[str]) -> tuple[NDArray[np.generic], list[NDArray[np.float64]]]:
    """Bins as columns, so that what is drawn for a photograph is drawn once for all of them.

    Nothing is paired across columns: within a photograph, its rows of one bin and of another may stand in any order.

    Returns:
        the photograph of each row, and for each method (seeds, rows, bins x metrics); NaN where a photograph has fewer
        rows in one bin than in another.
    """
    names, codes = np.unique(block.photographs, return_inverse=True)
    chosen = [chosen_rows(block, bin_, ALL) for bin_ in bins]
    most = np.max([np.bincount(codes[rows], minlength=len(names)) for rows in chosen], axis=0)
    starts = np.cumsum(most) - most
    metrics = len(block.metrics)
    values = [np.full((len(own), int(most.sum()), len(bins) * metrics), np.nan) for own in block.numbers.values()]
    for place, rows in enumerate(chosen):
        own = pd.Series(codes[rows])
        slots = starts[codes[rows]] + own.groupby(own).cumcount().to_numpy()
        for array, numbers in zip(values, block.numbers.values(), strict=True):
            array[:, slots, place * metrics : (place + 1) * metrics] = numbers[:, rows]
    return np.repeat(names, most), values


def _adjust(found: dict[tuple[str, str], dict[Names, Pair]], metric: str, oracles: Collection[str]) -> None:
    """Adjust the p of one metric's ranked pairs together, and name the winners."""
    compared = [
        (place, names, pair)
        for place, pairs in found.items()
        if place[0] == metric
        for names, pair in pairs.items()
        if not any(name in oracles for name in names)
    ]
    differences = [pair.difference for *_, pair in compared]
    adjusted = holm([difference.p for difference in differences])
    lower = METRICS[metric].direction == "lower"
    for (place, names, pair), p, apart in zip(compared, adjusted, separable(differences, adjusted), strict=True):
        better = names[0] if (pair.difference.value < 0) == lower else names[1]
        found[place][names] = replace(pair, p=float(p), winner=better if apart else "")

"""Which differences are real: intervals, paired differences and tests that respect photographs and seeds.

Two facts shape everything here. Several test pictures may be crops of one photograph, so photographs, not pictures, are
what is resampled. All methods fill the same holes in the same pictures, so a difference is taken row by row before
anything is averaged.

Numbers stand in arrays of shape (seeds, rows, columns): a row is one (picture, hole), a column is one quantity that is
analysed on its own (a metric of a method). NaN marks a value that does not exist; a column uses the rows in which every
seed has a value. With several seeds the bootstrap has two levels, seeds and photographs. With one seed an interval
speaks of the trained networks at hand, not of training them again.

Source: Holm, "A simple sequentially rejective multiple test procedure", 1979. Those of the bootstrap are named in
``resampling``.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gainbench.errors import EvaluationError
from gainbench.evaluation.resampling import (
    Floats,
    Side,
    bootstrapped,
    cluster_codes,
    cluster_sums,
    every_sign,
    few_rows,
    random_signs,
)
from gainbench.keyed import keyed_generator

CONFIDENCE = 0.95
RESAMPLES = 10_000
ALPHA = 0.05

SET_RESAMPLES = 200
"""Resamples of whole sets of pictures, each with distances of its own."""

SetDistance = Callable[[NDArray[np.intp]], float]
"""A set metric of one method, as a function of the rows that it is taken over."""

MOST_COLUMNS = 256
"""Columns that are resampled at a time: a suite of hundreds of methods takes no more memory than one of a few."""


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval.

    Attributes:
        value: the mean over rows and seeds, in the metric's unit.
        low: lower end; NaN if there are fewer than two clusters.
        high: upper end; NaN if there are fewer than two clusters.
        n: rows, (picture, hole) pairs, that the mean is taken over.
        clusters: photographs among them.
        seeds: training runs among them.
    """

    value: float
    low: float
    high: float
    n: int
    clusters: int
    seeds: int


@dataclass(frozen=True)
class Difference:
    """The paired difference a - b of two means.

    Attributes:
        value: mean of a minus mean of b over the rows that both have.
        low: lower end of its interval; NaN if there are fewer than two clusters.
        high: upper end of its interval.
        p: two-sided sign-flip permutation p over clusters, not adjusted; NaN if there are no rows.
        n: rows compared.
        clusters: photographs among them.
    """

    value: float
    low: float
    high: float
    p: float
    n: int
    clusters: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


def interval_of_mean(
    values: ArrayLike,
    clusters: Sequence[object] | NDArray[np.generic] | None = None,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Interval:
    """The mean of one column with its BCa bootstrap interval, clusters resampled as wholes.

    Args:
        values: (rows,) or (seeds, rows); NaN rows are left out.
        clusters: (rows,) the photograph of each row; None if every row stands alone.
        confidence: coverage of the interval, in (0, 1).
        resamples: bootstrap resamples.

    Raises:
        EvaluationError: the shapes do not fit.
    """
    array = np.asarray(values, dtype=np.float64)
    stacked = array[None, :, None] if array.ndim == 1 else array[:, :, None]
    names = np.arange(stacked.shape[1]) if clusters is None else clusters
    return intervals_of_means(stacked, names, confidence=confidence, resamples=resamples)[0]


def intervals_of_means(
    values: ArrayLike,
    clusters: Sequence[object] | NDArray[np.generic],
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> list[Interval]:
    """The mean and BCa interval of each column of ``values`` (seeds, rows, columns).

    Raises:
        EvaluationError: the shapes do not fit.
    """
    array = _checked(values, clusters)
    codes = cluster_codes(clusters)
    results: list[Interval | None] = [None] * array.shape[2]
    for columns, rows in _columns_by_rows(array):
        counts, (sums,) = cluster_sums(codes, rows, (array[:, :, columns],))
        estimate, low, high = bootstrapped([Side(1.0, sums)], counts, confidence, resamples)
        for place, column in enumerate(columns):
            results[column] = Interval(
                float(estimate[place]),
                float(low[place]),
                float(high[place]),
                len(rows),
                len(counts),
                array.shape[0],
            )
    return [result for result in results if result is not None]


def paired_differences(
    a: ArrayLike,
    b: ArrayLike,
    clusters: Sequence[object] | NDArray[np.generic],
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    flips: int = RESAMPLES,
) -> list[Difference]:
    """The difference of the means of ``a`` and ``b``, column by column, paired by row.

    Seeds of ``a`` and ``b`` are separate training runs, resampled apart; photographs are resampled for both at once.
    The permutation p flips the signs of the photographs' differences, averaged over seeds: it speaks of photographs
    only.

    Args:
        a: (seeds of a, rows, columns).
        b: (seeds of b, rows, columns), the same rows in the same order.
        clusters: (rows,) the photograph of each row.
        confidence: coverage of the interval, in (0, 1).
        resamples: bootstrap resamples.
        flips: sign flips; all of them are enumerated if there are no more.

    Raises:
        EvaluationError: the shapes do not fit.
    """
    left, right = _checked(a, clusters), _checked(b, clusters)
    if left.shape[1:] != right.shape[1:]:
        raise EvaluationError(f"paired rows and columns must agree, found {left.shape[1:]} and {right.shape[1:]}")
    codes = cluster_codes(clusters)
    results: list[Difference | None] = [None] * left.shape[2]
    for columns, rows in _columns_by_rows(left, right):
        counts, (sums_a, sums_b) = cluster_sums(codes, rows, (left[:, :, columns], right[:, :, columns]))
        sides = [Side(1.0, sums_a), Side(-1.0, sums_b)]
        estimate, low, high = bootstrapped(sides, counts, confidence, resamples)
        p = sign_flip_p(sums_a.mean(axis=0) - sums_b.mean(axis=0), flips=flips)
        for place, column in enumerate(columns):
            results[column] = Difference(
                float(estimate[place]),
                float(low[place]),
                float(high[place]),
                float(p[place]),
                len(rows),
                len(counts),
            )
    return [result for result in results if result is not None]


def sign_flip_p(sums: ArrayLike, *, flips: int = RESAMPLES) -> Floats:
    """Two-sided sign-flip permutation p of clusters' summed differences.

    Under the null each cluster's difference is symmetric around zero, so its sign carries nothing. The statistic is the
    absolute total. All 2^G sign patterns are used where there are at most ``flips`` of them; otherwise ``flips`` random
    ones, the observed pattern counted among them, so that p is never zero.

    Args:
        sums: (clusters, columns).
        flips: random sign patterns.

    Returns:
        (columns,) in (0, 1]; NaN where there are no clusters.
    """
    totals = np.asarray(sums, dtype=np.float64)
    clusters, columns = totals.shape
    if clusters == 0:
        return np.full(columns, np.nan)
    # A tie is a tie in exact arithmetic; sums in another order differ in the last bits.
    threshold = np.abs(totals.sum(axis=0)) - 1e-12 * np.abs(totals).sum(axis=0)
    exact = 2**clusters <= flips
    reached, tried = np.zeros(columns), 0
    for signs in every_sign(clusters) if exact else random_signs(clusters, flips):
        for some in few_rows(signs, columns):
            reached += (np.abs(some @ totals) >= threshold).sum(axis=0)
        tried += len(signs)
    return reached / tried if exact else (reached + 1) / (tried + 1)


def flips_for(comparisons: int, *, fewest: int = RESAMPLES, alpha: float = ALPHA) -> int:
    """Sign flips, or resamples, whose smallest p stays far enough below alpha / comparisons for Holm to reject."""
    return max(fewest, int(np.ceil(5 * comparisons / alpha)))


def holm(p: ArrayLike) -> Floats:
    """Holm's adjusted p values: reject where they are below alpha, and the family's error rate is at most alpha.

    Args:
        p: (comparisons,) unadjusted; NaN stands for a comparison that could not be made and stays NaN.
    """
    raw = np.asarray(p, dtype=np.float64)
    adjusted = np.full(raw.shape, np.nan)
    made = np.flatnonzero(np.isfinite(raw))
    order = made[np.argsort(raw[made], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(raw[order] * factors), 1.0)
    return adjusted


def separable(differences: Sequence[Difference], adjusted: ArrayLike, *, alpha: float = ALPHA) -> list[bool]:
    """Which differences are real: the adjusted p is below ``alpha`` and the interval excludes zero.

    Both are asked because only the interval knows of seeds, and only the adjusted p of the number of comparisons.
    """
    values = np.asarray(adjusted, dtype=np.float64)
    return [bool(p < alpha) and one.excludes_zero for one, p in zip(differences, values, strict=True)]


def set_metric_difference(
    a: SetDistance,
    b: SetDistance,
    photographs: Sequence[object] | NDArray[np.generic],
    *,
    confidence: float = CONFIDENCE,
    resamples: int = SET_RESAMPLES,
) -> Difference:
    """The difference a - b of a set metric (Frechet distance, KID) of two methods, by shared-index resampling.

    A resampled set repeats pictures, which raises a Frechet distance; drawing the same photographs for both methods
    lets that bias cancel in the difference, and what is left of it is removed by centring. No interval is given for a
    single distance. A statistic that is no mean has no sign-flip p; ``p`` is the share of centred resamples at least as
    far from zero as the observed difference.

    Args:
        a: the distance of one method's completed pictures to the real ones, for the rows (intp, with repeats) it is
            given.
        b: the same of the other method, on the same rows.
        photographs: (rows,) the photograph of each row.
        confidence: coverage of the interval, in (0, 1).
        resamples: shared-index resamples.

    Raises:
        EvaluationError: fewer than two photographs.
    """
    codes = cluster_codes(photographs)
    members = [np.flatnonzero(codes == code) for code in range(codes.max(initial=-1) + 1)]
    if len(members) < 2:
        raise EvaluationError(f"set metrics are compared over photographs, found {len(members)}; two are the least")
    rng = keyed_generator("statistics", "set-metric", len(members))
    every = np.arange(len(codes))
    observed = a(every) - b(every)
    drawn = np.empty(resamples)
    for place in range(resamples):
        rows = np.concatenate([members[code] for code in rng.integers(0, len(members), len(members))])
        drawn[place] = a(rows) - b(rows)
    centred = drawn - drawn.mean()
    low, high = np.quantile(centred, [(1 - confidence) / 2, (1 + confidence) / 2])
    p = float((1 + (np.abs(centred) >= abs(observed)).sum()) / (resamples + 1))
    return Difference(float(observed), float(observed + low), float(observed + high), p, len(codes), len(members))


def _checked(values: ArrayLike, clusters: Sequence[object] | NDArray[np.generic]) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 3 or array.shape[1] != len(clusters):
        raise EvaluationError(
            f"expected values of shape (seeds, rows, columns) and one cluster a row, found {array.shape} and "
            f"{len(clusters)} clusters"
        )
    return array


def _columns_by_rows(*arrays: Floats) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Columns that have values of every seed in the same rows, some together: (their places, the rows)."""
    finite = np.isfinite(np.concatenate(arrays, axis=0)).min(axis=0)
    groups: dict[bytes, list[int]] = {}
    for column in range(finite.shape[1]):
        groups.setdefault(finite[:, column].tobytes(), []).append(column)
    for columns in groups.values():
        rows = np.flatnonzero(finite[:, columns[0]])
        for start in range(0, len(columns), MOST_COLUMNS):
            yield np.array(columns[start : start + MOST_COLUMNS], dtype=np.intp), rows

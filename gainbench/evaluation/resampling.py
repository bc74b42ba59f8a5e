"""Resampled clusters and seeds: the bootstrap and the sign flips that ``stats`` draws its conclusions from.

Arrays are (seeds S, clusters G, columns K). Clusters are photographs. With several seeds, seeds and clusters are
resampled independently: every seed saw every picture, so the two factors are crossed (Owen, "The pigeonhole bootstrap",
2007).

Sources: Efron, "Better bootstrap confidence intervals", 1987 (BCa); Efron and Tibshirani, "An introduction to the
bootstrap", 1993, chapter 14 (acceleration, several samples).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gainbench.keyed import keyed_generator

Floats = NDArray[np.float64]

_CHUNK = 4_000_000
"""Largest number of resampling weights held at once (32 MB in float64)."""


@dataclass(frozen=True)
class Side:
    """One of the means that make up an estimate: its sign and its sums by seed and cluster, (S, G, K)."""

    sign: float
    sums: Floats


def cluster_codes(clusters: Sequence[object] | NDArray[np.generic]) -> NDArray[np.intp]:
    """Names as numbers 0, 1, ... in sorted order."""
    return np.unique(np.asarray(clusters), return_inverse=True)[1].astype(np.intp)


def bca_bounds(
    estimate: Floats, distribution: Floats, jackknives: Sequence[Floats], confidence: float
) -> tuple[Floats, Floats]:
    """The ends of the bias-corrected and accelerated interval.

    Args:
        estimate: (columns,) the statistic of the data.
        distribution: (resamples, columns) the statistic of each resample.
        jackknives: for each resampled factor, (its levels, columns) the statistic with one level left out.
        confidence: coverage of the interval, in (0, 1).

    Returns:
        lower and upper ends, (columns,) each; both equal the estimate where nothing varies.
    """
    size = len(distribution)
    below = ((distribution < estimate).mean(axis=0) + (distribution <= estimate).mean(axis=0)) / 2
    bias = special.ndtri(np.clip(below, 0.5 / size, 1 - 0.5 / size))
    cubes, squares = np.zeros_like(estimate), np.zeros_like(estimate)
    for left_out in jackknives:
        levels = len(left_out)
        influence = (levels - 1) * (left_out.mean(axis=0) - left_out)
        cubes += (influence**3).sum(axis=0) / levels**3
        squares += (influence**2).sum(axis=0) / levels**2
    acceleration = np.divide(cubes, 6 * squares**1.5, out=np.zeros_like(estimate), where=squares > 0)
    z = bias + special.ndtri(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))[:, None]
    low, high = _quantiles(distribution, special.ndtr(bias + z / (1 - acceleration * z)))
    # Rounding alone makes resamples of a constant differ.
    still = np.ptp(distribution, axis=0) <= 1e-9 * np.abs(estimate)
    return np.where(still, estimate, low), np.where(still, estimate, high)


def _quantiles(distribution: Floats, levels: Floats) -> Floats:
    """Linear interpolation between order statistics: (levels, columns) of (resamples, columns)."""
    last = len(distribution) - 1
    positions = levels * last
    lower = np.floor(positions).astype(np.intp)
    upper = np.minimum(lower + 1, last)
    values = np.empty_like(positions)
    for column, resampled in enumerate(np.ascontiguousarray(distribution.T)):
        below, above = lower[:, column], upper[:, column]
        # Sorting everything would take most of a report's time; four places are asked for.
        ordered = np.partition(resampled, np.concatenate([below, above]))
        values[:, column] = ordered[below] + (positions[:, column] - below) * (ordered[above] - ordered[below])
    return values


def cluster_sums(
    codes: NDArray[np.intp], rows: NDArray[np.intp], arrays: Sequence[Floats]
) -> tuple[Floats, list[Floats]]:
    """Rows a cluster, (G,), and each array's sums by cluster, (S, G, K); clusters without rows are left out."""
    if len(rows) == 0:
        return np.zeros(0), [np.zeros((len(array), 0, array.shape[2])) for array in arrays]
    order = rows[np.argsort(codes[rows], kind="stable")]
    _, starts, counts = np.unique(codes[order], return_index=True, return_counts=True)
    return counts.astype(np.float64), [np.add.reduceat(array[:, order], starts, axis=1) for array in arrays]


def bootstrapped(
    sides: Sequence[Side], counts: Floats, confidence: float, resamples: int
) -> tuple[Floats, Floats, Floats]:
    """Estimate and interval ends, (K,) each, of the signed sum of the sides' means."""
    columns = sides[0].sums.shape[2]
    unknown = np.full(columns, np.nan)
    if len(counts) == 0:
        return unknown, unknown, unknown
    total = counts.sum()
    clustered = np.sum([side.sign * side.sums.mean(axis=0) for side in sides], axis=0)
    estimate: Floats = clustered.sum(axis=0) / total
    if len(counts) < 2:
        return estimate, unknown, unknown
    pieces = []
    for chunk, weights in enumerate(_weights(len(counts), resamples)):
        numerator = np.zeros((len(weights), columns))
        for place, side in enumerate(sides):
            numerator += side.sign * _resampled_side(side.sums, weights, place, chunk)
        pieces.append(numerator / (weights @ counts)[:, None])
    jackknives = _jackknives(sides, clustered, counts, estimate)
    low, high = bca_bounds(estimate, np.concatenate(pieces), jackknives, confidence)
    return estimate, low, high


def resampled_means(sums: Sequence[Floats], counts: Floats, resamples: int) -> list[Floats]:
    """Each method's means over the same resampled clusters, (resamples, K) each; its seeds are resampled on their own.

    Args:
        sums: each method's sums by seed and cluster, (S, G, K).
        counts: (G,) rows a cluster; at least two clusters.
        resamples: how many.
    """
    pieces: list[list[Floats]] = [[] for _ in sums]
    for chunk, weights in enumerate(_weights(len(counts), resamples)):
        rows = (weights @ counts)[:, None]
        for place, own in enumerate(sums):
            pieces[place].append(_resampled_side(own, weights, place, chunk) / rows)
    return [np.concatenate(own) for own in pieces]


def bounds_of_difference(
    sides: Sequence[Side], counts: Floats, distribution: Floats, confidence: float
) -> tuple[Floats, Floats, Floats]:
    """Estimate and interval ends, (K,) each, where the resampled estimates, (resamples, K), are already drawn."""
    clustered = np.sum([side.sign * side.sums.mean(axis=0) for side in sides], axis=0)
    estimate: Floats = clustered.sum(axis=0) / counts.sum()
    jackknives = _jackknives(sides, clustered, counts, estimate)
    return estimate, *bca_bounds(estimate, distribution, jackknives, confidence)


def _jackknives(sides: Sequence[Side], clustered: Floats, counts: Floats, estimate: Floats) -> list[Floats]:
    """The estimate without each cluster, and without each seed of a side that has several."""
    total = counts.sum()
    left_out = [(clustered.sum(axis=0) - clustered) / (total - counts)[:, None]]
    return left_out + [_without_each_seed(side, estimate, total) for side in sides if len(side.sums) > 1]


def _resampled_side(sums: Floats, weights: Floats, place: int, chunk: int) -> Floats:
    """Weighted totals of one side, (resamples, K), its seeds resampled apart from the clusters."""
    seeds, clusters, columns = sums.shape
    if seeds == 1:
        single: Floats = weights @ sums[0]
        return single
    rng = keyed_generator("statistics", "seeds", seeds, place, chunk)
    shares = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=len(weights)) / seeds
    by_seed = (weights @ sums.transpose(1, 0, 2).reshape(clusters, seeds * columns)).reshape(-1, seeds, columns)
    totals: Floats = np.einsum("bsk,bs->bk", by_seed, shares)
    return totals


def _without_each_seed(side: Side, estimate: Floats, total: float) -> Floats:
    """The estimate with each of a side's seeds left out, (S, K)."""
    means = side.sums.sum(axis=1) / total
    seeds = len(means)
    left_out: Floats = estimate + side.sign * ((means.sum(axis=0) - means) / (seeds - 1) - means.mean(axis=0))
    return left_out


def _weights(clusters: int, resamples: int) -> Iterator[Floats]:
    """How often each resample draws each cluster, (at most a chunk of resamples, clusters) at a time."""
    step = max(1, _CHUNK // clusters)
    for start in range(0, resamples, step):
        yield _weight_chunk(clusters, min(step, resamples - start), start)


@lru_cache(maxsize=3)
def _weight_chunk(clusters: int, rows: int, start: int) -> Floats:
    rng = keyed_generator("statistics", "bootstrap", clusters, start)
    drawn = rng.integers(0, clusters, (rows, clusters)) + np.arange(rows)[:, None] * clusters
    weights = np.bincount(drawn.ravel(), minlength=rows * clusters).reshape(rows, clusters).astype(np.float64)
    weights.setflags(write=False)
    return weights


def few_rows(weights: Floats, columns: int) -> Iterator[Floats]:
    """Slices of resampling weights, (rows, G), so small that their products with (G, columns) take little memory."""
    step = max(1, _CHUNK // max(1, columns))
    for start in range(0, len(weights), step):
        yield weights[start : start + step]


def every_sign(clusters: int) -> Iterator[Floats]:
    """All 2^G sign patterns, (patterns, G)."""
    patterns = np.arange(2**clusters)[:, None] >> np.arange(clusters) & 1
    yield (1 - 2 * patterns).astype(np.float64)


def random_signs(clusters: int, flips: int) -> Iterator[Floats]:
    """``flips`` random sign patterns, (at most a chunk of patterns, G) at a time."""
    step = max(1, _CHUNK // clusters)
    for start in range(0, flips, step):
        yield _sign_chunk(clusters, min(step, flips - start), start)


@lru_cache(maxsize=3)
def _sign_chunk(clusters: int, rows: int, start: int) -> Floats:
    rng = keyed_generator("statistics", "sign-flip", clusters, start)
    bits = np.unpackbits(np.frombuffer(rng.bytes((rows * clusters + 7) // 8), np.uint8), count=rows * clusters)
    signs: Floats = (1.0 - 2.0 * bits.reshape(rows, clusters)).astype(np.float64, copy=False)
    signs.setflags(write=False)
    return signs

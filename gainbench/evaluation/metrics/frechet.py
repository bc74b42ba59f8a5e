"""Distances between two sets of features: Frechet distance and kernel distance, in float64. Needs no torch."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from gainbench.errors import EvaluationError
from gainbench.evaluation.metrics.guards import check_features

Features = NDArray[np.floating[Any]]
"""Floating point (N, d): one row a picture."""

Rows = NDArray[np.intp]
"""Numbers of rows of a set, which may repeat."""

_BLOCK = 1024
"""Pictures of a set held in float64 at a time, so that memory stays flat in their number."""


def _check_two_sets(first: Features, second: Features) -> None:
    check_features(first, "first")
    check_features(second, "second")
    if first.shape[1] != second.shape[1]:
        raise EvaluationError(f"features must have one width, found {first.shape[1]} and {second.shape[1]}")


def frechet_distance(first: Features, second: Features) -> float:
    """Squared Frechet (2-Wasserstein) distance between the Gaussians fitted to two sets of features.

    |mu1 - mu2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) with unbiased covariances (Heusel et al. 2017, NeurIPS, eq. 6). With
    A = (F1 - mu1) / sqrt(N1 - 1) and B likewise, S1 = A^T A and S2 = B^T B, the trace of the square root is the
    nuclear norm |A B^T|_*, which is exact and cheap where a set has at most d pictures; otherwise the d x d form is
    used. The estimate is biased upwards for few pictures: compare values of equal N only.

    Args:
        first: (N1, d).
        second: (N2, d).

    Returns:
        The distance, at least 0 up to rounding.

    Raises:
        EvaluationError: other types or shapes, fewer than two rows, values that are not finite.
    """
    _check_two_sets(first, second)
    shift = first.mean(axis=0, dtype=np.float64) - second.mean(axis=0, dtype=np.float64)
    if min(len(first), len(second)) <= first.shape[1]:
        traces = _traces_by_samples(first, second)
    else:
        traces = _traces_by_dimensions(_covariance(first), _covariance(second))
    return float(shift @ shift + traces)


def _traces_by_samples(first: Features, second: Features) -> float:
    a, b = _centred(first), _centred(second)
    squares = float(np.vdot(a, a) + np.vdot(b, b))
    return squares - 2.0 * float(linalg.svdvals(a @ b.T, overwrite_a=True, check_finite=False).sum())


def _centred(features: Features) -> NDArray[np.float64]:
    exact = features.astype(np.float64)
    centred: NDArray[np.float64] = (exact - exact.mean(axis=0)) / np.sqrt(len(exact) - 1)
    return centred


def _covariance(features: Features) -> NDArray[np.float64]:
    mean = features.mean(axis=0, dtype=np.float64)
    total = np.zeros((features.shape[1], features.shape[1]))
    for block in _blocks(features):
        centred = block - mean
        total += centred.T @ centred
    return total / (len(features) - 1)


def _traces_by_dimensions(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    values, vectors = linalg.eigh(first, check_finite=False)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    middle = root @ second @ root
    spectrum = linalg.eigvalsh((middle + middle.T) / 2.0, check_finite=False)
    return float(np.trace(first) + np.trace(second) - 2.0 * np.sqrt(np.maximum(spectrum, 0.0)).sum())


def kernel_distance(first: Features, second: Features) -> float:
    """Squared maximum mean discrepancy with the kernel (x.y / d + 1)^3: KID without its subsets.

    The unbiased estimator over all pairs (Binkowski et al. 2018, ICLR, eq. 4; Gretton et al. 2012, lemma 6): its
    expectation is 0 for independent sets of equal distributions at any N, so a single value may be negative.

    Args:
        first: (N1, d).
        second: (N2, d).

    Returns:
        The estimate.

    Raises:
        EvaluationError: other types or shapes, fewer than two rows, values that are not finite.
    """
    _check_two_sets(first, second)
    m, n = len(first), len(second)
    within_first = (_kernel_sum(first, first) - _kernel_diagonal_sum(first)) / (m * (m - 1))
    within_second = (_kernel_sum(second, second) - _kernel_diagonal_sum(second)) / (n * (n - 1))
    return within_first + within_second - 2.0 * _kernel_sum(first, second) / (m * n)


def frechet_distance_by_rows(first: Features, second: Features) -> Callable[[Rows], float]:
    """:func:`frechet_distance` of any rows of ``first``, with repeats, to the whole of ``second``."""
    _check_two_sets(first, second)
    return lambda rows: frechet_distance(first[rows], second)


def kernel_distance_by_rows(first: Features, second: Features) -> Callable[[Rows], float]:
    """:func:`kernel_distance` of any rows of ``first``, with repeats, to the whole of ``second``.

    Kernels are computed once, so that thousands of resamples cost no more than as many products of an (N1, N1) matrix
    and a vector. Holds N1 x N1 values.
    """
    _check_two_sets(first, second)
    x, y = first.astype(np.float64), second.astype(np.float64)
    n = len(y)
    within = (x @ x.T / x.shape[1] + 1.0) ** 3
    across = ((x @ y.T / x.shape[1] + 1.0) ** 3).sum(axis=1)
    within_second = (_kernel_sum(second, second) - _kernel_diagonal_sum(second)) / (n * (n - 1))
    diagonal = np.diagonal(within)

    def distance(rows: Rows) -> float:
        m = len(rows)
        if m < 2:
            raise EvaluationError(f"a kernel distance needs two rows, found {m}")
        counts = np.bincount(rows, minlength=len(x)).astype(np.float64)
        pairs = float(counts @ within @ counts - counts @ diagonal) / (m * (m - 1))
        return pairs + within_second - 2.0 * float(counts @ across) / (m * n)

    return distance


def _kernel_sum(x: Features, y: Features) -> float:
    total = 0.0
    for rows in _blocks(x):
        for columns in _blocks(y):
            base = rows @ columns.T
            base /= x.shape[1]
            base += 1.0
            total += float((base * base * base).sum())
    return total


def _kernel_diagonal_sum(x: Features) -> float:
    return sum(float(((np.einsum("nd,nd->n", rows, rows) / x.shape[1] + 1.0) ** 3).sum()) for rows in _blocks(x))


def _blocks(features: Features) -> Iterator[NDArray[np.float64]]:
    for start in range(0, len(features), _BLOCK):
        yield features[start : start + _BLOCK].astype(np.float64)


class SetMetric(NamedTuple):
    """What a set metric is computed from, and how."""

    features: str
    """Name of the features in ``features.npz``."""
    distance: Callable[[Features, Features], float]
    distance_by_rows: Callable[[Features, Features], Callable[[Rows], float]]


SET_METRICS = {
    "fid": SetMetric("inception", frechet_distance, frechet_distance_by_rows),
    "fid_pytorch": SetMetric("inception_pytorch", frechet_distance, frechet_distance_by_rows),
    "fd_mobilenetv2": SetMetric("mobilenetv2", frechet_distance, frechet_distance_by_rows),
    "kid_mobilenetv2": SetMetric("mobilenetv2", kernel_distance, kernel_distance_by_rows),
}
"""Every set metric of the catalogue."""

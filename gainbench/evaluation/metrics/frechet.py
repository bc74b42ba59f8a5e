"""Distances between two sets of features: Frechet distance and kernel distance, in float64."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from gainbench.errors import EvaluationError
from gainbench.evaluation.metrics.guards import check_features

Features = NDArray[np.floating[Any]]
"""Floating point (N, d): one row a picture."""

_BLOCK = 1024
"""Rows of a kernel matrix held at a time: memory stays flat in the number of pictures."""


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
    mean_1, a = _centred(first)
    mean_2, b = _centred(second)
    if min(len(a), len(b)) <= a.shape[1]:
        root_trace = _trace_of_root_by_samples(a, b)
    else:
        root_trace = _trace_of_root_by_dimensions(a, b)
    shift = mean_1 - mean_2
    return float(shift @ shift + np.vdot(a, a) + np.vdot(b, b) - 2.0 * root_trace)


def _centred(features: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    exact = features.astype(np.float64)
    mean = exact.mean(axis=0)
    return mean, (exact - mean) / np.sqrt(len(exact) - 1)


def _trace_of_root_by_samples(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    cross = a @ b.T
    return float(linalg.svdvals(cross, overwrite_a=True, check_finite=False).sum())


def _trace_of_root_by_dimensions(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    values, vectors = linalg.eigh(a.T @ a, check_finite=False)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    middle = root @ (b.T @ b) @ root
    return float(np.sqrt(np.maximum(linalg.eigvalsh((middle + middle.T) / 2.0, check_finite=False), 0.0)).sum())


def kernel_distance(first: Features, second: Features) -> float:
    """Squared maximum mean discrepancy with the kernel (x.y / d + 1)^3: KID without its subsets.

    The unbiased estimator over all pairs (Binkowski et al. 2018, ICLR, eq. 4; Gretton et al. 2012, lemma 6): its
    expectation is 0 for equal distributions at any N, so a single value may be negative.

    Args:
        first: (N1, d).
        second: (N2, d).

    Returns:
        The estimate.

    Raises:
        EvaluationError: other types or shapes, fewer than two rows, values that are not finite.
    """
    _check_two_sets(first, second)
    x, y = first.astype(np.float64), second.astype(np.float64)
    m, n = len(x), len(y)
    within_x = (_kernel_sum(x, x) - _kernel_diagonal_sum(x)) / (m * (m - 1))
    within_y = (_kernel_sum(y, y) - _kernel_diagonal_sum(y)) / (n * (n - 1))
    return within_x + within_y - 2.0 * _kernel_sum(x, y) / (m * n)


def _kernel_sum(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    total = 0.0
    for start in range(0, len(x), _BLOCK):
        base = x[start : start + _BLOCK] @ y.T
        base /= x.shape[1]
        base += 1.0
        total += float((base * base * base).sum())
    return total


def _kernel_diagonal_sum(x: NDArray[np.float64]) -> float:
    return float(((np.einsum("nd,nd->n", x, x) / x.shape[1] + 1.0) ** 3).sum())

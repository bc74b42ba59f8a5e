"""Distances between pixel values. Sums of integers are exact, so no order, batch or thread changes a bit."""

import cv2
import numpy as np
from numpy.typing import NDArray

from gainbench.evaluation.metrics.guards import Known, Pictures, Values, check_pair, check_triple

PSNR_CAP = 100.0
"""dB; what identical pictures get, so that a mean stays finite."""


def _difference(completed: Pictures, original: Pictures) -> Pictures:
    # OpenCV reads at most a few channels or dimensions at a time: a batch of pictures is one tall matrix to it.
    count, height, width, channels = completed.shape
    tall = (count * height, width * channels)
    return np.asarray(cv2.absdiff(completed.reshape(tall), original.reshape(tall))).reshape(completed.shape)


def l1_mean(completed: Pictures, original: Pictures) -> Values:
    """100 * mean absolute difference / 255 over all pixels and channels, in [0, 100].

    Args:
        completed: uint8 (N, H, W, 3).
        original: uint8 (N, H, W, 3).

    Returns:
        float64 (N,).

    Raises:
        EvaluationError: another type or shape.
    """
    check_pair(completed, original)
    difference = _difference(completed, original)
    total = difference.sum(axis=(1, 2, 3), dtype=np.int64)
    return np.asarray(total * (100.0 / 255.0) / difference[0].size)


def l1_hole(completed: Pictures, original: Pictures, known: Known) -> Values:
    """100 * mean absolute difference / 255 over the hole's pixels, all channels, in [0, 100]; 0 where there is no hole.

    Args:
        completed: uint8 (N, H, W, 3).
        original: uint8 (N, H, W, 3).
        known: bool (N, H, W), True = known.

    Returns:
        float64 (N,).

    Raises:
        EvaluationError: another type or shape.
    """
    check_triple(completed, original, known)
    total = (_difference(completed, original) * ~known[..., None]).sum(axis=(1, 2, 3), dtype=np.int64)
    values = 3 * (~known).sum(axis=(1, 2), dtype=np.int64)
    return np.asarray(total * (100.0 / 255.0) / np.maximum(values, 1))


def l1_rel(completed: Pictures, original: Pictures) -> Values:
    """100 * sum |completed - original| / sum original over RGB, at least 0.

    The "relative l1" of inpainting tables; an original that is black everywhere is counted as 1 everywhere.

    Args:
        completed: uint8 (N, H, W, 3).
        original: uint8 (N, H, W, 3).

    Returns:
        float64 (N,).

    Raises:
        EvaluationError: another type or shape.
    """
    check_pair(completed, original)
    total = _difference(completed, original).sum(axis=(1, 2, 3), dtype=np.int64)
    light = original.sum(axis=(1, 2, 3), dtype=np.int64)
    return np.asarray(100.0 * total / np.where(light == 0, original[0].size, light))


def psnr_rgb(completed: Pictures, original: Pictures) -> Values:
    """10 log10(255^2 / mse) per picture in decibels, at most 100, which identical pictures get.

    Args:
        completed: uint8 (N, H, W, 3).
        original: uint8 (N, H, W, 3).

    Returns:
        float64 (N,).

    Raises:
        EvaluationError: another type or shape.
    """
    check_pair(completed, original)
    mse = squared_error(completed, original) / completed[0].size
    with np.errstate(divide="ignore"):
        return np.asarray(np.minimum(10.0 * np.log10(255.0**2 / mse), PSNR_CAP))


def squared_error(completed: Pictures, original: Pictures) -> Values:
    """Sum of squared differences of 8-bit values per picture, float64 (N,); exact."""
    difference = _difference(completed, original).reshape(len(completed), -1).astype(np.float64)
    return np.asarray(np.einsum("nv,nv->n", difference, difference))


def gray(
    pictures: NDArray[np.uint8], weights: tuple[float, float, float] = (0.299, 0.587, 0.114)
) -> NDArray[np.float64]:
    """Weighted sum of R, G and B in 8-bit units, summed in that order: equal colours give equal bits everywhere.

    Args:
        pictures: uint8 (..., 3).
        weights: of R, G and B; ITU-R BT.601's unless told otherwise.

    Returns:
        float64 (...).
    """
    red, green, blue = weights
    return np.asarray(pictures[..., 0] * red + pictures[..., 1] * green + pictures[..., 2] * blue)


def identical(completed: Pictures, original: Pictures) -> NDArray[np.bool_]:
    """Which pictures equal their originals bit for bit, bool (N,): those whose PSNR is the cap, not a measurement."""
    check_pair(completed, original)
    return np.asarray((completed == original).all(axis=(1, 2, 3)))

"""Structural similarity (Wang et al. 2004, IEEE TIP 13(4), eq. 13) with the window and covariance stated by each id."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from gainbench.errors import EvaluationError
from gainbench.evaluation.metrics.guards import Pictures, Values, check_pair

Plane = NDArray[np.float64]
"""float64 (H, W) or (H, W, C)."""

_K1, _K2 = 0.01, 0.03


def gaussian_taps(radius: int, sigma: float) -> NDArray[np.float64]:
    """A Gaussian sampled at -radius..radius, summing to 1."""
    taps = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2.0 * sigma**2))
    return np.asarray(taps / taps.sum())


_GAUSS11 = gaussian_taps(5, 1.5)


def _gaussian_valid(plane: Plane) -> Plane:
    return np.asarray(cv2.sepFilter2D(plane, cv2.CV_64F, _GAUSS11, _GAUSS11))[5:-5, 5:-5]


def _gaussian_zero_padded(plane: Plane) -> Plane:
    return np.asarray(cv2.sepFilter2D(plane, cv2.CV_64F, _GAUSS11, _GAUSS11, borderType=cv2.BORDER_CONSTANT))


def _uniform_valid(side: int) -> Callable[[Plane], Plane]:
    taps, margin = np.full(side, 1.0 / side), side // 2

    def smooth(plane: Plane) -> Plane:
        return np.asarray(cv2.sepFilter2D(plane, cv2.CV_64F, taps, taps))[margin:-margin, margin:-margin]

    return smooth


def similarity(
    first: Plane, second: Plane, *, smooth: Callable[[Plane], Plane], value_range: float, covariance_scale: float
) -> float:
    """Mean of the SSIM map of two pictures.

    Args:
        first: float64 (H, W) or (H, W, C).
        second: the same shape.
        smooth: the window's weighted mean at every position that counts.
        value_range: L of the paper, in the pictures' unit.
        covariance_scale: 1 for population covariance, n / (n - 1) for sample covariance of a window of n pixels.

    Returns:
        The mean over positions and channels, in [-1, 1].
    """
    c1, c2 = (_K1 * value_range) ** 2, (_K2 * value_range) ** 2
    mu_1, mu_2 = smooth(first), smooth(second)
    products = mu_1 * mu_2
    powers = mu_1 * mu_1 + mu_2 * mu_2
    # The two variances enter only as a sum: one filter pass serves both.
    variances = covariance_scale * (smooth(first * first + second * second) - powers)
    covariance = covariance_scale * (smooth(first * second) - products)
    ratio = (2.0 * products + c1) * (2.0 * covariance + c2) / ((powers + c1) * (variances + c2))
    return float(ratio.mean())


def _check_window(pictures: Pictures, side: int, metric: str) -> None:
    if min(pictures.shape[1:3]) < side:
        raise EvaluationError(
            f"{metric} needs pictures of at least {side}x{side} px for its window, found {pictures.shape[1:3]}"
        )


def ssim_rgb_g11(completed: Pictures, original: Pictures) -> Values:
    """SSIM with a Gaussian 11x11 window of sigma 1.5, population covariance, valid region, mean of R, G, B.

    Args:
        completed: uint8 (N, H, W, 3), H and W at least 11.
        original: uint8 (N, H, W, 3).

    Returns:
        float64 (N,) in [-1, 1]; 1 for identical pictures.

    Raises:
        EvaluationError: another type or shape, or pictures smaller than the window.
    """
    check_pair(completed, original)
    _check_window(completed, 11, "ssim_rgb_g11")
    return _each(completed, original, smooth=_gaussian_valid, value_range=255.0, covariance_scale=1.0)


def ssim_uniform(
    completed: NDArray[np.uint8] | NDArray[np.float64],
    original: NDArray[np.uint8] | NDArray[np.float64],
    side: int,
    value_range: float,
) -> Values:
    """SSIM with a uniform window and sample covariance in the valid region: scikit-image's defaults.

    Args:
        completed: (N, H, W, 3) or (N, H, W), in the unit of ``value_range``.
        original: the same shape.
        side: the window's side in pixels, odd, at most H and W.
        value_range: L of the paper.

    Returns:
        float64 (N,) in [-1, 1].

    Raises:
        EvaluationError: pictures smaller than the window.
    """
    if min(completed.shape[1:3]) < side:
        raise EvaluationError(
            f"SSIM with a {side}x{side} window needs pictures at least as large, found {completed.shape[1:3]}"
        )
    scale = side**2 / (side**2 - 1)
    return _each(completed, original, smooth=_uniform_valid(side), value_range=value_range, covariance_scale=scale)


def ssim_zero_padded(completed: Pictures, original: Pictures) -> Values:
    """SSIM of pictures in [0, 1] with the Gaussian 11x11 window, zero padding and every pixel counted, as LaMa has it.

    Args:
        completed: uint8 (N, H, W, 3).
        original: uint8 (N, H, W, 3).

    Returns:
        float64 (N,) in [-1, 1].

    Raises:
        EvaluationError: another type or shape.
    """
    check_pair(completed, original)
    return _each(
        completed / 255.0, original / 255.0, smooth=_gaussian_zero_padded, value_range=1.0, covariance_scale=1.0
    )


def _each(
    completed: NDArray[np.uint8] | NDArray[np.float64],
    original: NDArray[np.uint8] | NDArray[np.float64],
    *,
    smooth: Callable[[Plane], Plane],
    value_range: float,
    covariance_scale: float,
) -> Values:
    return np.array(
        [
            similarity(
                first.astype(np.float64),
                second.astype(np.float64),
                smooth=smooth,
                value_range=value_range,
                covariance_scale=covariance_scale,
            )
            for first, second in zip(completed, original, strict=True)
        ]
    )

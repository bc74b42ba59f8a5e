"""Structural similarity (Wang et al. 2004, IEEE TIP 13(4), eq. 13) with the window and covariance stated by each id."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gainbench.errors import EvaluationError
from gainbench.evaluation.metrics.guards import Pictures, Values, check_pair

Plane = NDArray[Any]
"""One channel, (H, W), of 8-bit or floating-point values."""

Taps = NDArray[np.float64]
"""A separable window: float64 (side,), side odd, summing to 1."""

_K1, _K2 = 0.01, 0.03

_STRIP = 128
"""Rows computed at a time: more would leave the cache, fewer compute more rows twice, above and below."""


class _Planes:
    """Memory for the strips of channels of one size, used again for every strip, channel and picture.

    Asking the system anew for each plane took longer than the arithmetic.
    """

    def __init__(self, width: int, margin: int) -> None:
        self.margin = margin
        self._memory = np.empty((6, (_STRIP + 2 * margin) * width))

    def of(self, rows: int, columns: int) -> NDArray[np.float64]:
        """Six planes, (6, rows, columns), each without gaps; what they hold is undefined."""
        return self._memory[:, : rows * columns].reshape(6, rows, columns)


def gaussian_taps(radius: int, sigma: float) -> Taps:
    """A Gaussian sampled at -radius..radius, summing to 1."""
    taps = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2.0 * sigma**2))
    return np.asarray(taps / taps.sum())


_GAUSS11 = gaussian_taps(5, 1.5)


def similarity(first: Plane, second: Plane, taps: Taps, *, value_range: float, covariance_scale: float) -> float:
    """Mean of the SSIM map of two channels over the window's valid positions.

    Computed from the sum s and the difference d of the channels: mu_1 mu_2 = (mu_s^2 - mu_d^2) / 4, and so on, so that
    identical channels give exactly 1.

    Args:
        first: (H, W).
        second: (H, W).
        taps: the window, no wider than H and W.
        value_range: L of the paper, in the channels' unit.
        covariance_scale: 1 for population covariance, n / (n - 1) for sample covariance of a window of n pixels.

    Returns:
        A value in [-1, 1].
    """
    planes = _Planes(first.shape[1], len(taps) // 2)
    return _similarity(first, second, taps, planes, value_range=value_range, covariance_scale=covariance_scale)


def _similarity(
    first: Plane, second: Plane, taps: Taps, planes: _Planes, *, value_range: float, covariance_scale: float
) -> float:
    reach = 2 * planes.margin
    height, width = first.shape[0] - reach, first.shape[1] - reach
    changed = first != second
    # Windows that see no difference have a similarity of exactly 1; of a completed picture, those are most.
    total = float(height * width)
    for top in range(0, height, _STRIP):
        strip = slice(top, top + _STRIP + reach)
        columns = np.flatnonzero(changed[strip].any(axis=0))
        if columns.size:
            part = strip, slice(max(int(columns[0]) - reach, 0), int(columns[-1]) + reach + 1)
            total += _excess(
                first[part], second[part], taps, planes, value_range=value_range, covariance_scale=covariance_scale
            )
    return float(total / (height * width))


def _excess(
    first: Plane, second: Plane, taps: Taps, planes: _Planes, *, value_range: float, covariance_scale: float
) -> float:
    """Sum over the valid positions of similarity - 1."""
    margin, (rows, columns) = planes.margin, first.shape
    s, d, *smoothed = planes.of(rows, columns)
    # In float64 before the sum is taken, which may be too large for the channels' own type.
    np.add(first, second, out=s, dtype=np.float64)
    np.subtract(first, second, out=d, dtype=np.float64)
    for plane, smooth in zip((s, d), smoothed[:2], strict=True):
        cv2.sepFilter2D(plane, cv2.CV_64F, taps, taps, dst=smooth)
        plane *= plane  # noqa: PLW2901 - in place: a new array a step costs more than the arithmetic
    for plane, smooth in zip((s, d), smoothed[2:], strict=True):
        cv2.sepFilter2D(plane, cv2.CV_64F, taps, taps, dst=smooth)
    # Whole rows, as arithmetic on rows with gaps is slow; the columns at the sides are left out of the sum.
    luminance, structure, mean_s, mean_d, var_s, var_d = (plane[margin:-margin] for plane in (s, d, *smoothed))
    mean_s *= mean_s
    mean_d *= mean_d
    var_s -= mean_s
    var_d -= mean_d
    if covariance_scale != 1.0:
        var_s *= covariance_scale
        var_d *= covariance_scale
    # Numerator and denominator of the paper's formula, both times 4.
    mean_s += 2.0 * (_K1 * value_range) ** 2
    var_s += 2.0 * (_K2 * value_range) ** 2
    np.subtract(mean_s, mean_d, out=luminance)
    np.subtract(var_s, var_d, out=structure)
    mean_s += mean_d
    var_s += var_d
    luminance *= structure
    mean_s *= var_s
    luminance /= mean_s
    valid = luminance[:, margin:-margin]
    return float(valid.sum() - valid.size)


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
    return _each(completed, original, _GAUSS11, value_range=255.0)


def ssim_uniform(
    completed: NDArray[Any],
    original: NDArray[Any],
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
    return _each(completed, original, np.full(side, 1.0 / side), value_range=value_range, covariance_scale=scale)


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
    frame = ((0, 0), (5, 5), (5, 5), (0, 0))
    return _each(np.pad(completed / 255.0, frame), np.pad(original / 255.0, frame), _GAUSS11, value_range=1.0)


def _each(
    completed: NDArray[Any],
    original: NDArray[Any],
    taps: Taps,
    *,
    value_range: float,
    covariance_scale: float = 1.0,
) -> Values:
    """Mean over channels, if there are any, of each pair's similarity."""
    count, height, width = completed.shape[:3]
    channels = (count, height, width, -1)
    planes = _Planes(width, len(taps) // 2)
    return np.array(
        [
            np.mean(
                [
                    _similarity(
                        first[..., channel],
                        second[..., channel],
                        taps,
                        planes,
                        value_range=value_range,
                        covariance_scale=covariance_scale,
                    )
                    for channel in range(first.shape[-1])
                ]
            )
            for first, second in zip(completed.reshape(channels), original.reshape(channels), strict=True)
        ]
    )

"""The same outputs under the definitions of other papers' evaluation scripts.

They differ enough to reverse a ranking read across papers; gainbench prints them only to make its tables comparable
with a published one, under ids that say whose definition it is.
"""

import numpy as np
from numpy.typing import NDArray

from gainbench.evaluation.metrics.guards import Known, Pictures, Values, check_pair, check_triple
from gainbench.evaluation.metrics.pixel import gray, squared_error
from gainbench.evaluation.metrics.ssim import ssim_uniform, ssim_zero_padded

_SKIMAGE_GRAY = (0.2125, 0.7154, 0.0721)


def _gray(pictures: Pictures) -> NDArray[np.float64]:
    return gray(pictures, _SKIMAGE_GRAY) / 255.0


def legacy_edgeconnect_ssim(completed: Pictures, original: Pictures) -> Values:
    """SSIM as in EdgeConnect's ``scripts/metrics.py``: gray in [0, 1], uniform 51x51 window, sample covariance.

    Args:
        completed: uint8 (N, H, W, 3), H and W at least 51.
        original: uint8 (N, H, W, 3).

    Returns:
        float64 (N,) in [-1, 1].

    Raises:
        EvaluationError: another type or shape, or pictures smaller than the window.
    """
    check_pair(completed, original)
    return ssim_uniform(_gray(completed), _gray(original), 51, 1.0)


def legacy_edgeconnect_mae(completed: Pictures, original: Pictures) -> Values:
    """EdgeConnect's "MAE", sum |a - b| / sum (a + b) of the gray pictures; 0 if both are black.

    Args:
        completed: uint8 (N, H, W, 3).
        original: uint8 (N, H, W, 3).

    Returns:
        float64 (N,) in [0, 1].

    Raises:
        EvaluationError: another type or shape.
    """
    check_pair(completed, original)
    a, b = _gray(completed), _gray(original)
    light = (a + b).sum(axis=(1, 2))
    return np.asarray(np.abs(a - b).sum(axis=(1, 2)) / np.where(light == 0, 1.0, light))


def legacy_aotgan_ssim(completed: Pictures, original: Pictures) -> Values:
    """SSIM as in AOT-GAN's ``metric.py``: RGB, uniform 7x7 window, sample covariance, range 255.

    Args:
        completed: uint8 (N, H, W, 3), H and W at least 7.
        original: uint8 (N, H, W, 3).

    Returns:
        float64 (N,) in [-1, 1].

    Raises:
        EvaluationError: another type or shape, or pictures smaller than the window.
    """
    check_pair(completed, original)
    return ssim_uniform(completed, original, 7, 255.0)


def legacy_mmagic_mae(completed: Pictures, original: Pictures, known: Known) -> Values:
    """Masked MAE as in mmagic, times 100: sum of |a - b| in [0, 1] over the hole / (3 * hole pixels + 1e-12).

    Args:
        completed: uint8 (N, H, W, 3).
        original: uint8 (N, H, W, 3).
        known: bool (N, H, W), True = known.

    Returns:
        float64 (N,) in [0, 100]; 0 where there is no hole.

    Raises:
        EvaluationError: another type or shape.
    """
    check_triple(completed, original, known)
    hole = ~known[..., None]
    total = (np.abs(completed / 255.0 - original / 255.0) * hole).sum(axis=(1, 2, 3))
    return np.asarray(100.0 * total / (3.0 * hole.sum(axis=(1, 2, 3)) + 1e-12))


def legacy_lama_ssim(completed: Pictures, original: Pictures) -> Values:
    """SSIM as in LaMa's evaluator: RGB in [0, 1], Gaussian 11x11 window, zero padding, every pixel counted.

    Args:
        completed: uint8 (N, H, W, 3).
        original: uint8 (N, H, W, 3).

    Returns:
        float64 (N,) in [-1, 1].

    Raises:
        EvaluationError: another type or shape.
    """
    return ssim_zero_padded(completed, original)


def legacy_zits_psnr(completed: Pictures, original: Pictures) -> Values:
    """PSNR as in ZITS' ``inpainting_metrics.py``: 1 - 10 log10(mse + 1e-7) in [0, 1], one decibel above the usual.

    Args:
        completed: uint8 (N, H, W, 3).
        original: uint8 (N, H, W, 3).

    Returns:
        float64 (N,), at most 71.

    Raises:
        EvaluationError: another type or shape.
    """
    check_pair(completed, original)
    mse = squared_error(completed, original) / (completed[0].size * 255.0**2)
    return np.asarray(1.0 - 10.0 * np.log10(mse + 1e-7))

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from gainbench.errors import EvaluationError
from gainbench.evaluation.metrics.legacy import (
    legacy_aotgan_ssim,
    legacy_edgeconnect_mae,
    legacy_edgeconnect_ssim,
    legacy_lama_ssim,
    legacy_mmagic_mae,
    legacy_zits_psnr,
)
from gainbench.evaluation.metrics.pixel import l1_hole, psnr_rgb


def pair(seed, size=60):
    generator = np.random.default_rng(seed)
    original = np.repeat(generator.integers(0, 256, (2, size // 4, size, 3), dtype=np.uint8), 4, axis=1)
    completed = np.clip(original + generator.normal(0, 25, original.shape), 0, 255).astype(np.uint8)
    return completed, original


def test_edgeconnect_ssim_is_scikit_images_with_a_uniform_51_window_on_gray():
    completed, original = pair(0)
    weights = np.array([0.2125, 0.7154, 0.0721])
    for value, p, t in zip(legacy_edgeconnect_ssim(completed, original), completed, original, strict=True):
        reference = structural_similarity(t / 255 @ weights, p / 255 @ weights, data_range=1, win_size=51)
        assert value == pytest.approx(reference, abs=1e-9)


def test_aotgan_ssim_is_scikit_images_default_on_rgb():
    completed, original = pair(1)
    for value, p, t in zip(legacy_aotgan_ssim(completed, original), completed, original, strict=True):
        assert value == pytest.approx(structural_similarity(t, p, channel_axis=-1), abs=1e-9)


def test_lama_ssim_is_a_zero_padded_gaussian_convolution():
    completed, original = pair(2)
    offsets = torch.arange(-5, 6, dtype=torch.float64)
    taps = torch.exp(-(offsets**2) / 4.5)
    window = torch.outer(taps, taps) / taps.sum() ** 2
    for value, p, t in zip(legacy_lama_ssim(completed, original), completed, original, strict=True):
        maps = []
        for channel in range(3):
            x, y = (torch.from_numpy(plane[..., channel] / 255.0)[None, None] for plane in (p, t))
            mean = [torch.nn.functional.conv2d(v, window[None, None], padding=5) for v in (x, y, x * x, y * y, x * y)]
            mx, my, xx, yy, xy = mean
            upper = (2 * mx * my + 1e-4) * (2 * (xy - mx * my) + 9e-4)
            maps.append(upper / ((mx**2 + my**2 + 1e-4) * (xx - mx**2 + yy - my**2 + 9e-4)))
        assert value == pytest.approx(torch.cat(maps).mean().item(), abs=1e-9)


def test_edgeconnect_mae_of_a_worked_example():
    original = np.full((1, 2, 2, 3), 100, np.uint8)
    completed = original.copy()
    completed[0, 0] = 60  # two of four gray pixels differ by 40; the sums are 4 * 100 and 2 * 100 + 2 * 60
    assert legacy_edgeconnect_mae(completed, original)[0] == pytest.approx(80 / 720, rel=1e-9)
    black = np.zeros_like(original)
    assert legacy_edgeconnect_mae(black, black)[0] == 0.0


def test_edgeconnect_mae_weights_the_channels():
    original = np.zeros((1, 1, 1, 3), np.uint8)
    original[0, 0, 0] = [100, 0, 0]
    completed = np.array([[[[100, 10, 0]]]], np.uint8)
    expected = 0.7154 * 10 / (2 * 0.2125 * 100 + 0.7154 * 10)
    assert legacy_edgeconnect_mae(completed, original)[0] == pytest.approx(expected, rel=1e-9)


def test_mmagic_mae_of_a_worked_example():
    original = np.full((1, 2, 2, 3), 100, np.uint8)
    completed = original.copy()
    completed[0, 0, 0] = [151, 100, 100]
    known = np.array([[[False, False], [True, True]]])
    assert legacy_mmagic_mae(completed, original, known)[0] == pytest.approx(100 * 0.2 / 6, rel=1e-9)
    assert legacy_mmagic_mae(completed, original, np.ones_like(known))[0] == 0.0


def test_mmagic_mae_is_l1_hole_where_nothing_outside_the_hole_differs():
    completed, original = pair(3)
    known = np.random.default_rng(4).random(original.shape[:3]) < 0.5
    assert legacy_mmagic_mae(completed, original, known) == pytest.approx(l1_hole(completed, original, known))


def test_zits_psnr_of_a_worked_example():
    original = np.zeros((1, 4, 4, 3), np.uint8)
    completed = np.full_like(original, 51)  # mse = .04 = 10 ** -1.39794
    assert legacy_zits_psnr(completed, original)[0] == pytest.approx(1 + 13.9794, abs=1e-3)
    assert legacy_zits_psnr(original, original)[0] == pytest.approx(71.0)


def test_zits_psnr_is_one_decibel_above_psnr():
    completed, original = pair(5)
    assert legacy_zits_psnr(completed, original) - psnr_rgb(completed, original) == pytest.approx(1.0, abs=1e-3)


def test_pictures_smaller_than_edgeconnects_window_are_refused():
    completed, original = pair(6, size=48)
    with pytest.raises(EvaluationError, match=r"51x51 .*\(48, 48\)"):
        legacy_edgeconnect_ssim(completed, original)

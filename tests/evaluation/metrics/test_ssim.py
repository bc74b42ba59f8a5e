import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from gainbench.errors import EvaluationError
from gainbench.evaluation.metrics.ssim import gaussian_taps, ssim_rgb_g11, ssim_uniform


def smooth_pair(seed, count=3, height=40, width=47):
    generator = np.random.default_rng(seed)
    noise = generator.random((count, height, width, 3))
    original = gaussian_filter(noise, (0, 2, 2, 0))
    original = ((original - original.min()) / np.ptp(original) * 255).astype(np.uint8)
    strength = generator.integers(1, 60)
    completed = np.clip(original + generator.normal(0, strength, original.shape), 0, 255).astype(np.uint8)
    return completed, original


@pytest.mark.parametrize(("seed", "height"), [(0, 40), (1, 11), (2, 74), (3, 75), (4, 150)])
def test_gaussian_ssim_equals_scikit_image(seed, height):
    completed, original = smooth_pair(seed, height=height)  # also of more rows than are computed at a time
    for value, p, t in zip(ssim_rgb_g11(completed, original), completed, original, strict=True):
        reference = structural_similarity(
            t, p, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
        )
        assert value == pytest.approx(reference, abs=1e-6)


def test_gaussian_ssim_of_flat_pictures_is_the_luminance_term():
    first, second = np.full((1, 16, 16, 3), 100, np.uint8), np.full((1, 16, 16, 3), 150, np.uint8)
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert ssim_rgb_g11(first, second)[0] == pytest.approx(expected, rel=1e-9)


def test_pictures_smaller_than_the_window_are_refused_with_their_size():
    small = np.zeros((1, 10, 30, 3), np.uint8)
    with pytest.raises(EvaluationError, match=r"at least 11x11 px .*found \(10, 30\)"):
        ssim_rgb_g11(small, small)
    with pytest.raises(EvaluationError, match=r"51x51 .*found \(10, 30\)"):
        ssim_uniform(small, small, 51, 255.0)


def test_the_gaussian_sums_to_one_and_falls_as_it_should():
    taps = gaussian_taps(5, 1.5)
    assert taps.sum() == pytest.approx(1.0, rel=1e-15)
    assert taps[3] / taps[5] == pytest.approx(np.exp(-4 / 4.5), rel=1e-12)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_identity_symmetry_range_and_batch(seed):
    completed, original = smooth_pair(seed, count=2, height=14, width=16)
    values = ssim_rgb_g11(completed, original)
    assert (ssim_rgb_g11(original, original) == 1.0).all()
    assert values == pytest.approx(ssim_rgb_g11(original, completed), abs=1e-12)
    assert ((values >= -1) & (values < 1)).all()
    assert ssim_rgb_g11(completed[1:], original[1:])[0] == values[1]


def test_more_noise_is_less_similar():
    _, original = smooth_pair(5, count=1)
    noise = np.random.default_rng(6).normal(0, 1, original.shape)
    values = [
        ssim_rgb_g11(np.clip(original + strength * noise, 0, 255).astype(np.uint8), original)[0]
        for strength in (0, 4, 16, 64)
    ]
    assert values == sorted(values, reverse=True)
    assert values[0] == 1.0
    assert values[-1] < 0.5


@pytest.mark.parametrize("places", [[(0, 0)], [(149, 46)], [(70, 20), (131, 3)], [(128, 0), (127, 46)]])
def test_only_windows_that_see_a_difference_count_and_the_value_is_that_of_all_windows(places):
    completed, original = smooth_pair(8, count=1, height=150)
    changed = original.copy()
    for y, x in places:
        changed[0, y, x] = completed[0, y, x] ^ 64
    reference = structural_similarity(
        original[0], changed[0], channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert ssim_rgb_g11(changed, original)[0] == pytest.approx(reference, abs=1e-12)
    assert ssim_rgb_g11(changed, original)[0] < 1

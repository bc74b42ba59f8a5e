import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio

from gainbench.errors import EvaluationError
from gainbench.evaluation.metrics.pixel import PSNR_CAP, identical, l1_hole, l1_mean, l1_rel, psnr_rgb

seeds = st.integers(0, 2**32 - 1)


def pair(seed, count=3, size=20):
    generator = np.random.default_rng(seed)
    completed = generator.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    original = generator.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return completed, original, generator.random((count, size, size)) < 0.6


def test_l1_mean_equals_numpy():
    completed, original, _ = pair(0)
    for value, p, t in zip(l1_mean(completed, original), completed, original, strict=True):
        assert value == pytest.approx(100 * np.mean(np.abs(p.astype(float) - t.astype(float))) / 255, rel=1e-12)


def test_l1_hole_equals_numpy_over_the_hole():
    completed, original, known = pair(1)
    for value, p, t, m in zip(l1_hole(completed, original, known), completed, original, known, strict=True):
        assert value == pytest.approx(100 * np.mean(np.abs(p[~m].astype(float) - t[~m].astype(float))) / 255, rel=1e-12)


def test_l1_rel_of_a_worked_example():
    original = np.full((1, 2, 2, 3), 50, np.uint8)
    completed = original.copy()
    completed[0, 0, 0] = [60, 50, 20]  # differences 10 + 0 + 30 of 12 values that sum to 600
    assert l1_rel(completed, original)[0] == pytest.approx(100 * 40 / 600, rel=1e-12)


def test_l1_rel_of_a_black_original_is_finite():
    black = np.zeros((2, 4, 4, 3), np.uint8)
    completed = black.copy()
    completed[1] += 2
    assert l1_rel(completed, black).tolist() == [0.0, 200.0]


def test_psnr_equals_scikit_image():
    completed, original, _ = pair(2)
    for value, p, t in zip(psnr_rgb(completed, original), completed, original, strict=True):
        assert value == pytest.approx(peak_signal_noise_ratio(t, p, data_range=255), abs=1e-9)


def test_identical_pictures_get_the_cap_and_are_named():
    completed, original, _ = pair(3)
    completed[1] = original[1]
    values = psnr_rgb(completed, original)
    assert values[1] == PSNR_CAP == 100.0
    assert identical(completed, original).tolist() == [False, True, False]
    assert (values[[0, 2]] < 20).all()


def test_one_grey_level_in_one_value_of_a_large_picture_does_not_pass_the_cap():
    original = np.zeros((1, 256, 256, 3), np.uint8)
    completed = original.copy()
    completed[0, 5, 5, 0] = 1
    assert psnr_rgb(completed, original)[0] == PSNR_CAP
    assert not identical(completed, original)[0]


def test_a_row_without_a_hole_has_l1_hole_zero():
    completed, original, known = pair(4)
    known[1] = True
    values = l1_hole(completed, original, known)
    assert values[1] == 0.0
    assert np.isfinite(values).all()


@pytest.mark.parametrize("metric", [l1_mean, l1_rel, psnr_rgb])
def test_floats_are_refused_with_the_range_seen(metric):
    completed, original, _ = pair(5)
    with pytest.raises(EvaluationError, match=r"uint8 .*found float64 \(3, 20, 20, 3\) in \[0, 1\]"):
        metric((completed > 100).astype(float), original)


@pytest.mark.parametrize("metric", [l1_mean, l1_rel, psnr_rgb])
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 20, 19, 3), r"one shape, found \(3, 20, 20, 3\) and \(3, 20, 19, 3\)"),
        ((3, 3, 20, 20), r"shape \(N, H, W, 3\), found uint8 \(3, 3, 20, 20\)"),
        ((20, 20, 3), r"shape \(N, H, W, 3\), found uint8 \(20, 20, 3\)"),
        ((0, 20, 20, 3), r"found uint8 \(0, 20, 20, 3\)"),
    ],
)
def test_other_shapes_are_refused_with_the_shape_seen(metric, shape, message):
    completed, _, _ = pair(6)
    with pytest.raises(EvaluationError, match=message):
        metric(completed, np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (np.ones((3, 20, 20), np.uint8), r"bool, True = known, found uint8 \(3, 20, 20\) in \[1, 1\]"),
        (np.ones((3, 20, 20, 1), bool), r"shape \(3, 20, 20\), found \(3, 20, 20, 1\)"),
    ],
)
def test_other_holes_are_refused(known, message):
    completed, original, _ = pair(7)
    with pytest.raises(EvaluationError, match=message):
        l1_hole(completed, original, known)


@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_distances_are_zero_on_identity_symmetric_where_they_should_be_and_in_range(seed):
    completed, original, known = pair(seed, size=8)
    for metric in (l1_mean, psnr_rgb):
        assert (metric(completed, original) == metric(original, completed)).all()
    assert (l1_hole(completed, original, known) == l1_hole(original, completed, known)).all()
    for values in (l1_mean(completed, original), l1_hole(completed, original, known)):
        assert ((values >= 0) & (values <= 100)).all()
    assert (l1_mean(original, original) == 0).all()
    assert (l1_rel(original, original) == 0).all()
    assert (l1_hole(original, original, known) == 0).all()


@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_l1_hole_ignores_known_pixels(seed):
    completed, original, known = pair(seed, size=8)
    changed = np.where(known[..., None], 255 - completed, completed)
    assert (l1_hole(changed, original, known) == l1_hole(completed, original, known)).all()


@given(seed=seeds, count=st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_values_do_not_depend_on_the_batch(seed, count):
    completed, original, known = pair(seed, count=count, size=8)
    for index in range(count):
        one = slice(index, index + 1)
        for metric in (l1_mean, l1_rel, psnr_rgb):
            assert metric(completed, original)[index] == metric(completed[one], original[one])[0]
        assert l1_hole(completed, original, known)[index] == l1_hole(completed[one], original[one], known[one])[0]


@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_growing_damage_never_looks_better(seed):
    _, original, known = pair(seed, count=1, size=8)
    sign = np.where(original < 128, 1, -1).astype(np.int16)
    damaged = [(original + strength * sign).astype(np.uint8) for strength in (0, 1, 5, 20, 100)]
    for metric, falling in ((l1_mean, False), (l1_rel, False), (psnr_rgb, True)):
        values = [metric(picture, original)[0] for picture in damaged]
        assert values == sorted(values, reverse=falling)
        assert len(set(values)) == len(values)
    holes = [l1_hole(picture, original, known)[0] for picture in damaged]
    assert holes == sorted(holes)

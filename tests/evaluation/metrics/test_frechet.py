import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from gainbench.errors import EvaluationError
from gainbench.evaluation.metrics import frechet
from gainbench.evaluation.metrics.frechet import SET_METRICS, frechet_distance, kernel_distance


def sqrtm_reference(first, second):
    shift = first.mean(0) - second.mean(0)
    c1, c2 = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    return shift @ shift + np.trace(c1 + c2 - 2 * linalg.sqrtm(c1 @ c2).real)


def draws(seed, n1, n2, width, shift=0.5):
    generator = np.random.default_rng(seed)
    mix = generator.normal(size=(width, width)) / np.sqrt(width)
    return generator.normal(size=(n1, width)), generator.normal(size=(n2, width)) @ mix + shift


@pytest.mark.parametrize(("n1", "n2", "width"), [(400, 300, 8), (12, 300, 8), (7, 300, 8), (300, 5, 8), (9, 8, 8)])
def test_frechet_distance_equals_the_matrix_square_root(n1, n2, width):
    first, second = draws(0, n1, n2, width)
    assert frechet_distance(first, second) == pytest.approx(sqrtm_reference(first, second), rel=1e-6)


def test_frechet_distance_equals_pytorch_fid():
    from pytorch_fid.fid_score import calculate_frechet_distance

    first, second = draws(1, 200, 150, 16)
    moments = [(f.mean(0), np.cov(f, rowvar=False)) for f in (first, second)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pytorch-fid calls sqrtm as older releases of scipy had it
        reference = calculate_frechet_distance(*moments[0], *moments[1])
    assert frechet_distance(first, second) == pytest.approx(reference, rel=1e-6)


def test_both_forms_agree_where_either_may_be_used():
    first, second = draws(2, 60, 50, 50)
    by_samples = frechet._traces_by_samples(first, second)
    by_dimensions = frechet._traces_by_dimensions(frechet._covariance(first), frechet._covariance(second))
    assert by_samples == pytest.approx(by_dimensions, rel=1e-6)


def test_frechet_distance_does_not_depend_on_the_blocks(monkeypatch):
    first, second = draws(8, 50, 40, 6)
    whole = frechet_distance(first, second)
    monkeypatch.setattr(frechet, "_BLOCK", 7)
    assert frechet_distance(first, second) == pytest.approx(whole, rel=1e-10)


def test_two_points_on_a_line_have_the_closed_form():
    # In one dimension: (mu1 - mu2)^2 + (s1 - s2)^2 with s^2 the unbiased variance.
    first, second = np.array([[0.0], [2.0]]), np.array([[5.0], [11.0], [8.0]])
    expected = (1 - 8) ** 2 + (np.sqrt(2) - 3) ** 2
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-12)


def test_commuting_covariances_have_the_closed_form():
    white = np.random.default_rng(3).normal(size=(20, 4))
    white -= white.mean(0)
    white = white @ np.linalg.inv(np.linalg.cholesky(np.cov(white, rowvar=False)).T)  # covariance: the identity
    first, second = white * [1, 2, 3, 4], white * [2, 2, 1, 0.5] + [1, 0, 0, 2]
    expected = 1 + 4 + (1 - 2) ** 2 + 0 + (3 - 1) ** 2 + (4 - 0.5) ** 2
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("count", "width"), [(30, 100), (500, 6)])
def test_a_set_is_at_distance_zero_from_itself(count, width):
    features = np.random.default_rng(4).normal(size=(count, width)).astype(np.float32)
    scale = np.vdot(features, features) / count
    assert abs(frechet_distance(features, features)) < 1e-7 * scale


def test_kernel_distance_equals_brute_force_over_pairs():
    first, second = draws(5, 9, 7, 5)

    def kernel(x, y):
        return (float(np.dot(x, y)) / 5 + 1) ** 3

    xx = np.mean([kernel(first[i], first[j]) for i in range(9) for j in range(9) if i != j])
    yy = np.mean([kernel(second[i], second[j]) for i in range(7) for j in range(7) if i != j])
    xy = np.mean([kernel(x, y) for x in first for y in second])
    assert kernel_distance(first, second) == pytest.approx(xx + yy - 2 * xy, rel=1e-9)


def test_kernel_distance_does_not_depend_on_the_blocks(monkeypatch):
    first, second = draws(6, 50, 40, 6)
    whole = kernel_distance(first, second)
    monkeypatch.setattr(frechet, "_BLOCK", 7)
    assert kernel_distance(first, second) == pytest.approx(whole, rel=1e-12)


def test_kernel_distance_is_unbiased_where_frechet_distance_is_not():
    generator = np.random.default_rng(7)
    halves = [np.split(generator.normal(size=(40, 30)), 2) for _ in range(200)]
    kernel = np.array([kernel_distance(*pair) for pair in halves])
    assert abs(kernel.mean()) < 4 * kernel.std() / np.sqrt(len(kernel))
    assert (kernel < 0).any()
    assert min(frechet_distance(*pair) for pair in halves) > 5


@pytest.mark.parametrize("metric", [frechet_distance, kernel_distance])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f.astype(int), r"floating-point features \(N, d\), found int64"),
        (lambda f: f[0], r"found float64 \(4,\)"),
        (lambda f: f[:1], r"at least two pictures, found \(1, 4\)"),
        (lambda f: f[:, :3], "one width, found 4 and 3"),
        (lambda f: np.where(f > 0, np.nan, f), "not finite"),
    ],
)
def test_wrong_features_are_refused_with_what_was_seen(metric, spoil, message):
    features = np.random.default_rng(8).normal(size=(6, 4))
    with pytest.raises(EvaluationError, match=message):
        metric(features, spoil(features))


@given(seed=st.integers(0, 2**32 - 1), n1=st.integers(2, 12), n2=st.integers(2, 12), width=st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_symmetry_order_and_range(seed, n1, n2, width):
    first, second = draws(seed, n1, n2, width)
    scale = np.vdot(first, first) + np.vdot(second, second)
    for metric in (frechet_distance, kernel_distance):
        value = metric(first, second)
        assert value == pytest.approx(metric(second, first), abs=1e-6 * scale)
        assert value == pytest.approx(metric(first[::-1], second), abs=1e-6 * scale)
    assert frechet_distance(first, second) > -1e-6 * scale


def test_a_set_moved_further_away_is_further_away():
    first, _ = draws(9, 40, 2, 6)
    for metric in (frechet_distance, kernel_distance):
        values = [metric(first, first + step) for step in (0.0, 0.5, 1.0, 2.0)]
        assert values == sorted(values)


@pytest.mark.parametrize("name", SET_METRICS)
def test_distances_by_rows_are_those_of_the_rows_repeats_included(name: str) -> None:
    rng = np.random.default_rng(3)
    first, second = rng.normal(0.3, 1, (24, 7)).astype(np.float32), rng.normal(0, 1, (11, 7)).astype(np.float32)
    metric = SET_METRICS[name]
    by_rows = metric.distance_by_rows(first, second)
    for rows in (np.arange(24), np.array([4, 4, 4, 0]), rng.integers(0, 24, 24)):
        assert by_rows(rows) == pytest.approx(metric.distance(first[rows], second), rel=1e-9, abs=1e-12)
    with pytest.raises(EvaluationError, match=r"two rows|\(1, 7\)"):
        by_rows(np.array([3]))

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from gainbench.errors import EvaluationError
from gainbench.evaluation.metrics.structural import (
    canny_edges,
    edge_f1_hole,
    grad_angle_hole,
    grad_l1_hole,
    gray_gradient,
    matched_f1,
    seam_rgb,
)

METRICS = [seam_rgb, grad_l1_hole, grad_angle_hole, edge_f1_hole]


def triple(seed, count=2, size=18):
    generator = np.random.default_rng(seed)
    original = (gaussian_filter(generator.random((count, size, size, 3)), (0, 1, 1, 0)) * 255).astype(np.uint8)
    known = gaussian_filter(generator.random((count, size, size)), (0, 2, 2)) < 0.52
    known[:, 0, 0], known[:, 9, 9] = True, False
    fill = (gaussian_filter(generator.random((count, size, size, 3)), (0, 1, 1, 0)) * 255).astype(np.uint8)
    return np.where(known[..., None], original, fill).astype(np.uint8), original, known


def ramp(direction_x, direction_y, size=12):
    y, x = np.mgrid[:size, :size]
    plane = (120 + 5 * direction_x * (x - size // 2) + 5 * direction_y * (y - size // 2)).astype(np.uint8)
    return np.repeat(plane[None, ..., None], 3, axis=3)


def interior_hole(size=12):
    known = np.ones((1, size, size), bool)
    known[:, 3:9, 3:9] = False
    return known


def test_seam_equals_a_literal_walk_along_the_rim():
    completed, original, known = triple(0)
    for index, value in enumerate(seam_rgb(completed, original, known)):
        p, t, m = completed[index].astype(float), original[index].astype(float), known[index]
        found = []
        for y in range(18):
            for x in range(18):
                for dy, dx in ((0, 1), (1, 0)):
                    if y + dy < 18 and x + dx < 18 and m[y, x] != m[y + dy, x + dx]:
                        found.append(np.abs((p[y + dy, x + dx] - p[y, x]) - (t[y + dy, x + dx] - t[y, x])))
        assert value == pytest.approx(100 / 255 * np.mean(found), rel=1e-12)


def test_seam_of_a_constant_offset_in_the_hole_is_the_offset():
    original = np.full((1, 12, 12, 3), 100, np.uint8)
    known = interior_hole()
    completed = np.where(known[..., None], original, original + 51).astype(np.uint8)
    assert seam_rgb(completed, original, known)[0] == pytest.approx(20.0, rel=1e-12)


def test_gradient_of_a_ramp_is_its_slope_inside_and_half_of_it_at_the_border():
    gx, gy = gray_gradient(ramp(1, -2))
    assert gx[0, :, 1:-1] == pytest.approx(np.full((12, 10), 5.0), abs=1e-5)
    assert gy[0, 1:-1] == pytest.approx(np.full((10, 12), -10.0), abs=1e-5)
    assert gx[0, :, 0] == pytest.approx(np.full(12, 2.5), abs=1e-5)


def test_gradient_weights_red_green_and_blue_as_gray_does():
    picture = np.zeros((1, 5, 5, 3), np.uint8)
    picture[0, :, 3:] = [200, 100, 50]
    gx, gy = gray_gradient(picture)
    assert gx[0, 2, 2] == pytest.approx((0.299 * 200 + 0.587 * 100 + 0.114 * 50) / 2, abs=1e-5)
    assert (gy == 0).all()


def test_gradient_l1_of_two_ramps_is_the_difference_of_their_slopes():
    value = grad_l1_hole(ramp(0, 1), ramp(2, 1), interior_hole())[0]
    assert value == pytest.approx(100 / 255 * (10 + 0) / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("completed", "original", "degrees"),
    [((1, 0), (1, 0), 0), ((0, 1), (1, 0), 90), ((-1, 0), (1, 0), 180), ((1, 1), (1, 0), 45), ((1, 0), (1, 1), 45)],
)
def test_gradient_angle_of_two_ramps(completed, original, degrees):
    value = grad_angle_hole(ramp(*completed), ramp(*original), interior_hole())[0]
    assert value == pytest.approx(degrees, abs=1e-4)


def test_gradient_angle_is_weighted_by_the_originals_magnitude():
    known = np.ones((1, 12, 12), bool)
    known[0, 5, [2, 8, 9, 10]] = False  # at 8 and 10, where the pictures differ, the original has no gradient
    original, completed = ramp(0, 0), ramp(0, 0)
    original[0, 5, 1], completed[0, 5, 1] = 140, 140  # gradient -10 at x = 2, kept
    original[0, 5, 8], completed[0, 5, 10] = 180, 180  # gradient -30 at x = 9, reversed
    assert grad_angle_hole(completed, original, known)[0] == pytest.approx((10 * 0 + 30 * 180) / 40, abs=1e-4)


def test_a_flat_fill_is_counted_as_a_right_angle_and_a_flat_original_as_zero():
    known = interior_hole()
    assert grad_angle_hole(ramp(0, 0), ramp(1, 0), known)[0] == pytest.approx(90.0)
    assert grad_angle_hole(ramp(1, 0), ramp(0, 0), known)[0] == 0.0


def literal_f1(found, wanted, region):
    def near(y, x, edges):
        return edges[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].any()

    mine = [(y, x) for y, x in zip(*np.nonzero(found & region), strict=True)]
    theirs = [(y, x) for y, x in zip(*np.nonzero(wanted & region), strict=True)]
    precision = np.mean([near(y, x, wanted) for y, x in mine])
    recall = np.mean([near(y, x, found) for y, x in theirs])
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_matching_equals_a_literal_search(seed):
    generator = np.random.default_rng(seed)
    found, wanted = generator.random((2, 12, 12)) < 0.12
    region = generator.random((12, 12)) < 0.7
    found[3, 4], wanted[8, 2], region[3, 4], region[8, 2] = True, True, True, True
    assert matched_f1(found, wanted, region) == pytest.approx(literal_f1(found, wanted, region), abs=1e-12)


def step(column, size=24):
    picture = np.full((1, size, size, 3), 40, np.uint8)
    picture[:, :, column:] = 200
    return picture


@pytest.mark.parametrize(("shift", "f1"), [(0, 1.0), (1, 1.0), (2, 0.0), (5, 0.0)])
def test_an_edge_within_one_pixel_is_found_and_one_further_off_is_not(shift, f1):
    hole = np.zeros((1, 24, 24), bool)
    assert edge_f1_hole(step(10 + shift), step(10), hole)[0] == f1


def test_canny_finds_the_step_and_nothing_else():
    edges = canny_edges(step(10)[0])
    assert edges[2:-2].sum(axis=1).tolist() == [1] * 20
    assert set(np.nonzero(edges)[1]) <= {9, 10}


def test_no_edges_at_all_is_agreement_and_edges_in_one_only_is_none():
    hole = np.zeros((1, 24, 24), bool)
    flat = np.full((1, 24, 24, 3), 40, np.uint8)
    assert edge_f1_hole(flat, flat, hole)[0] == 1.0
    assert edge_f1_hole(step(10), flat, hole)[0] == 0.0
    assert edge_f1_hole(flat, step(10), hole)[0] == 0.0


@pytest.mark.parametrize(
    ("metric", "value"), [(seam_rgb, 0), (grad_l1_hole, 0), (grad_angle_hole, 0), (edge_f1_hole, 1)]
)
def test_a_row_without_a_hole_has_its_documented_value(metric, value):
    completed, original, _ = triple(3)
    assert metric(completed, original, np.ones((2, 18, 18), bool)).tolist() == [value, value]


@pytest.mark.parametrize("metric", METRICS)
def test_wrong_input_is_refused_with_what_was_seen(metric):
    completed, original, known = triple(4)
    with pytest.raises(EvaluationError, match="found float64"):
        metric(completed / 255.0, original, known)
    with pytest.raises(EvaluationError, match=r"found \(2, 18, 17\)"):
        metric(completed, original, known[:, :, :-1])


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_identity_range_and_batch(seed):
    completed, original, known = triple(seed)
    for metric, best, top in (
        (seam_rgb, 0, 200),
        (grad_l1_hole, 0, 100),
        (grad_angle_hole, 0, 180),
        (edge_f1_hole, 1, 1),
    ):
        values = metric(completed, original, known)
        assert ((values >= 0) & (values <= top)).all()
        assert metric(original, original, known) == pytest.approx([best, best], abs=1e-9)
        assert metric(completed[1:], original[1:], known[1:])[0] == values[1]


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_distances_that_should_be_symmetric_are(seed):
    completed, original, known = triple(seed)
    for metric in (seam_rgb, grad_l1_hole, edge_f1_hole):
        assert metric(completed, original, known) == pytest.approx(metric(original, completed, known), abs=1e-12)


def test_growing_damage_in_the_hole_never_looks_better():
    _, original, known = triple(5)
    fill = np.random.default_rng(6).normal(0, 1, original.shape)
    series = [
        np.where(known[..., None], original, np.clip(original + strength * fill, 0, 255)).astype(np.uint8)
        for strength in (0, 3, 12, 50)
    ]
    for metric in (seam_rgb, grad_l1_hole, grad_angle_hole):
        values = [metric(picture, original, known).mean() for picture in series]
        assert values == sorted(values)
        assert values[-1] > values[0]

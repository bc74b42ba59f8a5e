"""What a metric is fed by mistake ends in an error that says what and where, or in the value that is documented."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from gainbench.errors import EvaluationError
from gainbench.evaluation.metrics.catalogue import METRICS
from gainbench.evaluation.metrics.panel import open_panel

SIDE = 56
OF_PICTURES = [metric for metric, info in METRICS.items() if info.per == "picture" and not info.asset]
OF_HOLES = [metric for metric in OF_PICTURES if METRICS[metric].hole]
OF_NETWORKS = [
    pytest.param(metric, marks=pytest.mark.assets)
    for metric, info in METRICS.items()
    if info.per == "picture" and info.asset == "lpips-alexnet"
]


def pictures(count=2):
    """Completed pictures that keep known pixels, originals, known."""
    generator = np.random.default_rng(3)
    original, fill = (
        (gaussian_filter(generator.random((count, SIDE, SIDE, 3)), (0, 1, 1, 0)) * 255).astype(np.uint8) for _ in "ab"
    )
    known = np.ones((count, SIDE, SIDE), bool)
    known[:, 10:30, 5:40] = False
    return np.where(known[..., None], original, fill), original, known


def measured(metric, completed, original, known):
    panel = open_panel([metric], torch.device("cpu"), size=SIDE)
    return panel.measure(completed, original, known, range(len(completed)))[metric]


@pytest.mark.parametrize("metric", [*OF_PICTURES, *OF_NETWORKS])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_from_zero_to_one_are_refused_with_their_range(metric, dtype):
    completed, original, known = pictures()
    message = r"must be uint8 pictures in \[0, 255\], found float\d\d \(2, 56, 56, 3\) in \[\S+, (0\.\d+|1)\]"
    with pytest.raises(EvaluationError, match=f"completed {message}"):
        measured(metric, (completed / 255).astype(dtype), original, known)
    with pytest.raises(EvaluationError, match=f"original {message}"):
        measured(metric, completed, (original / 255).astype(dtype), known)


@pytest.mark.parametrize("metric", [*OF_PICTURES, *OF_NETWORKS])
def test_pictures_of_unequal_sizes_are_refused_with_both_shapes(metric):
    completed, original, known = pictures()
    with pytest.raises(EvaluationError, match=r"found \(2, 56, 55, 3\) and \(2, 56, 56, 3\)"):
        measured(metric, completed[:, :, :-1], original, known)


@pytest.mark.parametrize("metric", OF_PICTURES)
def test_one_picture_missing_is_refused(metric):
    completed, original, known = pictures()
    with pytest.raises(EvaluationError, match=r"found \(1, 56, 56, 3\) and \(2, 56, 56, 3\)"):
        measured(metric, completed[:1], original, known)


@pytest.mark.parametrize("metric", OF_HOLES)
def test_an_inverted_known_is_refused_and_the_picture_named(metric):
    completed, original, known = pictures()
    with pytest.raises(EvaluationError, match=r"picture 0 differs .* at \d+ known pixels .* is known inverted\?"):
        measured(metric, completed, original, ~known)
    known[1] = ~known[1]
    with pytest.raises(EvaluationError, match=r"picture 1 differs .* is known inverted\?"):
        measured(metric, completed, original, known)


@pytest.mark.parametrize("metric", OF_HOLES)
def test_a_mask_as_it_lies_on_disk_is_refused(metric):
    completed, original, known = pictures()
    with pytest.raises(
        EvaluationError, match=r"known must be bool, True = known, found uint8 \(2, 56, 56\) in \[0, 255\]"
    ):
        measured(metric, completed, original, np.where(known, 0, 255).astype(np.uint8))


# Documented values: of a hole of one pixel that is 32 of 255 too dark in every channel, of no hole, of equal pictures.
ONE_PIXEL = {"l1_hole": 100 * 32 / 255, "seam_rgb": 100 * 32 / 255, "legacy_mmagic_mae": 100 * 32 / 255,
             # central differences do not read the pixel that they are taken at
             "grad_l1_hole": 0.0, "grad_angle_hole": 0.0}  # fmt: skip
NO_HOLE = dict.fromkeys(OF_HOLES, 0.0) | {"edge_f1_hole": 1.0}


@pytest.mark.parametrize("metric", OF_PICTURES)
def test_a_hole_of_one_pixel_has_its_documented_value(metric):
    _, original, known = pictures()
    original = np.maximum(original, 32)
    known[:] = True
    known[:, 20, 30] = False
    completed = original.copy()
    completed[:, 20, 30] -= 32
    values = measured(metric, completed, original, known)
    assert np.isfinite(values).all()
    if metric in ONE_PIXEL:
        assert values == pytest.approx([ONE_PIXEL[metric]] * 2, abs=1e-9)


@pytest.mark.parametrize("metric", OF_HOLES)
def test_no_hole_and_nothing_but_hole_have_documented_values(metric):
    completed, original, known = pictures()
    assert measured(metric, completed, original, np.ones_like(known)).tolist() == [NO_HOLE[metric]] * 2
    assert np.isfinite(measured(metric, completed, original, np.zeros_like(known))).all()

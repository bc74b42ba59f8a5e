import cv2
import kornia
import numpy as np
import pytest
import torch
from skimage.feature import canny as scikit_canny
from torch import Tensor

from gainbench.errors import MethodError
from gainbench.guidance import guidance
from gainbench.guidance.canny import CannyGuidance


def scene(side: int = 128, seed: int = 0) -> Tensor:
    """Soft blobs, discs and bars: edges of many strengths and directions; (1, 3, side, side) in [0, 1]."""
    random = np.random.default_rng(seed)
    canvas = cv2.GaussianBlur(random.random((side, side, 3)).astype(np.float32), (0, 0), side / 32)
    canvas = (canvas - canvas.min()) / (canvas.max() - canvas.min())
    for _ in range(8):
        x, y, length = (int(v) for v in random.integers(side // 16, side, 3))
        colour = tuple(float(v) for v in random.random(3))
        cv2.circle(canvas, (x, y), length // 6, colour, -1)
        cv2.line(canvas, (y, x), (length, y), colour, side // 40)
    return torch.from_numpy(canvas).permute(2, 0, 1)[None].clamp(0, 1)


def strokes(side: int = 128, seed: int = 0) -> Tensor:
    random = np.random.default_rng(seed)
    hole = np.zeros((side, side), np.uint8)
    for _ in range(4):
        start, end = random.integers(0, side, (2, 2)).tolist()
        cv2.line(hole, start, end, 1, side // 12)
    return torch.from_numpy(1.0 - hole.astype(np.float32))[None, None]


def near(edges: np.ndarray, others: np.ndarray) -> float:
    """Share of ``edges`` with one of ``others`` within a pixel."""
    grown = cv2.dilate(others.astype(np.uint8), np.ones((3, 3), np.uint8))
    return float((edges * grown).sum() / edges.sum())


@pytest.mark.parametrize(("side", "sigma", "kernel"), [(64, 0.75, 7), (128, 1.0, 7), (256, 2.0, 13)])
def test_edges_are_kornias(side: int, sigma: float, kernel: int) -> None:
    image = scene(side)
    gray = (image * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    _, expected = kornia.filters.canny(gray, 0.1, 0.2, (kernel, kernel), (sigma, sigma))
    # kornia mirrors the picture at its border, where edges are not compared.
    a, b = (edges[0, 0, 3:-3, 3:-3].numpy() for edges in (CannyGuidance().target(image), expected))
    assert a.sum() > side  # there is something to compare
    assert (a * b).sum() / a.sum() > 0.98
    assert (a * b).sum() / b.sum() > 0.97


def test_edges_are_where_edgeconnect_finds_them() -> None:
    # scikit-image's detector interpolates in its suppression, so edges may lie a pixel aside.
    image = scene(256)
    gray = (image * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1)[0]
    expected = scikit_canny(gray.double().numpy(), sigma=2)[3:-3, 3:-3].astype(np.float32)
    found = CannyGuidance().target(image)[0, 0, 3:-3, 3:-3].numpy()
    assert near(found, expected) > 0.95
    assert near(expected, found) > 0.95


def test_the_map_is_binary_and_of_the_pictures_size() -> None:
    edges = CannyGuidance().target(torch.cat([scene(seed=1), scene(seed=2)]))
    assert edges.shape == (2, 1, 128, 128)
    assert set(edges.unique().tolist()) == {0.0, 1.0}


def test_hidden_pixels_never_change_the_map() -> None:
    image, known = scene(), strokes()
    noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(1))
    expected = CannyGuidance().observed(image, known)
    for other in (noise, torch.full_like(image, torch.nan)):
        found = CannyGuidance().observed(torch.where(known > 0.5, image, other), known)
        assert torch.equal(expected[0], found[0])
        assert torch.equal(expected[1], found[1])


@pytest.mark.parametrize("angle", [0.0, 0.6, 1.6])
def test_the_hole_draws_no_outline_on_a_smooth_picture(angle: float) -> None:
    rows, columns = torch.meshgrid(torch.arange(128.0) - 64, torch.arange(128.0) - 64, indexing="ij")
    ramp = 0.5 + 0.006 * (np.cos(angle) * columns + np.sin(angle) * rows)
    image = ramp.clamp(0, 1).expand(1, 3, 128, 128)
    for seed in range(5):
        known = strokes(seed=seed)
        # The hole is a strong edge of the masked picture: a detector that is not told of it draws the outline.
        assert CannyGuidance().target(image * known).sum() > 100
        edges, _ = CannyGuidance().observed(image, known)
        assert edges.sum() == 0


def test_visible_edges_are_those_of_the_whole_picture() -> None:
    image, known = scene(256), strokes(256)
    whole = CannyGuidance().target(image)
    edges, valid = CannyGuidance().observed(image, known)
    seen = (whole * valid)[0, 0].numpy()
    assert near(seen, edges[0, 0].numpy()) > 0.93
    assert near(edges[0, 0].numpy(), whole[0, 0].numpy()) > 0.97


def test_responses_that_touch_the_hole_are_dropped_and_marked() -> None:
    known = torch.ones(1, 1, 128, 128)
    known[..., 40:60, 50:90] = 0
    edges, valid = CannyGuidance().observed(scene(), known)
    expected = torch.ones(1, 1, 128, 128)
    expected[..., 38:62, 48:92] = 0
    assert torch.equal(valid, expected)
    assert not (edges * (1 - valid)).any()
    assert edges.any()


def test_sigma_keeps_its_proportion_to_the_picture_down_to_a_floor() -> None:
    found = [CannyGuidance().sigma_for(side, side + 10) for side in (512, 256, 128, 64, 32)]
    assert found == [4.0, 2.0, 1.0, 0.75, 0.75]


def test_options_reach_the_detector_and_wrong_ones_are_refused() -> None:
    image = scene()
    few = guidance("canny", low=0.8, high=1.2).target(image).sum()
    assert few < 0.7 * guidance("canny").target(image).sum()
    for options in ({"sigma": 0}, {"low": 0.3, "high": 0.2}, {"low": -1}):
        with pytest.raises(MethodError, match="canny needs"):
            guidance("canny", **options)

"""Patch discriminator and gradient penalty."""

import pytest
import torch
from torch import nn

from gainbench.nn.discriminator import PatchDiscriminator, gradient_penalty


@pytest.mark.parametrize(("size", "levels", "side"), [(256, 6, 4), (128, 5, 4), (64, 4, 4), (32, 3, 4), (512, 6, 8)])
def test_levels_stop_before_the_map_falls_under_four(size, levels, side):
    with torch.device("meta"):
        discriminator = PatchDiscriminator(in_channels=4, size=size, base=2)
        scores = discriminator(torch.zeros(1, 4, size, size))
    assert len(discriminator.convolutions) == levels
    assert scores.shape[-2:] == (side, side)


def test_published_widths():
    with torch.device("meta"):
        discriminator = PatchDiscriminator(in_channels=4, size=256)
    assert [layer.out_channels for layer in discriminator.convolutions] == [64, 128, 256, 256, 256, 256]


def test_every_weight_has_spectral_norm_one_after_some_steps():
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(in_channels=2, size=32, base=4)
    for _ in range(60):
        discriminator(torch.randn(1, 2, 32, 32))
    for layer in discriminator.convolutions:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


class LinearScore(nn.Module):
    """One patch of two features: score = mean over features of <w_f, x>, so its gradient is known."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x):
        return torch.einsum("fchw,bchw->bf", self.weight, x)[..., None, None]


def test_penalty_equals_its_formula_for_a_linear_score():
    generator = torch.Generator().manual_seed(0)
    score = LinearScore(torch.randn(2, 3, 4, 4, generator=generator))
    real, completed = torch.randn(2, 2, 3, 4, 4, generator=generator)
    hole = torch.zeros(2, 1, 4, 4)
    hole[0, :, :2], hole[1, :, 1:3, 1:3] = 1, 1
    position = torch.tensor([0.2, 0.7]).view(2, 1, 1, 1)
    slope = score.weight.sum(0)
    expected = torch.stack([((slope * one).norm() - 1) ** 2 for one in hole]).mean()
    found = gradient_penalty(score, real, completed, hole, position)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    (by_penalty,) = torch.autograd.grad(found, score.weight)
    (by_formula,) = torch.autograd.grad(expected, score.weight)
    assert torch.allclose(by_penalty, by_formula, atol=1e-5)


def test_penalty_is_finite_for_a_picture_without_a_hole():
    score = LinearScore(torch.ones(1, 1, 2, 2))
    x = torch.zeros(1, 1, 2, 2)
    penalty = gradient_penalty(score, x, x, torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 1, 1))
    penalty.backward()
    assert score.weight.grad.isfinite().all()


def test_penalty_is_computed_in_float32_under_autocast():
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(in_channels=1, size=32, base=2).eval()
    real, completed = torch.randn(2, 2, 1, 32, 32)
    rest = torch.ones(2, 1, 32, 32), torch.full((2, 1, 1, 1), 0.5)
    expected = gradient_penalty(discriminator, real, completed, *rest)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gradient_penalty(discriminator, real, completed, *rest)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)

import math

import pytest
import torch

from gainbench.nn.losses import (
    feature_matching_loss,
    hinge_discriminator_loss,
    hinge_generator_loss,
    hole_l1,
    non_saturating_discriminator_loss,
    non_saturating_generator_loss,
    total_variation,
    valid_l1,
)


def test_l1_of_known_and_hidden_pixels_share_one_divisor() -> None:
    image = torch.zeros(1, 3, 2, 2)
    prediction = torch.zeros(1, 3, 2, 2)
    prediction[0, :, 0, 0] = 0.6  # known
    prediction[0, 0, 1, 1] = -0.9  # hidden
    known = torch.tensor([[[[1.0, 1.0], [1.0, 0.0]]]])
    assert valid_l1(prediction, image, known).item() == pytest.approx(3 * 0.6 / 12)
    assert hole_l1(prediction, image, known).item() == pytest.approx(0.9 / 12)


def test_total_variation_equals_a_slow_loop_over_the_dilated_hole() -> None:
    generator = torch.Generator().manual_seed(2)
    picture = torch.rand(2, 3, 7, 8, generator=generator)
    known = (torch.rand(2, 1, 7, 8, generator=generator) > 0.15).float()
    region = torch.zeros(2, 7, 8, dtype=torch.bool)
    for n, y, x in torch.nonzero(known[:, 0] == 0).tolist():
        region[n, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = True
    total = 0.0
    for n in range(2):
        for y in range(7):
            for x in range(8):
                if x + 1 < 8 and region[n, y, x] and region[n, y, x + 1]:
                    total += (picture[n, :, y, x + 1] - picture[n, :, y, x]).abs().sum().item()
                if y + 1 < 7 and region[n, y, x] and region[n, y + 1, x]:
                    total += (picture[n, :, y + 1, x] - picture[n, :, y, x]).abs().sum().item()
    assert total_variation(picture, known).item() == pytest.approx(total / picture.numel(), rel=1e-5)


def test_total_variation_leaves_texture_away_from_the_hole_alone() -> None:
    picture = torch.zeros(1, 1, 9, 9)
    picture[..., ::2] = 1
    known = torch.ones(1, 1, 9, 9)
    assert total_variation(picture, known).item() == 0
    known[..., 4, 4] = 0
    # The 3x3 region has 6 pairs across, each a difference of 1, and 6 pairs down without any.
    assert total_variation(picture, known).item() == pytest.approx(6 / 81)


def test_hinge_stops_at_the_margin() -> None:
    real, generated = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.25])
    assert hinge_discriminator_loss(real, generated).item() == pytest.approx((0 + 0.5) / 2 + (0 + 1.25) / 2)
    assert hinge_generator_loss(generated).item() == pytest.approx((3.0 - 0.25) / 2)


def test_non_saturating_losses_are_cross_entropies() -> None:
    real, generated = torch.tensor([1.5]), torch.tensor([-0.5])
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731 - the textbook's name for one line
    expected = (-math.log(sigmoid(1.5)) - math.log(1 - sigmoid(-0.5))) / 2
    assert non_saturating_discriminator_loss(real, generated).item() == pytest.approx(expected, rel=1e-6)
    assert non_saturating_generator_loss(generated).item() == pytest.approx(-math.log(sigmoid(-0.5)), rel=1e-6)


def test_non_saturating_losses_stay_finite_for_extreme_scores() -> None:
    extreme = torch.tensor([200.0, -200.0])
    assert torch.isfinite(non_saturating_discriminator_loss(extreme, extreme))
    assert non_saturating_generator_loss(torch.tensor([-200.0])).item() == pytest.approx(200)


def test_feature_matching_sums_layers_and_holds_the_real_side_fixed() -> None:
    real = [torch.tensor([1.0, 3.0], requires_grad=True), torch.tensor([2.0], requires_grad=True)]
    generated = [torch.tensor([0.0, 5.0], requires_grad=True), torch.tensor([2.5], requires_grad=True)]
    loss = feature_matching_loss(generated, real)
    assert loss.item() == pytest.approx((1 + 2) / 2 + 0.5)
    loss.backward()
    assert all(layer.grad is None for layer in real)
    assert all(layer.grad is not None for layer in generated)

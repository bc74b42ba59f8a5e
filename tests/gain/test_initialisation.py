"""The gains that keep variance, against simulation."""

import pytest
import torch
import torch.nn.functional as F

from gainbench.gain.initialisation import SECOND_MOMENT, border_gain, gradient_moment, keep_variance
from gainbench.guidance.gradient import SMOOTHING, spatial_gradient
from gainbench.nn.partial_conv import PartialConv2d, Window


@pytest.mark.parametrize("activation", ["elu", "relu"])
def test_second_moments_of_activations(activation):
    z = torch.randn(1_000_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert getattr(F, activation)(z).square().mean().item() == pytest.approx(SECOND_MOMENT[activation], rel=0.01)


@pytest.mark.parametrize("kernel", list(SMOOTHING))
def test_second_moment_of_the_gradient_of_noise(kernel):
    noise = 2 * torch.randn(1, 1, 400, 400, generator=torch.Generator().manual_seed(0))
    found = spatial_gradient(noise, kernel).square().mean().item()
    assert found == pytest.approx(gradient_moment(kernel, 4.0), rel=0.03)


@pytest.mark.parametrize("window", [Window(3), Window(3, dilation=8), Window(5, stride=2), Window(3, dilation=40)])
def test_renormalised_borders_multiply_the_variance_by_the_gain(window):
    torch.manual_seed(0)
    layer = PartialConv2d(8, 300, window.kernel, stride=window.stride, dilation=window.dilation)
    keep_variance(layer.weight, share=0.5, moment=4.0, gain=border_gain(window, 32))
    out, _ = layer(2 * torch.randn(4, 8, 32, 32), torch.ones(4, 1, 32, 32))
    assert out.square().mean().item() == pytest.approx(0.5, rel=0.06)


def test_border_gain_of_a_worked_example():
    # A row of 4 with 3 taps: 3/2, 1, 1, 3/2, mean 5/4, and the same down the columns.
    assert border_gain(Window(3), 4) == pytest.approx(25 / 16)

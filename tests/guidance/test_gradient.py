"""Gradients of pictures and feature maps."""

import kornia
import pytest
import torch

from gainbench.errors import MethodError
from gainbench.guidance.gradient import SMOOTHING, GradientGuidance, eroded, gray, spatial_gradient

KERNELS = list(SMOOTHING)


def ramps(height=7, width=9):
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y]).double().unsqueeze(0)


@pytest.mark.parametrize("kernel", KERNELS)
def test_gradient_of_a_constant_is_zero(kernel):
    assert (spatial_gradient(torch.full((1, 3, 6, 6), 0.7), kernel) == 0).all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_gradient_of_a_unit_ramp_is_one_along_it_and_zero_across(kernel):
    g = spatial_gradient(ramps(), kernel)[..., 1:-1, 1:-1]
    x_of_x, x_of_y, y_of_x, y_of_y = g[0]
    assert torch.allclose(x_of_x, torch.ones_like(x_of_x))
    assert torch.allclose(y_of_y, torch.ones_like(y_of_y))
    assert x_of_y.abs().max() < 1e-12
    assert y_of_x.abs().max() < 1e-12


def test_channels_double_with_all_x_derivatives_first():
    x = torch.zeros(1, 3, 5, 5, dtype=torch.float64)
    x[0, 1] = 3 * ramps(5, 5)[0, 0]
    g = spatial_gradient(x)
    assert g.shape == (1, 6, 5, 5)
    assert g[0, 1, 2, 2] == 3
    assert (g[0, [0, 2, 3, 4, 5]] == 0).all()


@pytest.mark.parametrize(("kernel", "mode"), [("central", "diff"), ("sobel", "sobel")])
def test_agrees_with_kornia(kernel, mode):
    x = torch.randn(2, 3, 8, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    reference = kornia.filters.spatial_gradient(x, mode=mode, order=1, normalized=True)
    expected = torch.cat([reference[:, :, 0], reference[:, :, 1]], 1)
    assert torch.allclose(spatial_gradient(x, kernel), expected, atol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", [(1, 2, 4, 5), (1, 1, 1, 3), (2, 1, 2, 2)])
def test_first_and_second_derivatives_are_right(kernel, shape):
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: spatial_gradient(x, kernel), (x,))
    assert torch.autograd.gradgradcheck(lambda x: spatial_gradient(x, kernel).square(), (x,))


def test_channels_last_maps_give_the_same_values():
    x = torch.randn(2, 4, 6, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(spatial_gradient(x.contiguous(memory_format=torch.channels_last)), spatial_gradient(x))


def test_unknown_kernel_is_an_error():
    with pytest.raises(MethodError, match="sobel"):
        GradientGuidance(kernel="sobbel")


def test_erosion_dilates_the_hole_and_takes_the_outside_as_known():
    known = torch.ones(1, 1, 6, 6)
    known[..., 3, 0] = 0
    expected = torch.ones(6, 6)
    expected[2:5, 0:2] = 0
    assert torch.equal(eroded(known)[0, 0], expected)
    assert torch.equal(eroded(torch.ones(1, 1, 6, 6)), torch.ones(1, 1, 6, 6))
    expected[1:6, 0:3] = 0
    assert torch.equal(eroded(known, 2)[0, 0], expected)


def test_gray_is_luma():
    assert gray(torch.eye(3).view(3, 3, 1, 1)).flatten().tolist() == pytest.approx([0.299, 0.587, 0.114])


def test_the_picture_is_taken_in_minus_one_to_one():
    image = (ramps(8, 8)[:, :1] / 7).expand(1, 3, 8, 8)
    assert torch.allclose(GradientGuidance().target(image)[0, 0, :, 1:-1], torch.tensor(2 / 7).double())


def test_observed_gradient_is_the_target_on_the_eroded_mask():
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    known = torch.ones(1, 1, 8, 8)
    known[..., 3:5, 3:5] = 0
    guidance = GradientGuidance()
    grad_0, M_0 = guidance.observed(image * known, known)
    assert torch.equal(M_0, eroded(known))
    assert torch.allclose(grad_0, guidance.target(image) * M_0)

"""The weights that keep variance and signal, against simulation."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gainbench.gain.block import GAIBlock
from gainbench.gain.initialisation import (
    SIGNAL_RMS,
    Draw,
    gradient_moment,
    keep_directions,
    keep_signal,
    keep_variance,
    made_up_scene,
    orthogonal_kernel,
    principal_kernels,
)
from gainbench.guidance.gradient import SMOOTHING, spatial_gradient
from gainbench.nn.partial_conv import KnownMap, Window


@pytest.mark.parametrize("kernel", list(SMOOTHING))
def test_second_moment_of_the_gradient_of_noise(kernel):
    noise = 2 * torch.randn(1, 1, 400, 400, generator=torch.Generator().manual_seed(0))
    found = spatial_gradient(noise, kernel).square().mean().item()
    assert found == pytest.approx(gradient_moment(kernel, 4.0), rel=0.03)


def test_weights_give_the_share_of_variance_that_is_asked_for():
    torch.manual_seed(0)
    weight = torch.empty(300, 8, 3, 3)
    keep_variance(weight, share=0.5, moment=4.0)
    out = F.conv2d(2 * torch.randn(4, 8, 32, 32), weight)
    assert out.square().mean().item() == pytest.approx(0.5, rel=0.06)


@pytest.mark.parametrize("channels", [1, 7, 12])
def test_an_orthogonal_kernel_is_an_isometry_in_the_literal_sense(channels):
    torch.manual_seed(0)
    kernel = orthogonal_kernel(channels).double()
    side = 5
    # On a torus there is no border, and the convolution is a square matrix.
    units = torch.eye(channels * side * side, dtype=torch.float64).view(-1, channels, side, side)
    matrix = F.conv2d(F.pad(units, (1, 1, 1, 1), mode="circular"), kernel).flatten(1)
    assert torch.allclose(matrix @ matrix.T, torch.eye(matrix.shape[0], dtype=torch.float64), atol=1e-5)
    assert (kernel.abs().amax((0, 1)) > 1e-3).sum() == (9 if channels > 1 else 1)


@pytest.mark.parametrize("flows", [1, 2])
def test_a_mirrored_convolution_between_rectifiers_is_linear(flows):
    torch.manual_seed(0)
    weight = torch.empty(16, 12 * flows, 3, 3)
    keep_directions(weight, Draw(mirrored_inputs=flows), share=1.0)
    x, y = torch.randn(2, 3, 6 * flows, 9, 9).unbind()

    def convolved(x):
        halves = [F.relu(torch.cat([part, -part], 1)) for part in x.chunk(flows, 1)]
        return F.conv2d(torch.cat(halves, 1), weight, padding=1)

    assert torch.allclose(convolved(x + 3 * y), convolved(x) + 3 * convolved(y), atol=1e-4)
    one, other = convolved(x).chunk(2, 1)
    assert torch.allclose(one, -other, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "draw"),
    [
        ((8, 4, 5, 5), Draw(mirrored_inputs=0, smooth=True)),
        ((64, 32, 3, 3), Draw(smooth=True)),
        ((32, 32, 3, 3), Draw()),
        ((32, 128, 3, 3), Draw(mirrored_inputs=2)),
        ((27, 27, 3, 3), Draw()),
        ((3, 32, 3, 3), Draw(mirrored_outputs=False, smooth=True)),
    ],
)
def test_drawn_weights_give_the_share_of_variance_that_is_asked_for(shape, draw):
    torch.manual_seed(0)
    weight = torch.empty(shape)
    found = []
    for _ in range(20):
        keep_directions(weight, draw, share=0.25)
        x = torch.randn(2, shape[1], 24, 24)
        found.append((F.conv2d(x, weight).square().mean() / x.square().mean()).item())
    assert sum(found) / len(found) == pytest.approx(0.25, rel=0.2)


def test_principal_kernels_span_the_principal_components_of_patches():
    torch.manual_seed(0)
    x = F.avg_pool2d(torch.randn(6, 2, 40, 40, generator=torch.Generator().manual_seed(1)), 3, stride=1)
    x[:, 1] *= 0.3
    kernels = principal_kernels(x, Window(3, stride=2), 5, whitened=False)
    patches = x.unfold(2, 3, 2).unfold(3, 3, 2).permute(0, 2, 3, 1, 4, 5).reshape(-1, 18).numpy()
    _, values, components = np.linalg.svd(patches - patches.mean(0), full_matrices=False)
    found = kernels.flatten(1).double().numpy()
    inside = found @ components[:5].T @ components[:5]
    assert np.allclose(inside, found, atol=1e-3 * np.abs(found).max())
    # Turned, so only what no rotation changes can be compared: the singular values, variance to the power -1/4.
    expected = values[:5] ** -0.5
    assert np.linalg.svd(found)[1] == pytest.approx(
        np.sort(expected)[::-1] * np.sqrt(5 / (expected**2).sum()), rel=1e-3
    )


def test_whitened_kernels_do_not_depend_on_how_loud_a_channel_is():
    x = torch.randn(4, 3, 20, 20, generator=torch.Generator().manual_seed(2))
    volume = torch.tensor([1.0, 0.1, 3.0]).view(3, 1, 1)
    torch.manual_seed(0)
    kernels = principal_kernels(x, Window(3), 3, whitened=True)
    torch.manual_seed(0)
    louder = principal_kernels(volume * x, Window(3), 3, whitened=True)
    one, other = F.conv2d(x, kernels), F.conv2d(volume * x, louder)
    one, other = (torch.linalg.qr(y.transpose(0, 1).flatten(1).T).Q for y in (one, other))
    assert torch.linalg.svdvals(one.T @ other).min().item() == pytest.approx(1.0, abs=0.02)


def test_more_kernels_than_components_start_again():
    x = torch.randn(4, 1, 20, 20, generator=torch.Generator().manual_seed(2))
    kernels = principal_kernels(x, Window(3), 20, whitened=False)
    assert kernels.shape == (20, 1, 3, 3)
    assert torch.linalg.matrix_rank(kernels.flatten(1)) == 9


def test_what_differs_between_pictures_is_equally_large_after_every_block():
    torch.manual_seed(0)
    blocks = [
        GAIBlock(in_image=8, in_grad=8, out_image=8, out_grad=8, window=Window(3, dilation=dilation))
        for dilation in (1, 2, 4, 4)
    ]
    pictures = torch.randn(6, 8, 16, 16, generator=torch.Generator().manual_seed(1))
    given = 0.5 + pictures, 3 * pictures  # what is the same in all pictures must not count
    after = []

    def forward():
        after.clear()
        I, grad, known = *given, KnownMap.all_known(pictures)  # noqa: E741
        for block in blocks:
            I, grad, known = block(I, grad, known)  # noqa: E741
            after.extend([I, grad])

    keep_signal(blocks, forward)
    forward()
    found = [flow.var(0).mean().sqrt().item() for flow in after]
    assert found == pytest.approx([SIGNAL_RMS] * len(found), rel=0.05)


def test_made_up_pictures_are_the_same_in_every_call_and_touch_no_global_state():
    before = torch.get_rng_state()
    first = made_up_scene(32, guidance_channels=2, guidance_rms=0.1)
    torch.rand(3)
    again = made_up_scene(32, guidance_channels=2, guidance_rms=0.1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    torch.set_rng_state(before)
    I, M, grad = first  # noqa: E741
    assert I.abs().max() <= 1
    assert set(M.unique().tolist()) == {0.0, 1.0}
    assert 0.15 < 1 - M.mean() < 0.45
    assert grad.square().mean().sqrt().item() == pytest.approx(0.1, rel=0.1)

"""The weights that keep variance and signal, against simulation."""

import pytest
import torch
import torch.nn.functional as F

from gainbench.gain.block import GAIBlock
from gainbench.gain.initialisation import (
    SECOND_MOMENT,
    SIGNAL_RMS,
    gradient_moment,
    keep_signal,
    keep_variance,
    made_up_scene,
)
from gainbench.guidance.gradient import SMOOTHING, spatial_gradient
from gainbench.nn.partial_conv import KnownMap, Window


@pytest.mark.parametrize("activation", ["elu", "relu"])
def test_second_moments_of_activations(activation):
    z = torch.randn(1_000_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert getattr(F, activation)(z).square().mean().item() == pytest.approx(SECOND_MOMENT[activation], rel=0.01)


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

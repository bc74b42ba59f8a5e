"""Weights that keep variance: what makes some thirty GAI-Blocks in a row trainable.

Every output of a GAI-Block is the sum of two paths, so Kaiming's or Xavier's weights multiply the variance in every
block. Here each path is given a share of it. With inputs of second moment q and n inputs a window, weights of variance
share / (n q) give a path of variance ``share``; the shares of an output sum to 1 before the activation, and the
activation's own second moment for a standard normal input is the q of the next block.

The gradient path Pconv_IG(Grad(I')) is special: the variance of Grad(I') depends on how smooth I' is, from half the
variance of I' (white noise) down to nothing (a flat map). Its share is therefore an upper bound, and the rest must
carry the flow alone: with a share above .65 for Pconv_GG, ELU's growing slope near 0 holds the flow at a fixed point
above 0.

Variance alone does not tell whether anything of the picture is left in it. A partial convolution renormalises its
border (window size / sum(M) is 9/4 in a corner), so a deep stack's borders grow, and weights that hold the average
against that let its middle decay. So the last word is a measurement: one pass over made-up pictures, in which each
block's weights are scaled until what differs between pictures has the same size everywhere (``keep_signal``; the idea
of LSUV, Mishkin, Matas, ICLR 2016, applied to differences between pictures).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gainbench.guidance.gradient import SMOOTHING, Kernel
from gainbench.masks import open_protocol
from gainbench.spec import MaskSpec


def _normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


SECOND_MOMENT = {
    # E[elu(z)^2] = 1/2 + E[(e^z - 1)^2; z < 0], by completing the square in each term
    "elu": 1.0 + math.exp(2) * _normal_cdf(-2) - 2 * math.exp(0.5) * _normal_cdf(-1),
    "relu": 0.5,
}
"""E[activation(z)^2] for a standard normal z."""

II_SHARE = 0.5
"""Share of the image flow's variance that comes from the image flow; the rest is Pconv_GI's."""

GG_SHARE = 0.8
"""Share of the gradient flow's variance that comes from the gradient flow; the rest is Pconv_IG's at most."""


def gradient_moment(kernel: Kernel, variance: float) -> float:
    """Second moment of Grad of white noise of the given variance: (1/4 + 1/4) times the smoothing's sum of squares."""
    return variance * 0.5 * sum(tap**2 for tap in SMOOTHING[kernel])


def keep_variance(weight: Tensor, *, share: float, moment: float) -> None:
    """Draw a convolution's weights so that its output has variance ``share``.

    Args:
        weight: (out, in, k, k), or a part of a parameter's rows; overwritten.
        share: the wanted variance of the output.
        moment: second moment of the input.
    """
    fan_in = weight.shape[1] * weight.shape[2] * weight.shape[3]
    nn.init.normal_(weight, std=math.sqrt(share / (fan_in * moment)))


SIGNAL_RMS = 0.6
"""What differs between pictures, root mean square after each block: where ELU bends and does not yet saturate."""

LARGEST_RMS = 1.0
"""Bound of the root mean square itself: rectified flows have most of it in what all pictures share."""

MADE_UP_PICTURES = 4
"""Pictures of the measurement: the mean is over their channels and positions too, so a few are enough."""

SCALINGS = 2
"""Times a block is measured and scaled; the activation makes the first answer inexact."""


MEASURED_BASE = 8
"""Widest network that is measured itself. A wider one takes the scalings of one of this width: they depend on windows,
masks and depth, not on the number of channels, and a measurement at base 64 and 256 pixels takes minutes of a CPU."""


class Scalable(Protocol):
    """What ``keep_signal`` needs of a block: its flows can be made larger or smaller."""

    def scale_flows(self, image: float, grad: float) -> None:
        """Multiply what the block gives to either flow, before the activation."""

    def register_forward_hook(self, hook: Callable[..., object]) -> "torch.utils.hooks.RemovableHandle":
        """As ``torch.nn.Module``'s."""


@torch.no_grad()
def keep_signal(blocks: Sequence[Scalable], forward: Callable[[], object]) -> list[tuple[float, float]]:
    """Scale weights until what differs between pictures is ``SIGNAL_RMS`` in both flows, or all is ``LARGEST_RMS``.

    A block is scaled on what the blocks before it give after their own scaling, so one pass settles all.

    Args:
        blocks: each called once by ``forward``, with a flow of no channels where a flow does not exist.
        forward: passes several pictures through all blocks.

    Returns:
        What either flow of each block was multiplied by.
    """
    scalings = {id(block): (1.0, 1.0) for block in blocks}

    def settle(block: Any, inputs: tuple[Any, ...], outputs: tuple[Tensor, Tensor, Any]) -> object:
        for _ in range(SCALINGS):
            image, grad = (_scaling(flow) for flow in outputs[:2])
            block.scale_flows(image, grad)
            before = scalings[id(block)]
            scalings[id(block)] = before[0] * image, before[1] * grad
            outputs = block.forward(*inputs)
        return outputs

    handles = [block.register_forward_hook(settle) for block in blocks]
    try:
        forward()
    finally:
        for handle in handles:
            handle.remove()
    return list(scalings.values())


def _scaling(flow: Tensor) -> float:
    """What brings the difference from the pictures' mean to its size, the bias of few pictures taken out."""
    if not flow.shape[1]:
        return 1.0
    count = flow.shape[0]
    differing = (flow - flow.mean(0, keepdim=True)).square().mean().item() * count / (count - 1)
    if not differing > 0:
        return 1.0
    return min(SIGNAL_RMS / math.sqrt(differing), LARGEST_RMS / math.sqrt(flow.square().mean().item()))


def made_up_scene(size: int, *, guidance_channels: int, guidance_rms: float) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures, holes and guidance maps that have only the scales of real ones; the same in every call.

    Args:
        size: side in pixels.
        guidance_channels: channels of the guidance map.
        guidance_rms: its root mean square.

    Returns:
        I (B, 3, size, size) in [-1, 1]: noise whose octaves have equal energy, as photographs' have, mostly gray; M
        (B, 1, size, size), holes of the protocol that trainings draw from; grad_0 (B, guidance_channels, size, size),
        white noise.
    """
    generator = torch.Generator().manual_seed(0)

    def octaves(channels: int) -> Tensor:
        total = torch.zeros(MADE_UP_PICTURES, channels, size, size, device="cpu")
        for level in range(1, size.bit_length()):
            side = min(2**level, size)
            noise = torch.randn(MADE_UP_PICTURES, channels, side, side, generator=generator, device="cpu")
            total += F.interpolate(noise, size=(size, size), mode="bilinear")
        return total / total.std()

    I = (0.45 * octaves(1) + 0.15 * octaves(3)).clamp(-1, 1)  # noqa: E741
    holes = open_protocol(MaskSpec())
    drawn = [torch.from_numpy(holes.training_known(0, number, size)) for number in range(MADE_UP_PICTURES)]
    M = torch.stack(drawn).unsqueeze(1).to("cpu", torch.float32)
    white = torch.randn(MADE_UP_PICTURES, guidance_channels, size, size, generator=generator, device="cpu")
    return I, M, guidance_rms * white

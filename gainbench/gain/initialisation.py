"""Weights that pass on what pictures hold: what makes some thirty GAI-Blocks in a row trainable.

Three things are asked of them.

*No direction is lost.* A product of thirty random matrices keeps a few directions and crushes the rest, and training
spends its first thousand steps on repairing that. So a block starts as an isometry: a kernel that is orthogonal between
channels and moves half of them by a pixel along each axis (block convolution orthogonal parameterisation, Li et al.,
NeurIPS 2019, section 4; Xiao et al., ICML 2018), and each flow holds every channel beside its negative, so that what
one half's activation bends, the other passes (the "looks linear" weights of Balduzzi et al., ICML 2017, section 5). The
exchange between flows starts small, ``EXCHANGE_SHARE``, for the sum of two isometries is none.

*Encoders start with what pictures are made of.* Most of a photograph is in its low frequencies and little of it in its
colours: the encoders' image flow starts with the principal components of patches (``principal_kernels``; the idea of
Krähenbühl et al., ICLR 2016), of made-up pictures and not of data, the loud ones turned down by a square root. Their
other kernels are random ones under a Gaussian window.

*The signal keeps its size.* A partial convolution renormalises its border (window size / sum(M) is 9/4 in a corner), so
a deep stack's borders grow, and weights that hold the average against that let its middle decay. So the last word is a
measurement: one pass over made-up pictures, in which each block's weights are scaled until what differs between
pictures has the same size everywhere (``keep_signal``; the idea of LSUV, Mishkin, Matas, ICLR 2016, applied to
differences between pictures).

Each was chosen on validation holes: 64 pixels, base 8, 300 iterations of l1 alone, 40 pictures of celeba-999 in six
bins; hole l1 in per cent of the range, where OpenCV's Telea has 7.90. Random weights that keep variance and signal
8.93; mirrored 8.95; orthogonal 8.86; both 8.49, and 8.44 with an exchange of .02 instead of .1 (9.06 at .3 and .2);
smooth encoders as well 8.08, 8.26 and 8.54 with three seeds; principal components in the encoders instead 7.63 (7.67
without the whitening). With all losses 7.64; there kernels of a single tap, a fifth of random ones beside it, gave
7.79, and decoders fitted to made-up pictures as well 7.89.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gainbench.guidance.gradient import SMOOTHING, Kernel
from gainbench.masks import open_protocol
from gainbench.nn.partial_conv import Window
from gainbench.spec import MaskSpec

EXCHANGE_SHARE = 0.02
"""Share of either flow's variance that comes from the other flow at first."""

SMALLEST_VARIANCE = 1e-4
"""Of a principal component, over the largest one's: what is less is not turned up further."""

SMOOTH = 0.25
"""Standard deviation of the encoders' Gaussian window, in kernel sides."""


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


@dataclass(frozen=True)
class Draw:
    """How a block's first weights are drawn.

    Attributes:
        mirrored_inputs: flows its inputs are stacked of, each of channels and their negatives; 0 for pictures.
        mirrored_outputs: whether its outputs are to be such a flow; a picture is none.
        smooth: under a Gaussian window, as in the encoders.
    """

    mirrored_inputs: int = 1
    mirrored_outputs: bool = True
    smooth: bool = False


@torch.no_grad()
def keep_directions(weight: Tensor, draw: Draw, *, share: float) -> None:
    """Draw a convolution's weights so that its outputs are channels and their negatives, and no direction is lost.

    Args:
        weight: (out, in, k, k), or a part of a parameter's rows; overwritten.
        draw: see ``Draw``.
        share: the output's variance over the input's, about.
    """
    out, inputs, k, _ = weight.shape
    rows = (out + 1) // 2 if draw.mirrored_outputs else out
    flows = max(1, draw.mirrored_inputs)
    columns = []
    for _ in range(flows):
        if draw.mirrored_inputs:
            each = inputs // flows
            A = _kernel(rows, (each + 1) // 2, k, smooth=draw.smooth) / math.sqrt(2 * flows)
            A = torch.cat([A, -A], 1)[:, :each]
        else:
            A = _kernel(rows, inputs, k, smooth=draw.smooth)
        columns.append(torch.cat([A, -A])[:out])
    drawn = torch.cat(columns, 1)
    weight.copy_(math.sqrt(share) * drawn)


def _kernel(out: int, inputs: int, k: int, *, smooth: bool) -> Tensor:
    """Weights (out, inputs, k, k) that keep the size of white noise."""
    if smooth or k != 3:
        distance = torch.arange(k, dtype=torch.float32) - k // 2
        profile: Tensor = torch.exp(-distance.square() / (2 * (SMOOTH * k) ** 2))
        window = torch.outer(profile, profile)
        kernel: Tensor = torch.empty(out, inputs * k * k)
        nn.init.orthogonal_(kernel)
        return kernel.view(out, inputs, k, k) * (window * k / window.square().sum().sqrt())
    return orthogonal_kernel(max(out, inputs))[:out, :inputs] * math.sqrt(max(out, inputs) / inputs)


@torch.no_grad()
def principal_kernels(x: Tensor, window: Window, count: int, *, whitened: bool) -> Tensor:
    """Convolution kernels along which patches differ most, each scaled by its variance to the power -1/4, then turned.

    Args:
        x: (B, C, H, W).
        window: of the patches.
        count: how many; where there are not as many, the first ones come again.
        whitened: channels are made equally large and uncorrelated first, so that colours count as much as brightness.

    Returns:
        (count, C, k, k), of unit size on average; all span the same directions, mixed at random.
    """
    channels, k = x.shape[1], window.kernel
    whitening = torch.eye(channels)
    if whitened:
        values, vectors = torch.linalg.eigh(torch.cov(x.transpose(0, 1).flatten(1)))
        whitening = vectors @ torch.diag(values.clamp(min=float(values[-1]) * SMALLEST_VARIANCE).rsqrt()) @ vectors.T
    patches = F.unfold(torch.einsum("dc,bchw->bdhw", whitening, x), k, stride=window.stride)
    values, vectors = torch.linalg.eigh(torch.cov(patches.transpose(0, 1).flatten(1)))
    values = values.clamp(min=float(values[-1]) * SMALLEST_VARIANCE)
    kernels = (vectors * values**-0.25).T.flip(0)
    kernels = kernels[torch.arange(count) % len(kernels)].view(count, channels, k, k)
    kernels = torch.einsum("ndkl,dc->nckl", kernels, whitening).flatten(1)
    turn = torch.empty(count, count)
    nn.init.orthogonal_(turn)
    kernels = turn @ kernels
    return kernels.view(count, channels, k, k) * (math.sqrt(count) / float(kernels.norm()))


@torch.no_grad()
def keep_principal(weight: Tensor, x: Tensor, draw: Draw, window: Window) -> None:
    """Overwrite a convolution's weights with ``principal_kernels`` of its input, mirrored as ``draw`` says.

    Args:
        weight: (out, in, k, k), overwritten.
        x: (B, in, H, W); pictures, or one flow of channels and their negatives.
        draw: mirrored_inputs is 0 or 1.
        window: of the convolution.
    """
    out, inputs = weight.shape[:2]
    if draw.mirrored_inputs:
        half = (inputs + 1) // 2
        x = x[:, :half] - F.pad(x[:, half:], (0, 0, 0, 0, 0, 2 * half - inputs))
    A = principal_kernels(x, window, (out + 1) // 2, whitened=not draw.mirrored_inputs)
    if draw.mirrored_inputs:
        A = torch.cat([A, -A], 1)[:, :inputs] / math.sqrt(2)
    weight.copy_(torch.cat([A, -A])[:out])


def orthogonal_kernel(channels: int) -> Tensor:
    """A random 3x3 convolution that is an isometry (away from borders): (channels, channels, 3, 3).

    Four times a random half of all directions is moved by one pixel, left, right, up and down, and all are turned.
    """
    taps = {(1, 1): nn.init.orthogonal_(torch.empty(channels, channels))}
    for down, right in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        directions = nn.init.orthogonal_(torch.empty(channels, (channels + 1) // 2))
        stay = directions @ directions.T
        move = torch.eye(channels) - stay
        moved: dict[tuple[int, int], Tensor] = {}
        for (y, x), tap in taps.items():
            for place, part in (((y, x), tap @ stay), ((y + down, x + right), tap @ move)):
                moved[place] = moved[place] + part if place in moved else part
        taps = moved
    kernel = torch.zeros(channels, channels, 3, 3)
    for (y, x), tap in taps.items():
        kernel[:, :, y, x] = tap
    return kernel


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

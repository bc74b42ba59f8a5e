"""GAIN's network (Zhang et al., ACM MM 2019): one stage, two branches of GAI-Blocks, one decoder.

    branch 1 "structure"   conv, two stride-2 convs, six dilation blocks (priority in the first four)
    branch 2 "content"     conv, two stride-2 convs, two dilation blocks, contextual attention
    decoder                concatenation, conv, x2, conv, x2, conv, output convolutions

Pictures are in [-1, 1] here. The layout around the paper's words is our reading, see ``gainbench.gain.readings``.
"""

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gainbench.errors import MethodError
from gainbench.gain.block import BlockStyle, GAIBlock
from gainbench.gain.colours import carry_colours
from gainbench.gain.initialisation import (
    MEASURED_BASE,
    SIGNAL_RMS,
    Draw,
    keep_directions,
    keep_signal,
    keep_variance,
    made_up_scene,
)
from gainbench.gain.priority import Priority
from gainbench.guidance.gradient import eroded
from gainbench.nn.attention import ContextualAttention
from gainbench.nn.partial_conv import KnownMap, PartialConv2d, Window

Branches = Literal["two", "structure", "content"]
FirstMask = Literal["known", "opening"]
Flows = tuple[Tensor, Tensor, KnownMap]

PAPER_SIZE = 256
DILATIONS = (2, 4, 8, 16)
STRUCTURE_BLOCKS, PRIORITY_BLOCKS, CONTENT_BLOCKS = 6, 4, 2

OUTPUT_RMS = 0.25
"""Root mean square of the untrained network's picture: well inside [-1, 1], where clipping leaves no gradient."""


@dataclass(frozen=True)
class Widths:
    """Channels of both flows at full, half and quarter resolution."""

    image: tuple[int, int, int]
    grad: tuple[int, int, int]

    @classmethod
    def of_base(cls, base: int, *, guided: bool = True) -> "Widths":
        """The paper's widths at base 64: 64-128-256 for the image flow, twice that for the gradient flow.

        Without guidance the image flow alone gets the multiplications of both: a block of c and 2c channels costs
        (1 + 4 + 2 + 4) k^2 c^2 a position (II, GG, GI, IG), a single flow k^2 w^2, hence w = sqrt(11) c.
        """
        if guided:
            return cls((base, 2 * base, 4 * base), (2 * base, 4 * base, 8 * base))
        one, two, four = (round(math.sqrt(11) * factor * base) for factor in (1, 2, 4))
        return cls((one, two, four), (0, 0, 0))


def scaled_dilations(size: int) -> tuple[int, ...]:
    """2, 4, 8, 16 at 256 pixels; in proportion to ``size`` below, at least 1."""
    return tuple(max(1, round(dilation * size / PAPER_SIZE)) for dilation in DILATIONS)


class Branch(nn.Module):
    """An encoder to a quarter of the resolution, then dilation blocks of four convolutions.

    Args:
        widths: of both flows.
        inputs: channels of [I_1, M] and grad_1.
        dilations: of the four convolutions of a dilation block.
        blocks: dilation blocks.
        style: of every GAI-Block.
        priority: in the first ``PRIORITY_BLOCKS`` dilation blocks; None for plain updates.
    """

    def __init__(
        self,
        *,
        widths: Widths,
        inputs: tuple[int, int],
        dilations: Sequence[int],
        blocks: int,
        style: BlockStyle,
        priority: Priority | None,
    ) -> None:
        super().__init__()
        levels = list(zip(widths.image, widths.grad, strict=True))
        channels = [inputs, *levels]
        windows = [Window(5), Window(3, stride=2), Window(3, stride=2)]
        draws = [Draw(mirrored_inputs=0, smooth=True), Draw(smooth=True), Draw(smooth=True)]
        self.encoder = nn.ModuleList(
            GAIBlock(
                in_image=before[0],
                in_grad=before[1],
                out_image=after[0],
                out_grad=after[1],
                window=window,
                style=style,
                draw=draw,
            )
            for (before, after), window, draw in zip(pairwise(channels), windows, draws, strict=True)
        )
        image, grad = levels[-1]
        self.dilated = nn.ModuleList(
            GAIBlock(
                in_image=image,
                in_grad=grad,
                out_image=image,
                out_grad=grad,
                window=Window(3, dilation=dilation),
                style=style,
                priority=priority if number < PRIORITY_BLOCKS else None,
            )
            for number in range(blocks)
            for dilation in dilations
        )

    @torch.no_grad()
    def start_encoder(self, I: Tensor, grad: Tensor, known: KnownMap) -> None:  # noqa: E741
        """Let the encoder start with what the flows given to ``forward`` are made of."""
        for block in cast("Iterable[GAIBlock]", self.encoder):
            block.read_components(I)
            keep_signal([block], functools.partial(block, I, grad, known))
            I, grad, known = block(I, grad, known)  # noqa: E741

    def forward(self, I: Tensor, grad: Tensor, known: KnownMap) -> Flows:  # noqa: E741
        """(B, C, H, W) flows and their mask -> flows and mask of a quarter of the size."""
        for block in self.encoder:
            I, grad, known = block(I, grad, known)  # noqa: E741
        for number, block in enumerate(self.dilated):
            if number % len(DILATIONS) == 0:
                # Looked at once a dilation block only: on a GPU each look waits for the device.
                known = known.settled()
            I, grad, known = block(I, grad, known)  # noqa: E741
        return I, grad, known


class Decoder(nn.Module):
    """Three GAI-Blocks with bilinear upsampling between them, then an output convolution for each flow.

    Args:
        widths: of both flows.
        branches: how many branches' outputs are concatenated.
        guidance_channels: channels of grad*.
        guidance_rms: typical root mean square of grad*.
        style: of every GAI-Block.
    """

    def __init__(
        self,
        *,
        widths: Widths,
        branches: int,
        guidance_channels: int,
        guidance_rms: float,
        style: BlockStyle,
    ) -> None:
        super().__init__()
        levels = list(zip(widths.image, widths.grad, strict=True))[::-1]
        channels = [(branches * levels[0][0], branches * levels[0][1]), *levels]
        self.blocks = nn.ModuleList(
            GAIBlock(
                in_image=before[0],
                in_grad=before[1],
                out_image=after[0],
                out_grad=after[1],
                window=Window(3),
                style=style,
                draw=Draw(mirrored_inputs=1 if number else branches),
            )
            for number, (before, after) in enumerate(pairwise(channels))
        )
        self.to_image = nn.Conv2d(levels[-1][0], 3, 3, padding=1)
        self.to_grad = nn.Conv2d(levels[-1][1], guidance_channels, 3, padding=1) if guidance_channels else None
        for head, rms in ((self.to_image, OUTPUT_RMS), (self.to_grad, guidance_rms)):
            if head is not None:
                draw = Draw(mirrored_outputs=False, smooth=True)
                keep_directions(head.weight, draw, share=(rms / SIGNAL_RMS) ** 2)
                nn.init.zeros_(head.bias)  # type: ignore[arg-type]

    def forward(self, I: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:  # noqa: E741
        """(B, C, H/4, W/4) flows, everything known -> I* (B, 3, H, W) in [-1, 1] and grad* (B, channels, H, W)."""
        for number, block in enumerate(self.blocks):
            if number:
                I, grad = _upsampled(I), _upsampled(grad)  # noqa: E741
            I, grad, _ = block(I, grad, KnownMap.all_known(I))  # noqa: E741
        return clipped(self.to_image(I)), grad if self.to_grad is None else self.to_grad(grad)


class _Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(-1, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        # A descent step goes against g: outward where x and g have opposite signs.
        return torch.where((x.abs() > 1) & (x * g < 0), 0.0, g)


def clipped(x: Tensor) -> Tensor:
    """Cut to [-1, 1]; the gradient is cut only where it would drive x further out.

    With the plain derivative of a clip, 0 outside, a pixel that a large step has thrown out of range can never come
    back, and the whole output may die so in the first iterations of a training at a high rate.

    Args:
        x: any shape. Differentiable once.
    """
    out: Tensor = _Clipped.apply(x)
    return out


def _upsampled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False) if x.shape[1] else x


class GAINNetwork(nn.Module):
    """The whole generator.

    Args:
        base: channels of the image flow after the first block, 64 in the paper.
        size: side of the pictures, a multiple of 8; decides the dilations.
        guidance_channels: channels of the guidance map; 0 makes a partial-convolution twin of equal cost.
        guidance_rms: typical root mean square of the guidance map.
        style: of every GAI-Block.
        priority: of branch 1; None for plain updates. Without guidance there is no gradient to rank by: plain updates.
        attention: contextual attention at the end of branch 2.
        branches: ``two``, or one of them alone.
        first_mask: M_1 is ``known`` itself, or its ``opening``, the strict result of the partial convolution of grad_0.
        colour_start: three channels of the first branch start as means of the colours around, see ``carry_colours``.

    Attributes:
        scalings: what either flow of each block was multiplied by when the first weights were settled.
    """

    def __init__(
        self,
        *,
        base: int,
        size: int,
        guidance_channels: int = 2,
        guidance_rms: float = 0.1,
        style: BlockStyle = BlockStyle(),  # noqa: B008 - frozen
        priority: Priority | None = Priority(),  # noqa: B008 - frozen
        attention: bool = True,
        branches: Branches = "two",
        first_mask: FirstMask = "known",
        colour_start: bool = False,
    ) -> None:
        super().__init__()
        guided = guidance_channels > 0
        self.first_mask = first_mask
        widths = Widths.of_base(base, guided=guided)
        dilations, inputs = scaled_dilations(size), (4, guidance_channels)
        self.to_grad_1 = PartialConv2d(guidance_channels, guidance_channels, 3) if guided else None
        if self.to_grad_1 is not None:
            keep_variance(self.to_grad_1.weight, share=1.0, moment=guidance_rms**2)
        self.structure = self.content = self.attention = None
        if branches != "content":
            self.structure = Branch(
                widths=widths,
                inputs=inputs,
                dilations=dilations,
                blocks=STRUCTURE_BLOCKS,
                style=style,
                priority=priority if guided else None,
            )
        if branches != "structure":
            self.content = Branch(
                widths=widths,
                inputs=inputs,
                dilations=dilations,
                blocks=CONTENT_BLOCKS,
                style=style,
                priority=None,
            )
            self.attention = ContextualAttention() if attention else None
        self.decoder = Decoder(
            widths=widths,
            branches=2 if branches == "two" else 1,
            guidance_channels=guidance_channels,
            guidance_rms=guidance_rms,
            style=style,
        )
        self.scalings: list[tuple[float, float]] = []
        if self.decoder.to_image.weight.is_meta:
            return
        I, M, grad_0 = made_up_scene(size, guidance_channels=guidance_channels, guidance_rms=guidance_rms)  # noqa: E741
        with torch.no_grad():
            flows = self._first_flows(I, M, grad_0, eroded(M))
        for branch in (self.structure, self.content):
            if branch is not None:
                branch.start_encoder(*flows)
        blocks = [module for module in self.modules() if isinstance(module, GAIBlock)]
        if base > MEASURED_BASE:
            narrow = GAINNetwork(
                base=MEASURED_BASE,
                size=size,
                guidance_channels=guidance_channels,
                guidance_rms=guidance_rms,
                style=style,
                priority=priority,
                attention=attention,
                branches=branches,
                first_mask=first_mask,
            )
            self.scalings = narrow.scalings
            for block, scaling in zip(blocks, self.scalings, strict=True):
                block.scale_flows(*scaling)
        else:
            self.scalings = keep_signal(blocks, lambda: self(I, M, grad_0, eroded(M)))
        first = self.structure or self.content
        if colour_start and first is not None:
            way = cast("list[GAIBlock]", [*first.encoder, *first.dilated])
            carry_colours(way, cast("list[GAIBlock]", list(self.decoder.blocks)), self.decoder.to_image)

    def forward(self, I: Tensor, M: Tensor, grad_0: Tensor, M_0: Tensor) -> tuple[Tensor, Tensor]:  # noqa: E741
        """Fill picture and guidance map.

        Args:
            I: (B, 3, H, W) in [-1, 1], H and W multiples of 8; what it holds in the hole is ignored.
            M: (B, 1, H, W), 1 = known, 0 = hole.
            grad_0: guidance map of the visible pixels (B, guidance_channels, H, W).
            M_0: where grad_0 is valid, (B, 1, H, W).

        Returns:
            I* (B, 3, H, W) in [-1, 1] and grad* (B, guidance_channels, H, W).

        Raises:
            MethodError: H or W is no multiple of 8.
        """
        if any(side % 8 for side in I.shape[2:]):
            raise MethodError(
                f"the picture is {I.shape[2]}x{I.shape[3]} pixels; gain needs sides that are a multiple of 8"
            )
        image, gradient, known = self._first_flows(I, M, grad_0, M_0)
        ends = []
        if self.structure is not None:
            ends.append(self.structure(image, gradient, known)[:2])
        if self.content is not None:
            content, content_grad, _ = self.content(image, gradient, known)
            if self.attention is not None:
                # A settled mask without a hole is one for all pictures.
                M_1 = known.M.expand(I.shape[0], -1, -1, -1)
                content = self.attention(content, -F.max_pool2d(-M_1, 4))
            ends.append((content, content_grad))
        images, gradients = zip(*ends, strict=True)
        I_star, grad_star = self.decoder(torch.cat(images, 1), torch.cat(gradients, 1))
        return I_star, grad_star

    def _first_flows(self, I: Tensor, M: Tensor, grad_0: Tensor, M_0: Tensor) -> Flows:  # noqa: E741
        """[I_1, M_1] (B, 4, H, W), grad_1 and M_1, for both branches."""
        M_1, grad_1 = M, grad_0
        if self.to_grad_1 is not None:
            grad_1, opening = self.to_grad_1(grad_0, M_0)
            M_1 = opening if self.first_mask == "opening" else M
        I_1 = I.masked_fill(M_1 == 0, 0.0)
        # The layout in which a GPU's convolutions are fastest, and a CPU's elementwise steps.
        layout = torch.channels_last if I.is_cuda else torch.contiguous_format
        image = torch.cat([I_1, M_1.to(I.dtype)], 1).contiguous(memory_format=layout)
        gradient = grad_1.contiguous(memory_format=layout)
        return image, gradient, KnownMap(M_1).settled()

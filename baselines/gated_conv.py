"""Gated convolutions (Yu et al.: Free-Form Image Inpainting with Gated Convolution, ICCV 2019; DeepFill v2).

Two stages: a coarse fill, then two branches, one of them with contextual attention, on the completed picture. Trained
with l1 and an SN-PatchGAN. Pictures are in [-1, 1] inside.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from gainbench import Batch, Phase, Scale, TrainableInpainter
from gainbench.guidance import guidance
from gainbench.nn.attention import ContextualAttention
from gainbench.nn.discriminator import PatchDiscriminator
from gainbench.nn.gated_conv import GATED_MOMENT, GatedConv2d
from gainbench.nn.losses import hinge_discriminator_loss, hinge_generator_loss

from .budget import SHORT_TRAINING, equal_macs_width, learning_rate
from .gated_start import AMPLITUDE, start_linear_

PUBLISHED_BASE = 48
"""Channels of the published first convolution, 24 of them features and 24 gates."""

BASE_PER_GAIN_BASE = 5.0
"""Width at which both stages have GAIN's MACs, per unit of GAIN's base; see ``budget.equal_macs_width``."""

PUBLISHED_LR = 1e-4
SHORT_FACTOR = 4
"""By how much a short training hurries; at ten times the rate one of 128 px diverged within its first hundred steps."""

SHORT_ADVERSARIAL_WEIGHT = 0.01
"""In a short training the discriminator tells nothing apart (its hinge loss stays at 2), and at the published weight of
1 its slope, six times that of l1 in the holes after 1,500 iterations, paints them with coloured spots. At .1 it still
draws stripes into the largest; see the README beside this file."""

DISCRIMINATOR_PER_BASE = 64 / 48
"""The published discriminator begins with 64 channels where the generator begins with 48."""

PUBLISHED_SIZE = 256
DILATIONS = (2, 4, 8, 16)
INPUT_MOMENT = 0.6
"""Second moment of [masked RGB, ones, hole], for the first weights: about .2 for colours, 1 and .25 for the rest."""

PICTURE_MOMENT = 0.25
"""Second moment of a picture in [-1, 1]."""

OUTPUT_RMS = 0.25
"""Root mean square of the untrained output before its tanh, which it leaves where the tanh is steep."""

SKETCH_THRESHOLD = 0.6
"""HED responses above it make the sketch of the guided mode (section 3.4)."""


class GatedConvParams(BaseModel):
    """Options; weights and rates are the paper's and its reference settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: int | None = Field(
        default=None,
        ge=4,
        multiple_of=4,
        description="channels of the first layer; published: 48. Default: 48 at scale full, elsewhere GAIN's MACs",
    )
    guidance: Literal["none", "hed_oracle"] = Field(
        default="none",
        description="hed_oracle: the guided mode, given HED edges of the hidden pixels; for tables that say so",
    )
    l1_weight: float = Field(default=1.0, ge=0.0, description="mean absolute error of both stages (section 3.3)")
    adversarial_weight: float | None = Field(
        default=None,
        ge=0.0,
        description="hinge loss; default 1, as l1 (section 3.3), but .01 under 50,000 iterations",
    )
    lr: float | None = Field(
        default=None,
        gt=0.0,
        description="Adam, both stages; default 1e-4 (reference settings), x 4 under 50,000 iterations",
    )
    discriminator_lr: float = Field(
        default=PUBLISHED_LR, gt=0.0, description="Adam, discriminator; 1e-4 (reference settings), however short"
    )
    beta1: float = Field(default=0.5, ge=0.0, lt=1.0, description="Adam (reference settings)")
    beta2: float = Field(default=0.999, ge=0.0, lt=1.0, description="Adam (reference settings)")


def scaled_dilations(size: int) -> list[int]:
    """2, 4, 8, 16 at 256 px; in proportion to ``size`` below, at least 1, so that fields of view keep their share."""
    return [max(1, round(dilation * size / PUBLISHED_SIZE)) for dilation in DILATIONS]


def encoder(in_channels: int, channels: Sequence[int], moment: float) -> list[nn.Module]:
    """The first gated layers of a branch, to a quarter of the resolution; ``channels`` of each, up to six."""
    kernels, strides = (5, 3, 3, 3, 3, 3), (1, 2, 1, 2, 1, 1)
    layers: list[nn.Module] = []
    for out_channels, kernel, stride in zip(channels, kernels, strides, strict=False):
        in_moment = GATED_MOMENT["elu"] if layers else moment
        layers.append(GatedConv2d(in_channels, out_channels, kernel, stride=stride, in_moment=in_moment))
        in_channels = out_channels
    return layers


def dilated(channels: int, dilations: Sequence[int]) -> list[nn.Module]:
    """Gated 3x3 layers with growing dilation."""
    return [GatedConv2d(channels, channels, dilation=dilation) for dilation in dilations]


def decoder(in_channels: int, features: int) -> list[nn.Module]:
    """Gated layers back to the full resolution, then a convolution without gate to RGB."""
    last = nn.Conv2d(features // 2, 3, 3, padding=1)
    nn.init.normal_(last.weight, std=OUTPUT_RMS / (9 * features // 2 * GATED_MOMENT["elu"]) ** 0.5)
    nn.init.zeros_(last.bias)  # type: ignore[arg-type]
    return [
        GatedConv2d(in_channels, 4 * features),
        GatedConv2d(4 * features, 4 * features),
        nn.Upsample(scale_factor=2, mode="nearest"),
        GatedConv2d(4 * features, 2 * features),
        GatedConv2d(2 * features, 2 * features),
        nn.Upsample(scale_factor=2, mode="nearest"),
        GatedConv2d(2 * features, features),
        GatedConv2d(features, features // 2),
        last,
    ]


class GatedConvNetwork(nn.Module):
    """Both stages.

    Args:
        base: channels of the first convolution, 48 in the paper; half of them are left after the gate.
        size: the pictures' side in pixels, for the dilations.
        sketch_channels: 1 in the guided mode, else 0.
    """

    def __init__(self, *, base: int, size: int, sketch_channels: int = 0) -> None:
        super().__init__()
        one, two, four = base // 2, base, 2 * base  # features after the gate, in units of base / 2
        dilations = scaled_dilations(size)
        self.coarse = nn.Sequential(
            *encoder(5 + sketch_channels, (one, two, two, four, four, four), INPUT_MOMENT),
            *dilated(four, dilations),
            *decoder(four, one),
        )
        self.content = nn.Sequential(
            *encoder(3, (one, one, two, two, four, four), PICTURE_MOMENT), *dilated(four, dilations)
        )
        matching = encoder(3, (one, one, two, four, four), PICTURE_MOMENT)
        self.before_attention = nn.Sequential(*matching, GatedConv2d(four, four, activation="relu"))
        self.attention = ContextualAttention()
        self.after_attention = nn.Sequential(
            GatedConv2d(four, four, in_moment=GATED_MOMENT["relu"]), GatedConv2d(four, four)
        )
        self.fine = nn.Sequential(*decoder(2 * four, one))
        if not next(self.parameters()).is_meta:
            start_linear_(self.coarse, torch.eye(5 + sketch_channels), amplitude=AMPLITUDE)
            content = start_linear_(self.content, torch.eye(3), amplitude=AMPLITUDE)
            matched = start_linear_(self.before_attention, torch.eye(3), amplitude=AMPLITUDE)
            attended = start_linear_(self.after_attention, matched)
            start_linear_(self.fine, torch.cat([content, attended]))

    def forward(self, image: Tensor, known: Tensor, sketch: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Fill the holes twice.

        Args:
            image: (B, 3, H, W) in [-1, 1], H and W multiples of 8; zero in the hole.
            known: (B, 1, H, W), 1 = known.
            sketch: (B, 1, H, W), edges in the hole, if the network has a channel for them.

        Returns:
            The coarse and the fine picture, both (B, 3, H, W) in [-1, 1].
        """
        sketches = [] if sketch is None else [sketch]
        first = torch.tanh(self.coarse(torch.cat([image, torch.ones_like(known), 1 - known, *sketches], 1)))
        completed = torch.where(known > 0.5, image, first)
        features = self.before_attention(completed)
        # Nearest, as published: a patch counts as known by the pixel in its corner.
        attended = self.attention(features, F.interpolate(known, size=features.shape[2:], mode="nearest"))
        both = torch.cat([self.content(completed), self.after_attention(attended)], 1)
        return first, torch.tanh(self.fine(both))


class GatedConvInpainter(TrainableInpainter):
    """Free-form inpainting with gated convolutions."""

    name = "gated_conv"
    revision = 7
    Params = GatedConvParams
    params: GatedConvParams

    def __init__(self, params: GatedConvParams, scale: Scale) -> None:
        super().__init__(params, scale)
        self.oracle = params.guidance == "hed_oracle"
        by_default = SHORT_ADVERSARIAL_WEIGHT if scale.iterations < SHORT_TRAINING else 1.0
        self.adversarial_weight = by_default if params.adversarial_weight is None else params.adversarial_weight
        self.edges = guidance("hed") if self.oracle else None
        base = params.base or equal_macs_width(scale, published=PUBLISHED_BASE, per_gain_base=BASE_PER_GAIN_BASE)
        sketch_channels = int(self.oracle)
        self.network = GatedConvNetwork(base=base, size=scale.size, sketch_channels=sketch_channels)
        self.discriminator = PatchDiscriminator(
            in_channels=4 + sketch_channels, size=scale.size, base=round(DISCRIMINATOR_PER_BASE * base)
        )

    def inpaint(self, image: Tensor, known: Tensor) -> Tensor:
        """Fill the holes; see :meth:`gainbench.Inpainter.inpaint`. The oracle looks into the hole for its sketch."""
        _, fine = self._generate(image, known)
        return (fine.float() + 1) / 2

    def phases(self) -> list[Phase]:
        """The discriminator on the detached output, then both stages of the generator."""
        betas = (self.params.beta1, self.params.beta2)
        lr = self.params.lr or learning_rate(self.scale, published=PUBLISHED_LR, factor=SHORT_FACTOR)
        judge = self.params.discriminator_lr
        return [
            Phase("discriminator", [self.discriminator], self._discriminator_loss, judge, betas),
            Phase("generator", [self.network], self._generator_loss, lr, betas),
        ]

    def _sketch(self, image: Tensor, known: Tensor) -> Tensor | None:
        if self.edges is None:
            return None
        return (self.edges.target(image) > SKETCH_THRESHOLD).to(image.dtype) * (1 - known)

    def _generate(self, image: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        output: tuple[Tensor, Tensor] = self.network((2 * image - 1) * known, known, self._sketch(image, known))
        return output

    def _output(self, batch: Batch) -> tuple[Tensor, Tensor]:
        # The oracle alone reads hidden pixels; it is one on purpose, and says so.
        seen = batch.image if self.oracle else batch.visible
        output: tuple[Tensor, Tensor] = batch.once("gated_conv.output", lambda: self._generate(seen, batch.known))
        return output

    def _scores(self, batch: Batch, *pictures: Tensor) -> tuple[Tensor, ...]:
        sketch: Any = batch.once("gated_conv.sketch", lambda: self._sketch(batch.image, batch.known))
        conditions = [1 - batch.known] if sketch is None else [1 - batch.known, sketch]
        stacked = [torch.cat([picture, *conditions], 1) for picture in pictures]
        scores: Tensor = self.discriminator(torch.cat(stacked))
        return scores.chunk(len(pictures))

    def _discriminator_loss(self, batch: Batch, _step: int) -> dict[str, Tensor]:
        image = 2 * batch.image - 1
        _, fine = self._output(batch)
        completed = torch.where(batch.known > 0.5, image, fine.float().detach())
        real, generated = self._scores(batch, image, completed)
        return {"hinge": hinge_discriminator_loss(real, generated)}

    def _generator_loss(self, batch: Batch, _step: int) -> dict[str, Tensor]:
        image = 2 * batch.image - 1
        coarse, fine = (x.float() for x in self._output(batch))
        losses = {
            "l1_coarse": self.params.l1_weight * (coarse - image).abs().mean(),
            "l1_fine": self.params.l1_weight * (fine - image).abs().mean(),
        }
        if self.adversarial_weight:
            (scores,) = self._scores(batch, torch.where(batch.known > 0.5, image, fine))
            losses["adversarial"] = self.adversarial_weight * hinge_generator_loss(scores)
        return losses

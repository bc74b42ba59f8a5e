"""Partial convolutions (Liu, Reda, Shih, Wang, Tao, Catanzaro: Image Inpainting for Irregular Holes, ECCV 2018).

A U-Net whose every layer sees known pixels only; its mask shrinks layer by layer. No discriminator: the losses are l1,
perceptual, style and total variation.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from gainbench import Batch, Phase, Scale, TrainableInpainter
from gainbench.nn.losses import hole_l1, total_variation, valid_l1
from gainbench.nn.partial_conv import PartialConv2d
from gainbench.nn.perceptual import (
    imagenet_denormalised,
    imagenet_normalised,
    perceptual_loss,
    style_loss,
    vgg16,
)
from gainbench.nn.recording import recorded_outputs

from .budget import BRIEF_TRAINING, SHORT_FACTOR, SHORT_TRAINING, equal_macs_width, learning_rate
from .looks_linear import start_decoder_, start_encoder_, start_mask_, start_output_
from .pull_push import LEAST_WIDTH, start_colours_

PUBLISHED_BASE = 64
"""Channels of the published first layer (appendix, table 1: PConv1)."""

BASE_PER_GAIN_BASE = 10.9
"""Width at which the U-Net has GAIN's MACs, per unit of GAIN's base; see ``budget.equal_macs_width``."""

PUBLISHED_LR, PUBLISHED_FINETUNE_LR = 2e-4, 5e-5
"""Adam's rates of both phases (section 4.1)."""

COLOUR_START_FACTOR = 0.5
"""By how much the published rates are multiplied when the first weights fill already: higher ones wash the colours out.
"""

OUTPUT_RMS = 0.1
"""Size of the untrained output, in standard deviations of a picture.

Adam remembers the first gradients for a thousand steps. At 64 px weights as large as other layers' start with a style
loss of 78, a tenth of them with 31.
"""

PUBLISHED_STYLE_WEIGHT, SHORT_STYLE_WEIGHT = 120.0, 12.0
"""The paper's, and what a short training bears: of a total of 14 the style is 12 at the paper's weight, and it draws
worms into large holes and outlines around them before the fill has its colours (figures: the README beside this file).
"""

LEAKY_SLOPE = 0.2
"""Of the decoder's rectifiers (section 3.3)."""

FEATURES = ("pool1", "pool2", "pool3")
"""Layers of VGG-16 that perceptual and style losses read (section 3.3)."""


class PartialConvParams(BaseModel):
    """Options; weights and rates are the paper's (section 3.3, equation 7; section 4.1), but for short trainings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: int | None = Field(
        default=None,
        ge=4,
        description="channels of the first layer; published: 64. Default: 64 at scale full, elsewhere GAIN's MACs",
    )
    levels: int | None = Field(
        default=None,
        ge=1,
        description="halvings of the picture; default: down to 2x2, the published depth (8 at 512 px, 7 at 256 px)",
    )
    mask_input: bool | None = Field(
        default=None,
        description="known is an input beside the picture; published: no. Default: no, yes under 50,000 iterations",
    )
    colour_start: bool | None = Field(
        default=None,
        description="first weights fill holes with the colours around, batch norm keeps its first statistics; "
        "default: yes under 300 iterations",
    )
    valid_weight: float = Field(default=1.0, ge=0.0, description="l1 of known pixels, raw output (equation 7)")
    hole_weight: float = Field(default=6.0, ge=0.0, description="l1 of hidden pixels, raw output (equation 7)")
    perceptual_weight: float = Field(default=0.05, ge=0.0, description="features, raw and completed (equation 7)")
    style_weight: float | None = Field(
        default=None,
        ge=0.0,
        description="Gram matrices, raw and completed; default 120 (equation 7), 12 under 50,000 iterations",
    )
    tv_weight: float = Field(default=0.1, ge=0.0, description="smoothness of the dilated hole (equation 7)")
    lr: float | None = Field(
        default=None,
        gt=0.0,
        description="Adam, first phase; default 2e-4 (section 4.1), x 10 under 50,000 iterations, x .5 if colour_start",
    )
    finetune_lr: float | None = Field(
        default=None, gt=0.0, description="Adam, encoder batch norm frozen; default 5e-5 (section 4.1), x 10 likewise"
    )
    finetune_fraction: float = Field(
        default=1 / 11,
        ge=0.0,
        lt=1.0,
        description="share of the training that fine-tunes: one day after ten on Places2 (section 4.1)",
    )

    @model_validator(mode="after")
    def _wide_enough(self) -> Self:
        if self.colour_start and self.base is not None and self.base < LEAST_WIDTH:
            raise ValueError(f"base is {self.base}; colour_start needs {LEAST_WIDTH} channels, a pair for each colour")
        return self


class EncoderLayer(nn.Module):
    """Partial convolution of stride 2, batch norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, norm: bool) -> None:
        super().__init__()
        # Batch norm subtracts the mean, so a bias in front of it would do nothing.
        self.conv = PartialConv2d(in_channels, out_channels, kernel_size, stride=2, bias=not norm)
        self.norm = nn.BatchNorm2d(out_channels) if norm else None

    def forward(self, x: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) and (B, 1, H, W) to (B, C', H/2, W/2) and (B, 1, H/2, W/2), rounded up."""
        x, known = self.conv(x, known)
        return F.relu(x if self.norm is None else self.norm(x)), known


class DecoderLayer(nn.Module):
    """Nearest upsampling to the skip's size, concatenation of features and masks, 3x3 partial convolution."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int, *, last: bool) -> None:
        super().__init__()
        self.conv = PartialConv2d(in_channels + skip_channels, out_channels, 3, bias=last)
        self.norm = None if last else nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor, known: Tensor, skip: Tensor, skip_known: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, h, w), its mask, the skip (B, S, H, W) and its mask to (B, C', H, W) and (B, 1, H, W)."""
        size = skip.shape[2:]
        upsampled = [F.interpolate(x, size=size, mode="nearest"), F.interpolate(known, size=size, mode="nearest")]
        x, known = self.conv([upsampled[0], skip], [upsampled[1], skip_known])
        return x if self.norm is None else F.leaky_relu(self.norm(x), LEAKY_SLOPE), known


class PartialConvUNet(nn.Module):
    """The U-Net of the paper's appendix (table 1).

    Args:
        base: channels of the first layer; deeper layers have 2, 4 and 8 times as many.
        levels: encoder layers, each halving the picture.
        mask_input: known is a fourth input channel, of the first layer and so of the last skip.
        colour_start: the first weights are a pull-push fill; base must be at least 6. Batch norm keeps mean 0 and
            variance 1 in training, too: the statistics of a small batch take its common colour out of every fill.
    """

    def __init__(self, *, base: int, levels: int, mask_input: bool = False, colour_start: bool = False) -> None:
        super().__init__()
        self.mask_input = mask_input
        self.colour_start = colour_start
        widths = [3 + mask_input, *(base * 2 ** min(level, 3) for level in range(levels))]
        kernels = [7, 5, 5, *[3] * max(levels - 3, 0)][:levels]
        self.encoder = nn.ModuleList(
            EncoderLayer(before, behind, kernel, norm=level > 0)
            for level, ((before, behind), kernel) in enumerate(zip(pairwise(widths), kernels, strict=True))
        )
        # A decoder layer gives as many channels as the skip it reads has; the last reads the input and gives a picture.
        gives = [*widths[-2:0:-1], 3]
        self.decoder = nn.ModuleList(
            DecoderLayer(deep, skip, gives[level], last=level == levels - 1)
            for level, (deep, skip) in enumerate(pairwise(reversed(widths)))
        )
        weights = [module.weight for module in self.modules() if isinstance(module, PartialConv2d)]
        if not weights[0].is_meta:
            _start(weights, widths)
            if colour_start:
                start_colours_(weights[:levels], weights[levels:], slope=LEAKY_SLOPE)

    def forward(self, image: Tensor, known: Tensor) -> Tensor:
        """Fill the holes.

        Args:
            image: (B, 3, H, W), normalised with ImageNet's statistics; zero in the hole.
            known: (B, 1, H, W), 1 = known.

        Returns:
            (B, 3, H, W), normalised in the same way, not clamped.
        """
        x = torch.cat([image, known], 1) if self.mask_input else image
        skips = [(x, known)]
        for layer in self.encoder:
            x, known = layer(x, known)
            skips.append((x, known))
        skips.pop()
        for layer in self.decoder:
            x, known = layer(x, known, *skips.pop())
        return x

    def take_statistics(self, *, encoder: bool) -> None:
        """Which batch norms take the statistics of batches in training: the decoder's, and maybe the encoder's.

        None does so with ``colour_start``.
        """
        for part, takes in ((self.encoder, encoder), (self.decoder, True)):
            for norm in part.modules():
                if isinstance(norm, nn.BatchNorm2d):
                    norm.train(self.training and takes and not self.colour_start)

    def without_encoder_norms(self) -> Sequence[nn.Module]:
        """What fine-tuning trains: the encoder's convolutions and the whole decoder."""
        return [*(module for module in self.encoder.modules() if isinstance(module, PartialConv2d)), self.decoder]


def _start(weights: Sequence[Tensor], widths: Sequence[int]) -> None:
    """The first weights of encoder and decoder: the paper does not say which."""
    levels = len(widths) - 1
    for level, weight in enumerate(weights[:levels]):
        first = level == 0
        start_encoder_(weight[:, :3] if first else weight, first=first)
    for weight, deep in zip(weights[levels:-1], reversed(widths[2:]), strict=True):
        start_decoder_(weight, deep=deep)
    start_output_(weights[-1], deep=widths[1], rms=OUTPUT_RMS)
    start_mask_(weights[0][:, 3:])


class PartialConvInpainter(TrainableInpainter):
    """Partial-convolution inpainting with the paper's losses and two training phases.

    The paper leaves the units of the pictures open. The authors' later loss code measures l1 and total variation on
    pictures normalised as VGG-16 wants them, and so it is done here; the network reads and gives the same units.
    """

    name = "partial_conv"
    revision = 4
    Params = PartialConvParams
    params: PartialConvParams

    def __init__(self, params: PartialConvParams, scale: Scale) -> None:
        super().__init__(params, scale)
        base = params.base or equal_macs_width(scale, published=PUBLISHED_BASE, per_gain_base=BASE_PER_GAIN_BASE)
        short = scale.iterations < SHORT_TRAINING
        brief = scale.iterations < BRIEF_TRAINING and base >= LEAST_WIDTH
        self.network = PartialConvUNet(
            base=base,
            levels=params.levels or published_levels(scale.size),
            mask_input=short if params.mask_input is None else params.mask_input,
            colour_start=brief if params.colour_start is None else params.colour_start,
        )
        by_default = SHORT_STYLE_WEIGHT if short else PUBLISHED_STYLE_WEIGHT
        self.style_weight = by_default if params.style_weight is None else params.style_weight

    def inpaint(self, image: Tensor, known: Tensor) -> Tensor:
        """Fill the holes; see :meth:`gainbench.Inpainter.inpaint`."""
        return imagenet_denormalised(self._prediction(image, known)).clamp(0.0, 1.0)

    def shrinkage(self, image: Tensor, known: Tensor) -> dict[str, Tensor]:
        """The mask after every layer; see :meth:`gainbench.Inpainter.shrinkage`."""
        layers = {f"encoder {number}": layer for number, layer in enumerate(self.network.encoder, 1)}
        layers |= {f"decoder {number}": layer for number, layer in enumerate(self.network.decoder, 1)}
        with recorded_outputs(layers) as outputs:
            self._prediction(image, known)
        return {name: after for name, (_, after) in outputs.items()}

    def _prediction(self, image: Tensor, known: Tensor) -> Tensor:
        prediction: Tensor = self.network(imagenet_normalised(image) * known, known)
        return prediction

    def phases(self) -> list[Phase]:
        """First the whole network, then all but the encoder's batch norms at a lower rate."""
        turn = 1.0 - self.params.finetune_fraction
        factor = COLOUR_START_FACTOR if self.network.colour_start else SHORT_FACTOR
        lr = self.params.lr or learning_rate(self.scale, published=PUBLISHED_LR, factor=factor)
        finetune_lr = self.params.finetune_lr or learning_rate(
            self.scale, published=PUBLISHED_FINETUNE_LR, factor=factor
        )
        return [
            Phase("train", [self.network], self._train_loss, lr, window=(0.0, turn)),
            Phase(
                "finetune",
                self.network.without_encoder_norms(),
                self._finetune_loss,
                finetune_lr,
                window=(turn, 1.0),
            ),
        ]

    def _train_loss(self, batch: Batch, _step: int) -> dict[str, Tensor]:
        return self._losses(batch, frozen=False)

    def _finetune_loss(self, batch: Batch, _step: int) -> dict[str, Tensor]:
        return self._losses(batch, frozen=True)

    def _losses(self, batch: Batch, *, frozen: bool) -> dict[str, Tensor]:
        self.network.take_statistics(encoder=not frozen)
        image, known = imagenet_normalised(batch.image), batch.known
        prediction = self._prediction(batch.visible, known)
        completed = torch.where(known > 0.5, image, prediction)
        with torch.no_grad():
            goal = vgg16()(batch.image, FEATURES)
        found = vgg16()(imagenet_denormalised(torch.cat([prediction, completed])), FEATURES)
        return {
            "valid": self.params.valid_weight * valid_l1(prediction, image, known),
            "hole": self.params.hole_weight * hole_l1(prediction, image, known),
            "perceptual": self.params.perceptual_weight * perceptual_loss(found, goal),
            "style": self.style_weight * style_loss(found, goal),
            "tv": self.params.tv_weight * total_variation(completed, known),
        }


def published_levels(size: int) -> int:
    """Halvings until the picture is 2x2 (published: 8 at 512 px), at least one."""
    return max(size.bit_length() - 2, 1)

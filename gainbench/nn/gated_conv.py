"""Gated convolution (Yu, Lin, Yang, Shen, Lu, Huang: Free-Form Image Inpainting with Gated Convolution, ICCV 2019)."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation = Literal["elu", "relu"]

_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {"elu": F.elu, "relu": F.relu}

GATED_MOMENT = {"elu": 0.189, "relu": 0.147}
"""E[activation(f)^2 sigmoid(g)^2] for independent standard normal f and g: the second moment of a layer's output."""


class GatedConv2d(nn.Module):
    """activation(f) * sigmoid(g), f and g being the two halves of one convolution's channels (section 3.1).

    The weights are drawn so that f and g have unit variance. A gate halves what passes, so that in a network of some
    twenty layers the usual initialisations let the signal die out.

    Args:
        in_channels: of the map.
        out_channels: after the gate; the convolution itself has twice as many.
        kernel_size: odd; the map is padded so that stride 1 keeps its size.
        stride: in pixels.
        dilation: in pixels.
        activation: of f.
        in_moment: second moment of the input, for the initialisation; default: the output of another gated layer.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        dilation: int = 1,
        activation: Activation = "elu",
        in_moment: float = GATED_MOMENT["elu"],
    ) -> None:
        super().__init__()
        self.activation: Activation = activation
        self.convolution = nn.Conv2d(
            in_channels,
            2 * out_channels,
            kernel_size,
            stride=stride,
            padding=dilation * (kernel_size - 1) // 2,
            dilation=dilation,
        )
        nn.init.normal_(self.convolution.weight, std=1 / math.sqrt(in_channels * kernel_size**2 * in_moment))
        nn.init.zeros_(self.convolution.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H', W')."""
        f, g = self.convolution(x).chunk(2, dim=1)
        return _ACTIVATIONS[self.activation](f) * torch.sigmoid(g)

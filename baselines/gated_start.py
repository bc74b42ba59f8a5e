"""First weights with which gated layers start in the neighbourhood of a linear coder of pictures.

The paper names none. With weights that only keep variance, twenty layers mix every pixel with its neighbours before the
first step, and much of a short training goes by in finding the picture again (figures: the README beside this file).
Here each layer begins as a rotation of its channels, pixel by pixel: ELU is linear near zero and an untrained gate
halves what passes, so features are small and twice the rotation. Kernels of all zeros but one and orthogonal between
channels are the delta-orthogonal initialisation (Xiao, Bahri, Sohl-Dickstein, Schoenholz, Pennington: Dynamical
Isometry and a Mean Field Theory of CNNs, ICML 2018); a binomial takes the single tap's place where resolution changes.
Variance-keeping weights are added to it.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from gainbench.nn.gated_conv import GatedConv2d

AMPLITUDE = 0.3
"""Of features, per unit of a picture: small, so that ELU is nearly linear."""

NOISE = 0.2
"""What variance-keeping weights are multiplied with before they are added. Gates have nothing else, and all of it."""

GATE = 0.5
"""A gate's mean."""


@torch.no_grad()
def start_linear_(layers: Iterable[nn.Module], made: Tensor, *, amplitude: float = 1.0) -> Tensor:
    """Overwrite the weights of a branch's convolutions; biases are left.

    Args:
        layers: gated convolutions as they were drawn, upsampling between them, at last perhaps a convolution to RGB,
            which undoes the rotations.
        made: (channels, values): how the channels that enter are made of the values of a pixel, colours first.
        amplitude: what the first layer multiplies with.

    Returns:
        The same for the channels that leave.
    """
    smooth = False
    for layer in layers:
        if isinstance(layer, nn.Upsample):
            smooth = True
            continue
        if isinstance(layer, GatedConv2d):
            out_channels = layer.convolution.out_channels // 2
            mixing = amplitude * _rotation(out_channels, made)
            features = layer.convolution.weight[:out_channels]
            _start(features, mixing / GATE, smooth=smooth or layer.convolution.stride != (1, 1))
        elif isinstance(layer, nn.Conv2d):
            mixing = torch.linalg.pinv(made)[: layer.out_channels]
            _start(layer.weight, mixing, smooth=smooth)
        made, smooth, amplitude = mixing @ made, False, 1.0
    return made


def _start(weight: Tensor, mixing: Tensor, *, smooth: bool) -> None:
    """Overwrite an (out, in, k, k) weight: ``mixing`` of channels in the middle of the window, and noise."""
    kernel = torch.zeros(weight.shape[2:])
    middle = kernel.shape[0] // 2
    if smooth:
        binomial = torch.tensor([1.0, 2.0, 1.0]) / 4
        kernel[middle - 1 : middle + 2, middle - 1 : middle + 2] = torch.outer(binomial, binomial)
    else:
        kernel[middle, middle] = 1
    weight.mul_(NOISE).add_(mixing[:, :, None, None] * kernel)


def _rotation(rows: int, made: Tensor) -> Tensor:
    """(rows, channels), random, its columns or rows orthonormal; fewer rows keep what the channels are made of."""
    channels, values = made.shape
    if rows >= channels:
        return nn.init.orthogonal_(torch.empty(rows, channels))
    basis, _ = torch.linalg.qr(torch.cat([made, torch.randn(channels, max(channels - values, 0))], 1))
    turned: Tensor = nn.init.orthogonal_(torch.empty(rows, rows)) @ basis[:, :rows].T
    return turned

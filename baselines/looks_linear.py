"""First weights with which a rectified network of partial convolutions starts out linear and smooth.

The idea is the looks-linear initialisation (Balduzzi, Frean, Leary, Lewis, Ma, McWilliams: The Shattered Gradients
Problem, ICML 2017): channels come in pairs z and -z, so that what the rectifier takes from one is left in the other,
and the next layer adds the two up again. Kernels are Gaussians, so that the first maps are smoothed and subsampled
pictures with their holes filled from around; only how channels are mixed is random. Batch norm keeps the pairs, as it
subtracts means and scales z and -z alike.
"""

import math

import torch
from torch import Tensor, nn

FIRST_SIGMAS = (0.6, 1.0, 1.8)
"""Widths in pixels of the first layer's Gaussians, in turn: from a pixel to what a window of 7 holds."""

SIGMA = 0.7
"""Width of the other encoder kernels: two Gaussians a stride apart overlap at half their height."""

UP_SIGMA, SKIP_SIGMA = 0.8, 0.5
"""Widths of the decoder's kernels: interpolation of an upsampled map; nearly a single tap for a skip."""

JITTER = 1.0
"""Largest shift of an encoder kernel's centre in pixels, so that channels sample the window at different places."""


def gaussian(kernel: int, sigma: float, shift: tuple[float, float] = (0.0, 0.0)) -> Tensor:
    """(kernel, kernel), sum 1, its centre ``shift`` pixels (down, right) of the window's."""
    position = torch.arange(kernel) - kernel // 2
    down, right = (torch.exp(-((position - centre) ** 2) / (2 * sigma**2)) for centre in shift)
    weights = torch.outer(down, right)
    return weights / weights.sum()


def pairs(channels: int) -> Tensor:
    """The channels z and -z of ceil(channels / 2) values: (channels, values) of 1, -1 and 0.

    Its transpose takes rectified channels back to the values, relu(z) - relu(-z) = z. With an odd number the last
    value has no partner.
    """
    values = (channels + 1) // 2
    return torch.cat([torch.eye(values), -torch.eye(values)])[:channels]


@torch.no_grad()
def start_encoder_(weight: Tensor, *, first: bool) -> None:
    """Overwrite the weights of an encoder layer of stride 2.

    Args:
        weight: (out, in, k, k).
        first: the layer reads a picture, not pairs of channels.
    """
    out_channels, in_channels, kernel, _ = weight.shape
    leaving, entering = pairs(out_channels), torch.eye(in_channels) if first else pairs(in_channels)
    mixing = _directions(leaving.shape[1], in_channels) if first else _orthogonal(leaving.shape[1], entering.shape[1])
    # Where the map is upsampled again, a value stands for two pixels: its own and the next.
    shifts = 0.5 + JITTER * (2 * torch.rand(leaving.shape[1], 2) - 1)
    kernels = torch.stack(
        [
            gaussian(kernel, FIRST_SIGMAS[row % len(FIRST_SIGMAS)] if first else SIGMA, (float(down), float(right)))
            for row, (down, right) in enumerate(shifts)
        ]
    )
    weight.copy_(torch.einsum("oa,ab,akl,ib->oikl", leaving, mixing, kernels, entering))


@torch.no_grad()
def start_mask_(weight: Tensor) -> None:
    """Overwrite the first layer's weights of the mask: noise, so that channels answer different arrangements of holes.

    It is not mirrored as the picture's are, so that the two channels of a pair open in different places.

    Args:
        weight: (out, 0 or 1, k, k); a window without a hole is answered with unit variance.
    """
    nn.init.normal_(weight, std=1 / weight.shape[-1])


@torch.no_grad()
def start_decoder_(weight: Tensor, *, deep: int) -> None:
    """Overwrite the weights of a decoder layer.

    Args:
        weight: (out, deep + skip, 3, 3); both groups are pairs of channels.
        deep: channels that come from below; the others are the skip's.
    """
    out_channels, in_channels, kernel, _ = weight.shape
    leaving = pairs(out_channels)
    for group, sigma in ((slice(0, deep), UP_SIGMA), (slice(deep, in_channels), SKIP_SIGMA)):
        entering = pairs(weight[:, group].shape[1])
        mixing = _orthogonal(leaving.shape[1], entering.shape[1])
        weight[:, group] = torch.einsum("oa,ab,kl,ib->oikl", leaving, mixing, gaussian(kernel, sigma), entering)


@torch.no_grad()
def start_output_(weight: Tensor, *, deep: int, rms: float) -> None:
    """Overwrite the weights of the layer that gives the picture: it starts near the mean colour and copies nothing.

    Args:
        weight: (3, deep + 3, 3, 3).
        deep: channels that come from below, in pairs.
        rms: of the first outputs, roughly, if the values of the pairs have unit variance.
    """
    entering = pairs(deep)
    mixing = torch.randn(weight.shape[0], entering.shape[1]) * rms / math.sqrt(entering.shape[1])
    weight.zero_()
    weight[:, :deep] = torch.einsum("ob,kl,ib->oikl", mixing, gaussian(weight.shape[2], UP_SIGMA), entering)


def _orthogonal(rows: int, columns: int) -> Tensor:
    """Random and orthogonal, with rows of unit length on average."""
    return nn.init.orthogonal_(torch.empty(rows, columns)) * math.sqrt(max(rows / columns, 1.0))


def _directions(rows: int, columns: int) -> Tensor:
    return nn.functional.normalize(torch.randn(rows, columns), dim=1)

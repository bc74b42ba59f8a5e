"""First weights with which a U-Net of partial convolutions starts out as a pull-push fill.

A partial convolution whose taps are equal is a normalised convolution (Knutsson, Westin: Normalized and Differential
Convolution, CVPR 1993): the mean of what is known in its window, at borders and in holes alike. A U-Net of them is the
pull-push algorithm (Gortler, Grzeszczuk, Szeliski, Cohen: The Lumigraph, SIGGRAPH 1996, section 3.3): colours are
averaged down to maps without holes, and the averages fill what is missing on the way back up. Three channels and their
negatives, one pair for each colour, start so; all others keep the weights that they have.

What the untrained network writes is then a smooth fill in the colours around, which a short training has not to find.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

COLOURS = 3

LEAST_WIDTH = 2 * COLOURS
"""Channels of the narrowest layer that holds the three pairs."""


@torch.no_grad()
def start_colours_(encoder: Sequence[Tensor], decoder: Sequence[Tensor], *, slope: float) -> None:
    """Overwrite the rows of the colours' channels; the last layer gives the colours and nothing else.

    Channels come as ``looks_linear.pairs`` orders them.

    Args:
        encoder: weights (out, in, k, k) of the layers from the picture down; rectified.
        decoder: weights (out, deep + skip, k, k) of the layers back up, rectified with ``slope`` but for the last,
            whose skip is the input.
        slope: of the decoder's leaky rectifiers.
    """
    for number, weight in enumerate(encoder):
        _start_rows(weight, [(_entering(weight.shape[1], colours=number == 0), 1.0)])
    skips = [weight.shape[0] for weight in reversed(encoder[:-1])] + [encoder[0].shape[1]]
    for number, (weight, skip) in enumerate(zip(decoder, skips, strict=True)):
        deep, last = weight.shape[1] - skip, number == len(decoder) - 1
        # leaky(z) - leaky(-z) = (1 + slope) z; the deepest map comes from a plain rectifier.
        leaky = 1 + slope if number else 1.0
        groups = [
            (_entering(deep, colours=False) / leaky, deep / (deep + skip)),
            (_entering(skip, colours=last), skip / (deep + skip)),
        ]
        if last:
            weight.zero_()
        _start_rows(weight, groups, paired=not last)


def _entering(channels: int, *, colours: bool) -> Tensor:
    """What takes a group of channels to the colours, (3, channels): the first three, or the first three pairs."""
    reading = torch.zeros(COLOURS, channels)
    reading[:, :COLOURS] = torch.eye(COLOURS)
    if not colours:
        half = (channels + 1) // 2
        reading[:, half : half + COLOURS] = -torch.eye(COLOURS)
    return reading


def _start_rows(weight: Tensor, groups: Sequence[tuple[Tensor, float]], *, paired: bool = True) -> None:
    """Rows that average the colours of all groups, each group by its share, which makes its mask count as it should."""
    reading = torch.cat([share * entering for entering, share in groups], 1)
    rows = reading[:, :, None, None] / weight.shape[-1] ** 2
    weight[:COLOURS] = rows
    if paired:
        half = (weight.shape[0] + 1) // 2
        weight[half : half + COLOURS] = -rows

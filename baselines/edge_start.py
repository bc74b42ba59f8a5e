"""First weights with which EdgeConnect's G2 starts as a linear coder: the decoder undoes what the encoder does.

The paper names none; its code draws them from N(0, .02). With those, eight blocks whose last norm gives each of them
unit variance drown the picture that passes them, and much of a short training goes by in finding it again. Here
channels come in pairs z and -z (see ``looks_linear``; norms keep the pairs), residual blocks begin as copies of what
they read, and each halving is a Haar transform of 2 x 2 pixels, of which the lowest frequencies are kept where there
are more than channels (a random choice shows as a grid). The decoder is the encoder's transpose.
"""

import torch
from torch import Tensor, nn

from .looks_linear import pairs

NOISE, BLOCK_NOISE = 0.005, 0.01
"""Standard deviations of what is added to every weight, so that no two channels stay alike."""

OUTPUT_RMS = 0.2
"""Of the first output before its tanh if values were independent; colours are not, and pictures in [-1, 1] have .5."""

HAAR = torch.tensor([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / 2
"""Rows: the mean of 2 x 2 pixels (in reading order), their differences down, across and both ways."""

DIFFERENCES = (0, 1, 1, 2)
"""How often each row of ``HAAR`` takes a difference."""

FINE, COARSE = 2, 1
"""What a difference counts at the first halving and at the second: pictures have least of what is finest."""


@torch.no_grad()
def start_linear_(layers: nn.Sequential) -> None:
    """Overwrite the weights of a generator's convolutions; biases are left.

    Args:
        layers: 7x7, two 4x4 of stride 2, blocks with a ``path`` of two 3x3, two transposed 4x4 of stride 2, 7x7, all
            without parametrization. The picture comes first in the input's channels.
    """
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    first, half, quarter, up, full, last = convolutions
    for convolution in convolutions:
        convolution.weight.normal_(0, NOISE)
    for layer in layers:
        for convolution in getattr(layer, "path", ()):
            if isinstance(convolution, nn.Conv2d):
                nn.init.dirac_(convolution.weight)
                convolution.weight.add_(BLOCK_NOISE * torch.randn_like(convolution.weight))

    ones, twos, fours = (pairs(convolution.out_channels) for convolution in (first, half, quarter))
    mixing = _rotation(ones.shape[1], first.in_channels)
    to_half, mixing_half, frequencies = _halving(mixing, [0] * first.in_channels, twos.shape[1], weight=FINE)
    to_quarter, _, _ = _halving(mixing_half, frequencies, fours.shape[1], weight=COARSE)
    first.weight[:, :, 3, 3] += ones @ mixing
    # A transposed convolution's weight is (in, out, k, k), so the same tensor is the transpose.
    for convolution, taps, leaving, entering in (
        (half, to_half, twos, ones),
        (full, to_half, twos, ones),
        (quarter, to_quarter, fours, twos),
        (up, to_quarter, fours, twos),
    ):
        convolution.weight[:, :, 1:3, 1:3] += torch.einsum("oa,abkl,ib->oikl", leaving, taps, entering)
    back = mixing.T[: last.out_channels]
    last.weight[:, :, 3, 3] += nn.functional.normalize(back, dim=1) @ ones.T
    last.weight.mul_(OUTPUT_RMS)


def _halving(mixing: Tensor, frequencies: list[int], values: int, *, weight: int) -> tuple[Tensor, Tensor, list[int]]:
    """Taps that join 2 x 2 pixels to one and keep the lowest frequencies.

    Args:
        mixing: (V, C), with orthonormal columns or rows: how the V values of a pixel are made of C coefficients.
        frequencies: of the coefficients.
        values: of the pixel that comes out.
        weight: of a difference that is taken here.

    Returns:
        The taps (values, V, 2, 2), how their results are made of the coefficients that were kept (values, C'), and
        those coefficients' frequencies.
    """
    bands = [
        (frequency + weight * differences, band, coefficient)
        for coefficient, frequency in enumerate(frequencies)
        for band, differences in enumerate(DIFFERENCES)
    ]
    kept = sorted(bands, key=lambda entry: (entry[0], entry[2]))[:values]
    mixed = _rotation(values, len(kept))
    analysis = torch.stack([torch.outer(mixing[:, coefficient], HAAR[band]) for _, band, coefficient in kept])
    taps = torch.einsum("ok,kvt->ovt", mixed, analysis).reshape(values, -1, 2, 2)
    return taps, mixed, [frequency for frequency, _, _ in kept]


def _rotation(rows: int, columns: int) -> Tensor:
    """Random, its columns or, if there are more of them, its rows orthonormal."""
    return nn.init.orthogonal_(torch.empty(rows, columns))

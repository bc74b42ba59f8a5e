"""First weights with which EdgeConnect's G2 starts as a linear coder: the decoder undoes what the encoder does.

The paper names none; its code draws them from N(0, .02). With those, eight blocks whose last norm gives each of them
unit variance drown the picture that passes them, and much of a short training goes by in finding it again. Here
channels come in pairs z and -z (see ``looks_linear``; norms keep the pairs), halvings are orthogonal on the 2 x 2
pixels that they join, residual blocks begin as copies of what they read, and the decoder is the encoder's transpose.
"""

import torch
from torch import Tensor, nn

from .looks_linear import pairs

NOISE, BLOCK_NOISE = 0.005, 0.01
"""Standard deviations of what is added to every weight, so that no two channels stay alike."""

OUTPUT_RMS = 0.4
"""Of the first output before its tanh; pictures in [-1, 1] have about .5."""


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
    directions = nn.functional.normalize(torch.randn(ones.shape[1], first.in_channels), dim=1)
    to_half, seen = _halving(directions, twos.shape[1])
    to_quarter, _ = _halving(seen, fours.shape[1])
    first.weight[:, :, 3, 3] += ones @ directions
    # A transposed convolution's weight is (in, out, k, k), so the same tensor is the transpose.
    for convolution, weight, leaving, entering in (
        (half, to_half, twos, ones),
        (full, to_half, twos, ones),
        (quarter, to_quarter, fours, twos),
        (up, to_quarter, fours, twos),
    ):
        taps = weight.reshape(len(weight), -1, 2, 2)
        convolution.weight[:, :, 1:3, 1:3] += torch.einsum("oa,abkl,ib->oikl", leaving, taps, entering)
    back = torch.linalg.pinv(directions)[: last.out_channels]
    last.weight[:, :, 3, 3] += OUTPUT_RMS * nn.functional.normalize(back, dim=1) @ ones.T


def _halving(signal: Tensor, values: int) -> tuple[Tensor, Tensor]:
    """A map from 2 x 2 pixels to one that keeps what there is to keep.

    Args:
        signal: (V, rank): the V values of a pixel span no more than its columns do.
        values: of the pixel that comes out.

    Returns:
        The map (values, V * 4), orthogonal on the signal's space, and (values, rank') that its results span.
    """
    basis = torch.linalg.qr(torch.kron(signal, torch.eye(4)))[0]
    kept = nn.init.orthogonal_(torch.empty(values, basis.shape[1]))
    return kept @ basis.T, kept

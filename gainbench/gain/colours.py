"""First weights with which the network starts out filling holes with the colours around.

A partial convolution whose taps are equal is a normalised convolution (Knutsson, Westin: Normalized and Differential
Convolution, CVPR 1993): the mean of what is known in its window, at borders and in holes alike. So three channels of
equal taps take a picture's colours from the encoder through the dilation blocks to the output, where they are blurred
but never shifted towards gray. They are held above 0, where ELU and ReLU change nothing.

For a look at GAIN after a few hundred steps: colours are a small part of l1, and on the way through thirty random
kernels they are what a training finds last. On validation holes (photos-230, 128 pixels, base 8, 200 iterations of
batch 4, one seed, 40 pictures in six bins, float32), with the share that is missed of the square of the hole's chroma
(what differs from the mean of a pixel's red, green and blue): the weights of ``gainbench.gain.initialisation`` alone
8.35 %, 26.28 dB, .38; with these 8.31 %, 26.40 dB, .30; both branches' channels, averaged, 8.55 % and .30; the output's
other weights left as large as they were 8.45 % and .33. All those learned at 5e-4, which leaves casts, and a gray film
on dark pictures. At 2e-4, the default with these weights: 8.39 %, 26.38 dB, .26; at 1e-4 8.71 %, 26.14 dB, .27.

It is for looks only: on faces (celeba-999, 64 pixels, 300 iterations of batch 8) 8.24 % and 25.43 dB at 5e-4, without
it 7.73 % and 25.80 dB.
"""

from collections.abc import Sequence

import torch
from torch import nn

from gainbench.gain.block import GAIBlock

COLOURS = 3

LEAST_BASE = COLOURS + 1
"""Narrowest network that has a channel beside the colours' in its last block."""

HALF = 0.5
"""Channels hold HALF (1 + colour), colour in [-1, 1]: between 0 and 1, as large as the others."""

OTHERS_SHARE = 0.2
"""Of the output's other weights: what they give at first is noise on the colours."""


@torch.no_grad()
def carry_colours(branch: Sequence[GAIBlock], decoder: Sequence[GAIBlock], to_image: nn.Conv2d) -> None:
    """Overwrite what the first three channels of the image flow are made of; no other channel reads them at first.

    Args:
        branch: the blocks of the branch whose outputs come first in the decoder's concatenation, in order.
        decoder: its blocks; the first reads as many flows as there are branches.
        to_image: gives I*; the colours go there as they are.
    """
    for number, block in enumerate([*branch, *decoder]):
        kernel = block.weight_II.shape[-1]
        rows = block.weight_II[:COLOURS].zero_()
        if number == 0:
            # [I_1, M]: over what is known the mean of M is 1.
            rows[:, :COLOURS] = HALF / kernel**2 * torch.eye(COLOURS).view(COLOURS, COLOURS, 1, 1)
            rows[:, COLOURS] = HALF / kernel**2
        else:
            block.weight_II[:, :COLOURS] = 0
            rows[:, :COLOURS] = torch.eye(COLOURS).view(COLOURS, COLOURS, 1, 1) / kernel**2
        if block.GI:
            block.weight_G[block.out_grad :][:COLOURS] = 0
        if block.IG:
            for derivative in block.weight_IG.chunk(2, 1):
                derivative[:, :COLOURS] = 0
    centre = to_image.kernel_size[0] // 2
    to_image.weight.mul_(OTHERS_SHARE)
    to_image.weight[:, :COLOURS] = 0
    to_image.weight[:, :COLOURS, centre, centre] = torch.eye(COLOURS) / HALF
    nn.init.constant_(to_image.bias, -1.0)  # type: ignore[arg-type]

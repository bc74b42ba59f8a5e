"""Weights that keep variance: what makes some thirty GAI-Blocks in a row trainable.

Every output of a GAI-Block is the sum of two paths, so Kaiming's or Xavier's weights multiply the variance in every
block. Here each path is given a share of it. With inputs of second moment q and n inputs a window, weights of variance
share / (n q) give a path of variance ``share``; the shares of an output sum to 1 before the activation, and the
activation's own second moment for a standard normal input is the q of the next block.

A partial convolution renormalises its border, which adds variance: an output of sum(M) taps, each multiplied by window
size / sum(M), has window size / sum(M) times the variance of a whole window. With dilation 16 on a 64-pixel map that is
1.56 on average, and ten such layers are a factor of 87; the weights reckon with it (``border_gain``).

The gradient path Pconv_IG(Grad(I')) is special: the variance of Grad(I') depends on how smooth I' is, from half the
variance of I' (white noise) down to nothing (a flat map). Its share is therefore an upper bound, and the rest must
carry the flow alone: with a share above .65 for Pconv_GG, ELU's growing slope near 0 holds the flow at a fixed point
above 0.
"""

import math

from torch import Tensor, nn

from gainbench.guidance.gradient import SMOOTHING, Kernel
from gainbench.nn.partial_conv import Window


def _normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


SECOND_MOMENT = {
    # E[elu(z)^2] = 1/2 + E[(e^z - 1)^2; z < 0], by completing the square in each term
    "elu": 1.0 + math.exp(2) * _normal_cdf(-2) - 2 * math.exp(0.5) * _normal_cdf(-1),
    "relu": 0.5,
}
"""E[activation(z)^2] for a standard normal z."""

II_SHARE = 0.5
"""Share of the image flow's variance that comes from the image flow; the rest is Pconv_GI's."""

GG_SHARE = 0.8
"""Share of the gradient flow's variance that comes from the gradient flow; the rest is Pconv_IG's at most."""


def gradient_moment(kernel: Kernel, variance: float) -> float:
    """Second moment of Grad of white noise of the given variance: (1/4 + 1/4) times the smoothing's sum of squares."""
    return variance * 0.5 * sum(tap**2 for tap in SMOOTHING[kernel])


def border_gain(window: Window, side: int) -> float:
    """Mean of window size / sum(M) over an all-ones map: what the renormalised border does to the variance.

    Args:
        window: the convolution's.
        side: of the input map, in pixels.
    """
    reach = window.kernel // 2
    gains = []
    for centre in range(0, side, window.stride):
        taps = (centre + step * window.dilation for step in range(-reach, reach + 1))
        gains.append(window.kernel / sum(0 <= tap < side for tap in taps))
    return (sum(gains) / len(gains)) ** 2


def keep_variance(weight: Tensor, *, share: float, moment: float, gain: float = 1.0) -> None:
    """Draw a convolution's weights so that its output has variance ``share``.

    Args:
        weight: (out, in, k, k), or a part of a parameter's rows; overwritten.
        share: the wanted variance of the output.
        moment: second moment of the input.
        gain: what follows the convolution multiplies the variance by, see ``border_gain``.
    """
    fan_in = weight.shape[1] * weight.shape[2] * weight.shape[3]
    nn.init.normal_(weight, std=math.sqrt(share / (fan_in * moment * gain)))

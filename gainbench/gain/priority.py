"""Mask-shrinkage priority (GAIN, Zhang et al., ACM MM 2019): which hidden positions a block may fill first.

The paper gives it in words; this form is our reading (Criminisi's confidence times data term):

    P_x = sum(M_x) * |n_x . gradperp_x|   where M(x) = 0 and sum(M_x) > 0, else 0
    M_{i+1}(x) = 1   if M_i(x) = 1, or sum(M_x) > 0 and P_x >= delta * max P;   0 otherwise

Nothing here is differentiated, and all of it is computed in float32 or wider.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from gainbench.guidance.gradient import Kernel, spatial_gradient
from gainbench.nn.partial_conv import KnownMap, Window

Form = Literal["product", "sum", "signed"]
GradientSource = Literal["grad_prime", "grad"]

SMALLEST_NORM = 1e-6
"""A shorter vector has no direction: its unit vector is zero."""


@dataclass(frozen=True)
class Priority:
    """How a block decides which positions to fill.

    Attributes:
        delta: share of the picture's largest priority that a position needs, 0 to 1; 0 is the plain update.
        form: ``product`` as above; ``sum`` adds sum(M_x) / window size and |n . gradperp|; ``signed`` is the product
            without the absolute value.
        source: gradperp from ``grad_prime`` = Pconv_GG(grad_i), or from ``grad`` = grad_i. The input has no value at
            hidden positions, so there it is averaged over the known positions of the block's window.
        kernel: of the gradient that gives the mask border's normal.
    """

    delta: float = 0.4
    form: Form = "product"
    source: GradientSource = "grad_prime"
    kernel: Kernel = "central"


def _unit(v: Tensor) -> Tensor:
    """Vectors (B, 2, H, W) of length 1, or 0 where they are too short to have a direction."""
    norm = v.square().sum(1, keepdim=True).sqrt()
    return torch.where(norm < SMALLEST_NORM, 0.0, v / norm.clamp(min=SMALLEST_NORM))


@torch.no_grad()
def border_normal(M: Tensor, kernel: Kernel = "central") -> Tensor:
    """n_x: the unit gradient of the mask after a 3x3 average, which has more directions than the raw mask's nine.

    Args:
        M: (B, 1, H, W), 1 = known. The picture's border is replicated: it is no border of the mask.
        kernel: see ``spatial_gradient``.

    Returns:
        (B, 2, H, W), x then y; zero farther than 2 positions from the hole's border.
    """
    average = F.avg_pool2d(F.pad(M, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return _unit(spatial_gradient(average, kernel))


@torch.no_grad()
def mean_gradient(grad: Tensor) -> Tensor:
    """The channel-wise mean gradient of a gradient flow: (B, C, H, W) -> (B, 2, H, W) in float32 or wider.

    The first half of the channels is read as x-derivatives, the second half as y-derivatives; C is even.
    """
    x, y = grad.chunk(2, 1)
    mean = torch.cat([x.mean(1, keepdim=True, dtype=_wide(x)), y.mean(1, keepdim=True, dtype=_wide(y))], 1)
    return mean.contiguous()


def _wide(x: Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


@torch.no_grad()
def mask_shrinkage_priority(
    M: Tensor, count: Tensor, gradient: Tensor, *, window: Window, form: Form = "product", kernel: Kernel = "central"
) -> Tensor:
    """P_x at every position.

    Args:
        M: (B, 1, H, W), 1 = known.
        count: sum(M_x) over the block's own, dilated window, (B, 1, H, W).
        gradient: the picture's mean gradient (B, 2, H, W), x then y; gradperp is (-y, x), of length 1.
        window: the block's.
        form: see ``Priority``.
        kernel: see ``Priority``.

    Returns:
        (B, 1, H, W); zero at known positions and where the window holds none. ``signed`` may be negative.
    """
    gx, gy = gradient.chunk(2, 1)
    gradperp = _unit(torch.cat([-gy, gx], 1))
    alignment = (border_normal(M, kernel) * gradperp).sum(1, keepdim=True)
    if form == "product":
        P = count * alignment.abs()
    elif form == "sum":
        P = count / window.size + alignment.abs()
    else:
        P = count * alignment
    return torch.where((M == 0) & (count > 0), P, 0.0)


@torch.no_grad()
def shrink(M: Tensor, count: Tensor, P: Tensor, delta: float) -> Tensor:
    """M_{i+1}: the known positions, and those of highest priority among the ones with a known neighbour.

    A picture whose largest priority is not above 0 (a flat one) takes the plain update, or its hole would never close.

    Args:
        M: (B, 1, H, W), 1 = known.
        count: sum(M_x), (B, 1, H, W).
        P: priorities, (B, 1, H, W).
        delta: 0 to 1; 0 is the plain update.

    Returns:
        (B, 1, H, W), 1 = known; nowhere less than M.
    """
    highest = P.amax((1, 2, 3), keepdim=True)
    chosen = (delta * highest <= P) | (highest <= 0) | (delta == 0)
    return ((M > 0) | ((count > 0) & chosen)).to(M.dtype)


class RankedMap(KnownMap):
    """A mask that priorities chose.

    Args:
        M: M_{i+1}, (B, 1, H, W), 1 = known.
        P: the priorities behind it, (B, 1, H, W); for whoever wants to see why.
    """

    def __init__(self, M: Tensor, P: Tensor) -> None:
        super().__init__(M)
        self.P = P


@torch.no_grad()
def priority_update(known: KnownMap, window: Window, grad: Tensor, grad_prime: Tensor, priority: Priority) -> KnownMap:
    """The mask that a block of stride 1 hands on; a ``RankedMap`` where priorities decided.

    Args:
        known: M_i.
        window: the block's.
        grad: the block's input grad_i, (B, C, H, W).
        grad_prime: Pconv_GG(grad_i, M_i), (B, C, H, W), or its mean of two channels; see ``mean_gradient``.
        priority: how to decide.
    """
    if known.full or priority.delta == 0:
        return known.updated(window)
    count = known.sum(window)
    if priority.source == "grad_prime":
        gradient = mean_gradient(grad_prime)
    else:
        ones = torch.ones(2, 1, window.kernel, window.kernel, dtype=_wide(grad), device=grad.device)
        with torch.autocast(grad.device.type, enabled=False):
            total = mean_gradient(grad) * known.M
            gradient = F.conv2d(total, ones, padding=window.padding, dilation=window.dilation, groups=2)
    P = mask_shrinkage_priority(known.M, count, gradient, window=window, form=priority.form, kernel=priority.kernel)
    return RankedMap(shrink(known.M, count, P, priority.delta), P)

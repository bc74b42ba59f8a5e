"""Partial convolution (Liu et al., ECCV 2018) with one mask channel for all feature channels.

    x' = W^T(X * M) * (window size / sum(M)) + b   where sum(M) > 0, else 0
    m' = 1                                         where sum(M) > 0, else 0

The picture's border counts as missing in sum(M) and is renormalised like a hole; the bias is added after the ratio.
What a layer needs from a mask is one window sum of one channel, whatever the number of features; ``KnownMap`` keeps it,
so that layers of the same window share it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-6
"""Floor of sum(M) in the ratio. Sums are whole numbers, so it guards the empty window and changes no other value."""


class Window(NamedTuple):
    """A convolution's window: square kernel, stride and dilation; padded so that stride 1 keeps the map's size."""

    kernel: int
    stride: int = 1
    dilation: int = 1

    @property
    def padding(self) -> int:
        """Pixels on each side."""
        return self.dilation * (self.kernel - 1) // 2

    @property
    def size(self) -> int:
        """Positions in the window."""
        return self.kernel**2


def window_sum(M: Tensor, window: Window) -> Tensor:
    """sum(M) over each position's window; outside the picture counts as missing.

    Args:
        M: (B, 1, H, W), 1 = known.
        window: the convolution's.

    Returns:
        (B, 1, H', W'), whole numbers from 0 to ``window.size``, in M's dtype.
    """
    total = F.pad(M, (window.padding,) * 4)
    # One axis after the other: whole numbers come out the same, and a CPU's convolution of one channel is slow.
    for axis in (2, 3):
        span = (M.shape[axis] - 1) // window.stride * window.stride + 1
        taps = [total.narrow(axis, place * window.dilation, span) for place in range(window.kernel)]
        if window.stride > 1:
            taps = [tap[:, :, :: window.stride] if axis == 2 else tap[..., :: window.stride] for tap in taps]
        total = sum(taps[1:], start=taps[0])
    return total


class KnownMap:
    """A mask, and everything that partial convolutions need from it, each computed once and never differentiated.

    Args:
        M: (B, 1, H, W), 1 = known, 0 = hole; its gradient is nobody's.
        full: True if M is known to be all ones; layers then skip the work that a mask costs. M may then have B = 1.
    """

    def __init__(self, M: Tensor, *, full: bool = False) -> None:
        self.M = M.detach()  # so that nothing made from it is recorded
        self.full = full
        self._sums: dict[Window, Tensor] = {}
        self._ratios: dict[tuple[Window, torch.dtype], Tensor] = {}
        self._updated: dict[Window, KnownMap] = {}
        self._masks: dict[torch.dtype, Tensor] = {}
        self._derived: dict[str, KnownMap] = {}

    @classmethod
    def all_known(cls, like: Tensor) -> "KnownMap":
        """An all-ones mask for a map of the height, width, dtype and device of ``like`` (B, C, H, W)."""
        dtype = like.dtype if like.dtype == torch.float64 else torch.float32
        return cls(torch.ones(1, 1, *like.shape[2:], dtype=dtype, device=like.device), full=True)

    def settled(self) -> "KnownMap":
        """Itself, or the all-ones mask if no hole is left (reads one number back from the device).

        On the meta device there is nothing to read: the general path is taken.
        """
        if self.full or self.M.is_meta or not self.M.min():
            return self
        return KnownMap.all_known(self.M)

    def sum(self, window: Window) -> Tensor:
        """See ``window_sum``."""
        if window not in self._sums:
            self._sums[window] = window_sum(self.M, window)
        return self._sums[window]

    def ratio(self, window: Window, dtype: torch.dtype) -> Tensor:
        """The factor window size / sum(M) where sum(M) > 0, else 0: (B, 1, H', W') in ``dtype``."""
        if (window, dtype) not in self._ratios:
            ratio = window.size / self.sum(window).clamp(min=EPS) * self.updated(window).M
            self._ratios[window, dtype] = ratio.to(dtype)
        return self._ratios[window, dtype]

    def updated(self, window: Window) -> "KnownMap":
        """w(M): 1 where sum(M) > 0."""
        if self.full and window.stride == 1:
            return self
        if window not in self._updated:
            known = (self.sum(window) > 0).to(self.M.dtype)
            self._updated[window] = KnownMap(known, full=self.full)
        return self._updated[window]

    def mask(self, dtype: torch.dtype) -> Tensor:
        """M in ``dtype``."""
        if dtype == self.M.dtype:
            return self.M
        if dtype not in self._masks:
            self._masks[dtype] = self.M.to(dtype)
        return self._masks[dtype]

    def derived(self, name: str, make: Callable[[Tensor], Tensor]) -> "KnownMap":
        """The mask ``make(M)``, made once for all that ask for it under the same name."""
        if name not in self._derived:
            self._derived[name] = KnownMap(make(self.M))
        return self._derived[name]


class _Renormalised(torch.autograd.Function):
    """x * ratio + b where valid, written over x; the bias' gradient is a matrix product with the mask, not a copy."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ratio: Tensor, bias: Tensor, valid: Tensor | None) -> Tensor:
        ctx.mark_dirty(x)
        ctx.save_for_backward(ratio, valid)
        ctx.bias_dtype = bias.dtype
        torch.addcmul(bias.to(x.dtype).view(1, -1, 1, 1), x, ratio, out=x)
        return x if valid is None else x.mul_(valid)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        ratio, valid = ctx.saved_tensors
        if valid is None:
            to_bias = g.sum((0, 2, 3), dtype=ctx.bias_dtype)
        else:
            to_bias = torch.matmul(g.flatten(2), valid.flatten(2).mT).sum((0, 2), dtype=ctx.bias_dtype)
        return g * ratio, None, to_bias, None


def renormalised(x: Tensor, ratio: Tensor, bias: Tensor | None, valid: Tensor | None) -> Tensor:
    """What follows the convolution of a partial convolution: x * ratio + b where ``valid``, else 0.

    Args:
        x: W^T(X * M), (B, C, H', W'), a result of the caller's own; it is overwritten.
        ratio: window size / sum(M), 0 where sum(M) = 0; (B or 1, 1, H', W'), x's dtype.
        bias: (C,) or None.
        valid: m', (B, 1, H', W'), x's dtype; None if it is all ones.
    """
    if bias is None:
        return x * ratio
    out: Tensor = _Renormalised.apply(x, ratio, bias, valid)
    return out


class PartialConv2d(nn.Module):
    """Partial convolution (Liu et al., ECCV 2018, section 3.1).

    Args:
        in_channels: of all groups together.
        out_channels: features.
        kernel_size: odd; the map is padded so that stride 1 keeps its size.
        stride: in pixels.
        dilation: in pixels.
        bias: add one after the ratio.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.window = Window(kernel_size, stride, dilation)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        nn.init.kaiming_normal_(self.weight)

    def forward(self, X: Tensor | Sequence[Tensor], M: Tensor | Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Convolve the known part.

        Args:
            X: features (B, C, H, W), or several groups of them that are concatenated along the channels.
            M: their mask (B, 1, H, W), 1 = known, or one mask a group. With groups, sum(M) counts every channel: one
                window sum a group, times the group's channels, added.

        Returns:
            x' (B, out_channels, H', W') and m' (B, 1, H', W').

        Raises:
            ValueError: a different number of groups and masks.
        """
        groups = [X] if isinstance(X, Tensor) else list(X)
        masks = [M] if isinstance(M, Tensor) else list(M)
        x = torch.cat([group * mask.to(group.dtype) for group, mask in zip(groups, masks, strict=True)], 1)
        with torch.no_grad():
            share = [group.shape[1] / x.shape[1] for group in groups]
            total = sum(
                (part * window_sum(mask, self.window) for part, mask in zip(share, masks, strict=True)),
                start=torch.zeros((), dtype=masks[0].dtype, device=x.device),
            )
            known = (total > 0).to(masks[0].dtype)
            ratio = torch.where(total > 0, self.window.size / total.clamp(min=EPS), 0.0)
        w = self.window
        x = F.conv2d(x, self.weight, stride=w.stride, padding=w.padding, dilation=w.dilation)
        return renormalised(x, ratio.to(x.dtype), self.bias, known.to(x.dtype)), known

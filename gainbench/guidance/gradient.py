"""Image gradients (GAIN, Zhang et al., ACM MM 2019): 3x3 finite differences, of pictures and of feature maps.

Where the paper is silent this is our reading: central differences (``kernel`` chooses another filter), every filter
scaled to respond 1 to a ramp of slope 1, replicate padding, gray = .299 R + .587 G + .114 B, pictures in [-1, 1].
"""

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from gainbench.errors import MethodError
from gainbench.guidance import Guidance
from gainbench.spec import nearest

Kernel = Literal["central", "sobel", "prewitt"]

SMOOTHING: dict[str, tuple[float, float, float]] = {
    "central": (0.0, 1.0, 0.0),
    "sobel": (0.25, 0.5, 0.25),
    "prewitt": (1 / 3, 1 / 3, 1 / 3),
}
"""Each 3x3 filter is the central difference (-1/2, 0, 1/2) along one axis times this smoothing along the other."""


def gray(image: Tensor) -> Tensor:
    """Luma of an RGB picture (ITU-R BT.601): (B, 3, H, W) -> (B, 1, H, W), in the same range."""
    red, green, blue = image.unbind(1)
    return (0.299 * red + 0.587 * green + 0.114 * blue).unsqueeze(1)


def _subtracted(upper: Tensor, lower: Tensor, dim: int, out: Tensor) -> None:
    """Write upper[i + 1] - lower[i - 1] along ``dim`` into ``out``, but for the first and the last place."""
    n = out.shape[dim]
    if dim == 3 and all(x[0].is_contiguous() for x in (upper, lower, out)):
        # All rows as one: what is wrong across their ends is overwritten, and no loop is as short as a row.
        upper, lower, out = (x.flatten(1) for x in (upper, lower, out))
        dim, n = 1, out.shape[1]
    torch.sub(upper.narrow(dim, 2, n - 2), lower.narrow(dim, 0, n - 2), out=out.narrow(dim, 1, n - 2))


def _difference(x: Tensor, out: Tensor, dim: int) -> None:
    """Write x[i + 1] - x[i - 1] along ``dim`` into ``out``, replicating the border."""
    n = x.shape[dim]
    if n == 1:
        out.zero_()
        return
    _subtracted(x, x, dim, out)
    for place, upper, lower in ((0, 1, 0), (n - 1, n - 1, n - 2)):
        torch.sub(x.select(dim, upper), x.select(dim, lower), out=out.select(dim, place))


def _difference_adjoint(g: Tensor, out: Tensor, dim: int) -> None:
    """Write the adjoint of ``_difference`` applied to ``g`` into ``out``: its negative, but for the border."""
    n = g.shape[dim]
    if n == 1:
        out.zero_()
        return
    # Negated, because the first place alone takes a sum of two negatives.
    _subtracted(g, g, dim, out)
    torch.add(g.select(dim, 0), g.select(dim, 1), out=out.select(dim, 0))
    last = out.select(dim, n - 1)
    torch.add(g.select(dim, n - 1), g.select(dim, n - 2), out=last)
    last.neg_()


def differences(x: Tensor) -> Tensor:
    """x[i + 1] - x[i - 1] along both axes, which is twice the central ``spatial_gradient``; not differentiable.

    Args:
        x: (B, C, H, W).

    Returns:
        (B, 2C, H, W) in x's memory layout: along x, then along y.
    """
    C = x.shape[1]
    layout = torch.contiguous_format if x.is_contiguous() else torch.channels_last
    shape = (x.shape[0], 2 * C, *x.shape[2:])
    out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=layout)
    _difference(x, out[:, :C], 3)
    _difference(x, out[:, C:], 2)
    return out


def add_adjoint_of_differences(g: Tensor, into: Tensor) -> None:
    """Add the adjoint of ``differences`` applied to g (B, 2C, H, W) to ``into`` (B, C, H, W)."""
    C = into.shape[1]
    part = torch.empty_like(into)
    for of_direction, dim in ((g[:, :C], 3), (g[:, C:], 2)):
        _difference_adjoint(of_direction, part, dim)
        into.sub_(part)


class _CentralGradient(torch.autograd.Function):
    """Both derivatives written side by side into one tensor: no padded copy, no concatenation, nothing kept."""

    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        return differences(x).mul_(0.5)

    @staticmethod
    def backward(_ctx: Any, g: Tensor) -> Any:
        return _CentralGradientAdjoint.apply(g)


class _CentralGradientAdjoint(torch.autograd.Function):
    """The adjoint map, so that derivatives of any order exist."""

    @staticmethod
    def forward(_ctx: Any, g: Tensor) -> Tensor:
        x = g.new_zeros(g.shape[0], g.shape[1] // 2, *g.shape[2:])
        add_adjoint_of_differences(g, x)
        return x.mul_(0.5)

    @staticmethod
    def backward(_ctx: Any, x: Tensor) -> Any:
        return _CentralGradient.apply(x)


def _smooth(x: Tensor, kernel: Kernel, dim: int) -> Tensor:
    """Three-tap smoothing along ``dim`` (2 or 3), replicating the border."""
    side, centre, _ = SMOOTHING[kernel]
    padded = F.pad(x, (1, 1, 0, 0) if dim == 3 else (0, 0, 1, 1), mode="replicate")
    n = x.shape[dim]
    return side * (padded.narrow(dim, 0, n) + padded.narrow(dim, 2, n)) + centre * x


def smoothed(g: Tensor, kernel: Kernel) -> Tensor:
    """Central derivatives made those of ``kernel``: smoothed across their own direction. Its own adjoint.

    Args:
        g: (B, 2C, H, W), along x, then along y.
        kernel: see ``spatial_gradient``.

    Returns:
        (B, 2C, H, W); ``g`` itself for ``central``.
    """
    if kernel == "central":
        return g
    C = g.shape[1] // 2
    return torch.cat([_smooth(g[:, :C], kernel, 2), _smooth(g[:, C:], kernel, 3)], 1)


def spatial_gradient(x: Tensor, kernel: Kernel = "central") -> Tensor:
    """The gradient of every channel: Grad(X) of the paper.

    Args:
        x: (B, C, H, W).
        kernel: ``central`` (kornia's ``spatial_gradient(mode="diff")``), ``sobel`` or ``prewitt``; each responds 1 to a
            ramp of slope 1 a pixel. Borders are replicated.

    Returns:
        (B, 2C, H, W): all x-derivatives, then all y-derivatives.

    Raises:
        MethodError: unknown kernel.
    """
    if kernel not in SMOOTHING:
        raise MethodError(f"no gradient kernel named {kernel!r}; {nearest(kernel, SMOOTHING)}")
    return smoothed(_CentralGradient.apply(x), kernel)


def eroded(known: Tensor, radius: int = 1) -> Tensor:
    """``known`` with its hole dilated by ``radius`` pixels (square window); outside the picture counts as known.

    For ``radius`` 1 this is w_g^{-1}(M) of the paper: where a 3x3 gradient has its full window.

    Args:
        known: (B, 1, H, W), 1 = known.
        radius: in pixels, at least 0.

    Returns:
        (B, 1, H, W), 1 = known.
    """
    hole = 1 - known
    return 1 - F.max_pool2d(hole, 2 * radius + 1, stride=1, padding=radius)


class GradientGuidance(Guidance):
    """The gradient of the gray picture, two signed channels (dI/dx, dI/dy), the picture taken in [-1, 1].

    Args:
        kernel: see ``spatial_gradient``.
    """

    name: ClassVar[str] = "gradient"
    channels = 2
    rms = 0.125  # faces: .16 at 64 pixels, .12 at 128, .10 at 256

    def __init__(self, kernel: Kernel = "central") -> None:
        if kernel not in SMOOTHING:
            raise MethodError(f"no gradient kernel named {kernel!r}; {nearest(kernel, SMOOTHING)}")
        self.kernel: Kernel = kernel

    def target(self, image: Tensor) -> Tensor:
        """gradI: (B, 2, H, W), in units of [-1, 1] gray a pixel."""
        return spatial_gradient(2 * gray(image) - 1, self.kernel)

    def observed(self, image: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """(grad_0, M_0): M_0 = known with the hole dilated by 1, grad_0 = gradI * M_0."""
        M_0 = eroded(known)
        gradI = self.target(image.masked_fill(known == 0, 0.0))
        return gradI.masked_fill(M_0 == 0, 0.0), M_0

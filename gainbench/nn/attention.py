"""Contextual attention (Yu et al., "Generative Image Inpainting with Contextual Attention", CVPR 2018, section 4).

Every 3x3 patch of the map, downscaled by 2, is compared with every fully known one; the map is rebuilt from the 4x4
patches of the full map under the winners. Written as convolutions, patches are extracted nine- and sixteen-fold. Here
both steps start from single positions: a patch's inner product is the sum of its positions' products, and an output
position is the sum over the four patches that cover it. Both are sums along joint shifts of two positions
(``joint_shift_sum``), so no patch is ever stored, a batch is one matrix product, and every picture has its own known
map.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

PATCH_NORM_FLOOR = 1e-4
CHUNK_BYTES = 64 * 2**20
"""Pictures are taken together until one matrix of scores would be larger than this."""


def _add_shifted(x: Tensor, out: Tensor, dims: tuple[int, int], shift: int) -> None:
    """out[.., i, .., j, ..] += x[.., i + shift, .., j + shift, ..] where both exist."""
    source, into = x, out
    for dim in dims:
        n = x.shape[dim] - abs(shift)
        source = source.narrow(dim, max(shift, 0), n)
        into = into.narrow(dim, max(-shift, 0), n)
    into.add_(source)


class _JointShiftSum(torch.autograd.Function):
    """Linear, so nothing is kept; the adjoint has the shifts negated."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dims: tuple[int, int], shifts: tuple[int, ...]) -> Tensor:
        ctx.dims, ctx.shifts = dims, shifts
        out = x.clone()
        for shift in shifts:
            _add_shifted(x, out, dims, shift)
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return _JointShiftSum.apply(g, ctx.dims, tuple(-shift for shift in ctx.shifts)), None, None


def joint_shift_sum(x: Tensor, dims: tuple[int, int], shifts: tuple[int, ...] = (-1, 1)) -> Tensor:
    """X plus x shifted in two dimensions at once: y[i, j] = x[i, j] + sum over s of x[i + s, j + s], zero outside."""
    out: Tensor = _JointShiftSum.apply(x, dims, shifts)
    return out


def patch_scores(x: Tensor) -> Tensor:
    """Inner products of all 3x3 patches with all L2-normalised ones (norms at least 1e-4), zero padding.

    Args:
        x: (B, C, H, W).

    Returns:
        (B, H, W, H, W): foreground position, then background position; only the background patch is normalised.
    """
    B, C, H, W = x.shape
    flat = x.reshape(B, C, H * W)
    products = torch.bmm(flat.transpose(1, 2), flat).view(B, H, W, H, W)
    products = joint_shift_sum(joint_shift_sum(products, (1, 3)), (2, 4))
    energy = F.avg_pool2d(x.square().sum(1, keepdim=True), 3, stride=1, padding=1, divisor_override=1)
    # The floor is applied before the root, whose derivative is infinite at 0.
    norm = energy.clamp(min=PATCH_NORM_FLOOR**2).sqrt()
    return products / norm.view(B, 1, 1, H, W)


def fuse_scores(scores: Tensor) -> Tensor:
    """Coherence: add the scores of both neighbours along the diagonal, in row order and then in column order.

    As the published code does it: positions are numbered and the 3x3 identity kernel slides over the (foreground,
    background) matrix, so the last position of a row and the first of the next are neighbours.

    Args:
        scores: (B, H, W, H, W).

    Returns:
        (B, H, W, H, W).
    """
    B, H, W = scores.shape[:3]
    n = H * W
    fused = joint_shift_sum(scores.reshape(B, n, n), (1, 2)).view(B, H, W, H, W)
    columns = fused.permute(0, 2, 1, 4, 3).reshape(B, n, n)
    return joint_shift_sum(columns, (1, 2)).view(B, W, H, W, H).permute(0, 2, 1, 4, 3)


def rebuild(attention: Tensor, x: Tensor) -> Tensor:
    """Transposed convolution of the attention with the 4x4 patches of x (stride 2), divided by 4.

    Args:
        attention: (B, H, W, H, W), each foreground position's weights over the background.
        x: (B, C, 2H, 2W).

    Returns:
        (B, C, 2H, 2W).
    """
    B, H, W = attention.shape[:3]
    C = x.shape[1]
    # Position 2Y of the output is covered by patches Y and Y - 1, position 2Y + 1 by Y and Y + 1: there attention to
    # position y'' of the background is that of patch Y to y'' plus that of the neighbour to y'' shifted alike.
    rows = []
    for a, shift_y in enumerate((-1, 1)):
        by_row = joint_shift_sum(attention, (1, 3), (shift_y,))
        columns = []
        for b, shift_x in enumerate((-1, 1)):
            weights = joint_shift_sum(by_row, (2, 4), (shift_x,)).reshape(B, H * W, H * W)
            source = x[:, :, a::2, b::2].reshape(B, C, H * W)
            columns.append(torch.bmm(source, weights.transpose(1, 2)).view(B, C, H, W))
        rows.append(torch.stack(columns, -1))
    return torch.stack(rows, 3).reshape(B, C, 2 * H, 2 * W) / 4


def usable_patches(known: Tensor) -> Tensor:
    """Where a 3x3 patch of the map downscaled by 2 holds no hole pixel; outside the picture counts as known.

    Args:
        known: (B, 1, 2H, 2W), 1 = known.

    Returns:
        bool (B, H, W).
    """
    hole = F.max_pool2d(F.max_pool2d(1 - known, 2), 3, stride=1, padding=1)
    return hole[:, 0] == 0


def attend(x: Tensor, known: Tensor, scale: float = 10.0) -> Tensor:
    """Contextual attention of a map to its own known patches, for a few pictures at once.

    Args:
        x: (B, C, H, W), H and W even; foreground and background.
        known: (B, 1, H, W), 1 = known; one map a picture.
        scale: of the softmax over patches.

    Returns:
        (B, C, H, W). A picture without a single usable patch is returned as it is.
    """
    B, _, H, W = x.shape
    usable = usable_patches(known)
    scores = fuse_scores(patch_scores(x[:, :, ::2, ::2]))
    n = (H // 2) * (W // 2)
    some = usable.flatten(1).any(1)
    excluded = (~usable & some.view(B, 1, 1)).view(B, 1, n)
    logits = (scale * scores.reshape(B, n, n)).masked_fill(excluded, -torch.inf)
    attention = torch.softmax(logits, 2).view(B, H // 2, W // 2, H // 2, W // 2)
    return torch.where(some.view(B, 1, 1, 1), rebuild(attention, x), x)


class ContextualAttention(nn.Module):
    """Contextual attention, in chunks of pictures whose scores fit a memory budget; without weights.

    Scores are computed in float32 also under autocast: the softmax's scale of 10 would magnify bfloat16's rounding.

    Args:
        scale: of the softmax over patches.
        chunk_bytes: budget of one matrix of scores; a chunk has at least one picture.
    """

    def __init__(self, *, scale: float = 10.0, chunk_bytes: int = CHUNK_BYTES) -> None:
        super().__init__()
        self.scale, self.chunk_bytes = scale, chunk_bytes

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        """See ``attend``; in training, scores are computed again in the backward pass instead of being kept."""
        B, _, H, W = x.shape
        with torch.autocast("cpu" if x.is_meta else x.device.type, enabled=False):
            wide = x if x.dtype == torch.float64 else x.float()
            size = wide.element_size() * (H * W // 4) ** 2
            chunk = max(1, self.chunk_bytes // size)
            parts = []
            for start in range(0, B, chunk):
                part = wide[start : start + chunk], known[start : start + chunk].to(wide.dtype), self.scale
                if torch.is_grad_enabled() and x.requires_grad:
                    parts.append(checkpoint(attend, *part, use_reentrant=False, preserve_rng_state=False))
                else:
                    parts.append(attend(*part))
            return torch.cat(parts).to(x.dtype)

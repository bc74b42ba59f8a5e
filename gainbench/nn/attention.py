"""Contextual attention (Yu et al., "Generative Image Inpainting with Contextual Attention", CVPR 2018, section 4).

Every 3x3 patch of the map, downscaled by 2, is compared with every fully known one; the map is rebuilt from the 4x4
patches of the full map under the winners. Written as convolutions, patches are extracted nine- and sixteen-fold. Here
both steps start from single positions: a patch's inner product is the sum of its positions' products, and an output
position is the sum over the four patches that cover it. Both are sums along joint shifts of two positions
(``_shift_sum``), so no patch is ever stored, a batch is one matrix product, and every picture has its own known
map.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

PATCH_NORM_FLOOR = 1e-4
CHUNK_BYTES = 4 * 2**20
"""Pictures are taken together until one matrix of scores would be larger than this."""

NEGLIGIBLE = -46.0
"""Logarithm of the share of the best patch's weight (1e-20) below which a patch gets none. It would change no sum, but
weights that are denormal numbers make the products after the softmax several times as slow on some processors."""


def _exactly(x: Tensor) -> torch.autocast:
    """No autocast: not in the forward pass, nor in a backward pass that is run under it."""
    return torch.autocast("cpu" if x.is_meta else x.device.type, enabled=False)


def _overlap(out: Tensor, x: Tensor, dims: tuple[int, int], shift: int) -> tuple[Tensor, Tensor]:
    """The parts of out and x in which out[.., i, .., j, ..] meets x[.., i + shift, .., j + shift, ..]."""
    for dim in dims:
        n = x.shape[dim] - abs(shift)
        out, x = out.narrow(dim, max(-shift, 0), n), x.narrow(dim, max(shift, 0), n)
    return out, x


def _add_shifted(out: Tensor, x: Tensor, dims: tuple[int, int], shift: int) -> None:
    """out[.., i, .., j, ..] += x[.., i + shift, .., j + shift, ..] where both exist."""
    here, there = _overlap(out, x, dims, shift)
    here.add_(there)


def _shift_sum(x: Tensor, dims: tuple[int, int], shifts: tuple[int, ...]) -> Tensor:
    """y[i, j] = x[i, j] + sum over s of x[i + s, j + s] in two dimensions, zero outside; adjoint: shifts negated.

    Shifts are 1 or -1.
    """
    out = torch.empty_like(x)
    # The first sum is written where a copy of x would have been: one pass over memory less.
    for dim in dims:
        edge = 0 if shifts[0] < 0 else -1
        out.select(dim, edge).copy_(x.select(dim, edge))
    here, there = _overlap(x, x, dims, shifts[0])
    torch.add(here, there, out=_overlap(out, x, dims, shifts[0])[0])
    for shift in shifts[1:]:
        _add_shifted(out, x, dims, shift)
    return out


class _Fusion(torch.autograd.Function):
    """See ``fuse_scores``. Both sums are symmetric, so the adjoint takes them in the other order."""

    @staticmethod
    def rows(x: Tensor) -> Tensor:
        """Add both neighbours along the diagonal, positions numbered row by row."""
        B, H, W = x.shape[:3]
        return _shift_sum(x.reshape(B, H * W, H * W), (1, 2), (-1, 1)).view(x.shape)

    @staticmethod
    def columns(x: Tensor) -> Tensor:
        """The same, positions numbered column by column.

        The next position is one row down, or from the last row to the first of the next column, for foreground and
        background on their own. Moving the data into that order would cost more than the sums.
        """
        out = x.clone()
        before, after = slice(None, -1), slice(1, None)
        down = ((before, slice(None)), (after, slice(None)))
        wrap = ((-1, before), (0, after))
        for foreground, next_foreground in (down, wrap):
            for background, next_background in (down, wrap):
                here = (slice(None), *foreground, *background)
                there = (slice(None), *next_foreground, *next_background)
                out[here] += x[there]
                out[there] += x[here]
        return out

    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        return _Fusion.columns(_Fusion.rows(x))

    @staticmethod
    @once_differentiable
    def backward(_ctx: Any, g: Tensor) -> Any:
        return _Fusion.rows(_Fusion.columns(g))


class _PatchProducts(torch.autograd.Function):
    """Inner products of all 3x3 patches, times a factor of the background patch; only x and the factor are kept."""

    @staticmethod
    def _products(x: Tensor) -> Tensor:
        B, C, H, W = x.shape
        flat = x.reshape(B, C, H * W)
        products = torch.bmm(flat.transpose(1, 2), flat).view(B, H, W, H, W)
        return _shift_sum(_shift_sum(products, (1, 3), (-1, 1)), (2, 4), (-1, 1))

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(x, factor)
        return _PatchProducts._products(x).mul_(factor[:, None, None])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Any:
        x, factor = ctx.saved_tensors
        B, C, H, W = x.shape
        with _exactly(x):
            to_factor = _PatchProducts._products(x).mul_(g).sum((1, 2))
            to_products = _shift_sum(_shift_sum(g * factor[:, None, None], (2, 4), (-1, 1)), (1, 3), (-1, 1))
            to_products = to_products.view(B, H * W, H * W)
            flat = x.reshape(B, C, H * W)
            to_flat = torch.bmm(flat, to_products).baddbmm_(flat, to_products.transpose(1, 2))
        return to_flat.view(B, C, H, W), to_factor


def patch_scores(x: Tensor, scale: float = 1.0) -> Tensor:
    """Inner products of all 3x3 patches with all L2-normalised ones (norms at least 1e-4), zero padding.

    Args:
        x: (B, C, H, W).
        scale: multiplies the result.

    Returns:
        (B, H, W, H, W): foreground position, then background position; only the background patch is normalised.
    """
    energy = F.avg_pool2d(x.square().sum(1), 3, stride=1, padding=1, divisor_override=1)
    # The floor is applied before the root, whose derivative is infinite at 0.
    scores: Tensor = _PatchProducts.apply(x, scale * energy.clamp(min=PATCH_NORM_FLOOR**2).rsqrt())
    return scores


def fuse_scores(scores: Tensor) -> Tensor:
    """Coherence: add the scores of both neighbours along the diagonal, in row order and then in column order.

    As the published code does it: positions are numbered and the 3x3 identity kernel slides over the (foreground,
    background) matrix, so the last position of a row and the first of the next are neighbours.

    Args:
        scores: (B, H, W, H, W).

    Returns:
        (B, H, W, H, W).
    """
    fused: Tensor = _Fusion.apply(scores)
    return fused


class _Rebuild(torch.autograd.Function):
    """See ``rebuild``; keeps its inputs only and sums the shifts again in the backward pass.

    Position 2Y of the output is covered by patches Y and Y - 1, position 2Y + 1 by Y and Y + 1: there, attention to
    position y of the background is that of patch Y to y plus that of the neighbour to y shifted alike.
    """

    PARITIES = ((0, -1), (1, 1))

    @staticmethod
    def forward(ctx: Any, attention: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(attention, x)
        B, H, W = attention.shape[:3]
        C, n = x.shape[1], H * W
        out = torch.empty_like(x)
        for a, shift_y in _Rebuild.PARITIES:
            by_row = _shift_sum(attention, (1, 3), (shift_y,))
            for b, shift_x in _Rebuild.PARITIES:
                weights = _shift_sum(by_row, (2, 4), (shift_x,)).view(B, n, n)
                source = x[:, :, a::2, b::2].reshape(B, C, n)
                out[:, :, a::2, b::2] = torch.bmm(source, weights.transpose(1, 2)).view(B, C, H, W)
        return out.mul_(0.25)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Any:
        attention, x = ctx.saved_tensors
        B, H, W = attention.shape[:3]
        C, n = x.shape[1], H * W
        to_attention, to_x = torch.zeros_like(attention), torch.empty_like(x)
        with _exactly(x):
            for a, shift_y in _Rebuild.PARITIES:
                by_row = _shift_sum(attention, (1, 3), (shift_y,))
                for b, shift_x in _Rebuild.PARITIES:
                    weights = _shift_sum(by_row, (2, 4), (shift_x,)).view(B, n, n)
                    source = x[:, :, a::2, b::2].reshape(B, C, n)
                    here = 0.25 * g[:, :, a::2, b::2].reshape(B, C, n)
                    to_x[:, :, a::2, b::2] = torch.bmm(here, weights).view(B, C, H, W)
                    del weights
                    to_weights = torch.bmm(here.transpose(1, 2), source).view(B, H, W, H, W)
                    for back_y in (0, -shift_y):
                        moved = _overlap(to_attention, to_weights, (1, 3), back_y)
                        for back_x in (0, -shift_x):
                            _add_shifted(*moved, (2, 4), back_x)
                    del to_weights, moved
                del by_row
        return to_attention, to_x


def rebuild(attention: Tensor, x: Tensor) -> Tensor:
    """Transposed convolution of the attention with the 4x4 patches of x (stride 2), divided by 4.

    Args:
        attention: (B, H, W, H, W), each foreground position's weights over the background.
        x: (B, C, 2H, 2W).

    Returns:
        (B, C, 2H, 2W).
    """
    out: Tensor = _Rebuild.apply(attention, x)
    return out


def usable_patches(known: Tensor) -> Tensor:
    """Where a 3x3 patch of the map downscaled by 2 holds no hole pixel; outside the picture counts as known.

    Args:
        known: (B, 1, 2H, 2W), 1 = known.

    Returns:
        bool (B, H, W).
    """
    hole = F.max_pool2d(F.max_pool2d(1 - known, 2), 3, stride=1, padding=1)
    return hole[:, 0] == 0


def attention_weights(x: Tensor, excluded: Tensor, scale: float) -> Tensor:
    """Softmax over the background patches that are not excluded, for every foreground patch.

    Args:
        x: the map, downscaled by 2, (B, C, H, W).
        excluded: bool (B, H, W).
        scale: of the softmax.

    Returns:
        (B, H, W, H, W), sums over the last two dimensions are 1.
    """
    B, H, W = excluded.shape
    logits = fuse_scores(patch_scores(x, scale)).view(B, H * W, H * W)
    exclusion = torch.zeros_like(excluded, dtype=x.dtype).masked_fill_(excluded, -torch.inf)
    logits = logits.add_(exclusion.view(B, 1, H * W))
    with (
        torch.no_grad()
    ):  # The softmax keeps its values, not the logits: what becomes 0 there has no derivative either.
        torch.threshold_(logits.sub_(logits.amax(2, keepdim=True)), NEGLIGIBLE, -torch.inf)
    return torch.softmax(logits, 2).view(B, H, W, H, W)


def attend(x: Tensor, known: Tensor, scale: float = 10.0) -> Tensor:
    """Contextual attention of a map to its own known patches, for a few pictures at once.

    Args:
        x: (B, C, H, W), H and W even; foreground and background.
        known: (B, 1, H, W), 1 = known; one map a picture.
        scale: of the softmax over patches.

    Returns:
        (B, C, H, W). A picture without a single usable patch is returned as it is.
    """
    usable = usable_patches(known)
    some = usable.any(2, keepdim=True).any(1, keepdim=True)
    # With every patch excluded the softmax has no value: such a picture attends to all of them, and keeps its own map.
    attention = attention_weights(x[:, :, ::2, ::2], ~usable & some, scale)
    return torch.where(some.unsqueeze(1), rebuild(attention, x), x)


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
        """See ``attend``."""
        H, W = x.shape[2:]
        with _exactly(x):
            wide = x if x.dtype == torch.float64 else x.float()
            size = wide.element_size() * (H * W // 4) ** 2
            chunk = max(1, self.chunk_bytes // size)
            # Split, not sliced: the gradient of a slice is as large as the whole.
            sizes = [min(chunk, len(x) - start) for start in range(0, len(x), chunk)]
            chunks = zip(wide.split_with_sizes(sizes), known.to(wide.dtype).split_with_sizes(sizes), strict=True)
            # Narrowed before they are put together, so that the whole never exists in float32.
            return torch.cat([attend(pictures, maps, self.scale).to(x.dtype) for pictures, maps in chunks])

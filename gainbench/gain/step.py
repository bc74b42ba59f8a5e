"""The arithmetic of a GAI-Block as one differentiable step: few passes over the maps, its derivative written by hand.

With r the ratio of the block's window (0 outside A), s that of IG's, A = M_{i+1} and E the eroded A:

    I'         = II r                          Grad(I') needs no bias: differences do not see a constant
    I_{i+1}    = act(I' + GI r + (b_II + b_GI) A)
    grad_{i+1} = act(GG r + IG s + b_GG A + b_IG [s > 0])         where IG = conv(E Grad(I'))

I' may be cut to A from the start, because E admits a position only where its whole 3x3 window lies in A. For the same
reason the gradient of b_II through Grad is exactly 0.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from gainbench.gain.priority import Priority, mean_gradient, priority_update
from gainbench.guidance.gradient import Kernel, add_adjoint_of_differences, differences, eroded, smoothed
from gainbench.nn.partial_conv import KnownMap, Window

Activation = Literal["elu", "relu"]

IG_WINDOW = Window(3)
"""Pconv_IG works at the output resolution, whatever the block's own kernel, stride and dilation."""


@dataclass(frozen=True)
class StepPlan:
    """What a step does, its tensors aside.

    Attributes:
        window: of II, GG and GI.
        out_grad: channels of grad_{i+1}; 0 for a block without a gradient flow.
        GI: weight_G holds the rows of GI after those of GG.
        kernel: of Grad.
        activation: after each sum.
        priority: how the mask shrinks; None is the plain update.
    """

    window: Window
    out_grad: int
    GI: bool
    kernel: Kernel
    activation: Activation
    priority: Priority | None


Weights = tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None]
"""weight and bias of II, of GG and GI in one, and of IG."""


def gai_step(
    I: Tensor,  # noqa: E741
    grad: Tensor,
    known: KnownMap,
    weights: Weights,
    plan: StepPlan,
) -> tuple[Tensor, Tensor, KnownMap]:
    """One GAI-Block.

    Args:
        I: image flow (B, C, H, W).
        grad: gradient flow (B, C', H, W); C' = 0 where there is none.
        known: M_i.
        weights: see ``Weights``; the last two are None without IG, the last four without a gradient flow.
        plan: see ``StepPlan``.

    Returns:
        I_{i+1}, grad_{i+1} (``grad`` itself without a gradient flow) and M_{i+1}. Differentiable once.
    """
    out: list[KnownMap] = []
    I_next, grad_next = _Step.apply(I, grad, *weights, known, plan, out)
    return I_next, grad_next if plan.out_grad else grad, out[0]


def _arithmetic(x: Tensor) -> torch.dtype:
    """The dtype that a convolution of x would compute in: autocast's, if it is on."""
    device = "cpu" if x.is_meta else x.device.type
    if x.dtype != torch.float64 and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return x.dtype


def _exactly(x: Tensor) -> AbstractContextManager[object]:
    device = "cpu" if x.is_meta else x.device.type
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


def _kept(x: Tensor, known: KnownMap, dtype: torch.dtype) -> Tensor:
    """The known part of a flow in the arithmetic's dtype."""
    return (x if known.full else x * known.mask(x.dtype)).to(dtype)


def _channel_sums(x: Tensor, masks: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Sums over batch and positions of x under each of K masks (B or 1, K, H, W): (C, K); None is one mask of ones."""
    if masks is None:
        return x.sum((0, 2, 3), dtype=dtype).unsqueeze(1)
    if x.is_contiguous():
        return torch.matmul(x.flatten(2), masks.flatten(2).mT).sum(0, dtype=dtype)
    by_position = x.permute(0, 2, 3, 1).flatten(0, 2)
    return torch.mm(by_position.mT, masks.permute(0, 2, 3, 1).flatten(0, 2)).to(dtype)


def _convolution(x: Tensor, weight: Tensor, window: Window) -> Tensor:
    return F.conv2d(x, weight, None, window.stride, window.padding, window.dilation)


def _convolution_adjoint(
    g: Tensor, x: Tensor, weight: Tensor, window: Window, *, to_input: bool = True
) -> tuple[Any, Tensor]:
    """What a convolution's output gradient is to its input (None if not wanted) and to its weight."""
    stride, padding, dilation = ([n, n] for n in (window.stride, window.padding, window.dilation))
    wanted = [to_input, True, False]
    to_x, to_weight, _ = torch.ops.aten.convolution_backward(
        g, x, weight, None, stride, padding, dilation, False, [0, 0], 1, wanted
    )
    return to_x, to_weight


def _mask_after(known: KnownMap, grad: Tensor, G: Tensor | None, bias_G: Tensor | None, plan: StepPlan) -> KnownMap:
    """M_{i+1}; a priority is told the channel-wise mean of grad'_i, for which grad'_i itself need not exist."""
    if plan.priority is None or G is None or bias_G is None or known.full:
        return known.updated(plan.window)
    mean = mean_gradient(G[:, : plan.out_grad])
    mean *= known.ratio(plan.window, mean.dtype)
    mean += mean_gradient(_per_channel(bias_G[: plan.out_grad], bias_G.dtype))
    return priority_update(known, plan.window, grad, mean, plan.priority)


def _window_of_gradient(after: KnownMap, dtype: torch.dtype) -> tuple[Tensor | None, Tensor, Tensor | None]:
    """E (None: all ones), half the ratio s, and where s > 0 (None: where A is 1).

    ``differences`` is twice Grad; the half is in s, where it costs nothing.
    """
    seen = after if after.full else after.derived("eroded", eroded)
    s = seen.ratio(IG_WINDOW, dtype) / 2
    if after.full:
        return None, s, None
    reached = seen.updated(IG_WINDOW)
    # To look costs a GPU more than the pass over the map that it may save.
    same = after.M.device.type == "cpu" and torch.equal(reached.M, after.M)
    return seen.mask(dtype), s, (None if same else reached.mask(dtype))


def _per_channel(bias: Tensor, dtype: torch.dtype) -> Tensor:
    return bias.to(dtype).view(1, -1, 1, 1)


def elu_(x: Tensor) -> Tensor:
    """ELU in place, as max(x, exp(min(x, 0)) - 1): on a CPU ``expm1``, and with it ``F.elu``, is several times slower.

    The absolute error is that of float32's (or float64's) rounding near 1; a bfloat16 map is computed in float32.
    """
    if x.device.type != "cpu":
        return F.elu_(x)
    narrow = x.dtype in (torch.bfloat16, torch.float16)
    negative = (x.float().clamp_(max=0) if narrow else x.clamp(max=0)).exp_().sub_(1)
    return torch.maximum(x, negative.to(x.dtype), out=x)


def _add_bias(x: Tensor, bias: Tensor, mask: Tensor | None) -> None:
    bias = _per_channel(bias, x.dtype)
    if mask is None:
        x.add_(bias)
    else:
        x.addcmul_(bias, mask)


def _sum_of_gradient_flow(
    GG: Tensor,
    r: Tensor,
    bias_GG: Tensor,
    A: Tensor | None,
    IG: tuple[Tensor, Tensor, Tensor | None, Tensor] | None,
) -> Tensor:
    """GG r + IG s + biases. IG: its convolution (overwritten), s, where s > 0 (None: where A is 1) and its bias."""
    if IG is None:
        total = GG * r
        _add_bias(total, bias_GG, A)
        return total
    total, s, reached, bias_IG = IG
    total.mul_(s).addcmul_(GG, r)
    if reached is None:
        _add_bias(total, bias_GG + bias_IG, A)
    else:
        _add_bias(total, bias_GG, A)
        _add_bias(total, bias_IG, reached)
    return total


def _through_activation(g: Tensor, out: Tensor, plan: StepPlan) -> Tensor:
    """The gradient before the activation, from that after it and the activation's result; a new tensor."""
    layout = torch.contiguous_format if out.is_contiguous() else torch.channels_last
    g = g.contiguous(memory_format=layout)
    if plan.activation == "elu":
        return torch.ops.aten.elu_backward(g, 1, 1, 1, True, out)  # type: ignore[no-any-return]
    return torch.ops.aten.threshold_backward(g, out, 0)  # type: ignore[no-any-return]


def _empty_like(x: Tensor, channels: int) -> Tensor:
    """Another number of channels in x's layout."""
    layout = torch.contiguous_format if x.is_contiguous() else torch.channels_last
    shape = (x.shape[0], channels, *x.shape[2:])
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=layout)


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes by position
        ctx: Any,
        I: Tensor,  # noqa: E741
        grad: Tensor,
        weight_II: Tensor,
        bias_II: Tensor,
        weight_G: Tensor | None,
        bias_G: Tensor | None,
        weight_IG: Tensor | None,
        bias_IG: Tensor | None,
        known: KnownMap,
        plan: StepPlan,
        out: list[KnownMap],
    ) -> tuple[Tensor, Tensor]:
        dtype = _arithmetic(I)
        w, g = plan.window, plan.out_grad
        activate = elu_ if plan.activation == "elu" else F.relu_
        Y = W_G = G = differing = W_IG = E = s = reached = IG = None
        with _exactly(I):
            X, W_II = _kept(I, known, dtype), weight_II.to(dtype)
            image = _convolution(X, W_II, w)
            if weight_G is not None:
                Y, W_G = _kept(grad, known, dtype), weight_G.to(dtype)
                G = _convolution(Y, W_G, w)
            after = _mask_after(known, grad, G, bias_G, plan)
            A = None if after.full else after.mask(dtype)
            r = known.ratio(w, dtype)
            if plan.priority is not None and A is not None:
                r = r * A

            image.mul_(r)
            if weight_IG is not None and bias_IG is not None:
                W_IG = weight_IG.to(dtype)
                E, s, reached = _window_of_gradient(after, dtype)
                differing = smoothed(differences(image), plan.kernel)
                if E is not None:
                    differing.mul_(E)
                IG = _convolution(differing, W_IG, IG_WINDOW), s, reached, bias_IG

            bias_I, gradient = bias_II, image.new_empty(0)
            if G is not None and bias_G is not None:
                gradient = activate(_sum_of_gradient_flow(G[:, :g], r, bias_G[:g], A, IG))
                if plan.GI:
                    image.addcmul_(G[:, g:], r)
                    bias_I = bias_II + bias_G[g:]
            _add_bias(image, bias_I, A)
            activate(image)
        if not g:
            ctx.mark_non_differentiable(gradient)
        out.append(after)
        # Zeros and ones are the same in any dtype, and a CPU multiplies fastest in the flow's own.
        M = None if known.full else known.mask(I.dtype)
        ctx.save_for_backward(X, Y, differing, W_II, W_G, W_IG, image, gradient, M, A, reached, E, r, s)
        ctx.plan = plan
        ctx.dtypes = I.dtype, grad.dtype, weight_II.dtype
        return image, gradient

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_I_next: Tensor, to_grad_next: Tensor) -> Any:
        X, Y, differing, W_II, W_G, W_IG, image, gradient, M, A, reached, E, r, s = ctx.saved_tensors
        plan: StepPlan = ctx.plan
        w, g = plan.window, plan.out_grad
        need = ctx.needs_input_grad
        dtype_I, dtype_grad, wide = ctx.dtypes
        to_grad = to_W_G = to_b_G = to_W_IG = to_b_IG = None
        with _exactly(X):
            to_image = _through_activation(to_I_next, image, plan)
            to_b_II = _channel_sums(to_image, A, wide)[:, 0]
            if W_G is not None:
                to_gradient = _through_activation(to_grad_next, gradient, plan)
                to_G = _empty_like(to_image, W_G.shape[0])
                torch.mul(to_gradient, r, out=to_G[:, :g])
                if plan.GI:
                    torch.mul(to_image, r, out=to_G[:, g:])
                masks = A if reached is None else torch.cat([A.expand_as(reached), reached], 1)
                sums = _channel_sums(to_gradient, masks, wide)
                to_b_G = torch.cat([sums[:, 0], to_b_II]) if plan.GI else sums[:, 0]
                if W_IG is not None:
                    to_b_IG = sums[:, -1]
                    to_differing, to_W_IG = _convolution_adjoint(to_gradient.mul_(s), differing, W_IG, IG_WINDOW)
                    del to_gradient
                    if E is not None:
                        to_differing.mul_(E)
                    add_adjoint_of_differences(smoothed(to_differing, plan.kernel), to_image)
                    del to_differing
                to_grad, to_W_G = _convolution_adjoint(to_G, Y, W_G, w, to_input=need[1])
                del to_G
            to_I, to_W_II = _convolution_adjoint(to_image.mul_(r), X, W_II, w, to_input=need[0])
            to_I, to_grad = (
                None if x is None else (x.to(dtype) if M is None else x.to(dtype).mul_(M))
                for x, dtype in ((to_I, dtype_I), (to_grad, dtype_grad))
            )
            to_W = [None if W is None else W.to(wide) for W in (to_W_II, to_W_G, to_W_IG)]
        return to_I, to_grad, to_W[0], to_b_II, to_W[1], to_b_G, to_W[2], to_b_IG, None, None, None

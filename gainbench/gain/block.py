"""The GAI-Block (GAIN, Zhang et al., ACM MM 2019): an image flow and a gradient flow that inform each other."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gainbench.gain.initialisation import (
    EXCHANGE_SHARE,
    Draw,
    gradient_moment,
    keep_directions,
    keep_principal,
    keep_variance,
)
from gainbench.gain.priority import Priority
from gainbench.gain.step import Activation, StepPlan, gai_step
from gainbench.guidance.gradient import Kernel
from gainbench.nn.partial_conv import KnownMap, Window

__all__ = ["Activation", "BlockStyle", "GAIBlock"]


@dataclass(frozen=True)
class BlockStyle:
    """What all blocks of a network have in common.

    Attributes:
        kernel: finite differences of Grad, see ``spatial_gradient``.
        activation: after each sum.
        GI: the image flow receives Pconv_GI(grad_i).
        IG: the gradient flow receives Pconv_IG(Grad(I'_i)).
    """

    kernel: Kernel = "central"
    activation: Activation = "elu"
    GI: bool = True
    IG: bool = True


class GAIBlock(nn.Module):
    """One step of both flows.

        M_{i+1}    = w_i(M_i)
        I'_i       = Pconv_II(I_i, M_i)              grad'_i    = Pconv_GG(grad_i, M_i)
        I_{i+1}    = I'_i + Pconv_GI(grad_i, M_i)    grad_{i+1} = grad'_i + Pconv_IG(Grad(I'_i, M_{i+1}))

    Pconv_II, Pconv_GG and Pconv_GI share kernel, stride and dilation; Pconv_IG is 3x3. An activation follows each sum.
    A flow of 0 channels does not exist: without a gradient flow the block is one partial convolution.

    Args:
        in_image: channels of I_i.
        in_grad: channels of grad_i.
        out_image: channels of I_{i+1}.
        out_grad: channels of grad_{i+1}.
        window: of II, GG and GI.
        style: see ``BlockStyle``.
        priority: how the mask shrinks; None is the plain update w_i. Stride 1 only.
        draw: how the first weights are drawn.
    """

    def __init__(
        self,
        *,
        in_image: int,
        in_grad: int,
        out_image: int,
        out_grad: int,
        window: Window,
        style: BlockStyle = BlockStyle(),
        priority: Priority | None = None,
        draw: Draw = Draw(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__()
        self.window, self.style, self.priority = window, style, priority
        self.in_grad, self.out_grad = in_grad, out_grad
        self.GI = style.GI and in_grad > 0
        self.IG = style.IG and out_grad > 0
        k = window.kernel
        self.weight_II = nn.Parameter(torch.empty(out_image, in_image, k, k))
        self.bias_II = nn.Parameter(torch.zeros(out_image))
        if out_grad:
            # One tensor, so that both paths that read grad_i are one convolution: first GG, then GI.
            self.weight_G = nn.Parameter(torch.empty(out_grad + self.GI * out_image, in_grad, k, k))
            self.bias_G = nn.Parameter(torch.zeros(out_grad + self.GI * out_image))
        if self.IG:
            self.weight_IG = nn.Parameter(torch.empty(out_grad, 2 * out_image, 3, 3))
            self.bias_IG = nn.Parameter(torch.zeros(out_grad))
        self.plan = StepPlan(window, out_grad, self.GI, style.kernel, style.activation, priority)
        self.draw = draw
        self.reset_parameters(draw)

    def reset_parameters(self, draw: Draw) -> None:
        """Draw the weights, see ``gainbench.gain.initialisation``; biases are 0."""
        from_grad = EXCHANGE_SHARE if self.GI else 0.0
        from_image = EXCHANGE_SHARE if self.IG else 0.0
        keep_directions(self.weight_II, draw, share=1 - from_grad)
        if self.out_grad:
            keep_directions(self.weight_G[: self.out_grad], draw, share=1 - from_image)
            if self.GI:
                keep_directions(self.weight_G[self.out_grad :], draw, share=from_grad)
        if self.IG:
            moment = gradient_moment(self.style.kernel, 1 - from_grad)
            keep_variance(self.weight_IG, share=from_image, moment=moment)

    def read_components(self, I: Tensor) -> None:  # noqa: E741
        """Start Pconv_II with the principal components of the image flow I (B, in_image, H, W)."""
        keep_principal(self.weight_II, I, self.draw, self.window)

    @torch.no_grad()
    def scale_flows(self, image: float, grad: float) -> None:
        """Multiply what the block gives to either flow, before the activation; for initial weights (biases 0)."""
        self.weight_II.mul_(image)
        if self.out_grad:
            self.weight_G[: self.out_grad].mul_(grad)
            self.weight_G[self.out_grad :].mul_(image)
        if self.IG:
            # It reads I', which has been scaled already.
            self.weight_IG.mul_(grad / image)

    def forward(self, I: Tensor, grad: Tensor, known: KnownMap) -> tuple[Tensor, Tensor, KnownMap]:  # noqa: E741
        """Take one step.

        Args:
            I: image flow (B, in_image, H, W); what it holds in the hole is ignored.
            grad: gradient flow (B, in_grad, H, W); the same.
            known: M_i, (B, 1, H, W).

        Returns:
            I_{i+1} (B, out_image, H', W'), grad_{i+1} (B, out_grad, H', W'), both zero in the hole, and M_{i+1}.
        """
        guided = self.out_grad > 0
        weights = (
            self.weight_II,
            self.bias_II,
            self.weight_G if guided else None,
            self.bias_G if guided else None,
            self.weight_IG if self.IG else None,
            self.bias_IG if self.IG else None,
        )
        return gai_step(I, grad, known, weights, self.plan)

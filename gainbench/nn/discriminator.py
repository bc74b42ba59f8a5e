"""SN-PatchGAN (Yu et al., ICCV 2019, section 3.3) and the gradient penalty (Gulrajani et al. 2017) inside holes."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

WIDTHS = (1, 2, 4, 4, 4, 4)
"""Features of each level, in units of ``base``: 64-128-256-256-256-256 at base 64."""

SMALLEST_MAP = 4
"""A level is left out where its map would have a smaller side."""


class PatchDiscriminator(nn.Module):
    """5x5 stride-2 convolutions, spectral normalisation, leaky ReLU (.2); every value of the last map is a score.

    Args:
        in_channels: of the picture and all that is stacked on it (such as ``known``).
        size: side of the pictures, which decides the number of levels: 6 at 256 pixels, 4 at 64.
        base: features of the first level.
    """

    def __init__(self, *, in_channels: int, size: int, base: int = 64) -> None:
        super().__init__()
        convolutions: list[nn.Module] = []
        for width in WIDTHS:
            size = (size + 1) // 2
            if convolutions and size < SMALLEST_MAP:
                break
            convolutions.append(spectral_norm(nn.Conv2d(in_channels, width * base, 5, stride=2, padding=2)))
            in_channels = width * base
        self.convolutions = nn.ModuleList(convolutions)

    def forward(self, x: Tensor) -> Tensor:
        """Score patches: (B, in_channels, H, W) -> (B, features, H', W'), unbounded, high = real."""
        for convolution in self.convolutions[:-1]:
            x = F.leaky_relu(convolution(x), 0.2)
        scores: Tensor = self.convolutions[-1](x)
        return scores


def gradient_penalty(
    score: Callable[[Tensor], Tensor], real: Tensor, completed: Tensor, hole: Tensor, position: Tensor
) -> Tensor:
    """Mean over pictures of (||gradient of the picture's score in the hole|| - 1)^2, at interpolates, in float32.

    The penalty of Gulrajani et al. (2017, eq. 3), its gradient masked to the hole as in Yu et al. (CVPR 2018): outside
    the hole both pictures are the same and the generator moves nothing.

    A picture's score is the sum of its map, the usual reading for a map of scores. It keeps the slope of the map's
    mean, which the hinge loss and the generator see, small beside l1.
    One training with scores averaged over the map's features (64 px, 1,000 iterations at a constant 4e-4, weight .1)
    filled every large hole with a 4-pixel pattern from iteration 600 on. The sum was tried for 400 iterations at that
    rate and for 1,000 at 1e-3 falling to 0, without a pattern: penalty and schedule were not told apart, and with the
    sum the hinge loss stays at 2.

    Args:
        score: the discriminator as a function of the picture alone, (B, C, H, W) -> map (B, features, H', W').
        real: (B, C, H, W).
        completed: (B, C, H, W).
        hole: (B, 1, H, W), 1 = hole.
        position: (B, 1, 1, 1) in [0, 1], where each interpolate lies between completed (0) and real (1).

    Returns:
        A scalar, at least 0, differentiable with respect to the discriminator's weights.
    """
    with torch.autocast(real.device.type, enabled=False), torch.enable_grad():
        x = torch.lerp(completed.float(), real.float(), position.float()).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(score(x).sum(), x, create_graph=True)
        # The root's derivative is infinite at 0, where a picture without a hole would be.
        norm = ((gradient * hole).square().sum((1, 2, 3)) + 1e-12).sqrt()
        return (norm - 1).square().mean()

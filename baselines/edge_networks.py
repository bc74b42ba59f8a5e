"""EdgeConnect's networks: the generator of edges and of pictures, and the discriminator of both."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

RESIDUAL_BLOCKS = 8

WEIGHT_STD = 0.02
"""Initial weights, as in the reference code; the paper does not say. G2 has others, see ``edge_start``."""

Norm = Callable[[int], nn.Module]

NORMS: dict[str, Norm] = {"instance": nn.InstanceNorm2d, "batch": partial(nn.BatchNorm2d, affine=False)}
"""Without scale and shift, as the published instance norm is."""


class ResidualBlock(nn.Module):
    """x + (3x3 dilated, norm, ReLU, 3x3, norm), all at one width."""

    def __init__(self, channels: int, *, dilation: int, spectral: bool, norm: Norm) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.ReflectionPad2d(dilation),
            _normalised(nn.Conv2d(channels, channels, 3, dilation=dilation, bias=False), spectral=spectral),
            norm(channels),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            _normalised(nn.Conv2d(channels, channels, 3, bias=False), spectral=spectral),
            norm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        path: Tensor = self.path(x)
        return x + path


class EdgeConnectGenerator(nn.Module):
    """Encoder, residual blocks at a quarter of the resolution, decoder (section 3, and appendix A).

    Args:
        in_channels: of the stacked inputs.
        out_channels: 1 for edges, 3 for pictures.
        base: channels of the first layer; twice and four times as many behind.
        dilation: of the residual blocks' first convolutions; 2 in the paper, at 256 px.
        spectral: spectral normalisation of all layers but the last (G1).
        norm: makes the norm behind every layer but the last of its channels.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        base: int,
        dilation: int,
        spectral: bool,
        norm: Norm = nn.InstanceNorm2d,
    ) -> None:
        super().__init__()

        # A norm subtracts the mean, so a bias in front of it would do nothing.
        def layer(convolution: nn.Module, channels: int) -> list[nn.Module]:
            return [_normalised(convolution, spectral=spectral), norm(channels), nn.ReLU()]

        self.layers = nn.Sequential(
            nn.ReflectionPad2d(3),
            *layer(nn.Conv2d(in_channels, base, 7, bias=False), base),
            *layer(nn.Conv2d(base, 2 * base, 4, stride=2, padding=1, bias=False), 2 * base),
            *layer(nn.Conv2d(2 * base, 4 * base, 4, stride=2, padding=1, bias=False), 4 * base),
            *(ResidualBlock(4 * base, dilation=dilation, spectral=spectral, norm=norm) for _ in range(RESIDUAL_BLOCKS)),
            *layer(nn.ConvTranspose2d(4 * base, 2 * base, 4, stride=2, padding=1, bias=False), 2 * base),
            *layer(nn.ConvTranspose2d(2 * base, base, 4, stride=2, padding=1, bias=False), base),
            nn.ReflectionPad2d(3),
            _normalised(nn.Conv2d(base, out_channels, 7), spectral=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W), unbounded; H and W multiples of 4."""
        out: Tensor = self.layers(x)
        return out


class EdgeConnectDiscriminator(nn.Module):
    """70x70 PatchGAN with spectral normalisation; its activations serve feature matching.

    Args:
        in_channels: of the stacked inputs.
        base: channels of the first layer; 2, 4 and 8 times as many behind.
    """

    def __init__(self, *, in_channels: int, base: int) -> None:
        super().__init__()
        widths, strides = (in_channels, base, 2 * base, 4 * base, 8 * base, 1), (2, 2, 2, 1, 1)
        self.convolutions = nn.ModuleList(
            _normalised(nn.Conv2d(before, behind, 4, stride=stride, padding=1), spectral=True)
            for before, behind, stride in zip(widths[:-1], widths[1:], strides, strict=True)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, in_channels, H, W), sides at least 32, to each layer's activations; the last are the scores (logits)."""
        activations = []
        for convolution in self.convolutions[:-1]:
            x = F.leaky_relu(convolution(x), 0.2)
            activations.append(x)
        return [*activations, self.convolutions[-1](x)]


def _normalised(convolution: nn.Module, *, spectral: bool) -> nn.Module:
    nn.init.normal_(convolution.weight, std=WEIGHT_STD)  # type: ignore[arg-type]
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return spectral_norm(convolution) if spectral else convolution

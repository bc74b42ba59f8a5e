import numpy as np
import pytest
import torch

from gainbench.nn.gated_conv import GATED_MOMENT, GatedConv2d


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("activation", ["elu", "relu"])
def test_it_is_the_activation_of_one_half_times_the_gate_of_the_other(activation: str) -> None:
    layer = GatedConv2d(2, 3, 3, activation=activation)  # type: ignore[arg-type]
    torch.nn.init.normal_(layer.convolution.bias, generator=torch.Generator().manual_seed(1))
    x = normal(1, 2, 5, 5)
    out = layer(x)
    weight, bias = layer.convolution.weight, layer.convolution.bias
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
    for channel in range(3):
        for row, column in ((0, 0), (2, 3), (4, 4)):
            window = padded[0, :, row : row + 3, column : column + 3]
            f = ((weight[channel] * window).sum() + bias[channel]).item()
            g = ((weight[channel + 3] * window).sum() + bias[channel + 3]).item()
            feature = max(f, 0.0) if activation == "relu" else (f if f > 0 else np.expm1(f))
            assert out[0, channel, row, column].item() == pytest.approx(feature / (1 + np.exp(-g)), abs=1e-5)


@pytest.mark.parametrize(("stride", "dilation", "side"), [(1, 1, 12), (2, 1, 6), (1, 4, 12)])
def test_padding_keeps_the_size_that_the_stride_leaves(stride: int, dilation: int, side: int) -> None:
    layer = GatedConv2d(2, 4, 3, stride=stride, dilation=dilation)
    assert layer(normal(1, 2, 12, 12)).shape == (1, 4, side, side)


def test_stated_moments_are_those_of_normal_halves() -> None:
    f, g = np.random.default_rng(0).standard_normal((2, 1_000_000))
    gate = 1 / (1 + np.exp(-g))
    assert GATED_MOMENT["relu"] == pytest.approx(np.mean((np.maximum(f, 0) * gate) ** 2), rel=0.01)
    elu = np.where(f > 0, f, np.expm1(np.minimum(f, 0)))
    assert GATED_MOMENT["elu"] == pytest.approx(np.mean((elu * gate) ** 2), rel=0.01)


def test_the_signal_survives_twenty_layers() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [GatedConv2d(32, 32) for _ in range(20)]
    x = normal(1, 32, 24, 24) * GATED_MOMENT["elu"] ** 0.5
    with torch.no_grad():
        for layer in layers:
            x = layer(x)
            assert 1 / 3 < x.square().mean().div(GATED_MOMENT["elu"]).sqrt().item() < 3

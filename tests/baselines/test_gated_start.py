from collections.abc import Iterator

import pytest
import torch
from gainbench_baselines import gated_start
from gainbench_baselines.gated_conv import GatedConvNetwork, decoder, dilated, encoder
from gainbench_baselines.gated_start import start_linear_
from torch import nn

from gainbench.nn.gated_conv import GatedConv2d


@pytest.fixture(autouse=True)
def fixed_seed() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def branch() -> list[nn.Module]:
    layers = [*encoder(4, (6, 12, 12, 24, 24, 24), 0.25), *dilated(24, (1, 2)), *decoder(24, 6)]
    for layer in layers:
        if isinstance(layer, GatedConv2d):  # gates of one half, whatever they read
            layer.convolution.weight.data[layer.convolution.out_channels // 2 :] = 0
    return layers


def test_without_noise_a_branch_gives_the_colours_that_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gated_start, "NOISE", 0.0)
    layers = branch()
    made = start_linear_(layers, torch.eye(4), amplitude=1e-3)  # ELU is linear there
    values = torch.rand(5, 4) - 0.5
    with torch.no_grad():
        found = nn.Sequential(*layers)(values[:, :, None, None].expand(5, 4, 64, 64))
    # Zeros beyond the border are smoothed in.
    assert found[:, :, 24:40, 24:40] == pytest.approx(values[:, :3, None, None].expand(5, 3, 16, 16).numpy(), abs=2e-3)
    assert made.numpy() == pytest.approx(torch.eye(3, 4).numpy(), abs=1e-4)


def test_weights_are_rotations_at_one_tap_and_a_share_of_what_was_drawn() -> None:
    layers = nn.Sequential(*encoder(4, (6, 12, 12), 0.25)).requires_grad_(requires_grad=False)
    drawn = [layer.convolution.weight.clone() for layer in layers]
    start_linear_(layers, torch.eye(4), amplitude=0.5)
    for place, (layer, before) in enumerate(zip(layers, drawn, strict=True)):
        features = layer.convolution.out_channels // 2
        after = layer.convolution.weight.detach()
        assert torch.equal(after[features:], before[features:])
        taps = after[:features] - 0.2 * before[:features]
        mixing = taps.sum((2, 3)) * gated_start.GATE / (0.5 if place == 0 else 1.0)
        assert (mixing.T @ mixing).numpy() == pytest.approx(torch.eye(mixing.shape[1]).numpy(), abs=1e-5)
        middle = taps.shape[2] // 2
        share = taps[:, :, middle, middle].abs().sum() / taps.abs().sum()
        assert share == pytest.approx(0.25 if layer.convolution.stride == (2, 2) else 1.0, abs=1e-4)


def test_fewer_channels_keep_what_theirs_are_made_of() -> None:
    made = torch.randn(16, 3)
    rows = gated_start._rotation(5, made)
    assert (rows @ rows.T).numpy() == pytest.approx(torch.eye(5).numpy(), abs=1e-5)
    assert torch.linalg.svdvals(rows @ made).numpy() == pytest.approx(torch.linalg.svdvals(made).numpy(), rel=1e-4)


@pytest.mark.parametrize("base", [4, 8, 48])
def test_every_width_starts_alive(base: int) -> None:
    network = GatedConvNetwork(base=base, size=32)
    with torch.no_grad():
        for picture in network(torch.rand(2, 3, 32, 32) * 2 - 1, torch.ones(2, 1, 32, 32)):
            assert 0.02 < picture.std() < 0.9

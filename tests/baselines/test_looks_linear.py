import numpy as np
import pytest
import torch
from gainbench_baselines.looks_linear import (
    gaussian,
    pairs,
    start_decoder_,
    start_encoder_,
    start_mask_,
    start_output_,
)
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        yield


@pytest.mark.parametrize("sigma", [0.6, 1.0, 1.8])
def test_kernels_are_gaussians(sigma: float) -> None:
    impulse = np.zeros((41, 41))
    impulse[20, 20] = 1
    expected = gaussian_filter(impulse, sigma, truncate=10)[17:24, 17:24]
    torch.testing.assert_close(
        gaussian(7, sigma).numpy(), (expected / expected.sum()).astype(np.float32), atol=1e-6, rtol=1e-4
    )


def test_a_shifted_kernel_has_its_centre_there() -> None:
    weights = gaussian(41, 1.5, (0.7, -2.2))
    position = torch.arange(41.0) - 20
    assert (weights.sum(1) @ position).item() == pytest.approx(0.7, abs=1e-3)
    assert (weights.sum(0) @ position).item() == pytest.approx(-2.2, abs=1e-3)


def test_what_a_rectifier_takes_from_one_of_a_pair_is_left_in_the_other() -> None:
    values = torch.randn(6, 50)
    torch.testing.assert_close(pairs(12).T @ F.relu(pairs(12) @ values), values)
    assert pairs(11).shape == (11, 6)


def rectified_stack(picture: torch.Tensor) -> torch.Tensor:
    """Two encoder layers and a decoder layer around them, as the U-Net has them, without masks or batch norm."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        first, second, decoder, output = (
            torch.empty(8, 3, 7, 7), torch.empty(16, 8, 5, 5), torch.empty(8, 16 + 8, 3, 3), torch.empty(3, 8 + 3, 3, 3)
        )  # fmt: skip
        start_encoder_(first, first=True)
        start_encoder_(second, first=False)
        start_decoder_(decoder, deep=16)
        start_output_(output, deep=8, rms=0.1)
    one = F.relu(F.conv2d(picture, first, stride=2, padding=3))
    two = F.relu(F.conv2d(one, second, stride=2, padding=2))
    x = F.leaky_relu(F.conv2d(torch.cat([F.interpolate(two, scale_factor=2.0), one], 1), decoder, padding=1), 0.2)
    return F.conv2d(torch.cat([F.interpolate(x, scale_factor=2.0), picture], 1), output, padding=1)


def test_the_untrained_network_is_linear_in_the_picture() -> None:
    a, b = torch.randn(2, 1, 3, 32, 32, dtype=torch.float32)
    together = rectified_stack(a - 2 * b)
    assert together.std() > 1e-3
    torch.testing.assert_close(together, rectified_stack(a) - 2 * rectified_stack(b), atol=1e-5, rtol=1e-4)


def test_weights_of_the_usual_kind_are_not_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    # The check of the check: with Kaiming's weights the same stack is far from linear.
    for name in ("start_encoder_", "start_decoder_", "start_output_"):
        monkeypatch.setitem(globals(), name, lambda weight, **_: torch.nn.init.kaiming_normal_(weight))
    a, b = torch.randn(2, 1, 3, 32, 32)
    together, apart = rectified_stack(a - 2 * b), rectified_stack(a) - 2 * rectified_stack(b)
    assert (together - apart).std() > 0.1 * together.std()


def test_the_output_copies_no_pixel_and_starts_small() -> None:
    weight = torch.empty(3, 40 + 3, 3, 3)
    start_output_(weight, deep=40, rms=0.1)
    assert not weight[:, 40:].any()
    # Pairs of smooth values of unit variance.
    values = torch.randn(400, 20, 1, 1).expand(-1, -1, 3, 3)
    found = F.conv2d(F.relu(torch.einsum("cv,bvhw->bchw", pairs(40), values)), weight[:, :40])
    assert found.square().mean().sqrt().item() == pytest.approx(0.1, rel=0.4)


def test_the_masks_weights_answer_a_window_with_unit_variance_and_tell_arrangements_apart() -> None:
    weight = torch.empty(4000, 1, 7, 7)
    start_mask_(weight)
    whole = F.conv2d(torch.ones(1, 1, 7, 7), weight).flatten()
    assert whole.square().mean().item() == pytest.approx(1, rel=0.1)
    left, right = torch.zeros(2, 1, 1, 7, 7)
    left[..., :3], right[..., 4:] = 1, 1
    # As far apart as two independent draws over 21 of 49 known pixels each, before renormalisation.
    apart = (F.conv2d(left, weight) - F.conv2d(right, weight)).square().mean().item()
    assert apart == pytest.approx(2 * 21 / 49, rel=0.1)

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.vgg import cfgs, make_layers

import gainbench.guidance.hed as module
from gainbench.assets import asset_path
from gainbench.errors import AssetError, MethodError
from gainbench.guidance import guidance
from gainbench.guidance.hed import HEDGuidance, HEDNetwork, diffused, hed_network


def read(path: Path) -> Tensor:
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None] / 255


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def trunk() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        features: nn.Sequential = make_layers(cfgs["D"]).eval().requires_grad_(False)
    for layer in features:
        if isinstance(layer, nn.MaxPool2d):
            layer.ceil_mode = True
    return features


@pytest.fixture(scope="module")
def arrays(trunk: nn.Sequential) -> dict[str, np.ndarray]:
    found = {}
    convolutions = iter([layer for layer in trunk if isinstance(layer, nn.Conv2d)])
    for block, count in enumerate((2, 2, 3, 3, 3), start=1):
        for index in range(count):
            layer = next(convolutions)
            name = f"block{block}/layers/conv2d" + (f"_{index}" if index else "")
            found[f"{name}/vars/0"] = layer.weight.permute(2, 3, 1, 0).numpy()
            found[f"{name}/vars/1"] = noise(layer.out_channels, seed=block).numpy()
            layer.bias = nn.Parameter(torch.from_numpy(found[f"{name}/vars/1"]), requires_grad=False)
        found[f"dsn{block}/vars/0"] = (noise(1, 1, layer.out_channels, 1, seed=block) - 0.5).div(100).numpy()
        found[f"dsn{block}/vars/1"] = noise(1, seed=block).numpy()
    found["fuse/vars/0"] = noise(1, 1, 5, 1).numpy()
    found["fuse/vars/1"] = np.array([-0.3], np.float32)
    return found


@pytest.fixture
def random_network(arrays: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> HEDNetwork:
    network = HEDNetwork(arrays)
    monkeypatch.setattr(module, "hed_network", lambda: network)
    return network


def test_the_network_equals_a_torchvision_trunk_with_scores(
    random_network: HEDNetwork, trunk: nn.Sequential, arrays: dict[str, np.ndarray]
) -> None:
    image = noise(2, 3, 37, 51)  # sides that need the poolings' ceil mode
    x = image[:, [2, 1, 0]] * 255 - torch.tensor([104.00699, 116.66877, 122.67892]).view(1, 3, 1, 1)
    scores = []
    for block, place in enumerate((3, 8, 15, 22, 29), start=1):
        features = trunk[: place + 1](x)
        score = torch.einsum("nchw,c->nhw", features, torch.from_numpy(arrays[f"dsn{block}/vars/0"][0, 0, :, 0]))
        score = score[:, None] + float(arrays[f"dsn{block}/vars/1"][0])
        scores.append(F.interpolate(score, size=(37, 51), mode="bilinear", align_corners=False))
    weights = arrays["fuse/vars/0"].ravel().tolist()
    expected = torch.sigmoid(sum(w * s for w, s in zip(weights, scores, strict=True)) - 0.3)
    found = random_network(image)
    assert found.std() > 0.01  # saturated maps would agree about nothing
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_missing_weights_are_named(arrays: dict[str, np.ndarray]) -> None:
    with pytest.raises(AssetError, match="dsn3"):
        HEDNetwork({name: array for name, array in arrays.items() if not name.startswith("dsn3")})


def test_hidden_pixels_never_change_the_map(random_network: HEDNetwork) -> None:
    image, known = noise(1, 3, 48, 48), torch.ones(1, 1, 48, 48)
    known[..., 15:24, 20:31] = 0
    expected = HEDGuidance().observed(image, known)
    for other in (noise(1, 3, 48, 48, seed=5), torch.full_like(image, torch.nan)):
        found = HEDGuidance().observed(torch.where(known > 0.5, image, other), known)
        assert torch.equal(expected[0], found[0])
        assert torch.equal(expected[1], found[1])


@pytest.mark.parametrize("margin", [0, 5])
def test_responses_within_the_margin_are_dropped_and_marked(random_network: HEDNetwork, margin: int) -> None:
    image, known = noise(1, 3, 48, 48), torch.ones(1, 1, 48, 48)
    known[..., 15:24, 20:31] = 0
    edges, valid = HEDGuidance(margin=margin).observed(image, known)
    expected = torch.ones(1, 1, 48, 48)
    expected[..., 15 - margin : 24 + margin, 20 - margin : 31 + margin] = 0
    assert torch.equal(valid, expected)
    assert torch.equal(edges > 0, valid > 0)


def test_a_negative_margin_is_refused() -> None:
    with pytest.raises(MethodError, match="margin"):
        guidance("hed", margin=-1)


def test_diffusion_keeps_known_pixels_and_fills_as_opencv_does() -> None:
    image = (noise(2, 3, 20, 20) * 255).round() / 255
    known = torch.ones(2, 1, 20, 20)
    known[0, :, 5:9, 6:12] = 0
    filled = diffused(image, known)
    assert torch.equal(filled[1], image[1])
    assert torch.equal(filled[0] * known[0], image[0] * known[0])
    picture = np.ascontiguousarray((image[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()[..., ::-1])
    expected = cv2.inpaint(picture, (known[0, 0].numpy() == 0).astype(np.uint8), 3, cv2.INPAINT_TELEA)[..., ::-1]
    np.testing.assert_allclose(filled[0].permute(1, 2, 0).numpy() * 255, expected, atol=1e-3)
    assert torch.equal(diffused(image, torch.zeros_like(known)), torch.full_like(image, 128 / 255))


@pytest.mark.assets
@pytest.mark.parametrize(
    ("asset", "name", "mean", "largest"),
    [
        ("celeba-999", "000001.jpg", 0.2385, 0.9746),
        pytest.param("photos-230", "enhancement/10.jpg", 0.2686, 0.9804, marks=pytest.mark.slow),
    ],
)
def test_the_real_weights_give_the_known_map(asset: str, name: str, mean: float, largest: float) -> None:
    (path,) = asset_path(asset).glob(f"**/{name}")
    edges = HEDGuidance().target(read(path))
    assert edges.mean().item() == pytest.approx(mean, abs=1e-4)
    assert edges.max().item() == pytest.approx(largest, abs=1e-4)


@pytest.mark.assets
def test_the_hole_draws_no_outline_on_a_smooth_picture() -> None:
    rows, columns = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    image = (0.3 + 0.002 * rows + 0.003 * columns).expand(1, 3, 96, 96)
    known = torch.ones(1, 1, 96, 96)
    known[..., 34:60, 30:66] = 0
    whole = HEDGuidance().target(image)
    edges, valid = HEDGuidance().observed(image, known)
    rim = valid * F.max_pool2d(1 - valid, 11, stride=1, padding=5)
    seen = (edges * rim).sum() / rim.sum()
    expected = (whole * rim).sum() / rim.sum()
    # A network that is shown the black hole draws it; the margin alone does not help, as the map is soft.
    naive = (hed_network()(image * known) * rim).sum() / rim.sum()
    assert seen < expected + 0.02
    assert naive > expected + 0.05

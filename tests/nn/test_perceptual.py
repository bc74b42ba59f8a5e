import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from gainbench.errors import AssetError
from gainbench.nn.perceptual import (
    VGG16Features,
    gram_matrix,
    imagenet_denormalised,
    imagenet_normalised,
    perceptual_loss,
    style_loss,
    vgg16,
)


@pytest.fixture(scope="module")
def reference() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        features: nn.Sequential = make_layers(cfgs["D"]).eval()
    return features


def weights_of(features: nn.Sequential) -> list[tuple[Tensor, Tensor]]:
    return [(layer.weight.detach(), layer.bias.detach()) for layer in features if isinstance(layer, nn.Conv2d)]


def picture(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_layers_equal_torchvision_on_normalised_pictures(reference: nn.Sequential) -> None:
    image = picture(2, 3, 32, 32)
    normalise = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    # Positions in torchvision's Sequential: 3 = relu1_2, 4 = pool1, 9 = pool2, 15 = relu3_3, 16 = pool3, 29 = relu5_3.
    places = {"relu1_2": 3, "pool1": 4, "pool2": 9, "relu3_3": 15, "pool3": 16, "relu5_3": 29}
    # ReLUs of torchvision work in place, so every layer is computed from the start.
    expected = {layer: reference[: place + 1](normalise(image)) for layer, place in places.items()}
    found = VGG16Features(weights_of(reference))(image, tuple(places))
    assert found.keys() == expected.keys()
    for layer in places:
        torch.testing.assert_close(found[layer], expected[layer], atol=1e-5, rtol=1e-4)


def test_normalising_can_be_left_to_the_caller(reference: nn.Sequential) -> None:
    image = picture(1, 3, 16, 16)
    found = VGG16Features(weights_of(reference))(image, ("relu2_1",), normalise=False)
    torch.testing.assert_close(found["relu2_1"], reference[:7](image), atol=1e-5, rtol=1e-4)


def test_normalisation_has_an_inverse() -> None:
    image = picture(2, 3, 4, 4)
    torch.testing.assert_close(imagenet_denormalised(imagenet_normalised(image)), image)
    # torchvision documents the mean of ImageNet's pictures as (0.485, 0.456, 0.406).
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    torch.testing.assert_close(imagenet_normalised(mean), torch.zeros(1, 3, 1, 1))


def test_layers_behind_the_last_one_are_not_computed(reference: nn.Sequential) -> None:
    # A 4x4 picture has no pool3, which would raise; pool2 is the last that fits.
    found = VGG16Features(weights_of(reference))(picture(1, 3, 4, 4), ("pool2",))
    assert found["pool2"].shape == (1, 128, 1, 1)


def test_an_unknown_layer_is_named(reference: nn.Sequential) -> None:
    with pytest.raises(ValueError, match="conv9"):
        VGG16Features(weights_of(reference))(picture(1, 3, 8, 8), ("conv9",))


def test_another_network_is_refused(reference: nn.Sequential) -> None:
    with pytest.raises(AssetError, match="13"):
        VGG16Features(weights_of(reference)[:-1])


def test_gradients_reach_the_picture_and_weights_stay_outside_modules(reference: nn.Sequential) -> None:
    class Method(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = VGG16Features(weights_of(reference))

    method = Method()
    image = picture(1, 3, 16, 16).requires_grad_()
    method.features(image, ("pool1",))["pool1"].sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
    assert not method.state_dict()
    assert not list(method.parameters())


def test_perceptual_loss_sums_the_mean_absolute_difference_of_layers() -> None:
    prediction = {"a": torch.tensor([[[[1.0, 2.0]]]]), "b": torch.tensor([[[[3.0]]]])}
    target = {"a": torch.tensor([[[[0.0, 4.0]]]]), "b": torch.tensor([[[[5.0]]]])}
    assert perceptual_loss(prediction, target).item() == pytest.approx((1 + 2) / 2 + 2)


def test_gram_matrix_equals_a_slow_loop() -> None:
    features = picture(2, 3, 4, 5)
    expected = torch.zeros(2, 3, 3)
    for n in range(2):
        for i in range(3):
            for j in range(3):
                total = sum(features[n, i, y, x] * features[n, j, y, x] for y in range(4) for x in range(5))
                expected[n, i, j] = total / (3 * 4 * 5)
    torch.testing.assert_close(gram_matrix(features), expected)


def test_style_loss_ignores_where_things_are_and_sees_how_they_covary() -> None:
    features = picture(1, 4, 6, 6)
    moved = features.flip(-1).roll(2, dims=-2)
    assert style_loss({"a": moved}, {"a": features}).item() == pytest.approx(0, abs=1e-7)
    # Twice the features: Gram matrices 4 times as large, so the difference is 3 times the mean Gram entry.
    expected = 3 * gram_matrix(features).mean().item()
    assert style_loss({"a": 2 * features}, {"a": features}).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", [perceptual_loss, style_loss])
def test_predictions_in_one_batch_add_up(loss: type) -> None:
    target, raw, completed = (picture(2, 3, 4, 4, seed=seed) for seed in range(3))
    together = loss({"a": torch.cat([raw, completed])}, {"a": target})
    alone = loss({"a": raw}, {"a": target}) + loss({"a": completed}, {"a": target})
    torch.testing.assert_close(together, alone)


@pytest.mark.assets
def test_the_real_weights_are_torchvisions() -> None:
    # The first filter of torchvision's vgg16(weights="IMAGENET1K_V1"), as its documentation and model card print it.
    expected = torch.tensor([[-0.5537, 0.1427, 0.5290], [-0.5831, 0.3566, 0.7657], [-0.6902, -0.0480, 0.4841]])
    weight, _ = vgg16()._convolutions["cpu"][0]
    torch.testing.assert_close(weight[0, 0], expected, atol=5e-5, rtol=0)


@pytest.mark.assets
def test_the_real_features_tell_structure_from_blur() -> None:
    image = picture(1, 3, 64, 64).round()
    near = (image + 0.02 * picture(1, 3, 64, 64, seed=1)).clamp(0, 1)
    blurred = torchvision.transforms.functional.gaussian_blur(image, [9, 9])
    layers = ("pool1", "pool2", "pool3")
    goal = vgg16()(image, layers)
    assert perceptual_loss(vgg16()(near, layers), goal) < 0.2 * perceptual_loss(vgg16()(blurred, layers), goal)
    assert style_loss(vgg16()(near, layers), goal) < 0.2 * style_loss(vgg16()(blurred, layers), goal)

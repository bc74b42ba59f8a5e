import math

import gainbench_baselines.partial_conv as module
import pytest
import torch
import torchvision
from gainbench_baselines.partial_conv import (
    PartialConvInpainter,
    PartialConvParams,
    PartialConvUNet,
    published_levels,
)
from torch import Tensor, nn
from torch.nn import functional as F

from gainbench import Batch
from gainbench.nn.partial_conv import PartialConv2d
from gainbench.nn.perceptual import VGG16Features
from gainbench.spec import Scale, scales

SMALL = Scale(name="small", size=32, base=4, batch=2, iterations=1_000_000, test_pictures=1)


@pytest.fixture(scope="module")
def narrow_vgg() -> nn.Sequential:
    """The first three blocks of VGG-16, narrow enough for tests, in torchvision's order of layers."""
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        channels = 3
        for block, width in ((2, 6), (2, 8), (3, 10)):
            for _ in range(block):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers).requires_grad_(False)


@pytest.fixture
def method(monkeypatch: pytest.MonkeyPatch, narrow_vgg: nn.Sequential) -> PartialConvInpainter:
    whole = [(layer.weight, layer.bias) for layer in narrow_vgg if isinstance(layer, nn.Conv2d)]
    unused = [(torch.zeros(1, 1, 3, 3), torch.zeros(1))] * 6
    features = VGG16Features([*whole, *unused])
    monkeypatch.setattr(module, "vgg16", lambda: features)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return PartialConvInpainter(PartialConvParams(base=8), SMALL)


def a_batch(count: int = 2, side: int = 32) -> Batch:
    generator = torch.Generator().manual_seed(4)
    known = torch.ones(count, 1, side, side)
    known[0, :, 6:20, 9:25] = 0
    known[-1, :, :10, 20:] = 0
    return Batch(torch.rand(count, 3, side, side, generator=generator), known)


@pytest.mark.parametrize(("levels", "millions"), [(8, 32.9), (7, 25.8)])
def test_published_width_has_the_published_number_of_parameters(levels: int, millions: float) -> None:
    with torch.device("meta"):
        network = PartialConvUNet(base=64, levels=levels)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, rel=0.02)


def test_layers_are_the_papers_table() -> None:
    with torch.device("meta"):
        network = PartialConvUNet(base=64, levels=8)
    convolutions = [layer for layer in network.modules() if isinstance(layer, PartialConv2d)]
    found = [(c.weight.shape[1], c.weight.shape[0], c.window.kernel, c.window.stride) for c in convolutions]
    # Liu et al. 2018, appendix, table 1: PConv1-8, then PConv9-16 on the concatenation with the mirrored layer.
    encoder = [(3, 64, 7, 2), (64, 128, 5, 2), (128, 256, 5, 2), (256, 512, 3, 2), *[(512, 512, 3, 2)] * 4]
    decoder = [
        *[(512 + 512, 512, 3, 1)] * 4,
        (512 + 256, 256, 3, 1),
        (256 + 128, 128, 3, 1),
        (128 + 64, 64, 3, 1),
        (64 + 3, 3, 3, 1),
    ]
    assert found == encoder + decoder
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(norms) == 16 - 2


@pytest.mark.parametrize(
    ("iterations", "asked", "told"),
    [(1_000_000, None, False), (1500, None, True), (1500, False, False), (1_000_000, True, True)],
)
def test_only_in_short_trainings_the_mask_is_an_input(*, iterations: int, asked: bool | None, told: bool) -> None:
    scale = SMALL.model_copy(update={"iterations": iterations})
    network = PartialConvInpainter(PartialConvParams(base=4, mask_input=asked), scale).eval().network
    inputs: list[Tensor] = []
    network.encoder[0].register_forward_pre_hook(lambda _module, given: inputs.append(given[0]))
    skips: list[Tensor] = []
    network.decoder[-1].register_forward_pre_hook(lambda _module, given: skips.append(given[2]))
    image, known = a_batch().visible, a_batch().known
    with torch.no_grad():
        assert network(image, known).shape == image.shape
    assert torch.equal(inputs[0], torch.cat([image, known], 1) if told else image)
    assert torch.equal(skips[0], inputs[0])


@pytest.mark.parametrize(
    ("iterations", "asked", "weight"),
    [(1_000_000, None, 120), (1500, None, 12), (1500, 120.0, 120), (1_000_000, 0.0, 0)],
)
def test_the_style_weighs_less_in_a_short_training(iterations: int, asked: float | None, weight: float) -> None:
    scale = SMALL.model_copy(update={"iterations": iterations})
    assert PartialConvInpainter(PartialConvParams(base=4, style_weight=asked), scale).style_weight == weight


def test_the_bottleneck_is_2x2() -> None:
    assert [published_levels(size) for size in (512, 256, 128, 64)] == [8, 7, 6, 5]


def test_scale_full_is_the_published_width() -> None:
    with torch.device("meta"):
        network = PartialConvInpainter(PartialConvParams(), scales()["full"]).network
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(25.8, rel=0.02)


@pytest.mark.parametrize("mask_input", [False, True])
def test_hidden_pixels_never_change_the_output(*, mask_input: bool) -> None:
    method = PartialConvInpainter(PartialConvParams(base=8, mask_input=mask_input), SMALL).eval()
    batch = a_batch()
    with torch.no_grad():
        expected = method.inpaint(batch.visible, batch.known)
        found = method.inpaint(batch.visible + 7 * (1 - batch.known), batch.known)
    assert torch.equal(expected, found)
    assert expected.shape == batch.image.shape
    assert expected.min() >= 0
    assert expected.max() <= 1


@pytest.mark.parametrize("side", [48, 80, 33])
def test_sizes_that_do_not_halve_evenly_are_filled(method: PartialConvInpainter, side: int) -> None:
    batch = a_batch(side=side)
    with torch.no_grad():
        assert method.eval().inpaint(batch.visible, batch.known).shape == (2, 3, side, side)


def test_one_known_corner_reaches_every_pixel() -> None:
    network = PartialConvUNet(base=4, levels=4).eval()
    known = torch.zeros(1, 1, 32, 32)
    known[..., :4, :4] = 1
    x, skips = torch.rand(1, 3, 32, 32) * known, []
    skips.append((x, known))
    for layer in network.encoder:
        x, known = layer(x, known)
        skips.append((x, known))
    skips.pop()
    for layer in network.decoder:
        x, known = layer(x, known, *skips.pop())
    assert bool(known.all())


def test_losses_equal_a_literal_reading_of_the_paper(method: PartialConvInpainter, narrow_vgg: nn.Sequential) -> None:
    batch = a_batch()
    losses = {name: loss.item() for name, loss in method.train().phases()[0].loss(batch, 0).items()}
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalise = torchvision.transforms.Normalize(mean, std)
    Igt, M = normalise(batch.image), batch.known
    # Batch norm in training mode depends on the batch alone, so a second pass gives the same prediction.
    Iout = method.network(Igt * M, M).detach()
    Icomp = M * Igt + (1 - M) * Iout

    def features(x: Tensor) -> list[Tensor]:
        return [narrow_vgg[:places](x) for places in (5, 10, 17)]

    def gram(x: Tensor) -> Tensor:
        flat = x.flatten(2)
        return torch.einsum("ncp,ndp->ncd", flat, flat) / x[0].numel()

    perceptual, style = 0.0, 0.0
    for prediction in (Iout, Icomp):
        for found, goal in zip(features(prediction), features(Igt), strict=True):
            perceptual += (found - goal).abs().mean().item()
            style += (gram(found) - gram(goal)).abs().mean().item()
    assert losses["valid"] == pytest.approx((M * (Iout - Igt)).abs().mean().item(), rel=1e-4)
    assert losses["hole"] == pytest.approx(6 * ((1 - M) * (Iout - Igt)).abs().mean().item(), rel=1e-4)
    assert losses["perceptual"] == pytest.approx(0.05 * perceptual, rel=1e-4)
    assert losses["style"] == pytest.approx(120 * style, rel=1e-3)
    region = F.max_pool2d(1 - M, 3, 1, 1)
    across = ((Icomp[..., 1:] - Icomp[..., :-1]).abs() * region[..., 1:] * region[..., :-1]).sum()
    down = ((Icomp[..., 1:, :] - Icomp[..., :-1, :]).abs() * region[..., 1:, :] * region[..., :-1, :]).sum()
    assert losses["tv"] == pytest.approx(0.1 * ((across + down) / Icomp.numel()).item(), rel=1e-4)


def test_a_picture_without_a_hole_costs_its_reconstruction_only(method: PartialConvInpainter) -> None:
    # Without the terms that read the raw output everywhere, what is left belongs to holes.
    method.params = PartialConvParams(base=8, valid_weight=0, perceptual_weight=0)
    method.style_weight = 0
    batch = Batch(a_batch().image, torch.ones(2, 1, 32, 32))
    total = torch.stack(list(method.train().phases()[0].loss(batch, 0).values())).sum()
    assert total.item() == 0


def test_the_two_phases_share_the_training_between_them(method: PartialConvInpainter) -> None:
    train, finetune = method.phases()
    assert train.window[0] == 0
    assert train.window[1] == finetune.window[0] == pytest.approx(10 / 11)
    assert finetune.window[1] == 1
    assert (train.lr, finetune.lr) == (2e-4, 5e-5)


def test_fine_tuning_freezes_the_batch_norm_of_the_encoder_only(method: PartialConvInpainter) -> None:
    train, finetune = method.train().phases()
    encoder = [norm for norm in method.network.encoder.modules() if isinstance(norm, nn.BatchNorm2d)]
    decoder = [norm for norm in method.network.decoder.modules() if isinstance(norm, nn.BatchNorm2d)]

    def statistics(norms: list[nn.BatchNorm2d]) -> list[Tensor]:
        return [norm.running_mean.clone() for norm in norms if norm.running_mean is not None]

    def moved(before: list[Tensor], norms: list[nn.BatchNorm2d]) -> list[bool]:
        return [not torch.equal(old, new) for old, new in zip(before, statistics(norms), strict=True)]

    before = statistics(encoder), statistics(decoder)
    finetune.loss(a_batch(), 0)
    assert not any(moved(before[0], encoder))
    assert all(moved(before[1], decoder))
    trained = {id(p) for part in finetune.modules for p in part.parameters()}
    frozen = {id(p) for norm in encoder for p in norm.parameters()}
    assert not trained & frozen
    assert trained | frozen == {id(p) for p in method.parameters()}
    train.loss(a_batch(), 0)
    assert all(moved(before[0], encoder))


def test_every_parameter_gets_a_gradient_and_vgg_is_none_of_them(method: PartialConvInpainter) -> None:
    loss = torch.stack(list(method.train().phases()[0].loss(a_batch(), 0).values())).sum()
    names, parameters = zip(*method.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    idle = [name for name, g in zip(names, gradients, strict=True) if g is None or not g.abs().sum() > 0]
    assert not idle
    assert math.isfinite(loss.item())
    assert all(name.startswith("network.") for name in method.state_dict())


def test_the_masks_it_tells_are_those_of_its_layers() -> None:
    method = PartialConvInpainter(PartialConvParams(base=4, levels=3), scales()["tiny"])
    known = torch.ones(1, 1, 64, 64)
    known[:, :, 10:34, 10:34] = 0
    with torch.no_grad():
        told = method.shrinkage(torch.rand(1, 3, 64, 64) * known, known)
    assert list(told) == [f"encoder {n}" for n in (1, 2, 3)] + [f"decoder {n}" for n in (1, 2, 3)]
    for level, kernel in enumerate((7, 5, 5), 1):
        known = F.max_pool2d(known, kernel, stride=2, padding=kernel // 2)
        assert torch.equal(told[f"encoder {level}"], known)
    assert told["decoder 3"].shape == (1, 1, 64, 64)
    assert told["decoder 3"].min() == 1

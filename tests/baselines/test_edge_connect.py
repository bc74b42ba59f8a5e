from itertools import pairwise

import gainbench_baselines.edge_connect as module
import gainbench_baselines.edge_start as start
import pytest
import torch
from gainbench_baselines.edge_connect import EdgeCanny, EdgeCannyParams, EdgeHED, EdgeHEDParams
from gainbench_baselines.edge_networks import EdgeConnectDiscriminator, EdgeConnectGenerator, ResidualBlock
from gainbench_baselines.edge_start import start_linear_
from pydantic import ValidationError
from torch import Tensor, nn

from gainbench import Batch, Phase
from gainbench.guidance.canny import CannyGuidance
from gainbench.guidance.hed import HEDGuidance
from gainbench.nn.perceptual import VGG16Features
from gainbench.spec import Scale, scales

SMALL = Scale(name="small", size=32, base=2, batch=2, iterations=1_000_000, test_pictures=1)
WIDTHS = (3, 4, 4, 6, 6, 8, 8, 8, 10, 10, 10, 12, 12, 12)
"""Channels of a VGG-16 that is narrow enough for tests; its depth and poolings are the real ones."""


@pytest.fixture(scope="module")
def features() -> VGG16Features:
    generator = torch.Generator().manual_seed(1)
    weights = [
        torch.randn(after, before, 3, 3, generator=generator) * (2 / (9 * before)) ** 0.5
        for before, after in pairwise(WIDTHS)
    ]
    return VGG16Features([(weight, torch.zeros(len(weight))) for weight in weights])


@pytest.fixture
def method(monkeypatch: pytest.MonkeyPatch, features: VGG16Features) -> EdgeCanny:
    monkeypatch.setattr(module, "vgg16", lambda: features)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return EdgeCanny(EdgeCannyParams(base=4), SMALL)


def a_batch(side: int = 32) -> Batch:
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    discs = ((rows - side // 2) ** 2 + (columns - side // 3) ** 2 < (side // 3) ** 2).float()
    noise = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(4))
    known = torch.ones(2, 1, side, side)
    known[0, :, 6:20, 9:25] = 0
    known[1, :, :10, 20:] = 0
    return Batch(0.2 + 0.5 * discs + 0.1 * noise, known)


def phases_of(method: EdgeCanny) -> dict[str, Phase]:
    return {phase.name: phase for phase in method.phases()}


def test_published_width_has_the_published_number_of_parameters() -> None:
    # Spectral normalisation adds none; without it the meta device needs no power iterations.
    shape = {"base": 64, "dilation": 2, "spectral": False}
    with torch.device("meta"):
        G1 = EdgeConnectGenerator(in_channels=3, out_channels=1, **shape)
        G2 = EdgeConnectGenerator(in_channels=4, out_channels=3, **shape)
    assert sum(p.numel() for p in [*G1.parameters(), *G2.parameters()]) / 1e6 == pytest.approx(21.5, rel=0.01)


def test_layers_are_the_papers() -> None:
    with torch.device("meta"):
        plain = EdgeConnectGenerator(in_channels=4, out_channels=3, base=64, dilation=2, spectral=False)
    spectral = EdgeConnectGenerator(in_channels=3, out_channels=1, base=4, dilation=2, spectral=True)
    judge = EdgeConnectDiscriminator(in_channels=4, base=64)

    def table(network: nn.Module) -> list[tuple[int, int, int, int]]:
        convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
        return [(c.out_channels, c.kernel_size[0], c.stride[0], c.dilation[0]) for c in convolutions]

    head = [(64, 7, 1, 1), (128, 4, 2, 1), (256, 4, 2, 1)]
    tail = [(128, 4, 2, 1), (64, 4, 2, 1), (3, 7, 1, 1)]
    assert table(plain) == [*head, *[(256, 3, 1, 2), (256, 3, 1, 1)] * 8, *tail]
    parametrized = [
        nn.utils.parametrize.is_parametrized(layer)
        for layer in spectral.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    ]
    assert parametrized == [True] * (len(parametrized) - 1) + [False]
    assert not any(nn.utils.parametrize.is_parametrized(layer) for layer in plain.modules())
    assert table(judge) == [(64, 4, 2, 1), (128, 4, 2, 1), (256, 4, 2, 1), (512, 4, 1, 1), (1, 4, 1, 1)]
    assert all(nn.utils.parametrize.is_parametrized(layer) for layer in judge.convolutions)


def test_g2_starts_as_a_linear_coder() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        G2 = EdgeConnectGenerator(in_channels=4, out_channels=3, base=32, dilation=1, spectral=False)
        smooth = nn.functional.interpolate(torch.randn(2, 4, 16, 16), scale_factor=2, mode="bilinear")

        def agreement() -> float:
            # Norms take each channel's contrast and mean, blocks add copies: what is left without both is a coder.
            plain = nn.Sequential(
                *(layer for layer in G2.layers if not isinstance(layer, nn.InstanceNorm2d | ResidualBlock))
            )
            with torch.no_grad():
                out = plain(smooth)
            pairs = [
                torch.stack([a.flatten(), b.flatten()]) for a, b in zip(out.unbind(1), smooth.unbind(1), strict=False)
            ]
            return min(torch.corrcoef(pair)[0, 1].item() for pair in pairs)

        assert agreement() < 0.5
        start_linear_(G2.layers)
        assert agreement() > 0.95
        block = next(layer for layer in G2.layers if isinstance(layer, ResidualBlock))
        x = torch.rand(1, 128, 8, 8)
        copied = torch.corrcoef(torch.stack([block.path[1](nn.functional.pad(x, (1,) * 4)).flatten(), x.flatten()]))
        assert copied[0, 1] > 0.5


@pytest.mark.parametrize("base", [64, 26, 12])
def test_with_fewer_channels_than_pixels_the_coder_keeps_the_lowest_frequencies(
    monkeypatch: pytest.MonkeyPatch, base: int
) -> None:
    monkeypatch.setattr(start, "NOISE", 0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        G2 = EdgeConnectGenerator(in_channels=5, out_channels=3, base=base, dilation=1, spectral=False)
        start_linear_(G2.layers)
        plain = nn.Sequential(
            *(layer for layer in G2.layers if not isinstance(layer, nn.InstanceNorm2d | ResidualBlock))
        )
        # Means of 4 x 4 pixels first; a checkerboard last.
        flat = torch.randn(1, 5, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
        checkerboard = (-1.0) ** (torch.arange(16)[:, None] + torch.arange(16))
        with torch.no_grad():
            kept, fine = plain(flat), plain(flat * checkerboard)

    def gain(out: Tensor, x: Tensor) -> float:
        return float((out * x[:, :3]).sum() / (x[:, :3] ** 2).sum())

    assert kept[0, 0] / flat[0, 0] == pytest.approx(torch.full((16, 16), gain(kept, flat)).numpy(), rel=1e-4)
    whole = 4 * base // 2 >= 16 * 5
    assert gain(fine, flat * checkerboard) == pytest.approx(gain(kept, flat) if whole else 0.0, abs=1e-5)


def test_a_score_sees_a_patch_of_70_pixels() -> None:
    judge = EdgeConnectDiscriminator(in_channels=1, base=2).eval()
    x = torch.zeros(1, 1, 160, 160, requires_grad=True)
    scores = judge(x)[-1]
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    assert x.grad is not None
    touched = torch.nonzero(x.grad[0, 0])
    assert (touched.max(0).values - touched.min(0).values + 1).tolist() == [70, 70]


def test_dilations_keep_their_share_of_smaller_pictures() -> None:
    for scale, expected in (("full", 2), ("cpu", 1), ("tiny", 1)):
        method = EdgeCanny(EdgeCannyParams(base=4), scales()[scale])
        found = [layer.dilation[0] for layer in method.G2.modules() if isinstance(layer, nn.Conv2d)]
        assert max(found) == expected


@pytest.mark.parametrize(
    ("iterations", "asked", "expected"),
    [
        (1_000_000, None, nn.InstanceNorm2d),
        (1500, None, nn.BatchNorm2d),
        (1500, "instance", nn.InstanceNorm2d),
        (1_000_000, "batch", nn.BatchNorm2d),
    ],
)
def test_only_in_short_trainings_g2_has_batch_norm(iterations: int, asked: str | None, expected: type) -> None:
    scale = SMALL.model_copy(update={"iterations": iterations})
    method = EdgeCanny(EdgeCannyParams(base=4, paint_norm=asked), scale)

    def norms(network: nn.Module) -> list[nn.Module]:
        return [layer for layer in network.modules() if isinstance(layer, nn.InstanceNorm2d | nn.BatchNorm2d)]

    assert len(norms(method.G1)) == len(norms(method.G2)) == 21
    assert all(type(norm) is nn.InstanceNorm2d for norm in norms(method.G1))
    assert all(type(norm) is expected for norm in norms(method.G2))
    # The published instance norm has no scale and shift either.
    assert not any(list(norm.parameters()) for norm in norms(method.G2))


@pytest.mark.parametrize(
    ("iterations", "asked", "told"),
    [(1_000_000, None, False), (1500, None, True), (1500, False, False), (1_000_000, True, True)],
)
def test_only_in_short_trainings_g2_is_given_the_mask_and_the_mean_colour(
    *, iterations: int, asked: bool | None, told: bool
) -> None:
    scale = SMALL.model_copy(update={"iterations": iterations})
    method = EdgeCanny(EdgeCannyParams(base=4, paint_mask=asked), scale).eval()
    inputs: list[Tensor] = []
    method.G2.register_forward_pre_hook(lambda _module, given: inputs.append(given[0]))
    batch = a_batch()
    with torch.no_grad():
        method.inpaint(batch.visible, batch.known)
    assert inputs[0].shape[1] == (5 if told else 4)
    for picture, known, given in zip(batch.image, batch.known, inputs[0], strict=True):
        visible = picture[:, known[0] > 0.5]
        colour = visible.mean(1) if told else torch.ones(3)
        expected = colour[:, None, None].expand_as(picture).clone()
        expected[:, known[0] > 0.5] = visible
        torch.testing.assert_close(given[:3], expected)
        assert not told or torch.equal(given[4:], 1 - known)


def test_hidden_pixels_never_change_the_output(method: EdgeCanny) -> None:
    batch = a_batch()
    method.eval()
    with torch.no_grad():
        expected = method.inpaint(batch.visible, batch.known)
        found = method.inpaint(torch.where(batch.known > 0.5, batch.image, 0.9), batch.known)
    assert torch.equal(expected, found)
    assert expected.shape == batch.image.shape
    assert expected.min() >= 0
    assert expected.max() <= 1


@pytest.mark.parametrize("joint", [False, True])
def test_training_reads_no_hidden_pixel_into_the_generators(method: EdgeCanny, *, joint: bool) -> None:
    batch = a_batch()
    other = Batch(torch.where(batch.known > 0.5, batch.image, 0.9), batch.known)
    method.eval()
    with torch.no_grad():
        for one, two in zip(
            method._paint_output(batch, joint=joint), method._paint_output(other, joint=joint), strict=True
        ):
            assert torch.equal(one, two)


def test_g2_follows_seen_edges_where_they_are_valid_and_predicted_ones_elsewhere(method: EdgeCanny) -> None:
    batch = a_batch()
    method.eval()
    inputs: list[Tensor] = []
    method.G2.register_forward_pre_hook(lambda _module, given: inputs.append(given[0]))
    with torch.no_grad():
        method.inpaint(batch.visible, batch.known)
        observed, valid = CannyGuidance().observed(batch.visible, batch.known)
        predicted = method._predicted_edges(batch.visible, batch.known, observed)
    assert torch.equal(inputs[0][:, :3], torch.where(batch.known > 0.5, batch.image, 1.0))
    assert observed.sum() > 0
    torch.testing.assert_close(inputs[0][:, 3:], valid * observed + (1 - valid) * predicted)


def test_three_stages_follow_each_other(method: EdgeCanny) -> None:
    phases = phases_of(method)
    assert [p.window for p in phases.values()] == [(0.0, 0.15)] * 2 + [(0.15, 0.95)] * 2 + [(0.95, 1.0)] * 2
    assert [p.lr for p in phases.values()] == pytest.approx([1e-5, 1e-4, 1e-5, 1e-4, 1e-7, 1e-6])
    assert all(p.betas == (0.0, 0.9) for p in phases.values())
    assert list(phases["edge"].modules) == [method.G1]
    assert list(phases["paint"].modules) == [method.G2]
    assert list(phases["joint"].modules) == [method.G1, method.G2]
    assert list(phases["joint_discriminator"].modules) == [method.D2]


def test_in_a_short_training_g1_learns_ten_times_as_fast_and_g2_four_times() -> None:
    short = SMALL.model_copy(update={"iterations": 1500})
    rates = [phase.lr for phase in EdgeCanny(EdgeCannyParams(base=4), short).phases()]
    assert rates == pytest.approx([1e-4, 1e-3, 4e-5, 4e-4, 1e-6, 1e-5])
    rates = [phase.lr for phase in EdgeCanny(EdgeCannyParams(base=4, lr=2e-4), short).phases()]
    assert rates == pytest.approx([2e-5, 2e-4, 2e-5, 2e-4, 1e-6, 1e-5])


def test_g1s_losses_equal_a_literal_reading_of_the_paper(method: EdgeCanny) -> None:
    batch = a_batch()
    method.eval()
    phases = phases_of(method)
    with torch.no_grad():
        gray = (batch.image * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
        observed, _ = CannyGuidance().observed(batch.visible, batch.known)
        edges = method.G1(torch.cat([gray * batch.known + (1 - batch.known), observed, 1 - batch.known], 1)).sigmoid()
        real = method.D1(torch.cat([CannyGuidance().target(batch.image), gray], 1))
        generated = method.D1(torch.cat([edges, gray], 1))
        judge, maker = phases["edge_discriminator"].loss(batch, 0), phases["edge"].loss(batch, 0)
    expected = -(real[-1].sigmoid().log().mean() + (1 - generated[-1].sigmoid()).log().mean()) / 2
    assert judge["adversarial"].item() == pytest.approx(expected.item(), rel=1e-4)
    assert maker["adversarial"].item() == pytest.approx(-generated[-1].sigmoid().log().mean().item(), rel=1e-4)
    matching = sum((a - b).abs().mean().item() for a, b in zip(real, generated, strict=True))
    assert maker["feature_matching"].item() == pytest.approx(10 * matching, rel=1e-4)


def test_g2s_losses_equal_a_literal_reading_of_the_paper(method: EdgeCanny, features: VGG16Features) -> None:
    batch = a_batch()
    method.eval()
    with torch.no_grad():
        painted, edges = method._paint_output(batch, joint=False)
        scores = method.D2(torch.cat([painted, edges], 1))[-1]
        losses = phases_of(method)["paint"].loss(batch, 0)
        layers = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
        # Pictures as they are, in [0, 1], and for style the hole alone.
        found, goal = (features(x, layers, normalise=False) for x in (painted, batch.image))
        hole = 1 - batch.known
        hidden, hidden_goal = (features(x * hole, layers, normalise=False) for x in (painted, batch.image))
    hole_share = (1 - batch.known).mean()
    assert losses["l1"].item() == pytest.approx(((painted - batch.image).abs().mean() / hole_share).item(), rel=1e-4)
    perceptual = sum((found[layer] - goal[layer]).abs().mean().item() for layer in layers)
    assert losses["perceptual"].item() == pytest.approx(0.1 * perceptual, rel=1e-4)
    style = 0.0
    for layer in layers:
        a, b = (torch.einsum("nchw,ndhw->ncd", x, x) / x[0].numel() for x in (hidden[layer], hidden_goal[layer]))
        style += (a - b).abs().mean().item()
    assert losses["style"].item() == pytest.approx(250 * style, rel=1e-3)
    assert losses["adversarial"].item() == pytest.approx(-0.1 * scores.sigmoid().log().mean().item(), rel=1e-4)


def test_only_the_joint_stage_teaches_g1_through_the_picture(method: EdgeCanny) -> None:
    for name, reaches in (("paint", False), ("joint", True)):
        loss = torch.stack(list(phases_of(method)[name].loss(a_batch(), 0).values())).sum()
        gradients = torch.autograd.grad(loss, list(method.G1.parameters()), allow_unused=True)
        assert any(g is not None and bool(g.abs().sum() > 0) for g in gradients) == reaches


def test_every_parameter_gets_a_gradient_from_its_own_phase(method: EdgeCanny) -> None:
    learning: set[int] = set()
    for phase in method.train().phases():
        parameters = [p for part in phase.modules for p in part.parameters()]
        loss = torch.stack(list(phase.loss(a_batch(), 0).values())).sum()
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        learning |= {id(p) for p, g in zip(parameters, gradients, strict=True) if g is not None and g.abs().sum() > 0}
    assert not [name for name, p in method.named_parameters() if id(p) not in learning]


def test_a_picture_without_a_hole_costs_a_finite_loss(method: EdgeCanny) -> None:
    batch = Batch(a_batch().image, torch.ones(2, 1, 32, 32))
    for name in ("edge", "paint"):
        assert all(torch.isfinite(loss) for loss in phases_of(method)[name].loss(batch, 0).values())


def test_both_systems_differ_in_the_detector_alone() -> None:
    canny = EdgeCanny(EdgeCannyParams(base=4, sigma=3.0, high=0.4), SMALL)
    hed = EdgeHED(EdgeHEDParams(base=4, margin=2), SMALL)
    assert isinstance(canny.edges, CannyGuidance)
    assert (canny.edges.sigma, canny.edges.low, canny.edges.high) == (3.0, 0.1, 0.4)
    assert isinstance(hed.edges, HEDGuidance)
    assert hed.edges.margin == 2
    shapes = [{name: p.shape for name, p in method.named_parameters()} for method in (canny, hed)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(("edge", "joint"), [(0.6, 0.5), (0.9, 0.1), (0.3, 0.7)])
def test_stages_that_leave_nothing_to_train_g2_alone_are_refused(edge: float, joint: float) -> None:
    for params in (EdgeCannyParams, EdgeHEDParams):
        with pytest.raises(ValidationError, match=rf"edge_fraction {edge} and joint_fraction {joint} .*G2"):
            params(edge_fraction=edge, joint_fraction=joint)


def test_every_stage_has_a_window_however_little_the_others_leave() -> None:
    method = EdgeCanny(EdgeCannyParams(base=4, edge_fraction=0.75, joint_fraction=0.2), SMALL)
    windows = {phase.name: phase.window for phase in method.phases()}
    assert windows["edge"] == (0.0, 0.75)
    assert windows["paint"] == (0.75, 0.8)
    assert windows["joint"] == (0.8, 1.0)


def test_thresholds_in_the_wrong_order_are_refused_before_anything_is_built() -> None:
    with pytest.raises(ValidationError, match=r"low 0\.5 .* high 0\.2"):
        EdgeCannyParams(low=0.5)
    with pytest.raises(ValidationError, match=r"low 0\.1 .* high 0\.05"):
        EdgeCannyParams(high=0.05)
    assert EdgeCannyParams(low=0.3, high=0.3).low == 0.3

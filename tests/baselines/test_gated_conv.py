import pytest
import torch
from gainbench_baselines.gated_conv import (
    SKETCH_THRESHOLD,
    GatedConvInpainter,
    GatedConvNetwork,
    GatedConvParams,
    scaled_dilations,
)
from torch import Tensor, nn

from gainbench import Batch
from gainbench.spec import Scale

SMALL = Scale(name="small", size=32, base=2, batch=2, iterations=1_000_000, test_pictures=1)


class StripedEdges:
    """Stands for HED: vertical stripes, stronger where the picture is brighter."""

    def target(self, image: Tensor) -> Tensor:
        stripes = (torch.arange(image.shape[3]) % 4 == 0).to(image.dtype)
        return stripes * image.mean(1, keepdim=True).clamp(0, 1)


def build(**options: object) -> GatedConvInpainter:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        method = GatedConvInpainter(GatedConvParams(base=8, **options), SMALL)
    if method.edges is not None:
        method.edges = StripedEdges()  # type: ignore[assignment]
    return method


def a_batch(side: int = 32) -> Batch:
    known = torch.ones(2, 1, side, side)
    known[0, :, 6:20, 9:25] = 0
    known[1, :, :10, 20:] = 0
    return Batch(torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(4)), known)


def test_published_width_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        network = GatedConvNetwork(base=48, size=256)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(4.05, rel=0.01)


def test_layers_are_the_papers() -> None:
    with torch.device("meta"):
        network = GatedConvNetwork(base=48, size=256)

    def table(part: nn.Module) -> list[tuple[int, int, int, int]]:
        convolutions = [layer for layer in part.modules() if isinstance(layer, nn.Conv2d)]
        return [(c.out_channels, c.kernel_size[0], c.stride[0], c.dilation[0]) for c in convolutions]

    dilated = [(192, 3, 1, dilation) for dilation in (2, 4, 8, 16)]
    decoder = [(width, 3, 1, 1) for width in (192, 192, 96, 96, 48, 24, 3)]
    encoder = [(48, 5, 1, 1), (96, 3, 2, 1), (96, 3, 1, 1), (192, 3, 2, 1), (192, 3, 1, 1), (192, 3, 1, 1)]
    assert table(network.coarse) == [*encoder, *dilated, *decoder]
    encoder = [(48, 5, 1, 1), (48, 3, 2, 1), (96, 3, 1, 1), (96, 3, 2, 1), (192, 3, 1, 1), (192, 3, 1, 1)]
    assert table(network.content) == [*encoder, *dilated]
    encoder = [(48, 5, 1, 1), (48, 3, 2, 1), (96, 3, 1, 1), (192, 3, 2, 1), (192, 3, 1, 1), (192, 3, 1, 1)]
    assert table(network.before_attention) == encoder
    assert table(network.after_attention) == [(192, 3, 1, 1)] * 2
    assert table(network.fine) == decoder


def test_dilations_keep_their_share_of_smaller_pictures() -> None:
    assert [scaled_dilations(size) for size in (256, 128, 64)] == [[2, 4, 8, 16], [1, 2, 4, 8], [1, 1, 2, 4]]


def test_the_discriminator_has_the_published_proportion_to_the_generator() -> None:
    method = GatedConvInpainter(GatedConvParams(base=12), SMALL)
    assert method.discriminator.convolutions[0].out_channels == 16  # published: 64 beside 48


def test_hidden_pixels_never_change_the_output() -> None:
    method, batch = build().eval(), a_batch()
    assert not method.oracle
    with torch.no_grad():
        expected = method.inpaint(batch.visible, batch.known)
        found = method.inpaint(torch.where(batch.known > 0.5, batch.image, 0.9), batch.known)
    assert torch.equal(expected, found)
    assert expected.shape == batch.image.shape
    assert expected.min() >= 0
    assert expected.max() <= 1


def test_training_reads_no_hidden_pixel_into_the_generator() -> None:
    method, batch = build(), a_batch()
    other = Batch(torch.where(batch.known > 0.5, batch.image, 0.9), batch.known)
    with torch.no_grad():
        for one, two in zip(method._output(batch), method._output(other), strict=True):
            assert torch.equal(one, two)


def test_the_second_stage_sees_known_pixels_and_the_first_stages_fill() -> None:
    method, batch = build().eval(), a_batch()
    seen: list[Tensor] = []
    method.network.content[0].register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        coarse, _ = method._generate(batch.visible, batch.known)
    expected = batch.known * (2 * batch.image - 1) + (1 - batch.known) * coarse
    torch.testing.assert_close(seen[0], expected)


def test_losses_are_mean_absolute_errors_and_a_hinge_on_completed_pictures() -> None:
    method, batch = build(), a_batch()
    discriminator, generator = method.phases()
    image = 2 * batch.image - 1
    with torch.no_grad():
        coarse, fine = method._generate(batch.visible, batch.known)
        method.eval()  # a spectral norm moves at every call in training mode
        completed = batch.known * image + (1 - batch.known) * fine
        real, generated = (method.discriminator(torch.cat([x, 1 - batch.known], 1)) for x in (image, completed))
        d = discriminator.loss(batch, 0)
        g = generator.loss(batch, 0)
    assert d["hinge"].item() == pytest.approx(((1 - real).clamp(0).mean() + (1 + generated).clamp(0).mean()).item())
    assert g["adversarial"].item() == pytest.approx(-generated.mean().item(), abs=1e-6)
    assert g["l1_coarse"].item() == pytest.approx((coarse - image).abs().mean().item(), rel=1e-5)
    assert g["l1_fine"].item() == pytest.approx((fine - image).abs().mean().item(), rel=1e-5)
    assert [(phase.lr, phase.betas) for phase in method.phases()] == [(1e-4, (0.5, 0.999))] * 2


def test_only_the_generator_hurries_in_a_short_training() -> None:
    method = GatedConvInpainter(GatedConvParams(base=4), SMALL.model_copy(update={"iterations": 1500}))
    assert [phase.lr for phase in method.phases()] == pytest.approx([1e-4, 4e-4])


@pytest.mark.parametrize(
    ("iterations", "asked", "weight"), [(1500, None, 0.01), (50_000, None, 1.0), (1500, 1.0, 1.0), (50_000, 0.0, 0.0)]
)
def test_the_discriminator_weighs_less_in_a_short_training(iterations: int, asked: float | None, weight: float) -> None:
    scale = SMALL.model_copy(update={"iterations": iterations})
    method = GatedConvInpainter(GatedConvParams(base=4, adversarial_weight=asked), scale)
    batch = a_batch()
    with torch.no_grad():
        losses = method.eval().phases()[1].loss(batch, 0)
        completed = torch.where(batch.known > 0.5, 2 * batch.image - 1, method._output(batch)[1])
        (scores,) = method._scores(batch, completed)
    assert float(losses.get("adversarial", 0.0)) == pytest.approx(-weight * float(scores.mean()), abs=1e-6)


def test_every_parameter_gets_a_gradient_from_its_own_phase() -> None:
    method = build().train()
    learning: set[int] = set()
    for phase in method.phases():
        parameters = [p for part in phase.modules for p in part.parameters()]
        loss = torch.stack(list(phase.loss(a_batch(), 0).values())).sum()
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        learning |= {id(p) for p, g in zip(parameters, gradients, strict=True) if g is not None and g.abs().sum() > 0}
    assert not [name for name, p in method.named_parameters() if id(p) not in learning]


def test_both_phases_share_one_forward_pass() -> None:
    method, batch = build(), a_batch()
    calls: list[int] = []
    method.network.register_forward_hook(lambda *_: calls.append(1))
    for phase in method.phases():
        phase.loss(batch, 0)
    assert len(calls) == 1


def test_untrained_outputs_are_neither_dead_nor_saturated() -> None:
    method = GatedConvInpainter(GatedConvParams(base=16), SMALL)
    with torch.no_grad():
        for picture in method._generate(a_batch().visible, a_batch().known):
            assert 0.02 < picture.std().item() < 0.6


def test_the_oracle_is_given_edges_of_the_hole_and_says_so() -> None:
    method, batch = build(guidance="hed_oracle").eval(), a_batch()
    assert method.oracle
    sketch = method._sketch(batch.image, batch.known)
    assert sketch is not None
    edges = StripedEdges().target(batch.image)
    assert torch.equal(sketch, ((edges > SKETCH_THRESHOLD) & (batch.known == 0)).float())
    assert sketch.sum() > 0
    blind = batch.visible
    with torch.no_grad():
        assert not torch.equal(method.inpaint(batch.image, batch.known), method.inpaint(blind, batch.known))
    for phase in method.train().phases():
        assert all(torch.isfinite(loss) for loss in phase.loss(a_batch(), 0).values())

"""GAIN as a method: options, losses, phases."""

import pytest
import torch

from gainbench.errors import MethodError
from gainbench.gain.method import GAIN, GAINParams
from gainbench.methods import Batch
from gainbench.registry import build_method, validated_params
from gainbench.spec import MethodSpec, Scale

TINY = Scale(name="tiny", size=32, base=2, batch=2, iterations=10, test_pictures=2)


def build(**params):
    torch.manual_seed(0)
    return GAIN(GAINParams(**params), TINY)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    image = torch.nn.functional.interpolate(torch.rand(2, 3, 6, 6, generator=generator), size=(32, 32), mode="bilinear")
    known = torch.ones(2, 1, 32, 32)
    known[0, :, 8:20, 8:24], known[1, :, :, 20:] = 0, 0
    return Batch(image, known)


def train(method, batch, steps):
    """The loop's core: every phase steps in order, on one shared forward pass."""
    phases = method.phases()
    parameters = [[p for module in phase.modules for p in module.parameters()] for phase in phases]
    optimisers = [
        torch.optim.Adam(group, lr=phase.lr, betas=phase.betas) for group, phase in zip(parameters, phases, strict=True)
    ]
    history = []
    for step in range(steps):
        batch.memo.clear()
        terms = {}
        for phase, optimiser, group in zip(phases, optimisers, parameters, strict=True):
            losses = phase.loss(batch, step)
            optimiser.zero_grad()
            torch.autograd.backward(sum(losses.values()), inputs=group)
            optimiser.step()
            terms |= {name: value.item() for name, value in losses.items()}
        history.append(terms)
    return history


def test_losses_fall_and_start_small(batch):
    history = train(build(), batch, 20)
    assert history[0]["l1_image"] < 1.5
    assert history[-1]["l1_image"] < 0.7 * history[0]["l1_image"]
    assert history[-1]["l1_grad"] < 0.7 * history[0]["l1_grad"]
    assert set(history[0]) == {
        *("hinge_image", "penalty_image", "hinge_grad", "penalty_grad"),
        *("l1_image", "l1_grad", "adversarial_image", "adversarial_grad"),
    }


def test_both_phases_share_one_forward_pass(batch, monkeypatch):
    method, calls = build(), []
    forward = method.network.forward
    monkeypatch.setattr(method.network, "forward", lambda *args: calls.append(1) or forward(*args))
    train(method, batch, 2)
    assert len(calls) == 2


def test_each_phase_trains_its_own_modules_only(batch):
    method = build()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    discriminator, generator = method.phases()
    for phase, own in ((discriminator, "discriminators."), (generator, "network.")):
        group = [p for module in phase.modules for p in module.parameters()]
        names = [name for name, p in method.named_parameters() if any(p is q for q in group)]
        assert names
        assert all(name.startswith(own) for name in names)
    losses = discriminator.loss(batch, 0)
    gradients = torch.autograd.grad(sum(losses.values()), list(method.network.parameters()), allow_unused=True)
    assert all(gradient is None for gradient in gradients)
    assert set(before) == set(method.state_dict())


def test_losses_are_a_function_of_the_batch_and_the_step_alone(batch):
    first, second = build().eval(), build().eval()
    torch.manual_seed(1)
    a = first.discriminator_loss(batch, 7)
    torch.manual_seed(2)
    batch.memo.clear()
    b = second.discriminator_loss(batch, 7)
    batch.memo.clear()
    c = second.discriminator_loss(batch, 8)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["penalty_image"], c["penalty_image"])


def test_l1_is_the_mean_over_all_pixels_in_minus_one_to_one(batch):
    method = build(adversarial_weight=0.0).eval()
    losses = method.generator_loss(batch, 0)
    output = method.inpaint(batch.visible, batch.known)
    assert set(losses) == {"l1_image", "l1_grad"}
    assert losses["l1_image"].item() == pytest.approx(2 * (output - batch.image).abs().mean().item(), rel=1e-5)
    batch.memo.clear()
    weighted = build(adversarial_weight=0.0, hole_weight=6).eval().generator_loss(batch, 0)
    difference = 2 * (output - batch.image).abs()
    expected = (difference * torch.where(batch.known > 0, 1.0, 6.0)).mean().item()
    assert weighted["l1_image"].item() == pytest.approx(expected, rel=1e-5)


def test_inpaint_returns_pictures_and_ignores_hidden_pixels(batch):
    method = build().eval()
    with torch.no_grad():
        expected = method.inpaint(batch.visible, batch.known)
        noisy = torch.where(batch.known > 0, batch.image, torch.rand(batch.image.shape))
        found = method.inpaint(noisy, batch.known)
    assert torch.equal(found, expected)
    assert 0 <= found.min() <= found.max() <= 1


SWITCHES = [
    {"kernel": "sobel"},
    {"kernel": "prewitt"},
    {"first_mask": "opening"},
    {"activation": "relu"},
    {"priority": "sum"},
    {"priority": "signed"},
    {"delta": 0.0},
    {"delta": 0.8},
    {"priority_gradient": "grad"},
    {"attention": False},
    {"exchange": "no_GI"},
    {"exchange": "no_IG"},
    {"exchange": "neither"},
    {"guidance": "none"},
    {"branches": "structure"},
    {"branches": "content"},
    {"gradient_discriminator": False},
    {"gp_weight": 0.0},
    {"adversarial_weight": 0.0},
]


@pytest.mark.parametrize("params", SWITCHES, ids=lambda params: ",".join(f"{k}={v}" for k, v in params.items()))
def test_every_switch_trains(params, batch):
    method = build(**params)
    history = train(method, batch, 2)
    assert all(torch.tensor(list(terms.values())).isfinite().all() for terms in history)


@pytest.mark.parametrize("guidance", ["canny", pytest.param("hed", marks=pytest.mark.assets)])
def test_edges_guide_the_same_backbone(guidance, batch):
    method = build(guidance=guidance)
    terms = train(method, batch, 1)[0]
    assert "l1_grad" in terms
    gradient = build()
    own = dict(method.network.named_parameters())
    differing = [name for name, p in gradient.network.named_parameters() if p.shape != own[name].shape]
    at_the_borders = ("to_grad_1", "to_grad", "encoder.0.weight_G")
    assert differing
    assert all(any(part in name for part in at_the_borders) for name in differing)


def test_switches_set_what_they_say():
    assert list(build(gradient_discriminator=False).discriminators) == ["image"]
    assert list(build(guidance="none").discriminators) == ["image"]
    assert len(build(adversarial_weight=0.0).phases()) == 1
    assert "penalty_image" not in build(gp_weight=0.0).discriminator_loss(
        Batch(torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32)), 0
    )
    assert build(kernel="sobel").guidance.kernel == "sobel"
    assert build(base=3).network.decoder.to_image.in_channels == 3
    block = build(exchange="no_GI").network.structure.dilated[0]
    assert (block.GI, block.IG) == (False, True)


def test_learning_rate_is_the_papers_for_long_trainings():
    long = GAIN(GAINParams(), TINY.model_copy(update={"iterations": 1_000_000}))
    assert [phase.lr for phase in long.phases()] == [1e-4, 1e-4]
    assert [phase.lr for phase in build().phases()] == [5e-4, 5e-4]
    assert [phase.lr for phase in build(base=4, colour_start=True).phases()] == [2e-4, 2e-4]
    assert [phase.lr for phase in build(lr=1e-3).phases()] == [1e-3, 1e-3]
    assert all(phase.betas == (0.5, 0.9) for phase in long.phases())


def test_options_are_validated_with_the_nearest_name():
    with pytest.raises(MethodError, match="'delta'"):
        validated_params(GAIN, MethodSpec.parse("gain[delt=.2]"))
    with pytest.raises(MethodError, match="delta"):
        validated_params(GAIN, MethodSpec.parse("gain[delta=2]"))


def test_the_registry_builds_it_reproducibly():
    a, b = (build_method(MethodSpec.parse("gain"), TINY, seed=3) for _ in range(2))
    c = build_method(MethodSpec.parse("gain"), TINY, seed=4)
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
    assert not all(torch.equal(x, y) for x, y in zip(a.parameters(), c.parameters(), strict=True))


def test_trains_under_bfloat16_autocast(batch):
    method = build()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = train(method, batch, 2)[-1]
    assert torch.tensor(list(terms.values())).isfinite().all()

"""The whole network: size, cost, initial weights, masks and leaks."""

import functools

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gainbench.errors import GainbenchError
from gainbench.gain.block import BlockStyle, GAIBlock
from gainbench.gain.initialisation import SIGNAL_RMS, made_up_scene
from gainbench.gain.network import GAINNetwork, Widths, clipped, scaled_dilations
from gainbench.gain.priority import Priority
from gainbench.guidance.gradient import GradientGuidance
from gainbench.masks import open_protocol
from gainbench.spec import MaskSpec


def scene(size, pictures=2, seed=0):
    """Smooth random pictures in [0, 1] and holes that cover about a quarter of them."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(pictures, 3, 8, 8, generator=generator)
    image = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)
    image = (image + 0.1 * torch.randn(image.shape, generator=generator)).clamp(0, 1)
    known = torch.ones(pictures, 1, size, size)
    known[:, :, size // 4 : 3 * size // 4, size // 4 : 5 * size // 8] = 0
    known[0, :, : size // 5, size // 2 :] = 0
    return image, known


def inputs(size, pictures=2, seed=0):
    image, known = scene(size, pictures, seed)
    return 2 * image - 1, known, *GradientGuidance().observed(image, known)


@functools.cache
def cost(base, size, guidance_channels=2):
    """Parameters and multiplications an image, without computing a value."""
    with torch.device("meta"), torch.no_grad():
        network = GAINNetwork(base=base, size=size, guidance_channels=guidance_channels)
        with FlopCounterMode(display=False) as counter:
            network(
                torch.zeros(1, 3, size, size),
                torch.zeros(1, 1, size, size),
                torch.zeros(1, guidance_channels, size, size),
                torch.zeros(1, 1, size, size),
            )
    return sum(parameter.numel() for parameter in network.parameters()), counter.get_total_flops() / 2


@pytest.mark.parametrize(("base", "parameters", "macs"), [(64, 233e6, 1075e9), (32, 58e6, 270e9), (16, 14.6e6, 68e9)])
def test_parameters_and_multiplications_are_those_of_the_layout(base, parameters, macs):
    found_parameters, found_macs = cost(base, 256)
    assert found_parameters == pytest.approx(parameters, rel=0.02)
    assert found_macs == pytest.approx(macs, rel=0.02)


@pytest.mark.parametrize(("base", "size"), [(8, 64), (16, 256), (32, 256), (64, 256)])
def test_without_guidance_the_network_is_a_twin_of_equal_cost(base, size):
    _, guided = cost(base, size)
    _, twin = cost(base, size, guidance_channels=0)
    assert twin == pytest.approx(guided, rel=0.03)


def test_published_widths():
    assert Widths.of_base(64) == Widths((64, 128, 256), (128, 256, 512))


@pytest.mark.parametrize(
    ("size", "dilations"), [(256, (2, 4, 8, 16)), (128, (1, 2, 4, 8)), (64, (1, 1, 2, 4)), (32, (1, 1, 1, 2))]
)
def test_dilations_scale_with_the_picture(size, dilations):
    assert scaled_dilations(size) == dilations


def test_priority_is_in_the_first_four_dilation_blocks_of_branch_one_only():
    with torch.device("meta"):
        network = GAINNetwork(base=2, size=256)
    ranked = [name for name, block in network.named_modules() if isinstance(block, GAIBlock) and block.priority]
    assert ranked == [f"structure.dilated.{number}" for number in range(16)]
    assert [block.window.dilation for block in network.structure.dilated] == [2, 4, 8, 16] * 6
    assert [block.window.dilation for block in network.content.dilated] == [2, 4, 8, 16] * 2


@pytest.mark.parametrize(
    ("base", "size", "options"),
    [
        (8, 64, {}),
        (16, 64, {}),
        (4, 128, {}),
        (4, 256, {}),
        (8, 64, {"guidance_channels": 0}),
        (8, 64, {"style": BlockStyle(kernel="sobel")}),
        (8, 64, {"style": BlockStyle(activation="relu")}),
        (8, 64, {"style": BlockStyle(GI=False, IG=False)}),
    ],
)
def test_activations_keep_their_standard_deviation_from_first_block_to_last(base, size, options):
    torch.manual_seed(0)
    network = GAINNetwork(base=base, size=size, **options)
    deviations = []

    def note(_module, _inputs, outputs):
        deviations.extend(flow.std().item() for flow in outputs[:2] if flow.shape[1])

    for block in network.modules():
        if isinstance(block, GAIBlock):
            block.register_forward_hook(note)
    image, _ = scene(size)
    holes = open_protocol(MaskSpec())  # the rims of irregular holes decide how much is renormalised
    known = torch.stack([torch.from_numpy(holes.training_known(5, number, size)).float()[None] for number in range(2)])
    grad_0, M_0 = GradientGuidance().observed(image, known)
    with torch.no_grad():
        I_star, _ = network(2 * image - 1, known, grad_0[:, : options.get("guidance_channels", 2)], M_0)
    assert min(deviations) > 1 / 3
    assert max(deviations) < 3
    assert 0.05 < I_star.std() < 0.6


@pytest.mark.parametrize("options", [{}, {"guidance_channels": 0}], ids=["gradient", "none"])
def test_a_wide_network_passes_on_as_much_of_its_pictures_as_the_narrow_one_that_was_measured(options):
    torch.manual_seed(0)
    network = GAINNetwork(base=24, size=64, **options)
    differing = []

    def note(_module, _inputs, outputs):
        differing.extend(flow.var(0).mean().sqrt().item() for flow in outputs[:2] if flow.shape[1])

    for block in network.modules():
        if isinstance(block, GAIBlock):
            block.register_forward_hook(note)
    I, M, grad_0 = made_up_scene(64, guidance_channels=options.get("guidance_channels", 2), guidance_rms=0.1)  # noqa: E741
    with torch.no_grad():
        network(I, M, grad_0, M)
    assert min(differing) > SIGNAL_RMS / 2
    assert max(differing) < SIGNAL_RMS * 2


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return GAINNetwork(base=2, size=32)


def test_shapes_and_ranges(small):
    I_star, grad_star = small(*inputs(32))
    assert I_star.shape == (2, 3, 32, 32)
    assert grad_star.shape == (2, 2, 32, 32)
    assert I_star.abs().max() <= 1


@pytest.mark.parametrize("first_mask", ["known", "opening"])
def test_hidden_values_never_change_an_output_bit(first_mask):
    torch.manual_seed(0)
    network = GAINNetwork(base=2, size=32, first_mask=first_mask)
    I, known, grad_0, M_0 = inputs(32)  # noqa: E741
    noise = torch.randn(I.shape)
    with torch.no_grad():
        expected = network(I * known, known, grad_0, M_0)
        found = network(torch.where(known > 0, I, noise), known, torch.where(M_0 > 0, grad_0, noise[:, :2]), M_0)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


def test_a_picture_does_not_depend_on_its_batch(small):
    I, known, grad_0, M_0 = inputs(32, pictures=3)  # noqa: E741
    with torch.no_grad():
        together = small(I, known, grad_0, M_0)[0]
        alone = small(I[1:2], known[1:2], grad_0[1:2], M_0[1:2])[0]
    assert torch.allclose(together[1:2], alone, atol=1e-5)


def final_masks(network, arguments):
    masks = []
    branches = [branch for branch in (network.structure, network.content) if branch is not None]
    handles = [branch.register_forward_hook(lambda _m, _i, out: masks.append(out[2].M)) for branch in branches]
    with torch.no_grad():
        network(*arguments)
    for handle in handles:
        handle.remove()
    return masks


def test_the_final_mask_of_both_branches_is_all_ones():
    torch.manual_seed(0)
    network = GAINNetwork(base=2, size=64)
    structure, content = final_masks(network, inputs(64))
    assert structure.min() == 1
    assert content.min() == 1


def test_masks_only_grow_along_a_branch():
    torch.manual_seed(0)
    network = GAINNetwork(base=2, size=128, priority=Priority(delta=0.8))
    shares = []
    for block in network.structure.dilated:
        block.register_forward_hook(lambda _m, _i, out: shares.append(out[2].M.mean().item()))
    with torch.no_grad():
        network(*inputs(128, pictures=1))
    assert shares == sorted(shares)
    assert shares[0] < 1


@pytest.mark.parametrize("branches", ["structure", "content"])
def test_one_branch_alone_fills_the_picture(branches):
    network = GAINNetwork(base=2, size=32, branches=branches)
    missing = network.content if branches == "structure" else network.structure
    assert missing is None
    assert network(*inputs(32))[0].shape == (2, 3, 32, 32)


def test_attention_changes_the_picture_and_has_no_weights():
    torch.manual_seed(0)
    network = GAINNetwork(base=2, size=64)
    I, known, grad_0, M_0 = inputs(64)  # noqa: E741
    known = torch.ones_like(known)
    known[..., 50:60, 50:60] = 0
    with torch.no_grad():
        attended = network(I, known, grad_0, M_0)[0]
        network.attention = None
        plain = network(I, known, grad_0, M_0)[0]
    assert not torch.allclose(attended, plain)


def test_opening_drops_known_pixels_that_no_whole_window_covers():
    network = GAINNetwork(base=2, size=32, first_mask="opening")
    I, _, _, _ = inputs(32, pictures=1)  # noqa: E741
    known = torch.ones(1, 1, 32, 32)
    known[..., 10:20, 10:20] = 0
    known[..., 15, 15] = 1
    grad_0, M_0 = GradientGuidance().observed((I + 1) / 2, known)
    changed = I.clone()
    changed[..., 15, 15] += 0.5
    with torch.no_grad():
        assert torch.equal(network(I, known, grad_0, M_0)[0], network(changed, known, grad_0, M_0)[0])
        network.first_mask = "known"
        assert not torch.equal(network(I, known, grad_0, M_0)[0], network(changed, known, grad_0, M_0)[0])


def test_derivatives_of_a_tiny_network_are_right():
    torch.manual_seed(0)
    network = GAINNetwork(base=1, size=32, priority=Priority(delta=0.0)).double()
    I, known, grad_0, M_0 = (x[:1, :, :8, :8].double() for x in inputs(32))  # noqa: E741
    known[..., 3:5, 2:7] = 0
    # Inside the clip: outside, its gradient is not that of its values.
    with torch.no_grad():
        network.decoder.to_image.weight.mul_(0.01)
        assert network(I, known, grad_0, M_0)[0].abs().max() < 0.99
    parameters = [network.content.encoder[0].weight_IG, network.structure.dilated[5].weight_G]

    def outputs(I, *weights):  # noqa: E741
        named = {"content.encoder.0.weight_IG": weights[0], "structure.dilated.5.weight_G": weights[1]}
        return torch.func.functional_call(network, named, (I, known, grad_0, M_0))

    leaves = [tensor.detach().clone().requires_grad_() for tensor in (I, *parameters)]
    assert torch.autograd.gradcheck(outputs, leaves, fast_mode=True)


def test_sizes_that_cannot_be_halved_three_times_are_refused(small):
    with pytest.raises(GainbenchError, match="multiple of 8"):
        small(*(x[..., :30] for x in inputs(32)))


def test_the_clip_keeps_values_and_lets_gradients_lead_back_into_range():
    x = torch.tensor([-3.0, -3.0, -0.5, 0.5, 2.0, 2.0], dtype=torch.float64, requires_grad=True)
    upstream = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    out = clipped(x)
    out.backward(upstream)
    assert out.tolist() == [-1.0, -1.0, -0.5, 0.5, 1.0, 1.0]
    # Descent moves x against its gradient: from -3 by -1 outward with 1, by 1 inward with -1; from 2 the other way.
    assert x.grad.tolist() == [0.0, -1.0, 1.0, -1.0, 1.0, 0.0]


def test_an_output_out_of_range_everywhere_learns_its_way_back():
    x = torch.full((4,), 5.0, requires_grad=True)
    optimiser = torch.optim.SGD([x], lr=0.5)
    for _ in range(20):
        optimiser.zero_grad()
        (clipped(x) - 0.25).abs().sum().backward()
        optimiser.step()
    assert (x.detach().abs() <= 1).all()

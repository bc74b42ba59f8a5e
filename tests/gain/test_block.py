"""The GAI-Block against a slow, literal reference written from its equations."""

import math

import pytest
import torch
import torch.nn.functional as F

from gainbench.gain.block import BlockStyle, GAIBlock
from gainbench.gain.priority import Priority
from gainbench.nn.partial_conv import KnownMap, Window

TAPS = {"central": (0.0, 1.0, 0.0), "sobel": (0.25, 0.5, 0.25), "prewitt": (1 / 3, 1 / 3, 1 / 3)}


def literal_pconv(X, M, weight, bias, stride=1, dilation=1):
    """Position by position: W^T(X * M) * (window size / sum(M)) + b where sum(M) > 0, else 0."""
    B, _, H, W = X.shape
    k = weight.shape[-1]
    pad = dilation * (k - 1) // 2
    rows, columns = math.ceil(H / stride), math.ceil(W / stride)
    outputs, known = [], torch.zeros(B, 1, rows, columns, dtype=X.dtype)
    for b in range(B):
        for v in range(rows):
            for u in range(columns):
                total, value = 0.0, torch.zeros(weight.shape[0], dtype=X.dtype)
                for i in range(k):
                    for j in range(k):
                        y, x = v * stride - pad + i * dilation, u * stride - pad + j * dilation
                        if 0 <= y < H and 0 <= x < W and M[b, 0, y, x] == 1:
                            total += 1
                            value = value + weight[:, :, i, j] @ X[b, :, y, x]
                known[b, 0, v, u] = float(total > 0)
                outputs.append(value * (k * k / total) + bias if total else 0 * value)
    return torch.stack(outputs).view(B, rows, columns, -1).permute(0, 3, 1, 2), known


def literal_grad(X, M, kernel):
    """Both derivatives of every channel by replicated 3x3 filters, and where their whole window is known."""
    taps = torch.tensor(TAPS[kernel], dtype=X.dtype)
    along = torch.tensor([-0.5, 0.0, 0.5], dtype=X.dtype)
    padded = F.pad(X, (1, 1, 1, 1), mode="replicate")
    windows = padded.unfold(2, 3, 1).unfold(3, 3, 1)
    x = torch.einsum("bchwij,i,j->bchw", windows, taps, along)
    y = torch.einsum("bchwij,i,j->bchw", windows, along, taps)
    outside_known = F.pad(M, (1, 1, 1, 1), value=1.0).unfold(2, 3, 1).unfold(3, 3, 1)
    return torch.cat([x, y], 1), outside_known.amin((-1, -2))


def literal_block(block, I, grad, M):  # noqa: E741
    """The plain GAI-Block of the paper, four partial convolutions in a row."""
    w, style, out = block.window, block.style, block.out_grad
    I_prime, M_next = literal_pconv(I, M, block.weight_II, block.bias_II, w.stride, w.dilation)
    grad_prime, _ = literal_pconv(grad, M, block.weight_G[:out], block.bias_G[:out], w.stride, w.dilation)
    I_sum, grad_sum = I_prime, grad_prime
    if style.GI:
        I_sum = I_sum + literal_pconv(grad, M, block.weight_G[out:], block.bias_G[out:], w.stride, w.dilation)[0]
    if style.IG:
        grad_sum = (
            grad_sum + literal_pconv(*literal_grad(I_prime, M_next, style.kernel), block.weight_IG, block.bias_IG)[0]
        )
    activate = F.elu if style.activation == "elu" else F.relu
    return activate(I_sum), activate(grad_sum), M_next


def tiny_block(window=Window(3), **options):  # noqa: B008 - frozen
    torch.manual_seed(0)
    block = GAIBlock(in_image=2, in_grad=2, out_image=3, out_grad=4, window=window, **options).double()
    for name, parameter in block.named_parameters():
        if name.startswith("bias"):
            torch.nn.init.normal_(parameter)
    return block


def tiny_inputs(seed=0):
    generator = torch.Generator().manual_seed(seed)
    I = torch.randn(2, 2, 8, 9, dtype=torch.float64, generator=generator)  # noqa: E741
    grad = torch.randn(2, 2, 8, 9, dtype=torch.float64, generator=generator)
    M = torch.ones(2, 1, 8, 9, dtype=torch.float64)
    M[0, :, 1:7, 2:8] = 0
    M[1, :, :, 4:] = 0
    M[1, :, 7, 8] = 1
    return I, grad, M


CASES = [
    pytest.param(Window(3), {}, id="plain"),
    pytest.param(Window(3, dilation=2), {}, id="dilated"),
    pytest.param(Window(3, stride=2), {}, id="stride 2"),
    pytest.param(Window(5), {}, id="5x5"),
    pytest.param(Window(3), {"style": BlockStyle(kernel="sobel", activation="relu")}, id="sobel, relu"),
    pytest.param(Window(3), {"style": BlockStyle(kernel="prewitt")}, id="prewitt"),
    pytest.param(Window(3), {"style": BlockStyle(GI=False)}, id="no GI"),
    pytest.param(Window(3), {"style": BlockStyle(IG=False)}, id="no IG"),
    pytest.param(Window(3), {"style": BlockStyle(GI=False, IG=False)}, id="no exchange"),
]


@pytest.mark.parametrize(("window", "options"), CASES)
def test_equals_the_literal_reference_gradients_too(window, options):
    block = tiny_block(window, **options)
    I, grad, M = tiny_inputs()  # noqa: E741
    inputs = [I.requires_grad_(), grad.requires_grad_(), *block.parameters()]
    found_I, found_grad, known = block(I, grad, KnownMap(M))
    expected_I, expected_grad, expected_M = literal_block(block, I, grad, M)
    assert torch.equal(known.M, expected_M)
    assert (found_I - expected_I).abs().max() < 1e-10
    assert (found_grad - expected_grad).abs().max() < 1e-10

    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(x.shape, dtype=x.dtype, generator=generator) for x in (found_I, found_grad)]
    found = torch.autograd.grad((found_I * weights[0]).sum() + (found_grad * weights[1]).sum(), inputs)
    expected = torch.autograd.grad((expected_I * weights[0]).sum() + (expected_grad * weights[1]).sum(), inputs)
    for a, b in zip(found, expected, strict=True):
        assert (a - b).abs().max() < 1e-10


@pytest.mark.parametrize("full", [False, True])
def test_an_all_ones_mask_takes_the_short_path_to_the_same_values(full):
    block = tiny_block(Window(3, dilation=2))
    I, grad, M = tiny_inputs()  # noqa: E741
    M = torch.ones_like(M)
    found = block(I, grad, KnownMap.all_known(I) if full else KnownMap(M))
    expected = literal_block(block, I, grad, M)
    assert (found[0] - expected[0]).abs().max() < 1e-10
    assert (found[1] - expected[1]).abs().max() < 1e-10
    assert found[2].M.min() == 1


def test_an_all_ones_mask_gives_ordinary_convolutions_in_the_interior():
    block = tiny_block(style=BlockStyle(GI=False))
    I, grad, _ = tiny_inputs()  # noqa: E741
    found, _, _ = block(I, grad, KnownMap.all_known(I))
    expected = F.elu(F.conv2d(I, block.weight_II, block.bias_II))
    assert (found[..., 1:-1, 1:-1] - expected).abs().max() < 1e-12


@pytest.mark.parametrize("priority", [None, Priority()])
def test_hidden_values_never_change_an_output_bit(priority):
    block = tiny_block(Window(3, dilation=2), priority=priority)
    I, grad, M = tiny_inputs()  # noqa: E741
    noise = [torch.where(M > 0, x, 1e3 * torch.randn(x.shape, dtype=x.dtype)) for x in (I, grad)]
    found, expected = block(*noise, KnownMap(M)), block(I * M, grad * M, KnownMap(M))
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])
    assert torch.equal(found[2].M, expected[2].M)


@pytest.mark.parametrize("priority", [None, Priority(), Priority(form="sum"), Priority(source="grad")])
def test_outputs_are_zero_in_the_hole_they_hand_on(priority):
    block = tiny_block(Window(3), priority=priority)
    I, grad, M = tiny_inputs()  # noqa: E741
    I_next, grad_next, known = block(I, grad, KnownMap(M))
    assert 0 < known.M.mean() < 1
    assert (I_next * (1 - known.M) == 0).all()
    assert (grad_next * (1 - known.M) == 0).all()


def test_priority_changes_the_image_flow_only_by_the_mask():
    plain, ranked = tiny_block(), tiny_block(priority=Priority(delta=0.6))
    I, grad, M = tiny_inputs()  # noqa: E741
    I_plain, _, M_plain = plain(I, grad, KnownMap(M))
    I_ranked, _, M_ranked = ranked(I, grad, KnownMap(M))
    assert (M_ranked.M <= M_plain.M).all()
    assert (M_ranked.M < M_plain.M).any()
    assert torch.equal(I_ranked, I_plain * M_ranked.M)


def test_delta_zero_equals_the_plain_block_bit_for_bit():
    plain, ranked = tiny_block(), tiny_block(priority=Priority(delta=0.0))
    I, grad, M = tiny_inputs()  # noqa: E741
    for a, b in zip(plain(I, grad, KnownMap(M))[:2], ranked(I, grad, KnownMap(M))[:2], strict=True):
        assert torch.equal(a, b)


def test_where_the_gradient_window_is_empty_the_sum_still_stands():
    # One known pixel: w(M) is 3x3, its eroded mask a single position, so IG reaches all of it; with two known rows at a
    # distance nothing is left of the eroded mask and grad_{i+1} is Pconv_GG alone.
    block = tiny_block(Window(3, dilation=2))
    I, grad, _ = tiny_inputs()  # noqa: E741
    M = torch.zeros(2, 1, 8, 9, dtype=torch.float64)
    M[:, :, 4, 4] = 1
    _, grad_next, known = block(I, grad, KnownMap(M))
    grad_prime, _ = literal_pconv(grad, M, block.weight_G[:4], block.bias_G[:4], dilation=2)
    assert known.M.sum() == 18
    assert (grad_next - F.elu(grad_prime)).abs().max() < 1e-12


def test_without_a_gradient_flow_the_block_is_one_partial_convolution():
    block = GAIBlock(in_image=2, in_grad=0, out_image=3, out_grad=0, window=Window(3)).double()
    I, grad, M = tiny_inputs()  # noqa: E741
    I_next, grad_next, known = block(I, grad[:, :0], KnownMap(M))
    expected, expected_M = literal_pconv(I, M, block.weight_II, block.bias_II)
    assert (I_next - F.elu(expected)).abs().max() < 1e-12
    assert torch.equal(known.M, expected_M)
    assert grad_next.shape[1] == 0
    assert [name for name, _ in block.named_parameters()] == ["weight_II", "bias_II"]


def test_runs_in_bfloat16_with_masks_and_ratios_in_float32():
    block = tiny_block(Window(3), priority=Priority()).float()
    I, grad, M = (x.float() for x in tiny_inputs())  # noqa: E741
    with torch.autocast("cpu", dtype=torch.bfloat16):
        I_next, grad_next, known = block(I, grad, KnownMap(M))
    exact = block(I, grad, KnownMap(M))
    assert I_next.dtype == torch.bfloat16
    assert known.M.dtype == torch.float32
    shared = known.M * exact[2].M
    assert ((I_next.float() - exact[0]) * shared).abs().max() < 0.2
    assert grad_next.isfinite().all()

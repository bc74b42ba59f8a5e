"""Contextual attention against a slow loop over pictures, patches and positions."""

import pytest
import torch
import torch.nn.functional as F

from gainbench.nn.attention import ContextualAttention, attention_weights, usable_patches


def patch(x, y, z, size):
    """The patch whose upper left corner is (y, z), zero outside the map."""
    padded = F.pad(x, (size,) * 4)
    return padded[:, y + size : y + 2 * size, z + size : z + 2 * size]


def literal_attention(x, known, scale=10.0):
    """One picture, (C, H, W) and (H, W), as the paper and its published code describe it."""
    C, H, W = x.shape
    h, w = H // 2, W // 2
    small = x[:, ::2, ::2]
    positions = [(y, z) for y in range(h) for z in range(w)]
    usable = []
    for y, z in positions:
        cells = [(v, u) for v in (y - 1, y, y + 1) for u in (z - 1, z, z + 1) if 0 <= v < h and 0 <= u < w]
        usable.append(all(known[2 * v : 2 * v + 2, 2 * u : 2 * u + 2].min() == 1 for v, u in cells))
    if not any(usable):
        return x
    patches = [patch(small, y - 1, z - 1, 3) for y, z in positions]
    filters = [p / p.square().sum().clamp(min=1e-8).sqrt() for p in patches]
    scores = torch.stack([torch.stack([(f * p).sum() for f in filters]) for p in patches])
    n = len(positions)

    def fused(matrix):
        padded = F.pad(matrix, (1, 1, 1, 1))
        return padded[:-2, :-2] + matrix + padded[2:, 2:]

    by_columns = torch.tensor([y * w + z for z in range(w) for y in range(h)])
    back = torch.argsort(by_columns)
    scores = fused(fused(scores)[by_columns][:, by_columns])[back][:, back]
    usable = torch.tensor(usable)
    attention = torch.zeros(n, n, dtype=x.dtype)
    attention[:, usable] = torch.softmax(scale * scores[:, usable], 1)
    raw = torch.stack([patch(x, 2 * y - 1, 2 * z - 1, 4) for y, z in positions])
    out = torch.zeros(C, H + 2, W + 2, dtype=x.dtype)
    for i, (y, z) in enumerate(positions):
        pasted = (attention[i].view(n, 1, 1, 1) * raw).sum(0) / 4
        here = torch.zeros_like(out)
        here[:, 2 * y : 2 * y + 4, 2 * z : 2 * z + 4] = pasted
        out = out + here
    return out[:, 1:-1, 1:-1]


@pytest.fixture
def batch():
    x = 0.3 * torch.randn(4, 3, 10, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    known = torch.ones(4, 1, 10, 12, dtype=torch.float64)
    known[0, :, 3:5, 4:9] = 0
    known[1, :, :, 0] = 0
    known[2] = 0
    return x, known


@pytest.mark.parametrize("chunk_bytes", [2 * 8 * 900, 2**30])
def test_equals_a_slow_loop_for_every_picture_of_a_batch_gradients_too(batch, chunk_bytes):
    x, known = batch
    fast, slow = x.clone().requires_grad_(), x.clone().requires_grad_()
    found = ContextualAttention(chunk_bytes=chunk_bytes)(fast, known)
    expected = torch.stack([literal_attention(one, mask[0]) for one, mask in zip(slow, known, strict=True)])
    assert (found - expected).abs().max() < 1e-10
    weight = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1))
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    assert (fast.grad - slow.grad).abs().max() < 1e-10


def test_channels_last_maps_give_the_same_values(batch):
    x, known = batch
    attention = ContextualAttention()
    last = x.contiguous(memory_format=torch.channels_last)
    assert (attention(last, known) - attention(x, known)).abs().max() < 1e-12


def test_a_picture_without_a_usable_patch_is_returned_as_it_is(batch):
    x, known = batch
    assert torch.equal(ContextualAttention()(x, known)[2], x[2])


def test_patches_with_a_hole_pixel_are_excluded(batch):
    x, known = batch
    # The hole of picture 0 touches cells 1-2 by 2-4 of the halved map, so its patches 0-3 by 1-5 are spoilt.
    expected = torch.ones(5, 6, dtype=torch.bool)
    expected[0:4, 1:6] = False
    assert torch.equal(usable_patches(known)[0], expected)
    # No usable patch covers (4, 6). With scale 0 all usable patches weigh the same and no other is read.
    changed = x.clone()
    changed[0, :, 4, 6] += 1.0
    attention = ContextualAttention(scale=0.0)
    assert torch.equal(attention(x, known)[0], attention(changed, known)[0])


def test_no_weight_is_a_denormal_number(batch):
    x, known = batch
    # Such weights slow products down on some processors. Large scores would give them: e^-87 is the last normal one.
    weights = attention_weights(x[:, :, ::2, ::2].float(), ~usable_patches(known), scale=60.0)[:2]
    assert (weights == 0).float().mean() > 0.1
    assert weights[weights > 0].min() > 1e-21
    assert (weights.sum((3, 4)) - 1).abs().max() < 1e-5


def test_autocast_changes_no_score_and_no_derivative(batch):
    x, known = (tensor.float() for tensor in batch)
    results = []
    for enabled in (False, True):
        leaf = x.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            out = ContextualAttention()(leaf, known)
            out.square().sum().backward()
        results.append((out, leaf.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_bfloat16_maps_come_back_as_bfloat16(batch):
    x, known = (tensor.to(torch.bfloat16) for tensor in batch)
    leaf = x.clone().requires_grad_()
    out = ContextualAttention()(leaf, known)
    out.sum().backward()
    assert out.dtype == leaf.grad.dtype == torch.bfloat16


def test_gradients_are_right():
    x = torch.randn(2, 2, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    known = torch.ones(2, 1, 4, 6, dtype=torch.float64)
    known[0, :, 0, 0] = 0
    assert torch.autograd.gradcheck(lambda x: ContextualAttention()(x, known), (x,), fast_mode=True)

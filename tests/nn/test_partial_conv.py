"""Partial convolution against a literal reading of its definition."""

import math

import pytest
import torch
import torch.nn.functional as F

from gainbench.nn.partial_conv import KnownMap, PartialConv2d, Window, window_sum


def literal_partial_conv(x, masks, weight, bias, stride, dilation):
    """Position by position, with one mask value for each feature."""
    B, C, H, W = x.shape
    k = weight.shape[-1]
    pad = dilation * (k - 1) // 2
    out_h, out_w = (math.ceil(n / stride) for n in (H, W))
    out = torch.zeros(B, weight.shape[0], out_h, out_w, dtype=x.dtype)
    known = torch.zeros(B, 1, out_h, out_w, dtype=x.dtype)
    for b in range(B):
        for v in range(out_h):
            for u in range(out_w):
                total, value = 0.0, torch.zeros(weight.shape[0], dtype=x.dtype)
                for i in range(k):
                    for j in range(k):
                        y, z = v * stride - pad + i * dilation, u * stride - pad + j * dilation
                        if 0 <= y < H and 0 <= z < W:
                            total += masks[b, :, y, z].sum().item()
                            value = value + weight[:, :, i, j] @ (x[b, :, y, z] * masks[b, :, y, z])
                if total > 0:
                    out[b, :, v, u] = value * (C * k * k / total) + bias
                    known[b, 0, v, u] = 1
    return out, known


def random_case(channels, generator):
    x = torch.randn(2, channels, 6, 7, dtype=torch.float64, generator=generator)
    known = (torch.rand(2, 1, 6, 7, dtype=torch.float64, generator=generator) > 0.7).double()
    known[1, :, :, :5] = 0
    return x, known


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 1, 1), (3, 2, 1), (3, 1, 2), (5, 1, 1), (5, 2, 1)])
def test_equals_the_literal_definition(kernel, stride, dilation):
    generator = torch.Generator().manual_seed(0)
    x, known = random_case(3, generator)
    layer = PartialConv2d(3, 4, kernel, stride=stride, dilation=dilation).double()
    torch.nn.init.normal_(layer.bias, generator=generator)
    found, updated = layer(x, known)
    expected, expected_known = literal_partial_conv(x, known.expand_as(x), layer.weight, layer.bias, stride, dilation)
    assert (found - expected).abs().max() < 1e-10
    assert torch.equal(updated, expected_known)
    assert 0 < updated.mean() < 1


def test_groups_with_their_own_masks_count_every_channel():
    generator = torch.Generator().manual_seed(1)
    (x, known_x), (y, known_y) = random_case(2, generator), random_case(3, generator)
    layer = PartialConv2d(5, 4, 3).double()
    torch.nn.init.normal_(layer.bias, generator=generator)
    found, updated = layer([x, y], [known_x, known_y])
    masks = torch.cat([known_x.expand_as(x), known_y.expand_as(y)], 1)
    expected, expected_known = literal_partial_conv(torch.cat([x, y], 1), masks, layer.weight, layer.bias, 1, 1)
    assert (found - expected).abs().max() < 1e-10
    assert torch.equal(updated, expected_known)


def test_groups_without_a_mask_each_are_an_error():
    x, known = random_case(2, torch.Generator().manual_seed(1))
    with pytest.raises(ValueError, match="shorter"):
        PartialConv2d(4, 1, 3).double()([x, x], [known])


def test_an_all_ones_mask_gives_an_ordinary_convolution_in_the_interior():
    x = torch.randn(1, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    layer = PartialConv2d(3, 4, 3, dilation=2)
    found, updated = layer(x, torch.ones(1, 1, 9, 9))
    ordinary = F.conv2d(x, layer.weight, layer.bias, dilation=2)
    assert torch.allclose(found[..., 2:-2, 2:-2], ordinary, atol=1e-5)
    assert updated.min() == 1


def test_a_constant_map_stays_constant_up_to_the_borders():
    layer = PartialConv2d(1, 1, 3, bias=False)
    torch.nn.init.constant_(layer.weight, 1 / 9)
    found, _ = layer(torch.full((1, 1, 5, 5), 2.0), torch.ones(1, 1, 5, 5))
    assert torch.allclose(found, torch.full((1, 1, 5, 5), 2.0))


def test_half_precision_divides_by_the_smallest_sums_safely():
    known = torch.zeros(1, 1, 8, 8)
    known[..., 0, 0] = 1
    for dtype in (torch.bfloat16, torch.float16):
        ratio = KnownMap(known).ratio(Window(3), dtype)
        assert ratio.isfinite().all()
        assert ratio.max() == 9


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_window_sums_are_whole_numbers_also_under_autocast(dtype):
    known = torch.ones(1, 1, 20, 20)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        total = window_sum(known, Window(15))
    assert total.dtype == torch.float32
    assert total.max() == 225
    assert total[0, 0, 0, 0] == 64


def test_a_window_sum_is_computed_once_for_all_layers_of_the_same_window(monkeypatch):
    calls = []

    def counted(M, window):
        calls.append(window)
        return window_sum(M, window)

    monkeypatch.setattr("gainbench.nn.partial_conv.window_sum", counted)
    known = KnownMap((torch.arange(64.0) % 3 > 0).float().view(1, 1, 8, 8))
    for _ in range(3):
        known.ratio(Window(3), torch.float32)
        known.updated(Window(3))
        known.ratio(Window(3), torch.bfloat16)
    known.ratio(Window(3, dilation=2), torch.float32)
    assert calls == [Window(3), Window(3, dilation=2)]
    assert known.updated(Window(3)) is known.updated(Window(3))


def test_a_settled_mask_without_holes_costs_nothing_more():
    settled = KnownMap(torch.ones(4, 1, 6, 6)).settled()
    assert settled.full
    assert settled.updated(Window(3)) is settled
    assert settled.updated(Window(3, stride=2)).M.shape == (1, 1, 3, 3)
    holed = KnownMap(torch.eye(6).view(1, 1, 6, 6))
    assert holed.settled() is holed

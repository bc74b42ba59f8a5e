"""Mask-shrinkage priority against a literal reading, position by position."""

import math

import pytest
import torch

from gainbench.gain.priority import (
    Priority,
    border_normal,
    mask_shrinkage_priority,
    mean_gradient,
    priority_update,
    shrink,
)
from gainbench.nn.partial_conv import KnownMap, Window


def literal_normal(M, y, x):
    """Unit gradient of the 3x3 average of one mask (H, W), borders replicated."""
    H, W = M.shape

    def at(v, u):
        return M[min(max(v, 0), H - 1), min(max(u, 0), W - 1)].item()

    def average(v, u):
        v, u = min(max(v, 0), H - 1), min(max(u, 0), W - 1)
        return sum(at(v + i, u + j) for i in (-1, 0, 1) for j in (-1, 0, 1)) / 9

    nx = (average(y, x + 1) - average(y, x - 1)) / 2
    ny = (average(y + 1, x) - average(y - 1, x)) / 2
    return literal_unit(nx, ny)


def literal_unit(x, y):
    norm = math.hypot(x, y)
    return (0.0, 0.0) if norm < 1e-6 else (x / norm, y / norm)


def literal_update(M, features, window, delta, form):
    """P and M_{i+1} of one picture: M (H, W), features (C, H, W)."""
    H, W = M.shape
    half = features.shape[0] // 2
    P, count = torch.zeros(H, W, dtype=torch.float64), torch.zeros(H, W)
    steps = [(i - window.kernel // 2) * window.dilation for i in range(window.kernel)]
    for y in range(H):
        for x in range(W):
            inside = [(y + i, x + j) for i in steps for j in steps if 0 <= y + i < H and 0 <= x + j < W]
            count[y, x] = sum(M[v, u].item() for v, u in inside)
            if M[y, x] == 1 or count[y, x] == 0:
                continue
            gx, gy = features[:half, y, x].mean().item(), features[half:, y, x].mean().item()
            px, py = literal_unit(-gy, gx)
            nx, ny = literal_normal(M, y, x)
            dot = nx * px + ny * py
            P[y, x] = {
                "product": count[y, x].item() * abs(dot),
                "sum": count[y, x].item() / window.size + abs(dot),
                "signed": count[y, x].item() * dot,
            }[form]
    highest = P.max().item()
    after = M.clone()
    for y in range(H):
        for x in range(W):
            if count[y, x] > 0 and (delta == 0 or highest <= 0 or P[y, x] >= delta * highest):
                after[y, x] = 1
    return P, after


def holed_masks():
    M = torch.ones(3, 1, 12, 13, dtype=torch.float64)
    M[0, :, 3:10, 2:11] = 0
    M[0, :, 5, 5] = 1
    M[1, :, :, 6:] = 0
    M[2, :, 0:4, 0:5] = 0
    return M


@pytest.mark.parametrize("form", ["product", "sum", "signed"])
@pytest.mark.parametrize(("delta", "dilation"), [(0.4, 1), (0.4, 2), (0.8, 4), (0.0, 2)])
def test_equals_the_literal_reference(form, delta, dilation):
    M, window = holed_masks(), Window(3, dilation=dilation)
    features = torch.randn(3, 6, 12, 13, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    known = KnownMap(M)
    count = known.sum(window)
    P = mask_shrinkage_priority(M, count, mean_gradient(features), window=window, form=form)
    updated = priority_update(known, window, torch.zeros_like(features), features, Priority(delta=delta, form=form))
    for b in range(3):
        expected_P, expected = literal_update(M[b, 0], features[b], window, delta, form)
        assert (P[b, 0] - expected_P).abs().max() < 1e-10
        assert torch.equal(updated.M[b, 0], expected)


def test_delta_zero_is_the_plain_update():
    M, window = holed_masks(), Window(3, dilation=2)
    features = torch.randn(3, 4, 12, 13, generator=torch.Generator().manual_seed(0))
    known = KnownMap(M)
    for form in ("product", "sum", "signed"):
        updated = priority_update(known, window, features, features, Priority(delta=0.0, form=form))
        assert torch.equal(updated.M, (known.sum(window) > 0).double())


def test_known_positions_never_become_hidden_and_steps_advance_at_most_two_pixels():
    generator = torch.Generator().manual_seed(3)
    M = torch.ones(4, 1, 40, 40)
    M[:, :, 6:34, 8:36] = 0
    for dilation in (2, 4, 8, 16):
        known = KnownMap(M)
        features = torch.randn(4, 4, 40, 40, generator=generator)
        updated = priority_update(known, Window(3, dilation=dilation), features, features, Priority()).M
        assert (updated >= M).all()
        within_two = torch.nn.functional.max_pool2d(M, 5, stride=1, padding=2)
        assert (updated <= within_two).all()
        assert (updated > M).any()
        M = updated


def test_a_hole_in_a_flat_picture_closes_by_plain_updates():
    M = torch.ones(1, 1, 9, 9)
    M[..., 3:6, 3:6] = 0
    flat = torch.zeros(1, 4, 9, 9)
    once = priority_update(KnownMap(M), Window(3), flat, flat, Priority())
    assert once.M.sum() == 80
    twice = priority_update(once, Window(3), flat, flat, Priority())
    assert twice.M.min() == 1


def test_a_flat_picture_does_not_loosen_its_neighbour_in_the_batch():
    M = torch.ones(2, 1, 12, 12)
    M[..., 3:9, 3:9] = 0
    features = torch.zeros(2, 2, 12, 12)
    features[1, 0] = 1.0
    together = priority_update(KnownMap(M), Window(3), features, features, Priority()).M
    alone = priority_update(KnownMap(M[1:]), Window(3), features[1:], features[1:], Priority()).M
    assert torch.equal(together[1:], alone)
    assert together[0].sum() > together[1].sum()


def test_lines_that_cross_the_border_are_continued_first():
    # A vertical edge in the picture (gradient along x) runs along y: it hits the upper and lower borders of the hole
    # head on, and runs along its left and right borders.
    M = torch.ones(1, 1, 15, 15)
    M[..., 4:11, 4:11] = 0
    features = torch.zeros(1, 2, 15, 15)
    features[:, 0] = 1.0
    updated = priority_update(KnownMap(M), Window(3), features, features, Priority()).M[0, 0]
    assert updated[4, 7] == 1
    assert updated[10, 7] == 1
    assert updated[7, 4] == 0
    assert updated[7, 10] == 0


def test_the_normal_points_from_the_hole_into_the_known_part():
    M = torch.ones(1, 1, 8, 8)
    M[..., 4:] = 0
    normal = border_normal(M)
    assert torch.allclose(normal[0, :, 3, 4], torch.tensor([-1.0, 0.0]))
    assert (normal[..., 7] == 0).all()


def test_gradient_of_the_input_is_averaged_over_the_known_part_of_the_window():
    M = torch.ones(1, 1, 9, 9)
    M[..., 3:6, 3:6] = 0
    grad = torch.zeros(1, 2, 9, 9)
    grad[:, 0] = 1.0
    poisoned = torch.where(M > 0, grad, torch.full_like(grad, -50.0))
    of_input = priority_update(KnownMap(M), Window(3), poisoned, torch.zeros_like(grad), Priority(source="grad")).M
    of_output = priority_update(KnownMap(M), Window(3), torch.zeros_like(grad), grad, Priority()).M
    assert torch.equal(of_input, of_output)


def test_shrink_keeps_unreachable_positions_hidden():
    M = torch.zeros(1, 1, 7, 7)
    M[..., 0, 0] = 1
    count = KnownMap(M).sum(Window(3))
    assert shrink(M, count, torch.zeros_like(M), 0.4).sum() == 4


def test_nothing_is_differentiated():
    features = torch.randn(3, 4, 12, 13, requires_grad=True)
    updated = priority_update(KnownMap(holed_masks()), Window(3), features, features, Priority())
    assert not updated.M.requires_grad

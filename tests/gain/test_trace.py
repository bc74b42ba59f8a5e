"""What is seen of a forward pass: the pass itself is the same, masks and priorities are those that were used."""

from itertools import pairwise

import pytest
import torch

from gainbench.gain.method import GAIN, GAINParams
from gainbench.spec import Scale

SMALL = Scale(name="small", size=128, base=2, batch=1, iterations=1, test_pictures=1)


def build(**params):
    torch.manual_seed(0)
    return GAIN(GAINParams(**params), SMALL).eval()


@pytest.fixture(scope="module")
def scene():
    generator = torch.Generator().manual_seed(0)
    image = torch.nn.functional.interpolate(
        torch.rand(2, 3, 9, 9, generator=generator), size=(128, 128), mode="bicubic"
    )
    known = torch.ones(2, 1, 128, 128)
    known[0, :, 20:100, 30:90], known[1, :, 40:64, 40:64] = 0, 0
    return image.clamp(0, 1) * known, known


def traced(method, scene):
    with torch.no_grad():
        return method.trace(*scene)


def window_has_known(known, window):
    """Known where anything in the window is: the plain update, literally."""
    reach, (height, width), held = window.kernel // 2, known.shape, known.tolist()
    after = torch.zeros(-(-height // window.stride), -(-width // window.stride))
    for y in range(after.shape[0]):
        for x in range(after.shape[1]):
            rows = [y * window.stride + step * window.dilation for step in range(-reach, reach + 1)]
            columns = [x * window.stride + step * window.dilation for step in range(-reach, reach + 1)]
            after[y, x] = any(
                held[row][column] for row in rows for column in columns if 0 <= row < height and 0 <= column < width
            )
    return after


def test_a_trace_changes_no_bit_of_the_output_and_leaves_nothing_behind(scene):
    method = build()
    with torch.no_grad():
        expected = method.inpaint(*scene)
    assert torch.equal(traced(method, scene).image, expected)
    assert not any(module._forward_hooks for module in method.modules())


def test_steps_are_the_blocks_of_branch_one_in_order(scene):
    steps = traced(build(), scene).steps
    assert [step.name for step in steps[:5]] == [
        *("encoder 1", "encoder 2", "encoder 3", "block 1, conv 1", "block 1, conv 2"),
    ]
    assert len(steps) == 3 + 24
    assert [step.window.dilation for step in steps[3:]] == [1, 2, 4, 8] * 6
    assert [tuple(step.known.shape[2:]) for step in steps[:4]] == [(128, 128), (64, 64), (32, 32), (32, 32)]


def test_with_delta_zero_every_step_is_the_plain_update_and_has_no_priority(scene):
    known = scene[1][0, 0]
    for step in traced(build(delta=0), scene).steps[:6]:
        known = window_has_known(known, step.window)
        assert torch.equal(step.known[0, 0], known)
        assert step.priority is None


def test_priorities_are_those_that_chose(scene):
    """In a dilation block: M' is M, and where P reaches delta of its largest value in the picture."""
    steps = traced(build(delta=0.6), scene).steps
    ranked = [(before, step) for before, step in pairwise(steps) if step.priority is not None]
    assert ranked
    assert all(step.name.startswith("block") for _, step in ranked)
    for before, step in ranked:
        for M, after, P in zip(before.known[:, 0], step.known[:, 0], step.priority[:, 0], strict=True):
            if P.max() > 0:
                assert torch.equal(after > 0, (M > 0) | ((P > 0) & (0.6 * P.max() <= P)))
                assert P[M > 0].abs().sum() == 0


def test_the_recovered_map_is_the_observed_one_where_that_is_valid(scene):
    method = build()
    grad_0, M_0 = method.guidance.observed(*scene)
    trace = traced(method, scene)
    assert torch.equal(trace.M_0, M_0)
    assert torch.equal(trace.guidance * M_0, grad_0)
    assert (trace.guidance * (1 - M_0)).abs().sum() > 0


@pytest.mark.parametrize(("params", "count"), [({"guidance": "none"}, 27), ({"branches": "content"}, 11)])
def test_without_guidance_or_branch_one_there_are_masks_and_no_priorities(scene, params, count):
    trace = traced(build(**params), scene)
    assert len(trace.steps) == count
    assert all(step.priority is None for step in trace.steps)
    assert trace.guidance.shape[1] == (0 if "guidance" in params else 2)


def test_shrinkage_is_the_same_masks(scene):
    method = build()
    with torch.no_grad():
        shrinkage = method.shrinkage(*scene)
    steps = traced(method, scene).steps
    assert list(shrinkage) == [step.name for step in steps]
    assert all(torch.equal(shrinkage[step.name], step.known) for step in steps)

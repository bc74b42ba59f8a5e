"""Speed and memory of GAIN's parts as ratios in one run: what masks, exchange and attention add to bare arithmetic."""

import json
import os
import statistics
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gainbench.gain.block import GAIBlock
from gainbench.gain.priority import Priority
from gainbench.nn.attention import ContextualAttention
from gainbench.nn.partial_conv import KnownMap, Window
from gainbench.training.loop import memory_format
from gainbench.training.precision import bf16_is_fast

pytestmark = pytest.mark.benchmark

LARGE = {"batch": 1, "channels": 128, "side": 64}
SMALL = {"batch": 8, "channels": 32, "side": 16}


CPU = torch.device("cpu")
FAST_BF16 = bf16_is_fast(CPU)
PRECISIONS = [
    "fp32",
    pytest.param("bf16", marks=pytest.mark.skipif(not FAST_BF16, reason="this CPU has no bfloat16 instructions")),
]


def in_precision(precision, action):
    """The action as a training of that precision would run it."""

    def run():
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            return action()

    return run


class MultiChannelPartialConv(nn.Module):
    """Partial convolution as it is commonly written: a mask for every feature, and a convolution of the masks.

    The convolution adds the bias, which is taken off again before the ratio.
    """

    def __init__(self, inputs, outputs, dilation):
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
        self.register_buffer("ones", torch.ones(outputs, inputs, 3, 3))

    def forward(self, x, mask):
        c = self.convolution
        with torch.no_grad():
            count = F.conv2d(mask, self.ones, padding=c.padding, dilation=c.dilation)
            valid = count.clamp(0, 1)
            ratio = valid * self.ones[0].numel() / (count + 1e-8)
        bias = c.bias.view(1, -1, 1, 1)
        return ((c(x * mask) - bias) * ratio + bias) * valid, valid


class LiteralBlock(nn.Module):
    """Four such convolutions in a row, as the equations of the GAI-Block are written."""

    def __init__(self, channels, dilation):
        super().__init__()
        c, g = channels, 2 * channels
        self.II, self.GG = MultiChannelPartialConv(c, c, dilation), MultiChannelPartialConv(g, g, dilation)
        self.GI, self.IG = MultiChannelPartialConv(g, c, dilation), MultiChannelPartialConv(g, g, 1)
        taps = torch.tensor([[0.0, 0.0, 0.0], [-0.5, 0.0, 0.5], [0.0, 0.0, 0.0]])
        self.register_buffer("taps", torch.stack([taps] * c + [taps.T] * c).unsqueeze(1))
        self.register_buffer("window", torch.ones(g, 1, 3, 3))

    def forward(self, x, grad, mask):
        c, g = x.shape[1], grad.shape[1]
        layout = torch.contiguous_format if x.is_contiguous() else torch.channels_last
        of_image, of_grad = (mask.expand(-1, n, -1, -1).contiguous(memory_format=layout) for n in (c, g))
        I_prime, after = self.II(x, of_image)
        grad_prime, _ = self.GG(grad, of_grad)
        I_next = I_prime + self.GI(grad, of_grad)[0]
        padded = F.pad(torch.cat([I_prime, I_prime], 1), (1, 1, 1, 1), mode="replicate")
        gradient = F.conv2d(padded, self.taps, groups=g)
        with torch.no_grad():
            known = F.pad(torch.cat([after, after], 1), (1, 1, 1, 1), value=1.0)
            seen = (F.conv2d(known, self.window, groups=g) == 9).float()
        return F.elu(I_next), F.elu(grad_prime + self.IG(gradient, seen)[0])


def block_case(batch, channels, side, *, precision="fp32", priority=None, dilation=2):
    """A block, its inputs with a hole of a quarter of the map, and output gradients, laid out as a training does."""
    layout = memory_format(CPU, precision)
    torch.manual_seed(0)
    block = GAIBlock(
        in_image=channels,
        in_grad=2 * channels,
        out_image=channels,
        out_grad=2 * channels,
        window=Window(3, dilation=dilation),
        priority=priority,
    ).to(memory_format=layout)

    def noise():
        return [torch.randn(batch, width * channels, side, side).to(memory_format=layout) for width in (1, 2)]

    flows = [flow.requires_grad_() for flow in noise()]
    upstream = noise()
    known = torch.ones(batch, 1, side, side)
    known[..., side // 4 : 3 * side // 4, side // 4 : 3 * side // 4] = 0
    return block, flows, upstream, known


def bare_convolutions(block, flows, upstream, dilation=2):
    """II, GG and GI in one, and IG: the same shapes, nothing else."""
    I, grad = flows  # noqa: E741
    between = torch.randn_like(grad, requires_grad=True)
    weights = [w.detach().clone().requires_grad_() for w in (block.weight_II, block.weight_G, block.weight_IG)]
    both = torch.cat([upstream[1], upstream[0]], 1)

    def run():
        outputs = (
            F.conv2d(I, weights[0], padding=dilation, dilation=dilation),
            F.conv2d(grad, weights[1], padding=dilation, dilation=dilation),
            F.conv2d(between, weights[2], padding=1),
        )
        targets = [gradient.to(outputs[0].dtype) for gradient in (upstream[0], both, upstream[1])]
        torch.autograd.grad(outputs, [I, grad, between, *weights], targets)

    return run


def block_step(block, flows, upstream, known):
    inputs = [*flows, *block.parameters()]

    def run():
        outputs = block(*flows, KnownMap(known).settled())[:2]
        targets = [gradient.to(outputs[0].dtype) for gradient in upstream]
        torch.autograd.grad(outputs, inputs, targets)

    return run


@pytest.mark.parametrize(
    ("shape", "limit", "repetitions"), [(LARGE, 1.15, 7), (SMALL, 1.35, 80)], ids=["128-256 at 64", "32-64 at 16"]
)
@pytest.mark.parametrize("hole", [True, False], ids=["hole", "no hole"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_block_costs_little_more_than_its_convolutions(
    shape, limit, repetitions, hole, precision, cost_ratio, record_property
):
    block, flows, upstream, known = block_case(**shape, precision=precision)
    known = known if hole else torch.ones_like(known)
    ratio = cost_ratio(
        in_precision(precision, bare_convolutions(block, flows, upstream)),
        in_precision(precision, block_step(block, flows, upstream, known)),
        repetitions=repetitions,
    )
    record_property("ratio", ratio)
    assert ratio <= limit


def test_the_priority_adds_little_to_a_block(cost_ratio, record_property):
    plain, ranked = (block_case(**SMALL, priority=priority) for priority in (None, Priority()))
    ratio = cost_ratio(block_step(*plain), block_step(*ranked), repetitions=60)
    record_property("ratio", ratio)
    assert ratio <= 1.25


def literal_step(shape, precision, flows, upstream, known):
    literal = LiteralBlock(shape["channels"], 2).to(memory_format=memory_format(CPU, precision))
    inputs = [*flows, *literal.parameters()]

    def run():
        outputs = literal(*flows, known)
        targets = [gradient.to(output.dtype) for gradient, output in zip(upstream, outputs, strict=True)]
        torch.autograd.grad(outputs, inputs, targets)

    return run


def test_a_block_is_faster_than_four_partial_convolutions_with_multi_channel_masks(cost_ratio, record_property):
    gains = {}
    for precision in ("fp32", "bf16") if FAST_BF16 else ("fp32",):
        for shape, repetitions in ((LARGE, 5), (SMALL, 60)):
            block, flows, upstream, known = block_case(**shape, precision=precision)
            gains[f"{precision}, map of {shape['side']}"] = cost_ratio(
                in_precision(precision, block_step(block, flows, upstream, known)),
                in_precision(precision, literal_step(shape, precision, flows, upstream, known)),
                repetitions=repetitions,
            )
    record_property("ratios", gains)
    assert statistics.geometric_mean(gains.values()) >= 1.5


def literal_attention(x, known, scale=10.0):
    """Contextual attention as it is commonly written: a loop over pictures, patches as convolution filters."""
    outputs = []
    for one, mask in zip(x.split(1), known.split(1), strict=True):
        C, H, W = one.shape[1:]
        h, w = H // 2, W // 2
        raw = F.unfold(one, 4, stride=2, padding=1)[0].T.reshape(h * w, C, 4, 4)
        small = one[:, :, ::2, ::2]
        patches = F.unfold(small, 3, padding=1)[0].T.reshape(h * w, C, 3, 3)
        patches = patches / patches.square().sum((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-4)
        scores = F.conv2d(small, patches, padding=1).view(h * w, h * w).T.reshape(1, 1, h * w, h * w)
        identity = torch.eye(3).view(1, 1, 3, 3)
        scores = F.conv2d(scores, identity, padding=1)
        scores = scores.view(h, w, h, w).permute(1, 0, 3, 2).reshape(1, 1, h * w, h * w)
        scores = F.conv2d(scores, identity, padding=1).view(w, h, w, h).permute(1, 0, 3, 2).reshape(h * w, h * w)
        hole = F.max_pool2d(F.max_pool2d(1 - mask, 2), 3, stride=1, padding=1).flatten() > 0
        attention = torch.softmax((scale * scores).masked_fill(hole, -torch.inf), 1)
        outputs.append(F.conv_transpose2d(attention.T.reshape(1, h * w, h, w), raw, stride=2, padding=1) / 4)
    return torch.cat(outputs)


def attention_case(side=64):
    torch.manual_seed(0)
    x = torch.randn(8, 32, side, side, requires_grad=True)
    known = torch.ones(8, 1, side, side)
    known[..., 5 * side // 16 : 5 * side // 8, 5 * side // 16 : 5 * side // 8] = 0
    return x, known, torch.randn(x.shape)


def attention_step(attend, side=64):
    x, known, upstream = attention_case(side)

    def run():
        output = attend(x, known)
        return torch.autograd.grad(output, x, upstream.to(output.dtype))

    return run


@pytest.mark.parametrize("precision", PRECISIONS)
def test_attention_is_faster_than_a_loop_over_pictures(precision, cost_ratio, record_property):
    x, known, _ = attention_case()
    assert (literal_attention(x, known) - ContextualAttention()(x, known)).abs().max() < 1e-3
    ours, literal = (
        in_precision(precision, attention_step(attend)) for attend in (ContextualAttention(), literal_attention)
    )
    ratio = cost_ratio(ours, literal, repetitions=5)
    record_property("ratio", ratio)
    assert ratio >= 2


PEAK = """
import json, resource, sys
import numpy, psutil
sys.path.insert(0, sys.argv[3])
import test_gain_speed as speed
attend = speed.literal_attention if sys.argv[1] == "literal" else speed.ContextualAttention()
step, small = (speed.in_precision(sys.argv[2], speed.attention_step(attend, side)) for side in (64, 16))
# Libraries load code when they are first called.
small()
# Imports may have needed more than is in use now: fill that up, so that the step raises the peak from its first byte.
peak = lambda: 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ballast = numpy.ones(max(0, peak() - psutil.Process().memory_info().rss), numpy.uint8)
before = peak()
step()
print(json.dumps(peak() - before))
"""


@pytest.mark.parametrize("precision", PRECISIONS)
def test_attention_needs_at_most_half_the_memory(precision, request, record_property):
    # What is asked for counts, not what the C library keeps for later: every large block is mapped on its own.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1000000"}
    peaks = []
    for kind in ("literal", "ours"):
        command = [sys.executable, "-c", PEAK, kind, precision, str(request.path.parent)]
        done = subprocess.run(command, check=True, capture_output=True, env=environment)
        peaks.append(json.loads(done.stdout))
    record_property("ratio", peaks[1] / peaks[0])
    assert peaks[1] <= peaks[0] / 2

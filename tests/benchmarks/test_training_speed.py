"""A training iteration of gain beside the bare arithmetic of its networks: data, losses, optimisers and records."""

import copy
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gainbench.data import open_dataset, training_batches
from gainbench.masks.opening import open_protocol
from gainbench.registry import build_method
from gainbench.spec import MaskSpec, MethodSpec, scales
from gainbench.training.loop import memory_format, train
from gainbench.training.precision import bf16_is_fast

pytestmark = [pytest.mark.benchmark, pytest.mark.assets]

CPU = torch.device("cpu")
WARM_UP = 2
"""Iterations not counted: the first ones allocate what the later ones use again."""


def bare_iteration(method, size, batch, precision):
    """Forward and backward passes of the networks alone, on fixed tensors, as often as an iteration needs them.

    The generator, forward and backward, once. Each discriminator: on real and filled maps, to its weights; on
    interpolates in float32, the derivative with respect to the map differentiated again (the gradient penalty); on
    filled maps, to the map.
    """
    networks = copy.deepcopy(method).to(memory_format=memory_format(CPU, precision)).train()
    draw = torch.Generator().manual_seed(0)

    def noise(*shape):
        return torch.randn(shape, generator=draw)

    known = torch.ones(batch, 1, size, size)
    known[..., size // 4 : 3 * size // 4, size // 4 : 3 * size // 4] = 0
    image, known_0, grad = noise(batch, 3, size, size), known, noise(batch, 2, size, size)
    targets = noise(batch, 3, size, size), noise(batch, 2, size, size)
    maps = {"image": 4, "grad": 3}
    judged = {flow: noise(2 * batch, channels, size, size) for flow, channels in maps.items()}
    generator = list(networks.network.parameters())

    def autocast():
        return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")

    def run():
        with autocast():
            outputs = networks.network(image, known, grad, known_0)
        torch.autograd.grad(outputs, generator, [t.to(o.dtype) for t, o in zip(targets, outputs, strict=True)])
        for flow, discriminator in networks.discriminators.items():
            weights = list(discriminator.parameters())
            with autocast():
                scores = discriminator(judged[flow])
            torch.autograd.grad(scores, weights, torch.ones_like(scores))
            x = judged[flow][:batch].clone().requires_grad_()
            (slope,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
            torch.autograd.grad(slope, weights, torch.ones_like(slope), allow_unused=True)
            with autocast():
                scores = discriminator(x)
            torch.autograd.grad(scores, x, torch.ones_like(scores))

    return run


def costs(scale, precision, folder: Path, *, iterations: int) -> tuple[list[float], list[float]]:
    """Processor seconds of each iteration of the real loop, and of the bare one, which takes its turn after each."""
    method = build_method(MethodSpec(name="gain"), scale)
    pictures = open_dataset("celeba-999").pictures("train", scale.size)
    holes = open_protocol(MaskSpec())
    bare = bare_iteration(method, scale.size, scale.batch, precision)
    bare()

    def batches(start: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        def draw_known(sample: int):
            return holes.training_known(0, sample, scale.size)

        return training_batches(pictures, draw_known, seed=0, batch=scale.batch, start=start, stop=stop)

    loop, alone = [], []
    begun = time.process_time()

    def progress(_done, _total, _losses):
        nonlocal begun
        now = time.process_time()
        loop.append(now - begun)
        bare()
        begun = time.process_time()
        alone.append(begun - now)

    train(
        method,
        batches,
        iterations=iterations,
        seed=0,
        folder=folder,
        device=CPU,
        precision=precision,
        schedule=scale.schedule,
        progress=progress,
    )
    return loop, alone


@pytest.mark.parametrize(("scale", "iterations"), [("tiny", 14), ("cpu", 8)])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_iteration_costs_little_more_than_its_networks(
    scale, iterations, precision, one_thread, tmp_path, record_property
):
    if precision == "bf16" and not bf16_is_fast(CPU):
        pytest.skip("this CPU has no bfloat16 instructions")
    loop, bare = costs(scales()[scale], precision, tmp_path, iterations=iterations)
    # Sums, not medians: the checkpoint that the last iteration writes counts, though a real training has fewer.
    ratio = sum(loop[WARM_UP:]) / sum(bare[WARM_UP:])
    record_property("ratio", ratio)
    assert ratio <= 1.2

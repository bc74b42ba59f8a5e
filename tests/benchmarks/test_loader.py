"""What preparing a training batch costs beside the least that any loader must do."""

import time
from collections.abc import Callable

import numpy as np
import pytest
import torch

from gainbench.data import open_dataset, training_batches

SIZE, BATCH, ITERATIONS = 64, 8, 200


def seconds(work: Callable[[], object]) -> float:
    """The quickest of five."""
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)


@pytest.mark.assets
@pytest.mark.benchmark
def test_a_batch_costs_little_more_than_its_arithmetic() -> None:
    pictures = open_dataset("orl-400").pictures("train", SIZE)
    known = np.ones((SIZE, SIZE), bool)
    uint8 = np.stack([pictures[index] for index in range(BATCH)])

    def arithmetic() -> None:
        for _ in range(ITERATIONS):
            torch.from_numpy(uint8).permute(0, 3, 1, 2).contiguous().float().div_(255.0)

    def loading() -> None:
        for _ in training_batches(pictures, lambda _: known, seed=0, batch=BATCH, start=0, stop=ITERATIONS):
            pass

    for index in range(len(pictures)):
        pictures[index]
    assert seconds(loading) < 15 * seconds(arithmetic)

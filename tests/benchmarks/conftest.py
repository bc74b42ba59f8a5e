"""How the benchmarks of GAIN take time."""

import statistics
import time
from collections.abc import Callable

import pytest
import torch

Action = Callable[[], object]


@pytest.fixture
def one_thread():
    """One thread, so that the process's processor time is what an action costs, however busy the machine is."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    # glibc keeps freed memory only up to twice the largest block that it has seen freed, and a training frees larger
    # ones than these actions; without it they would measure how fast the system hands out pages.
    torch.empty(30_000_000, dtype=torch.uint8)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def cost_ratio(one_thread) -> Callable[..., float]:
    """``cost_ratio(one, other, repetitions=n)``: what the other costs, in units of the one.

    Processor time, not wall time: others may hold the processor in between. They share its caches and memory too, so
    both actions take turns and the median of the pairs' ratios counts.
    """

    def seconds(action: Action) -> float:
        begun = time.process_time()
        action()
        return time.process_time() - begun

    def ratio(one: Action, other: Action, *, repetitions: int) -> float:
        one()
        other()
        pairs = [(seconds(one), seconds(other)) for _ in range(repetitions)]
        return statistics.median(second / first for first, second in pairs)

    return ratio

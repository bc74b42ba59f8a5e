"""How metric networks are run: always on the same number of pictures, in full float32."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NETWORK_BATCH = 4
"""Pictures per forward pass of a metric's network.

Convolution libraries choose their kernels, and so the last bits, by the batch's size. With one size for all, a
picture's value does not depend on which pictures are measured beside it, nor on how many. Four is also where a CPU is
quickest.
"""


def fixed_batches(
    pictures: NDArray[np.uint8] | NDArray[np.float32], device: torch.device
) -> Iterator[tuple[Tensor, int]]:
    """Pictures as float tensors, :data:`NETWORK_BATCH` at a time; the last picture repeats where they run out.

    Args:
        pictures: uint8 or float32 (N, H, W, 3) in [0, 255].
        device: where the tensors are put.

    Yields:
        float32 (NETWORK_BATCH, 3, H, W) in [0, 255], channels last in memory, and how many of them are not repeats.
    """
    for start in range(0, len(pictures), NETWORK_BATCH):
        # A copy, as the array may be read-only or a reversed view, neither of which torch can share.
        part = torch.from_numpy(pictures[start : start + NETWORK_BATCH].copy()).to(device)
        count = len(part)
        if count < NETWORK_BATCH:
            part = torch.cat([part, part[-1:].expand(NETWORK_BATCH - count, *part.shape[1:])])
        yield part.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last), count


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """No gradients, no autocast, no TF32: a metric's value does not depend on the precision that a method ran in."""
    with (
        torch.inference_mode(),
        torch.autocast("cuda", enabled=False),
        torch.autocast("cpu", enabled=False),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
    ):
        yield

"""Training batches whose content depends on names and numbers alone, prepared ahead by background threads."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gainbench.data.pictures import PictureSet
from gainbench.errors import DataError
from gainbench.keyed import keyed_fraction, keyed_generator

DrawKnown = Callable[[int], NDArray[np.generic]]
"""``draw_known(sample)`` -> bool or 0/1 numbers (size, size), 1 = known; a pure function, called by several threads."""


def training_batches(
    pictures: PictureSet,
    draw_known: DrawKnown,
    *,
    seed: int,
    batch: int,
    start: int,
    stop: int,
    workers: int = 0,
    part: tuple[int, int] = (0, 1),
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of pictures and holes for the iterations ``start`` to ``stop - 1``.

    Sample number ``s = iteration * batch + j`` is the picture at place ``s mod n`` of epoch ``s div n``'s permutation,
    mirrored left to right or not, with the hole ``draw_known(s)``. Permutation and mirroring are pure functions of
    (seed, epoch) and (seed, s), so the same samples come whatever ``batch`` and ``workers`` are, and a training that
    starts at k sees what an uninterrupted one sees from k on. Each epoch shows every picture exactly once.

    Args:
        pictures: what to train on.
        draw_known: the hole of a sample.
        seed: of the order and the mirroring.
        batch: pictures an iteration.
        start: first iteration.
        stop: the iteration after the last.
        workers: threads that prepare batches; there is always one, so 0 and 1 are the same.
        part: (k, n) yields the k-th of n equal parts of each batch alone, k from 0; the parts make up the batch.

    Yields:
        image: float32 (batch / n, 3, size, size) in [0, 1], RGB.
        known: float32 (batch / n, 1, size, size), 1 = known, 0 = hole.

    Raises:
        DataError: at once if there is no picture or a number is out of range; when it is met if ``draw_known`` answers
            with another shape or values, or a file has gone.
    """
    if len(pictures) == 0:
        raise DataError("there is no picture to train on")
    if batch < 1 or start < 0 or stop < start or workers < 0:
        raise DataError(
            f"expected batch >= 1, 0 <= start <= stop and workers >= 0, found {batch}, {start}, {stop} and {workers}"
        )
    number, parts = part
    if not 0 <= number < parts or batch % parts:
        raise DataError(f"expected a batch that {parts} devices can share equally, found {batch} and part {number}")
    share = batch // parts
    order = _SampleOrder(len(pictures), seed)

    def prepare(iteration: int) -> tuple[Tensor, Tensor]:
        first = iteration * batch + number * share
        samples = range(first, first + share)
        images = np.stack([_picture(pictures, order, seed, sample) for sample in samples])
        knowns = np.stack([_known(draw_known, sample, pictures.size) for sample in samples])
        image = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().float().div_(255.0)
        return image, torch.from_numpy(knowns).unsqueeze(1)

    return _prefetched(prepare, start, stop, max(1, workers))


class _SampleOrder:
    """Which picture a sample is."""

    def __init__(self, count: int, seed: int) -> None:
        self._count = count
        self._seed = seed
        self._lock = threading.Lock()
        self._permutation = lru_cache(maxsize=2)(self._permuted)

    def _permuted(self, epoch: int) -> NDArray[np.int64]:
        return keyed_generator("epoch", self._seed, epoch).permutation(self._count)

    def __getitem__(self, sample: int) -> int:
        epoch, place = divmod(sample, self._count)
        with self._lock:
            return int(self._permutation(epoch)[place])


def _picture(pictures: PictureSet, order: _SampleOrder, seed: int, sample: int) -> NDArray[np.uint8]:
    picture = pictures[order[sample]]
    return picture[:, ::-1] if keyed_fraction("flip", seed, sample) < 0.5 else picture


def _known(draw_known: DrawKnown, sample: int, size: int) -> NDArray[np.float32]:
    known = np.asarray(draw_known(sample))
    if known.shape != (size, size):
        raise DataError(f"the hole of sample {sample} has the shape {known.shape}, expected {(size, size)}")
    drawn = known.astype(np.float32)
    if not np.all((drawn == 0.0) | (drawn == 1.0)):
        raise DataError(f"the hole of sample {sample} has values other than 0 (hole) and 1 (known)")
    return drawn


def _prefetched(
    prepare: Callable[[int], tuple[Tensor, Tensor]], start: int, stop: int, threads: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield ``prepare(i)`` in order, with one batch a thread and one more under way."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="gainbench-loader")
    pending: deque[Future[tuple[Tensor, Tensor]]] = deque()
    try:
        for iteration in range(start, stop):
            pending.append(pool.submit(prepare, iteration))
            if len(pending) > threads + 1:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        # Reached too when the consumer stops early: what is under way is not wanted any more.
        pool.shutdown(wait=False, cancel_futures=True)

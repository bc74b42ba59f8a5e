"""A few real iterations of each kind of cell, timed in a process of their own before a run starts.

The process uses the threads and the precision that the cells will use; it writes nothing into the results root. It is
one process, also where several devices are to share a training: with all their threads, or on one of their GPUs.
"""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gainbench.atomic import write_json
from gainbench.errors import GainbenchError, RunError
from gainbench.run.executors import Execution
from gainbench.run.forecast import Kind, Pace, kind_of
from gainbench.spec import CellSpec, Precision

logger = logging.getLogger(__name__)

ITERATIONS_WORTH = 100
"""Training budgets below this are over sooner than they are timed."""

LIMIT_SECONDS = 60.0
"""Wall time for all kinds together; those that are not reached are forecast from their kin."""

KIND_SECONDS = 4.0
"""Iterations of one kind are timed for about this long."""

FEWEST, MOST = 4, 12
"""Iterations of one kind, of which the first and the last are not timed."""


def time_cells(
    specs: Sequence[CellSpec],
    execution: Execution,
    *,
    limit: float = LIMIT_SECONDS,
    telling: Callable[[str], None] | None = None,
) -> dict[Kind, Pace]:
    """Time one cell of each kind; a kind that raises, or is not reached within ``limit``, is left out.

    Args:
        specs: one cell a kind.
        execution: threads and precision to use.
        limit: seconds of wall time for all.
        telling: called with the label of the method that is timed next.

    Raises:
        KeyboardInterrupt: from outside; the timing process is ended first.
    """
    if all(spec.scale.iterations < ITERATIONS_WORTH for spec in specs):
        return {}
    kinds = {spec.key: kind_of(spec) for spec in specs}
    paces: dict[Kind, Pace] = {}
    for note in _notes(_most_telling_first(specs), execution, limit):
        if "next" in note:
            if telling is not None:
                telling(note["next"])
        elif note.get("key") in kinds:
            paces[kinds[note["key"]]] = Pace(note["iteration"], note["rest"], "timed")
    return paces


def _most_telling_first(specs: Sequence[CellSpec]) -> list[CellSpec]:
    """One cell of every method first: another option of a method that is timed can be forecast from that one."""
    first: dict[str, CellSpec] = {}
    for spec in specs:
        first.setdefault(spec.method.name, spec)
    chosen = list(first.values())
    return chosen + [spec for spec in specs if spec not in chosen]


def _notes(specs: Sequence[CellSpec], execution: Execution, limit: float) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="gainbench-") as scratch:
        listed = Path(scratch) / "cells.json"
        write_json(listed, [spec.model_dump(mode="json") for spec in specs])
        command = [sys.executable, "-m", "gainbench", "time-cells", str(listed), "--supervised"]
        command += ["--threads", str(execution.cell_threads), "--precision", execution.precision]
        threads = dict.fromkeys(
            ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(execution.cell_threads)
        )
        with subprocess.Popen(  # noqa: S603 - this very interpreter, arguments of our own making
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | threads,
            start_new_session=True,
        ) as process:
            watchdog = threading.Timer(limit, _end, (process,))
            watchdog.start()
            try:
                for line in process.stdout or ():
                    if (note := _note(line)) is not None:
                        yield note
            finally:
                watchdog.cancel()
                _end(process)


def _note(line: bytes) -> dict[str, Any] | None:
    """What a line says; None if it is no note, or one that was cut short. A forecast is a courtesy that ends no run."""
    try:
        note = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return note if isinstance(note, dict) else None


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def time_listed(path: Path, *, threads: int, precision: Precision) -> Iterator[dict[str, Any]]:
    """The timing process: what it finds of each cell that ``path`` lists, as notes that its parent reads.

    Yields:
        ``{"next": label}`` before each cell; then, once or more often, the later the better, ``{"key": ...,
        "iteration": seconds or None, "rest": seconds or None}``. Of a cell that raises there is none.

    Raises:
        RunError: the file does not list cells.
    """
    begun = time.monotonic()
    import torch  # noqa: PLC0415 - how long this takes is part of what is measured

    from gainbench.run import cell as _loaded  # noqa: F401, PLC0415 - the same

    loading = time.monotonic() - begun
    torch.set_num_threads(threads)
    try:
        specs = TypeAdapter(list[CellSpec]).validate_json(path.read_bytes())
    except ValidationError as error:
        raise RunError(f"{path} does not list cells: {error}") from error
    for spec in specs:
        yield {"next": spec.method.label}
        try:
            for iteration, rest in _timed(spec, precision):
                yield {"key": spec.key, "iteration": iteration, "rest": None if rest is None else rest + loading}
        except GainbenchError:
            logger.exception("%s cannot be timed; its cell will say why", spec.folder_name)
        except Exception:
            logger.exception("%s cannot be timed; its cell will say why", spec.folder_name)


def _timed(spec: CellSpec, precision: Precision) -> Iterator[tuple[float | None, float | None]]:
    """Seconds per iteration and of evaluation, first coarse, then finer."""
    from gainbench.data import open_dataset, training_batches  # noqa: PLC0415 - loads torch
    from gainbench.evaluation import evaluate_method  # noqa: PLC0415 - the same
    from gainbench.masks import build_pairing, open_protocol  # noqa: PLC0415 - only the timing process needs it
    from gainbench.methods import TrainableInpainter  # noqa: PLC0415 - loads torch
    from gainbench.registry import build_method  # noqa: PLC0415 - the same
    from gainbench.run.cell import EVALUATION_BATCH  # noqa: PLC0415 - the same
    from gainbench.run.environment import compute_device  # noqa: PLC0415 - the same
    from gainbench.training import resolve_precision, train  # noqa: PLC0415 - the same

    device = compute_device()
    arithmetic = resolve_precision(precision, device)
    dataset, protocol, size = open_dataset(spec.dataset, spec.data_path), open_protocol(spec.masks), spec.scale.size
    pictures = dataset.pictures("train", size)

    def iterate(count: int) -> float:
        """Seconds per step of a training of ``count`` steps: each of the method's stages gets its share of them."""
        trained = build_method(spec.method, spec.scale, spec.seed, spec.plugin)
        if not isinstance(trained, TrainableInpainter):
            return 0.0
        ends = [time.monotonic()]
        with tempfile.TemporaryDirectory(prefix="gainbench-") as folder:
            train(
                trained,
                lambda start, stop: training_batches(
                    pictures,
                    lambda sample: protocol.training_known(spec.seed, sample, size),
                    seed=spec.seed,
                    batch=spec.scale.batch,
                    start=start,
                    stop=stop,
                ),
                iterations=count,
                seed=spec.seed,
                folder=Path(folder),
                device=device,
                precision=arithmetic,
                schedule=spec.scale.schedule,
                checkpoint_seconds=1e9,
                progress=lambda _done, _total, _losses: ends.append(time.monotonic()),
            )
        # The first step warms up, and the last one writes a checkpoint, which a real training does once a minute.
        return (ends[-2] - ends[1]) / (count - 2) if count > 2 else ends[1] - ends[0]

    method = build_method(spec.method, spec.scale, spec.seed, spec.plugin)
    iteration: float | None = None
    if isinstance(method, TrainableInpainter):
        warm = iterate(2)
        yield warm, None
        iteration = iterate(min(MOST, max(FEWEST, round(KIND_SECONDS / max(warm, 1e-6)))))
        yield iteration, None
    tested = dataset.pictures("test", size, 1)
    pairing = build_pairing(protocol, tested.ids, size=size)
    begun = time.monotonic()
    evaluation = evaluate_method(
        method,
        tested,
        pairing,
        metrics=spec.metrics,
        batch=EVALUATION_BATCH,
        device=device,
        precision=arithmetic,
    )
    once = time.monotonic() - begun
    row = sum(evaluation.ms_per_image[part] for part in ("median", "loading", "metrics")) / 1000
    rows = len(pairing) * len(dataset.pictures("test", size, spec.scale.test_pictures)) / max(1, len(tested))
    yield iteration, once + row * max(0.0, rows - len(pairing))

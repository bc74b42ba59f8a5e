"""One cell: train if there is something to train, evaluate, commit. The same in a process of its own or in this one.

Identity and measurement lie apart: ``rows.parquet`` holds what a rerun on the same machine gives again byte for byte,
``timings.parquet`` what a clock said.
"""

import contextlib
import json
import logging
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from filelock import Timeout

from gainbench.atomic import atomic_path, write_json
from gainbench.data import Dataset, PictureSet
from gainbench.errors import RunError, TrainingError
from gainbench.evaluation import Evaluation, count_cost, evaluate_method, trace_shrinkage
from gainbench.evaluation.metrics.catalogue import METRICS
from gainbench.evaluation.shrinkage import write_shrinkage
from gainbench.masks import MaskProtocol
from gainbench.methods import Inpainter, TrainableInpainter
from gainbench.run.environment import compute_device, describe_environment
from gainbench.run.holding import LOCK_SECONDS, cell_lock, occupied
from gainbench.run.layout import (
    FEATURES,
    PARTIAL_SAMPLES,
    RESULT,
    ROWS,
    SAMPLES,
    SHRINKAGE,
    SPEC,
    TIMINGS,
    TRAINING,
    WEIGHTS,
    cell_folder,
    remove_partial,
)
from gainbench.run.pairings import root_pairing
from gainbench.run.reuse import stage
from gainbench.run.store import read_cell, rows_sha256
from gainbench.run.train_cell import Training, opened_inputs, planned_method, train_cell
from gainbench.run.weights import load_trained
from gainbench.spec import CellResult, CellSpec, Precision
from gainbench.training import resolve_precision

logger = logging.getLogger(__name__)

EVALUATION_BATCH = 8
"""Pictures per forward pass when evaluating: fixed, as sums in another order may differ in the last bit."""

RUNTIME = "runtime_ms"

Progress = Callable[[str, int, int], None]
"""Called with what is being done (``training`` or ``evaluating``), how much of it is done, and how much there is."""


def run_cell(
    spec: CellSpec,
    root: Path,
    *,
    precision: Precision = "auto",
    threads: int | None = None,
    devices: int = 1,
    checkpoint_seconds: float = 60.0,
    progress: Progress | None = None,
) -> CellResult:
    """Bring a cell to its result, using whatever an earlier attempt left.

    A finished cell is returned as it is; one whose result lacks a metric that is asked for now is evaluated again
    with its stored weights; a half-trained one goes on from its checkpoint.

    Args:
        spec: the cell; its hashes must be those of the data, holes and plugin found now.
        root: the results root.
        precision: arithmetic of forward passes; ``auto`` takes bfloat16 where the device computes it natively.
        threads: torch threads on the CPU; None leaves them as they are.
        devices: processes that share a training, on the CPU with so many threads each, or on a GPU each; whatever is
            done by this process alone takes the threads of all.
        checkpoint_seconds: wall time between training checkpoints.
        progress: told how far the cell is.

    Raises:
        RunError: data, holes, method or plugin changed since planning, or another process holds the cell.
        GainbenchError: whatever training or evaluation refuses.
    """
    folder = cell_folder(root, spec)
    folder.mkdir(parents=True, exist_ok=True)
    with _exclusively(folder), _threads(threads and threads * devices):
        # The lock says that nobody is writing now.
        remove_partial(folder)
        stored = read_cell(root, spec)
        if stored.result is not None and stage(stored) == "done":
            return stored.result
        spec = _extended(spec, stored.result)
        write_json(folder / SPEC, spec.model_dump(mode="json"))
        device = compute_device()
        method = planned_method(spec)
        dataset, protocol = opened_inputs(spec)
        work = _Work(spec, root, dataset, protocol, device, resolve_precision(precision, device), progress or _ignore)
        if isinstance(method, TrainableInpainter):
            if not (folder / WEIGHTS).is_file():
                training = Training(device, work.precision, checkpoint_seconds, devices, threads or 1)
                train_cell(
                    spec,
                    root,
                    method,
                    (dataset, protocol),
                    training,
                    lambda done, total: work.progress("training", done, total),
                )
            # Always through the file, into a fresh object: an interrupted cell takes the same path to the same bits.
            try:
                method = build_trained(spec, folder / WEIGHTS)
            except TrainingError as error:
                raise TrainingError(f"{error}; delete {folder / WEIGHTS} to train anew") from error
        return _evaluate(method, work)


def build_trained(spec: CellSpec, weights: Path) -> Inpainter:
    """A cell's method with its weights read from a file.

    Raises:
        RunError: the method or its plugin is not what the cell was planned with.
        TrainingError: as :func:`gainbench.run.weights.load_trained`.
    """
    method = planned_method(spec)
    if isinstance(method, TrainableInpainter):
        load_trained(method, spec.method, spec.scale, weights)
    return method


@dataclass(frozen=True)
class _Work:
    """A cell with everything opened that its key names."""

    spec: CellSpec
    root: Path
    dataset: Dataset
    protocol: MaskProtocol
    device: torch.device
    precision: Literal["fp32", "bf16"]
    progress: Progress

    @property
    def folder(self) -> Path:
        return cell_folder(self.root, self.spec)


def _ignore(_what: str, _done: int, _total: int) -> None: ...


@contextlib.contextmanager
def _exclusively(folder: Path) -> Iterator[None]:
    lock = cell_lock(folder)
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except Timeout as error:
        raise RunError(occupied(folder)) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _extended(spec: CellSpec, result: CellResult | None) -> CellSpec:
    """The cell with every metric that it has or is asked for: suites share cells, and none may lose a column."""
    if result is None:
        return spec
    wanted = {*spec.metrics, *result.spec.metrics}
    metrics = tuple(metric for metric in METRICS if metric in wanted)
    return spec.model_copy(update={"metrics": metrics, "samples": max(spec.samples, result.spec.samples)})


def _evaluate(method: Inpainter, work: _Work) -> CellResult:
    spec, folder, size = work.spec, work.folder, work.spec.scale.size
    pictures = work.dataset.pictures("test", size, spec.scale.test_pictures)
    pairing = root_pairing(work.root, work.protocol, pictures.ids, size=size)
    samples = folder / PARTIAL_SAMPLES
    evaluation = evaluate_method(
        method,
        pictures,
        pairing,
        metrics=spec.metrics,
        batch=EVALUATION_BATCH,
        device=work.device,
        precision=work.precision,
        reference=_reference(work.dataset, size, len(pictures)),
        samples=spec.samples,
        samples_dir=samples,
        progress=lambda done, total: work.progress("evaluating", done, total),
    )
    shrinkage = trace_shrinkage(
        method, pictures, pairing, batch=EVALUATION_BATCH, device=work.device, precision=work.precision
    )
    cost = count_cost(method, size) | _training_cost(folder) | _measured(evaluation)
    # From here to the commit an old result is not whole, so it goes first.
    (folder / RESULT).unlink(missing_ok=True)
    _write_rows(evaluation.rows, folder)
    with atomic_path(folder / FEATURES) as temporary, temporary.open("wb") as opened:
        np.savez_compressed(opened, allow_pickle=False, **evaluation.features)
    (folder / SHRINKAGE).unlink(missing_ok=True)
    if shrinkage is not None:
        write_shrinkage(shrinkage, folder / SHRINKAGE)
    shutil.rmtree(folder / SAMPLES, ignore_errors=True)
    if samples.is_dir():
        samples.rename(folder / SAMPLES)
    result = CellResult(
        key=spec.key,
        spec=spec,
        metrics=tuple(metric for metric in spec.metrics if metric not in evaluation.missing),
        missing=evaluation.missing,
        set_metrics=tuple(_finite(record) for record in evaluation.set_metrics),
        pairing_sha256=pairing.sha256,
        rows_sha256=rows_sha256(folder),
        cost=cost,
        environment=describe_environment(device=work.device, precision=work.precision) | _trained_how(folder),
        oracle=method.oracle,
    )
    write_json(folder / RESULT, result.model_dump(mode="json"))
    return result


def _reference(dataset: Dataset, size: int, count: int) -> PictureSet | None:
    """Other real pictures, as many as are tested: the real-vs-real floor of the set metrics."""
    others = dataset.pictures("train", size, count)
    return others if len(others) == count else None


def _write_rows(rows: pd.DataFrame, folder: Path) -> None:
    for name, table in ((ROWS, rows.drop(columns=RUNTIME)), (TIMINGS, rows[[RUNTIME]])):
        with atomic_path(folder / name) as temporary:
            table.to_parquet(temporary, index=False)


def _trained_how(folder: Path) -> dict[str, Any]:
    """How many devices shared the training, and its arithmetic, if noted; nothing for a method that does not train."""
    if not (folder / TRAINING).is_file():
        return {}
    summary = json.loads((folder / TRAINING).read_text(encoding="utf-8"))
    noted = {"training_precision": summary["precision"]} if summary.get("precision") else {}
    return {"training_devices": summary.get("devices", 1)} | noted


def _training_cost(folder: Path) -> dict[str, float]:
    if not (folder / TRAINING).is_file():
        return {}
    summary = json.loads((folder / TRAINING).read_text(encoding="utf-8"))
    return {"training_iterations": summary["iterations"], "training_seconds": summary["seconds"]}


def _measured(evaluation: Evaluation) -> dict[str, float]:
    speed = {f"ms_per_image_{name}": float(value) for name, value in evaluation.ms_per_image.items()}
    return speed | {"peak_memory_mb": evaluation.peak_memory_mb, "identical": float(evaluation.identical)}


def _finite(record: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: a value that could not be computed, as of too few pictures, is null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in record.items()
    }

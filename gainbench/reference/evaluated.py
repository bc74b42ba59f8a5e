"""Cells of finished runs, evaluated again in the arithmetic that every machine has, whole and half weights alike."""

import hashlib
import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load, save

from gainbench.atomic import write_bytes, write_json
from gainbench.data import DATASETS
from gainbench.evaluation.cost import unread_tensors
from gainbench.methods import TrainableInpainter
from gainbench.run.cell import run_cell
from gainbench.run.layout import TRAINING, TRAINING_LOG, WEIGHTS, cell_folder
from gainbench.run.reference import discard
from gainbench.run.store import StoredCell, read_cell
from gainbench.run.train_cell import planned_method
from gainbench.run.weights import network_metadata
from gainbench.spec import CellSpec
from gainbench.training.checkpoint import LEFT_OUT

PRECISION: Literal["fp32"] = "fp32"
"""Arithmetic of a reference's rows: every processor has it, bfloat16 many only in loops far slower."""

NOTE = "evaluated.json"

Telling = Callable[[str], None]


@dataclass(frozen=True)
class Weighed:
    """A cell evaluated with the weights that may be committed.

    Attributes:
        cell: with rows in float32 arithmetic.
        weights: the file they are of; None for what is not trained, or whose weights are gone.
        trained_sha256: of the weights as they were trained.
        seconds: what evaluating took, training left out.
    """

    cell: StoredCell
    weights: Path | None
    trained_sha256: str | None
    seconds: float


def whole(cell: StoredCell, work: Path, telling: Telling) -> Weighed:
    """A run's cell with its weights as they were trained.

    Args:
        cell: finished.
        work: folder for what is computed here; what an earlier call left in it is used.
        telling: told what takes long.
    """
    path = cell.folder / WEIGHTS
    if not path.is_file():
        return Weighed(cell, None, None, cell.status.seconds)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if cell.result is not None and cell.result.environment.get("precision") == PRECISION:
        trained = cell.result.cost.get("training_seconds", 0.0)
        return Weighed(cell, path, sha256, max(0.0, cell.status.seconds - trained))
    return _evaluated(cell, work / "whole", path.read_bytes, sha256, telling)


def halved(cell: StoredCell, work: Path, telling: Telling) -> Weighed | None:
    """A run's trained cell with its weights at half precision; None if a weight is too large for that.

    The file is half as large, lacks what only training uses, and is what :func:`gainbench.training.load_weights` reads;
    what a network computes is float32 all the same. Arguments as of :func:`whole`.
    """
    content = (cell.folder / WEIGHTS).read_bytes()
    method = planned_method(cell.spec)
    idle = unread_tensors(method, cell.spec.scale.size) if isinstance(method, TrainableInpainter) else set()
    says = network_metadata(cell.spec.method, cell.spec.revision, cell.spec.scale)
    halves = half_precision(content, idle, says)
    if halves is None:
        return None
    return _evaluated(cell, work / "half", lambda: halves, hashlib.sha256(content).hexdigest(), telling)


def half_precision(
    content: bytes, idle: Collection[str] = (), metadata: Mapping[str, str] | None = None
) -> bytes | None:
    """Safetensors with every float32 rounded to the nearest float16; None if one overflows.

    Other types stay as they are. What is small enough to vanish becomes zero: only tables tell whether that matters.

    Args:
        content: safetensors.
        idle: names of tensors to leave out; the file's metadata lists them.
        metadata: what else the file says of itself.
    """
    state = {name: tensor for name, tensor in load(content).items() if name not in idle}
    halves = {name: tensor.half() if tensor.dtype == torch.float32 else tensor for name, tensor in state.items()}
    overflown = [name for name, tensor in halves.items() if bool((tensor.isinf() & ~state[name].isinf()).any())]
    says = {**(metadata or {}), **({LEFT_OUT: json.dumps(sorted(idle))} if idle else {})}
    return None if overflown else _saying(save(halves), says)


def _saying(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """Safetensors with metadata in name order: safetensors' own order changes from one call to the next."""
    if not metadata:
        return content
    size = int.from_bytes(content[:8], "little")
    header = {"__metadata__": dict(sorted(metadata.items())), **json.loads(content[8 : 8 + size])}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def _evaluated(cell: StoredCell, root: Path, weights: Callable[[], bytes], sha256: str, telling: Telling) -> Weighed:
    spec, folder = _without_pictures(cell), cell_folder(root, cell.spec)
    note = _note(folder)
    if note.get("trained_sha256") != sha256:
        discard(folder)
        note = {}
    stored = read_cell(root, spec)
    began = time.monotonic()
    if stored.result is None or not {*spec.metrics} <= {*stored.result.metrics, *stored.result.missing}:
        telling(f"{root.name} weights: evaluating {spec.folder_name}")
        for name in (TRAINING, TRAINING_LOG):
            if (cell.folder / name).is_file():
                write_bytes(folder / name, (cell.folder / name).read_bytes())
        write_bytes(folder / WEIGHTS, weights())
        run_cell(spec, root, precision=PRECISION)
        note = {"trained_sha256": sha256, "seconds": round(time.monotonic() - began, 1)}
        write_json(folder / NOTE, note)
    return Weighed(read_cell(root, spec), folder / WEIGHTS, sha256, float(note.get("seconds", 0.0)))


def _without_pictures(cell: StoredCell) -> CellSpec:
    """The cell with all its metrics, and with pictures only where they may be shown: others are not even drawn."""
    known = DATASETS.get(cell.spec.dataset)
    metrics = cell.result.spec.metrics if cell.result is not None else cell.spec.metrics
    samples = cell.spec.samples if known is not None and known.publishable else 0
    return cell.spec.model_copy(update={"metrics": metrics, "samples": samples})


def _note(folder: Path) -> dict[str, Any]:
    try:
        read = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}

"""A cell's training: its method built anew, its photographs and holes, and what the training leaves in its folder.

With several devices the training runs in as many processes, started from the cell's own, which waits for them and
evaluates alone. Number and order of pictures in a batch are the same, so the cell is the same, up to rounding.
"""

import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gainbench.atomic import write_json
from gainbench.data import Dataset, open_dataset, training_batches
from gainbench.errors import RunError
from gainbench.masks import MaskProtocol, open_protocol
from gainbench.methods import Inpainter, TrainableInpainter
from gainbench.registry import build_method, plugin_hash
from gainbench.run.layout import CHECKPOINT, SPEC, TRAINING, WEIGHTS, cell_folder, read_model
from gainbench.run.sharing import check_gpus, check_shareable
from gainbench.run.weights import network_metadata
from gainbench.spec import CellSpec, Precision
from gainbench.training import resolve_precision, save_weights, train
from gainbench.training.devices import Devices
from gainbench.training.launch import run_processes, serve

logger = logging.getLogger(__name__)

Told = Callable[[int, int], None]
"""Called with the iterations that are done, and how many there are."""


@dataclass(frozen=True)
class Training:
    """How a cell is trained; nothing here is part of its identity.

    Attributes:
        device: where the one process computes; several find their own.
        precision: arithmetic of forward passes.
        checkpoint_seconds: wall time between checkpoints.
        devices: processes that share each batch.
        threads: torch threads of each of several processes.
    """

    device: torch.device
    precision: Literal["fp32", "bf16"]
    checkpoint_seconds: float
    devices: int = 1
    threads: int = 1


def planned_method(spec: CellSpec) -> Inpainter:
    """The cell's method with its first weights.

    Raises:
        RunError: the method or its plugin is not what the cell was planned with.
        MethodError: it cannot be built.
    """
    if spec.plugin is not None and plugin_hash(spec.plugin) != spec.plugin_hash:
        raise RunError(f"{spec.plugin} changed since the run was planned; run again")
    method = build_method(spec.method, spec.scale, spec.seed, spec.plugin)
    if method.revision != spec.revision:
        raise RunError(
            f"{spec.method.name} is at revision {method.revision}, planned was {spec.revision}: run again to plan anew"
        )
    return method


def opened_inputs(spec: CellSpec) -> tuple[Dataset, MaskProtocol]:
    """A cell's photographs and holes.

    Raises:
        RunError: they are not those that the cell was planned with.
        DataError: the photographs cannot be opened.
        MaskError: the hole protocol cannot be opened.
    """
    dataset, protocol = open_dataset(spec.dataset, spec.data_path), open_protocol(spec.masks)
    if dataset.manifest.hash != spec.manifest_hash:
        raise RunError(f"the photographs of {spec.dataset} changed since the run was planned; run again to plan anew")
    if protocol.hash != spec.mask_hash:
        raise RunError(f"the holes of {spec.masks.protocol} changed since the run was planned; run again to plan anew")
    return dataset, protocol


def train_cell(  # noqa: PLR0917 - all that a training is made of
    spec: CellSpec,
    root: Path,
    method: TrainableInpainter,
    inputs: tuple[Dataset, MaskProtocol],
    training: Training,
    told: Told,
) -> None:
    """Train a cell, in this process or in several of their own, and write its weights.

    Args:
        spec: the cell; its folder holds ``spec.json`` already.
        root: the results root.
        method: with its first weights; several processes build their own.
        inputs: photographs and holes; the same.
        training: how.
        told: how far it is.

    Raises:
        RunError: a batch that the devices cannot share equally, fewer GPUs than devices, or no accelerate.
        GainbenchError: whatever training refuses, in any of the processes.
    """
    if training.devices == 1:
        _train(spec, cell_folder(root, spec), method, inputs, training, told, Devices())
        return
    check_shareable(spec.scale, training.devices)
    check_gpus(torch.cuda.device_count() if torch.cuda.is_available() else 0, training.devices)
    command = [sys.executable, "-m", "gainbench", "train-part", str(cell_folder(root, spec) / SPEC), "--out", str(root)]
    command += ["--precision", training.precision, "--checkpoint-seconds", str(training.checkpoint_seconds)]
    run_processes(command, count=training.devices, threads=training.threads, progress=told)


def train_part(spec_path: Path, root: Path, *, precision: Precision, checkpoint_seconds: float) -> None:
    """One of the processes that share a cell's training; see :func:`gainbench.training.launch.serve`.

    Raises:
        RunError: the file does not describe a cell.
        GainbenchError: whatever training refuses.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")

    def work(devices: Devices, tell: Told) -> None:
        # Within what is told of failures: a plugin that changed is a cause like any other.
        spec = read_model(spec_path, CellSpec)
        method = planned_method(spec)
        if not isinstance(method, TrainableInpainter):
            raise RunError(f"{spec.method.label} has nothing to train")
        training = Training(
            devices.device, resolve_precision(precision, devices.device), checkpoint_seconds, devices.count
        )
        _train(spec, cell_folder(root, spec), method, opened_inputs(spec), training, tell, devices)

    serve(work, cpu=not torch.cuda.is_available())


def _train(  # noqa: PLR0917 - the same, and the processes
    spec: CellSpec,
    folder: Path,
    method: TrainableInpainter,
    inputs: tuple[Dataset, MaskProtocol],
    training: Training,
    told: Told,
    devices: Devices,
) -> None:
    dataset, protocol = inputs
    pictures = dataset.pictures("train", spec.scale.size)

    def draw_known(sample: int) -> npt.NDArray[np.bool_]:
        return protocol.training_known(spec.seed, sample, spec.scale.size)

    def batches(start: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        return training_batches(
            pictures,
            draw_known,
            seed=spec.seed,
            batch=spec.scale.batch,
            start=start,
            stop=stop,
            part=(devices.rank, devices.count),
        )

    summary = train(
        method,
        batches,
        iterations=spec.scale.iterations,
        seed=spec.seed,
        folder=folder,
        device=training.device,
        precision=training.precision,
        schedule=spec.scale.schedule,
        checkpoint_seconds=training.checkpoint_seconds,
        progress=lambda done, total, _losses: told(done, total),
        devices=devices,
    )
    if devices.main:
        write_json(folder / TRAINING, asdict(summary))
        save_weights(method, folder / WEIGHTS, network_metadata(spec.method, spec.revision, spec.scale))
        shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)

"""The training loop: read a batch, step each phase, log, checkpoint. The same for every method."""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from gainbench.errors import DivergedError, TrainingError
from gainbench.methods import Batch, Phase, TrainableInpainter
from gainbench.training.batch_norm import whole_batch_statistics
from gainbench.training.checkpoint import load_checkpoint, random_state, restore_random_state, save_checkpoint
from gainbench.training.devices import Devices
from gainbench.training.log import TrainingLog

logger = logging.getLogger(__name__)

CLIP_NORM = 1000.0
"""Gradient norm per phase above which gradients are scaled down.

Style losses reach 650 in their first steps (partial_conv at 128 px); the bound lies above, and only tames accidents."""

Schedule = Literal["constant", "linear"]

BatchSource = Callable[[int, int], Iterator[tuple[Tensor, Tensor]]]
"""``batches(start, stop)`` yields (image (B,3,H,W), known (B,1,H,W)) for the iterations start ... stop - 1; on
several devices, this process's part of each batch, all parts being equal."""


@dataclass(frozen=True)
class TrainingSummary:
    """What a finished training is known by.

    Attributes:
        iterations: steps taken in all.
        seconds: wall time in all, resumed parts included.
        losses: the terms of the last record, which are those of the phases that were active at its step.
        devices: processes that shared each batch.
        precision: arithmetic of forward passes; None where it was not noted.
    """

    iterations: int
    seconds: float
    losses: dict[str, float]
    devices: int = 1
    precision: Literal["fp32", "bf16"] | None = None


def train(
    method: TrainableInpainter,
    batches: BatchSource,
    *,
    iterations: int,
    seed: int,
    folder: Path,
    device: torch.device,
    precision: Literal["fp32", "bf16"] = "fp32",
    schedule: Schedule = "constant",
    checkpoint_seconds: float = 60.0,
    log_every: int = 10,
    tensorboard: bool = False,
    progress: Callable[[int, int, dict[str, float]], None] | None = None,
    devices: Devices | None = None,
) -> TrainingSummary:
    """Train a method, going on from the newest checkpoint in ``folder`` if there is one.

    The result depends on the method's initial weights, ``batches``, ``iterations`` and ``seed``, never on where the
    training was interrupted: on one machine a resumed training ends with the same bits as an uninterrupted one.

    On several devices every process calls this with its part of each batch. Gradients are averaged and batch norm takes
    its statistics over all parts, so the weights are those of one device up to rounding, unless the losses draw random
    numbers of their own. A checkpoint of another number of devices is resumed: it goes on as if by another rounding.

    Args:
        method: its weights are changed in place; it is left in evaluation mode.
        batches: the source of training pictures and holes.
        iterations: how many in all, from the very start.
        seed: of the random numbers that losses draw.
        folder: holds ``checkpoint/`` and ``training.jsonl``.
        device: where to compute.
        precision: ``bf16`` computes forward passes under autocast.
        schedule: ``linear`` lets each phase's learning rate fall to zero over its window.
        checkpoint_seconds: wall time between checkpoints; 0 writes one after every step.
        log_every: steps between log records.
        tensorboard: write TensorBoard events too.
        progress: called after every step with (steps done, iterations, losses of the last record).
        devices: the processes that share each batch; None is this one alone. Only the main one writes files.

    Raises:
        DivergedError: a loss or gradient that is not finite.
        TrainingError: a checkpoint that does not fit or is of more steps than ``iterations``, phases of the same name
            or without parameters.
    """
    devices = devices or Devices()
    phases = method.phases()
    layout = memory_format(device, precision)
    method.to(device=device, memory_format=layout)  # type: ignore[call-overload]
    optimisers = {phase.name: _optimiser(phase) for phase in phases}
    if len(optimisers) != len(phases):
        raise TrainingError(f"{method.name} has phases of the same name: {[phase.name for phase in phases]}")
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    # All processes read one checkpoint: after the main one wrote the last, before it writes the next.
    devices.meet()
    start, seconds, losses = _resumed(folder / "checkpoint", method, optimisers, iterations)
    devices.take_from_main(method.state_dict().values())
    method.train()
    begun = saved = time.monotonic()
    with contextlib.ExitStack() as opened:
        opened.enter_context(whole_batch_statistics(method, devices))
        log = (
            TrainingLog(folder / "training.jsonl", resumed_at=start, tensorboard=tensorboard) if devices.main else None
        )
        if log is not None:
            opened.enter_context(log)
        for step, (image, known) in enumerate(batches(start, iterations), start=start):
            devices.seed_step(seed, step)
            batch = Batch(
                image.to(device, memory_format=layout),
                known.to(device, memory_format=layout),
                first=devices.rank * len(image),
                shared_mean=devices.mean,
            )
            terms: dict[str, Tensor] = {}
            for phase in phases:
                if (rate := _rate(phase, step, iterations, schedule)) is not None:
                    _set_rate(optimisers[phase.name], rate)
                    terms |= _step(
                        phase, optimisers[phase.name], batch, step, devices, device=device, precision=precision
                    )
            done = step + 1
            if done % log_every == 0 or done in {1, iterations}:
                losses = devices.mean_numbers(terms)
                if log is not None:
                    log.write({"step": done, "seconds": round(seconds + time.monotonic() - begun, 3), **losses})
            if devices.main and (time.monotonic() - saved >= checkpoint_seconds or done == iterations):
                save_checkpoint(
                    folder / "checkpoint",
                    done,
                    method,
                    {
                        "seconds": seconds + time.monotonic() - begun,
                        "losses": losses,
                        "optimisers": {name: optimiser.state_dict() for name, optimiser in optimisers.items()},
                        "random": random_state(),
                    },
                )
                saved = time.monotonic()
            if progress is not None:
                progress(done, iterations, losses)
    method.eval()
    return TrainingSummary(iterations, seconds + time.monotonic() - begun, losses, devices.count, precision)


def _resumed(
    checkpoint: Path, method: TrainableInpainter, optimisers: dict[str, torch.optim.Adam], iterations: int
) -> tuple[int, float, dict[str, float]]:
    """Steps done, seconds and last losses of the newest checkpoint, with all that it holds put back in place."""
    if (state := load_checkpoint(checkpoint, method)) is None:
        return 0, 0.0, {}
    way_out = f"delete {checkpoint} to train anew"
    if state["step"] > iterations:
        raise TrainingError(
            f"{checkpoint} is of step {state['step']}, beyond the {iterations} iterations asked for; ask for more, or "
            f"{way_out}"
        )
    kept = state["optimisers"]
    if kept.keys() != optimisers.keys():
        raise TrainingError(
            f"{checkpoint} is of the phases {sorted(kept)}, but {method.name} has {sorted(optimisers)}; {way_out}"
        )
    for name, optimiser in optimisers.items():
        try:
            optimiser.load_state_dict(kept[name])
        except ValueError as error:
            raise TrainingError(
                f"{checkpoint} does not fit the parameters of phase {name!r} ({error}); {way_out}"
            ) from error
    restore_random_state(state["random"])
    return state["step"], state["seconds"], state["losses"]


def memory_format(device: torch.device, precision: Literal["fp32", "bf16"]) -> torch.memory_format:
    """Channels last, except in bfloat16 on the CPU.

    There oneDNN (seen with torch 2.14.1 and AMX) gets the weight gradients of dilated convolutions wrong when channels
    come last: off by 10 to 60 % of their norm, and not numbers in places, at 27, 40, 53, 106 or 216 channels of 32 x 32
    pixels. The same convolutions in the contiguous layout are right to rounding.
    """
    return torch.contiguous_format if device.type == "cpu" and precision == "bf16" else torch.channels_last


def _rate(phase: Phase, step: int, iterations: int, schedule: Schedule) -> float | None:
    """The phase's learning rate at a step, or None where the phase is not active."""
    first, last = (round(fraction * iterations) for fraction in phase.window)
    if not first <= step < last:
        return None
    return phase.lr * (last - step) / (last - first) if schedule == "linear" else phase.lr


def _set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate


def trained_parameters(phase: Phase) -> list[nn.Parameter]:
    """What a phase trains: its modules' parameters, each once, without those that are frozen.

    Raises:
        TrainingError: there is none.
    """
    unique = {id(parameter): parameter for module in phase.modules for parameter in module.parameters()}
    found = [parameter for parameter in unique.values() if parameter.requires_grad]
    if not found:
        raise TrainingError(f"phase {phase.name!r} has no parameters to train")
    return found


def _optimiser(phase: Phase) -> torch.optim.Adam:
    return torch.optim.Adam(trained_parameters(phase), lr=phase.lr, betas=phase.betas, fused=True)


def _step(
    phase: Phase,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    step: int,
    devices: Devices,
    *,
    device: torch.device,
    precision: Literal["fp32", "bf16"],
) -> dict[str, Tensor]:
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        losses = phase.loss(batch, step)
    total = torch.stack([loss.float() for loss in losses.values()]).sum()
    if not math.isfinite(total.item()):
        values = {name: loss.item() for name, loss in losses.items()}
        raise DivergedError(f"phase {phase.name!r} gave a loss that is not finite at step {step}: {values}")
    parameters = trained_parameters(phase)
    optimiser.zero_grad(set_to_none=True)
    # Only this phase's parameters receive gradients; the generator's graph may run through another phase's network.
    torch.autograd.backward(total, inputs=parameters)
    devices.average_gradients(parameters)
    norm = nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
    if not math.isfinite(norm.item()):
        raise DivergedError(
            f"phase {phase.name!r} gave a gradient that is not finite at step {step}: norm {norm.item()}"
        )
    optimiser.step()
    # Running statistics and power iterations move with the data or by rounding: one process's are everybody's.
    devices.take_from_main(buffer for module in phase.modules for buffer in module.buffers())
    record = {f"{phase.name}/{name}": loss.detach() for name, loss in losses.items()}
    return record | {f"{phase.name}/gradient_norm": norm.detach()}

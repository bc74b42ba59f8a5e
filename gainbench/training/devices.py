"""Several processes that train one network, each on its own device with its own part of every batch.

Hugging Face ``accelerate`` forms the process group (nccl between GPUs, gloo between processes on the CPU), places each
process on its device, and sums and sends tensors. Its wrapper of a module is not used: it averages gradients in hooks
on the module's ``forward``, while a phase's loss calls whichever sub-networks it needs, as often as it needs, and
differentiates twice for a gradient penalty. Here gradients are averaged after ``backward``, once a phase.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gainbench.keyed import keyed_generator


class Devices:
    """The processes that share every batch, as one of them sees them; without arguments, one process alone.

    Attributes:
        rank: this process's number, from 0; the main process is 0, and it alone writes files.
        count: how many there are.
        device: where this process computes.
    """

    def __init__(self, rank: int = 0, count: int = 1, device: torch.device | None = None) -> None:
        self.rank = rank
        self.count = count
        self.device = device or torch.device("cpu")

    @property
    def main(self) -> bool:
        """Whether this process writes what is to be kept."""
        return self.rank == 0

    def meet(self) -> None:
        """Wait until every process is here."""
        self.mean(torch.zeros(1, device=self.device))

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over all processes, differentiable; on one device the tensor itself.

        Every process must call it equally often, with tensors of the same shape. The gradient is that of the mean of
        all processes' losses, once gradients of parameters are averaged.
        """
        if self.count == 1:
            return value
        mean: Tensor = _MeanOfProcesses.apply(value)
        return mean

    def mean_numbers(self, values: dict[str, Tensor]) -> dict[str, float]:
        """The means over all processes of scalars, which must have the same names in each."""
        if self.count == 1:
            return {name: float(value) for name, value in values.items()}
        means = self.mean(torch.stack([value.double() for value in values.values()]))
        return dict(zip(values, means.tolist(), strict=True))

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by its mean over all processes, sent as one flat tensor.

        A parameter that got a gradient in some processes only counts as zero in the others; one that got none anywhere
        keeps none, so that the optimiser leaves it alone as it does on one device.
        """
        if self.count == 1:
            return
        found = parameters[0].new_tensor([float(parameter.grad is not None) for parameter in parameters])
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        with torch.no_grad():
            flat = self.mean(torch.cat([found, *(gradient.reshape(-1) for gradient in gradients)]))
            found, *parts = torch.split(flat, [len(parameters), *(parameter.numel() for parameter in parameters)])
            for parameter, gradient, part, share in zip(parameters, gradients, parts, found.tolist(), strict=True):
                if share:
                    parameter.grad = gradient.copy_(part.view_as(gradient))

    def take_from_main(self, tensors: Iterable[Tensor]) -> None:
        """Give tensors the main process's values, in place; tensors of one type are sent as one flat tensor."""
        if self.count == 1:
            return
        from accelerate.utils import broadcast  # noqa: PLC0415 - takes a second, and one device does without

        by_type: dict[torch.dtype, list[Tensor]] = {}
        for tensor in tensors:
            by_type.setdefault(tensor.dtype, []).append(tensor)
        with torch.no_grad():
            for same in by_type.values():
                flat: Tensor = broadcast(torch.cat([tensor.reshape(-1) for tensor in same]))
                parts = torch.split(flat, [tensor.numel() for tensor in same])
                for tensor, part in zip(same, parts, strict=True):
                    tensor.copy_(part.view_as(tensor))

    def seed_step(self, seed: int, step: int) -> None:
        """Seed torch for one step of this process, where there are several.

        Each draws numbers of its own, and no checkpoint needs to know where every one of them was.
        """
        if self.count > 1:
            torch.manual_seed(int(keyed_generator("training", seed, step, self.rank).integers(2**62)))


class _MeanOfProcesses(torch.autograd.Function):
    """Its own derivative: y = mean of x over processes, so dx = mean of dy over processes."""

    @staticmethod
    def forward(_context: Any, value: Tensor) -> Tensor:
        from accelerate.utils import reduce  # noqa: PLC0415 - takes a second, and one device does without

        mean: Tensor = reduce(value.contiguous(), reduction="mean")
        return mean

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        mean: Tensor = _MeanOfProcesses.apply(gradient)
        return mean


def join_devices(*, cpu: bool) -> Devices:
    """Join the process group that this process's environment describes (``RANK``, ``WORLD_SIZE`` and so on).

    Args:
        cpu: compute on the CPU and speak gloo; else on the GPU of ``LOCAL_RANK``, through nccl.
    """
    from accelerate import PartialState  # noqa: PLC0415 - takes a second, and one device does without

    state = PartialState(cpu=cpu)
    device = torch.device("cpu") if cpu else state.device  # accelerate numbers even the CPU
    return Devices(state.process_index, state.num_processes, device)


def leave_devices() -> None:
    """Leave the process group, after the last step."""
    from accelerate import PartialState  # noqa: PLC0415 - takes a second, and one device does without

    PartialState().destroy_process_group()

"""What one picture costs a method: parameters read and multiply-accumulates done."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from gainbench.keyed import keyed_generator
from gainbench.methods import Inpainter, TrainableInpainter


class _StoragesRead(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch does not annotate its modes
    """Remembers which memory the operations inside it were given: a view of a parameter is still the parameter."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.storages: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        for leaf in tree_leaves((args, kwargs or {})):
            if isinstance(leaf, Tensor):
                self.storages.add(leaf.untyped_storage().data_ptr())
        return func(*args, **(kwargs or {}))


def count_cost(method: Inpainter, size: int) -> dict[str, float]:
    """Parameters and multiply-accumulates of completing one square picture with a hole in its middle.

    Args:
        method: a module is put into evaluation mode; its weights stay where they are.
        size: the picture's side in pixels.

    Returns:
        ``parameters``: numbers in the parameters that ``inpaint`` reads: a discriminator or a loss network that only
        training uses does not count. ``macs``: half of the floating-point operations of its convolutions, matrix
        products and attention; element-wise operations, and work outside torch, do not count.
    """
    parameters = list(method.parameters()) if isinstance(method, nn.Module) else []
    read, counter = _completed_once(method, size)
    used = {
        parameter.untyped_storage().data_ptr(): parameter.numel()
        for parameter in parameters
        if parameter.untyped_storage().data_ptr() in read.storages
    }
    return {"parameters": float(sum(used.values())), "macs": counter.get_total_flops() / 2.0}


def unread_tensors(method: TrainableInpainter, size: int) -> set[str]:
    """Names in a method's state that completing one such picture does not read: what only training uses.

    Args:
        method: as of :func:`count_cost`.
        size: the picture's side in pixels.
    """
    read, _ = _completed_once(method, size)
    return {
        name for name, tensor in method.state_dict().items() if tensor.untyped_storage().data_ptr() not in read.storages
    }


def _completed_once(method: Inpainter, size: int) -> tuple[_StoragesRead, FlopCounterMode]:
    device = torch.device("cpu")
    if isinstance(method, nn.Module):
        method.eval()
        device = next((parameter.device for parameter in method.parameters()), device)
    noise = keyed_generator("cost", size).random((1, 3, size, size), dtype="float32")
    known = torch.ones(1, 1, size, size)
    known[..., size // 4 : size - size // 4, size // 4 : size - size // 4] = 0.0
    image = torch.from_numpy(noise) * known
    read, counter = _StoragesRead(), FlopCounterMode(display=False)
    # Not inference mode: there torch hands composite operations over undivided, which the counter does not know.
    forked = [device] if device.type == "cuda" else []
    with torch.no_grad(), torch.random.fork_rng(devices=forked), counter, read:
        method.inpaint(image.to(device), known.to(device))
    return read, counter

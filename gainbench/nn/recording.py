"""Looking at what the layers of a network give, without a word of it in the network."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def recorded_outputs(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Any]]:
    """Name -> output of each of these modules, in the order in which they are called within the context.

    The outputs are those of the last call, not copies. Nothing that the network computes changes.

    Args:
        modules: parts of a network, by the names that are wanted.
    """
    outputs: dict[str, Any] = {}

    def recorder(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def record(_module: nn.Module, _inputs: Any, output: Any) -> None:
            outputs[name] = output

        return record

    handles = [module.register_forward_hook(recorder(name)) for name, module in modules.items()]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()

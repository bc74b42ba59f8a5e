"""What the masks of GAIN's blocks do in one forward pass, seen from outside: the network knows nothing of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gainbench.gain.block import GAIBlock
from gainbench.gain.network import DILATIONS, GAINNetwork
from gainbench.gain.priority import RankedMap
from gainbench.nn.partial_conv import Window
from gainbench.nn.recording import recorded_outputs


@dataclass(frozen=True)
class Step:
    """One GAI-Block's update of the mask.

    Attributes:
        name: ``encoder 1``, or ``block 2, conv 3`` for the third convolution of the second dilation block; counted
            from 1.
        window: of the block.
        known: M_{i+1}, (B or 1, 1, H, W), 1 = known; B may be 1 once nothing is hidden in any picture.
        priority: P, (B, 1, H, W), by which the block chose what to fill; None after a plain update.
    """

    name: str
    window: Window
    known: Tensor
    priority: Tensor | None


def recorded_steps(network: GAINNetwork, run: Callable[[], Any]) -> tuple[Any, tuple[Step, ...]]:
    """Call the network and see how its mask shrinks.

    Args:
        network: the one that ``run`` calls.
        run: one forward pass.

    Returns:
        What ``run`` returned, and the steps of branch 1 in order; of branch 2 in a network that has no other.
    """
    blocks = _named_blocks(network)
    with recorded_outputs(blocks) as outputs:
        returned = run()
    steps = []
    for name, (_, _, known) in outputs.items():
        priority = known.P if isinstance(known, RankedMap) else None
        steps.append(Step(name, blocks[name].window, known.M, priority))
    return returned, tuple(steps)


def _named_blocks(network: GAINNetwork) -> dict[str, GAIBlock]:
    branch = next(branch for branch in (network.structure, network.content) if branch is not None)
    named = {f"encoder {number}": block for number, block in enumerate(branch.encoder, 1)}
    for place, block in enumerate(branch.dilated):
        number, convolution = divmod(place, len(DILATIONS))
        named[f"block {number + 1}, conv {convolution + 1}"] = block
    return {name: block for name, block in named.items() if isinstance(block, GAIBlock)}

"""The contract of a method: what the harness gives, what it expects, and nothing else.

A method is one class. The harness owns device, autocast, optimisers, seeds, logging, checkpoints, gradient clipping and
NaN detection; a method holds none of it. Tensors follow one convention everywhere: ``image`` is float32 (B, 3, H, W) in
[0, 1], RGB; ``known`` is float32 (B, 1, H, W), 1 = known, 0 = hole.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from gainbench.spec import Scale


def _itself(value: Tensor) -> Tensor:
    return value


@dataclass
class Batch:
    """What a loss sees in one training iteration: the whole batch, or one device's part of it.

    On several devices each computes the loss of its part, and gradients are averaged. That is the gradient of the whole
    batch for every loss that is a mean over pictures; one that divides by something else of the batch takes that
    through ``shared_mean``. Terms have the same names on all devices.

    Attributes:
        image: the whole pictures, (B, 3, H, W) in [0, 1]. A loss may compare with them; a network's input must be built
            from ``visible`` and ``known`` alone.
        known: (B, 1, H, W), 1 = known, 0 = hole.
        memo: emptied every iteration; phases share a generator's forward pass through it.
        first: place of the first picture within the whole batch; what is drawn per picture is keyed by it.
        shared_mean: the mean of a tensor over all devices' parts, differentiable; the tensor itself on one device.
    """

    image: Tensor
    known: Tensor
    memo: dict[Hashable, Any] = field(default_factory=dict)
    first: int = 0
    shared_mean: Callable[[Tensor], Tensor] = _itself

    @property
    def visible(self) -> Tensor:
        """The pictures with hidden pixels set to zero: all that a network may read."""
        return self.image * self.known

    def once(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """``compute()`` the first time ``key`` is asked for in this iteration, the stored value afterwards."""
        if key not in self.memo:
            self.memo[key] = compute()
        return self.memo[key]


@dataclass(frozen=True)
class Phase:
    """One optimiser: a loss, the modules it trains, and when.

    Attributes:
        name: unique among the method's phases; prefixes the logged losses.
        modules: the loss is backpropagated into these modules' parameters only.
        loss: called as ``loss(batch, step)``; its terms are summed and backpropagated.
        lr: Adam's learning rate.
        betas: Adam's exponential decay rates.
        window: fractions (start, end) of the training in which the phase is active.
    """

    name: str
    modules: Sequence[nn.Module]
    loss: Callable[[Batch, int], dict[str, Tensor]]
    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    window: tuple[float, float] = (0.0, 1.0)


class NoParams(BaseModel):
    """For methods without options."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Inpainter:
    """Anything that fills holes.

    Attributes:
        name: what suites call the method.
        revision: raised whenever a change of the code changes the method's numbers; part of the cell key.
        Params: the method's options; validated, shown by ``gainbench list methods``.
        oracle: True if the method is given hidden pixels on purpose; only tables that say so may show it.
    """

    name: ClassVar[str]
    revision: ClassVar[int] = 1
    Params: ClassVar[type[BaseModel]] = NoParams
    oracle: bool = False

    def __init__(self, params: Any, scale: Scale) -> None:
        self.params = params
        self.scale = scale

    def inpaint(self, image: Tensor, known: Tensor) -> Tensor:
        """Fill the holes.

        Args:
            image: (B, 3, H, W) in [0, 1]; zero in the hole.
            known: (B, 1, H, W); 1 = known, 0 = hole.

        Returns:
            The whole picture as the method sees it, (B, 3, H, W) in [0, 1]. The harness composites it with ``image``.
        """
        raise NotImplementedError

    def shrinkage(self, image: Tensor, known: Tensor) -> dict[str, Tensor]:  # noqa: ARG002 - for subclasses
        """How the holes close inside of the method, if its layers carry masks that shrink; reports show it.

        Args:
            image: as for ``inpaint``.
            known: as for ``inpaint``.

        Returns:
            Name of a step -> what is known after it, (B or 1, 1, h, w) of any resolution, 1 = known, 0 = still hidden;
            in the order of the forward pass. Empty for a method without such masks.
        """
        return {}


class TrainableInpainter(Inpainter, nn.Module):
    """An inpainter with weights. Build the networks in ``__init__``, after calling ``super().__init__``."""

    def __init__(self, params: Any, scale: Scale) -> None:
        nn.Module.__init__(self)
        Inpainter.__init__(self, params, scale)

    def phases(self) -> list[Phase]:
        """The optimisers, in the order in which they step in every iteration."""
        raise NotImplementedError


def composite(image: Tensor, known: Tensor, prediction: Tensor) -> Tensor:
    """``known * image + (1 - known) * prediction``, clamped to [0, 1].

    Args:
        image: (B, 3, H, W) in [0, 1].
        known: (B, 1, H, W), 1 = known.
        prediction: (B, 3, H, W).

    Returns:
        (B, 3, H, W) in [0, 1]; known pixels equal ``image`` exactly, whatever the prediction holds there.
    """
    return torch.where(known > 0.5, image, prediction).clamp(0.0, 1.0)


def to_uint8(image: Tensor) -> Tensor:
    """Round a picture in [0, 1] to 8 bit, half to even; what metrics read and what is saved."""
    return (image.float().clamp(0.0, 1.0) * 255.0).round().to(torch.uint8)

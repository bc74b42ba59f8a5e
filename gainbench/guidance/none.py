"""No guidance: a map without channels, so that a network without it needs no special case."""

from typing import ClassVar

from torch import Tensor

from gainbench.guidance import Guidance


class NoGuidance(Guidance):
    """The empty map: (B, 0, H, W), valid wherever the picture is known."""

    name: ClassVar[str] = "none"
    channels = 0
    rms = 1.0

    def target(self, image: Tensor) -> Tensor:
        """See ``Guidance.target``; (B, 0, H, W)."""
        return image[:, :0]

    def observed(self, image: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Guidance.observed``; (B, 0, H, W) and ``known``."""
        return image[:, :0], known

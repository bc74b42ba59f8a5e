"""What may guide a network that fills holes: image gradients, Canny edges, HED edges, or nothing.

Every guidance answers two questions. ``target``: what map would the whole picture give? (for losses, in training only).
``observed``: what map do the visible pixels alone give, and where can it be trusted? (the network's input).
"""

import importlib
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from gainbench.errors import MethodError
from gainbench.spec import nearest

GUIDANCES: dict[str, str] = {
    "gradient": "gainbench.guidance.gradient:GradientGuidance",
    "canny": "gainbench.guidance.canny:CannyGuidance",
    "hed": "gainbench.guidance.hed:HEDGuidance",
    "none": "gainbench.guidance.none:NoGuidance",
}
"""Name -> ``module:class``; a module is imported when its guidance is first asked for."""


class Guidance(ABC):
    """One way to guide: a map of ``channels`` values per pixel.

    A guidance is not a module: it is never trained, and its weights, if it has any, are no part of the method's own. It
    computes on the device of the image it is given.

    Attributes:
        name: as in ``GUIDANCES``.
        channels: channels of the map; 0 means that there is none.
        rms: typical root mean square of the map on photographs; networks scale their first layer's weights by it.
    """

    name: ClassVar[str]
    channels: int
    rms: float

    @abstractmethod
    def target(self, image: Tensor) -> Tensor:
        """The map of the whole picture.

        Args:
            image: (B, 3, H, W) in [0, 1], RGB.

        Returns:
            (B, channels, H, W).
        """

    @abstractmethod
    def observed(self, image: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """The map of the visible pixels alone; hidden values change no bit of it.

        Args:
            image: (B, 3, H, W) in [0, 1]; values where ``known`` is 0 are ignored, whatever they are.
            known: (B, 1, H, W), 1 = known, 0 = hole.

        Returns:
            The map (B, channels, H, W), zero where it is not valid, and ``valid`` (B, 1, H, W), 1 where the map's value
            is one that the whole picture could have given, 0 where the hole spoils it.
        """


def guidance(name: str, **options: Any) -> Guidance:
    """Build a guidance by name.

    Args:
        name: one of ``GUIDANCES``.
        options: the constructor's own, such as ``kernel="sobel"`` of ``gradient``.

    Raises:
        MethodError: unknown name (the nearest valid one is named) or an option that the guidance does not have.
    """
    if name not in GUIDANCES:
        raise MethodError(f"no guidance named {name!r}; {nearest(name, GUIDANCES)}")
    module, _, kind = GUIDANCES[name].partition(":")
    build: type[Guidance] = getattr(importlib.import_module(module), kind)
    try:
        return build(**options)
    except TypeError as error:
        raise MethodError(f"guidance {name!r} cannot be built with {options}: {error}") from error

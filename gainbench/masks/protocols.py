"""What every hole protocol promises: holes that are a pure function of protocol, seed, image, bin and border class."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from gainbench.errors import MaskError
from gainbench.keyed import content_hash, keyed_fraction
from gainbench.masks.statistics import BoolArray, border_class, in_bin
from gainbench.spec import Border, MaskSpec, bin_label

Bounds = tuple[float, float]

ANY_AREA: Bounds = (0.0, 1.0)
"""The bin of a user's mask whose area lies in none of the suite's bins."""


class Hole(NamedTuple):
    """One hole.

    Attributes:
        mask: bool (512, 512), True = hole.
        mask_id: what it is called in tables: a file's name, or the protocol and a hash of the pixels.
    """

    mask: BoolArray
    mask_id: str


class PlannedHole(NamedTuple):
    """A hole with the bin and border class its row is reported under."""

    bounds: Bounds
    border: Border
    hole: Hole


class MaskProtocol(ABC):
    """A family of holes.

    Attributes:
        name: what suites call it.
        version: raised when the same name starts to give other holes.
        binned: whether every image gets one hole of each bin; otherwise an image gets one hole as the protocol draws
            it, and its row is labelled with the bin and border class that the hole falls in.
        footnotes: what a reader of the tables must be told; filled when the protocol is opened.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    binned: ClassVar[bool]

    def __init__(self, spec: MaskSpec) -> None:
        self.spec = spec
        self.footnotes: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """Hexadecimal blake2b over everything that decides the holes."""
        return content_hash(
            {
                "protocol": self.name,
                "version": self.version,
                "seed": self.spec.seed,
                "bins": [list(bounds) for bounds in self.spec.bins],
                "borders": list(self.spec.borders),
                "content": self._content(),
            }
        )

    def _content(self) -> Mapping[str, Any]:
        """What else decides the holes: the hashes of a user's files."""
        return {}

    @abstractmethod
    def hole(self, image_id: str, bounds: Bounds, border: Border) -> Hole:
        """The hole of one image in one bin and border class.

        Raises:
            MaskError: the protocol has no such hole.
        """

    @abstractmethod
    def image_holes(self, image_id: str) -> list[PlannedHole]:
        """Every hole that an image is evaluated with, in the order of the suite's bins."""

    @abstractmethod
    def examples(self, count: int) -> Iterator[PlannedHole]:
        """Holes to measure the protocol by: ``count`` in each bin and border class, or ``count`` if it has no bins."""

    @abstractmethod
    def training_known(self, seed: int, sample: int, size: int) -> BoolArray:
        """Pixels known in training sample number ``sample``: bool (size, size), True = known.

        Drawn from a key space that no test hole is drawn from.
        """


class BinnedProtocol(MaskProtocol):
    """A protocol that can be asked for a hole of any bin: an image gets one of each."""

    binned = True

    def image_holes(self, image_id: str) -> list[PlannedHole]:
        """One hole of each bin; the border class alternates from bin to bin, its first one is keyed by the image."""
        borders = self.spec.borders
        first = int(keyed_fraction("border class", self.name, self.spec.seed, image_id) * len(borders))
        planned = []
        for index, bounds in enumerate(self.spec.bins):
            border = borders[(first + index) % len(borders)]
            planned.append(PlannedHole(bounds, border, self.hole(image_id, bounds, border)))
        return planned

    def examples(self, count: int) -> Iterator[PlannedHole]:
        """``count`` holes in each of the suite's bins and border classes."""
        for bounds in self.spec.bins:
            for border in self.spec.borders:
                for index in range(count):
                    yield PlannedHole(bounds, border, self.hole(f"example {index}", bounds, border))


class NaturalProtocol(MaskProtocol):
    """A protocol whose holes have the area and place they happen to have.

    An image gets one hole, redrawn (never dropped) until its area lies in one of the suite's bins and its border class
    is one of the suite's. A hole asked for by bin is redrawn until it lies in that bin.
    """

    binned = False
    attempts: ClassVar[int] = 2000
    """Draws of a hole before the protocol says that it cannot draw what was asked."""

    @abstractmethod
    def _draw(self, *key: Any) -> Hole:
        """One hole, a pure function of ``key``."""

    def hole(self, image_id: str, bounds: Bounds, border: Border) -> Hole:
        """The image's first hole that lies in a bin and border class.

        Raises:
            MaskError: none of `attempts` draws does.
        """
        return self._first(image_id, (bounds,), (border,)).hole

    def image_holes(self, image_id: str) -> list[PlannedHole]:
        """The image's first hole that lies in any of the suite's bins and border classes, labelled with them."""
        return [self._first(image_id, self.spec.bins, self.spec.borders)]

    def examples(self, count: int) -> Iterator[PlannedHole]:
        """The holes of ``count`` images, with the bin and border class they fall in."""
        for index in range(count):
            yield from self.image_holes(f"example {index}")

    @staticmethod
    def _labelled(drawn: Hole, bins: tuple[Bounds, ...]) -> PlannedHole:
        area = np.count_nonzero(drawn.mask) / drawn.mask.size
        bounds = next((candidate for candidate in bins if in_bin(area, candidate)), ANY_AREA)
        return PlannedHole(bounds, border_class(drawn.mask), drawn)

    def _first(self, image_id: str, bins: tuple[Bounds, ...], borders: tuple[Border, ...]) -> PlannedHole:
        for attempt in range(self.attempts):
            drawn = self._draw(self.name, self.version, "test", self.spec.seed, image_id, attempt)
            planned = self._labelled(drawn, bins)
            if planned.bounds in bins and planned.border in borders:
                return planned
        raise MaskError(
            f"{self.name} drew no hole for image {image_id!r} with an area share in "
            f"{', '.join(map(bin_label, bins))} and border class {' or '.join(borders)} in {self.attempts} draws; "
            "choose other bins or borders, or irregular-v1, which draws them all"
        )

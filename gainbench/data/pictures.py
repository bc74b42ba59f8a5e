"""Square pictures of one size, cut out of photographs on demand and kept while there is room."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gainbench.data.reading import Box, cut, decode

MEMORY_LIMIT = 1024**3
"""Bytes of decoded pictures that one set keeps; beyond it, pictures are decoded each time they are asked for."""


@dataclass(frozen=True)
class Part:
    """One picture to be: a box of an upright photograph.

    Attributes:
        id: unique in the data set; what holes are drawn for.
        unit: the photograph or person that statistics resample.
        file: name relative to the data set's folder.
        box: the part to cut out.
    """

    id: str
    unit: str
    file: str
    box: Box


class PictureSet:
    """An indexed set of pictures, safe to read from several threads.

    Attributes:
        ids: one per picture, unique in the data set.
        photographs: what each picture was cut from, or the person it shows; repeats where pictures belong together.
        size: side in pixels.
    """

    def __init__(self, root: Path, parts: Sequence[Part], size: int, *, memory_limit: int = MEMORY_LIMIT) -> None:
        self.size = size
        self.ids = tuple(part.id for part in parts)
        self.photographs = tuple(part.unit for part in parts)
        self._root = root
        self._parts = tuple(parts)
        self._by_file: dict[str, list[int]] = {}
        for index, part in enumerate(parts):
            self._by_file.setdefault(part.file, []).append(index)
        self._kept: dict[int, NDArray[np.uint8]] = {}
        self._room = memory_limit // (3 * size * size)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """The picture at ``index``, uint8 (size, size, 3), RGB: the caller's own copy.

        Raises:
            IndexError: ``index`` is not below ``len(self)`` or is under ``-len(self)``.
            DataError: the file has changed or gone since the data set was opened.
        """
        place = range(len(self._parts))[index]
        kept = self._kept.get(place)
        return self._read(place) if kept is None else kept.copy()

    def _read(self, place: int) -> NDArray[np.uint8]:
        part = self._parts[place]
        photograph = decode(self._root / part.file)
        wanted = cut(photograph, part.box, self.size)
        self._keep(place, wanted)
        # Decoding is the cost: what else is cut from this photograph is taken along while there is room.
        for other in self._by_file[part.file]:
            if other not in self._kept and len(self._kept) < self._room:
                self._keep(other, cut(photograph, self._parts[other].box, self.size))
        return wanted.copy()

    def _keep(self, place: int, picture: NDArray[np.uint8]) -> None:
        with self._lock:
            if len(self._kept) < self._room:
                self._kept.setdefault(place, picture)

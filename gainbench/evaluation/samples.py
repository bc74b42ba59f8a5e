"""Outputs kept as pictures: all rows of some images, the same images for every method.

The gallery shows them, and the folders are what ``gainbench evaluate`` reads: one name a row in each.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from gainbench.atomic import atomic_path, write_json, write_text

INDEX = "samples.json"

PHOTOGRAPHS = "photographs.csv"


class SampleWriter:
    """Writes ``completed/<row>.png``, ``original/<row>.png``, ``hole/<row>.png``; at the end, what each row is.

    On disk a hole is white. ``samples.json`` lists the rows, ``photographs.csv`` the photograph of each name. The
    images are spread evenly over the pairing, so that they depend on nothing but it.

    Args:
        table: the pairing's table: columns image_id, bin, border.
        photographs: the photograph of each of its rows.
        count: how many images to keep.
        folder: where to; created if need be.
    """

    def __init__(self, table: pd.DataFrame, photographs: Sequence[str], count: int, folder: Path) -> None:
        images = list(dict.fromkeys(table["image_id"]))
        places = np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(int)
        self._kept = {images[place] for place in places}
        self._table = table
        self._photographs = photographs
        self._folder = folder
        self._records: dict[int, dict[str, Any]] = {}

    def keep(
        self, row: int, *, completed: NDArray[np.uint8], original: NDArray[np.uint8], known: NDArray[np.bool_]
    ) -> None:
        """Write one row if its image is among those kept.

        Args:
            row: place in the pairing's table.
            completed: uint8 (H, W, 3).
            original: uint8 (H, W, 3).
            known: bool (H, W), True = known.
        """
        record = self._table.iloc[row]
        if record["image_id"] not in self._kept:
            return
        hole = np.where(known, 0, 255).astype(np.uint8)
        files = {}
        for kind, sub, picture in (
            ("completed", "completed", completed),
            ("original", "original", original),
            ("known", "hole", hole),
        ):
            files[kind] = f"{sub}/{row:05d}.png"
            with atomic_path(self._folder / files[kind]) as temporary:
                Image.fromarray(picture).save(temporary, format="PNG")
        self._records[row] = {
            "row": row,
            "image_id": str(record["image_id"]),
            "bin": str(record["bin"]),
            "border": str(record["border"]),
            "files": files,
        }

    def close(self) -> None:
        """Write the index of what was kept, in the pairing's order."""
        rows = sorted(self._records)
        write_json(self._folder / INDEX, [self._records[row] for row in rows])
        listed = pd.DataFrame(
            {"name": [f"{row:05d}" for row in rows], "photograph": [self._photographs[row] for row in rows]}
        )
        write_text(self._folder / PHOTOGRAPHS, listed.to_csv(index=False))

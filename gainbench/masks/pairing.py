"""The pairing: which image is evaluated with which hole, as a table with its own hash."""

import hashlib
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from gainbench.atomic import atomic_path
from gainbench.errors import MaskError
from gainbench.keyed import canonical_json
from gainbench.masks.protocols import MaskProtocol
from gainbench.masks.statistics import BoolArray, hole_statistics, resize_nearest
from gainbench.spec import bin_label

COLUMNS = (
    "row",
    "image_id",
    "bin",
    "bin_lo",
    "bin_hi",
    "border",
    "mask_id",
    "area",
    "effective_area",
    "radius",
    "components",
    "touches_border",
)


class Pairing:
    """Every row of an evaluation: one image, one hole.

    Attributes:
        table: one row a pair, sorted by image and bin: row, image_id, bin, bin_lo, bin_hi, border, mask_id, area (share
            at 512), effective_area (share after resizing), radius (largest inscribed disc, px at 256; outside the
            picture counts as known), components (8-connected, at 512), touches_border.
        size: side in pixels at which `known` gives holes.
        sha256: hash of the table's content and of the resized holes, the same whatever wrote or stored them.
    """

    def __init__(self, table: pd.DataFrame, size: int, holes: Iterable[bytes]) -> None:
        """Take each row's hole as bits, as `packed_holes` gives them; they are read one at a time."""
        self.table = table
        self.size = size
        # Deflated, a hole takes about what its row takes: a pairing of a hundred thousand rows fits in memory.
        self._holes: list[bytes] = []
        digest = hashlib.sha256(canonical_json({"size": size, "columns": list(COLUMNS)}).encode())
        for record, hole in zip(table[list(COLUMNS)].to_dict("records"), holes, strict=True):
            digest.update(canonical_json(list(record.values())).encode())
            digest.update(hole)
            self._holes.append(zlib.compress(hole, 1))
        self.sha256 = digest.hexdigest()

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.table)

    def known(self, row: int) -> BoolArray:
        """Known pixels of one row: bool (size, size), True = known."""
        bits = np.unpackbits(np.frombuffer(zlib.decompress(self._holes[row]), np.uint8), count=self.size**2)
        known: BoolArray = bits.reshape(self.size, self.size) == 0
        return known

    def packed_holes(self) -> Iterator[bytes]:
        """The holes of all rows as bits: row-major, big-endian bit order, hole = 1, ceil(size^2 / 8) bytes each."""
        return map(zlib.decompress, self._holes)

    def save(self, path: Path) -> None:
        """Write the table as Parquet, atomically; the same pairing gives the same bytes with the same pyarrow."""
        written = pa.Table.from_pandas(self.table, preserve_index=False)
        # pandas' own metadata names library versions; the table is what counts.
        written = written.replace_schema_metadata({"sha256": self.sha256, "size": str(self.size)})
        with atomic_path(path) as temporary:
            parquet.write_table(written, temporary)


def build_pairing(protocol: MaskProtocol, image_ids: Sequence[str], *, size: int) -> Pairing:
    """Give every image its holes; neither the order of the images nor which others are there changes any of them.

    Args:
        protocol: where holes come from.
        image_ids: the images, in any order.
        size: side in pixels that holes are resized to (nearest) for the evaluation.

    Raises:
        MaskError: an image named twice, or a hole that the protocol does not have.
    """
    twins = sorted(image_id for image_id, count in Counter(image_ids).items() if count > 1)
    if twins:
        raise MaskError(f"images named twice: {', '.join(twins[:5])}; image ids must differ")
    records: list[dict[str, object]] = []
    holes: list[bytes] = []
    for image_id in sorted(image_ids):
        for bounds, border, hole in protocol.image_holes(image_id):
            statistics = hole_statistics(hole.mask)
            resized = resize_nearest(hole.mask, size)
            records.append(
                {
                    "row": len(records),
                    "image_id": image_id,
                    "bin": bin_label(bounds),
                    "bin_lo": bounds[0],
                    "bin_hi": bounds[1],
                    "border": border,
                    "mask_id": hole.mask_id,
                    "area": statistics.area,
                    "effective_area": np.count_nonzero(resized) / resized.size,
                    "radius": statistics.radius,
                    "components": statistics.components,
                    "touches_border": statistics.touches_border,
                }
            )
            holes.append(zlib.compress(np.packbits(resized).tobytes(), 1))
    return Pairing(pd.DataFrame(records, columns=list(COLUMNS)), size, map(zlib.decompress, holes))

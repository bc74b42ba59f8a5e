"""Pairings in a results root: built once, read by every cell of a data set, checked by their own hash.

``<sha12>.parquet`` is the table, ``<sha12>.npy`` its holes as packed bits, ``request-<hash12>.json`` remembers which
pairing a protocol, a list of images and a size gave, so that thousands of holes are not drawn again for each method.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from filelock import FileLock

from gainbench.atomic import atomic_path, write_json
from gainbench.keyed import content_hash
from gainbench.masks import MaskProtocol, Pairing, build_pairing

logger = logging.getLogger(__name__)


def root_pairing(root: Path, protocol: MaskProtocol, image_ids: Sequence[str], *, size: int) -> Pairing:
    """The pairing of ``image_ids`` with a protocol's holes, from the results root or built and kept there.

    Processes that ask for the same pairing at the same time wait for the first one.
    """
    folder = root / "pairings"
    folder.mkdir(parents=True, exist_ok=True)
    request = content_hash({"holes": protocol.hash, "images": sorted(image_ids), "size": size})
    note = folder / f"request-{request[:12]}.json"
    with FileLock(folder / f".{request[:12]}.lock"):
        stored = _stored(folder, note, size)
        if stored is not None:
            return stored
        pairing = build_pairing(protocol, image_ids, size=size)
        pairing.save(folder / f"{pairing.sha256[:12]}.parquet")
        with atomic_path(folder / f"{pairing.sha256[:12]}.npy") as temporary:
            _write_holes(temporary, pairing)
        write_json(note, {"sha256": pairing.sha256, "holes": protocol.hash, "size": size})
        return pairing


def _write_holes(path: Path, pairing: Pairing) -> None:
    shape = (len(pairing), -(-(pairing.size**2) // 8))
    with path.open("wb") as opened:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(opened, header)
        opened.writelines(pairing.packed_holes())


def _read_holes(path: Path) -> Iterator[bytes]:
    """Row by row: a pairing may be larger than one wants to hold.

    Raises:
        ValueError: the file is not what `_write_holes` writes.
    """
    with path.open("rb") as opened:
        if np.lib.format.read_magic(opened) != (1, 0):
            raise ValueError(f"{path} is no array of version 1.0")
        shape, _, dtype = np.lib.format.read_array_header_1_0(opened)
        if len(shape) != 2 or dtype != np.uint8:
            raise ValueError(f"{path} holds no packed holes")
        for _ in range(shape[0]):
            yield opened.read(shape[1])


def _stored(folder: Path, note: Path, size: int) -> Pairing | None:
    try:
        sha256 = json.loads(note.read_text(encoding="utf-8"))["sha256"]
        table = pd.read_parquet(BytesIO((folder / f"{sha256[:12]}.parquet").read_bytes()))
        pairing = Pairing(table, size, _read_holes(folder / f"{sha256[:12]}.npy"))
    except (OSError, ValueError, KeyError, TypeError, EOFError, pa.ArrowException):
        return None
    if pairing.sha256 != sha256:
        logger.warning("pairing %s does not match its hash and is built anew", sha256[:12])
        return None
    return pairing

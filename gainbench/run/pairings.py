"""Pairings in a results root: built once, read by every cell of a data set, checked by their own hash.

``<sha12>.parquet`` is the table, ``<sha12>.npy`` its holes as packed bits, ``request-<hash12>.json`` remembers which
pairing a protocol, a list of images and a size gave, so that thousands of holes are not drawn again for each method.
"""

import json
import logging
from collections.abc import Sequence
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
        holes = np.packbits(~np.stack([pairing.known(row) for row in range(len(pairing))]).reshape(len(pairing), -1), 1)
        with atomic_path(folder / f"{pairing.sha256[:12]}.npy") as temporary, temporary.open("wb") as opened:
            np.save(opened, holes, allow_pickle=False)
        write_json(note, {"sha256": pairing.sha256, "holes": protocol.hash, "size": size})
        return pairing


def _stored(folder: Path, note: Path, size: int) -> Pairing | None:
    try:
        sha256 = json.loads(note.read_text(encoding="utf-8"))["sha256"]
        table = pd.read_parquet(BytesIO((folder / f"{sha256[:12]}.parquet").read_bytes()))
        holes = np.load(folder / f"{sha256[:12]}.npy", allow_pickle=False)
        pairing = Pairing(table, size, [hole.tobytes() for hole in holes])
    except (OSError, ValueError, KeyError, TypeError, EOFError, pa.ArrowException):
        return None
    if pairing.sha256 != sha256:
        logger.warning("pairing %s does not match its hash and is built anew", sha256[:12])
        return None
    return pairing

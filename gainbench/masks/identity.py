"""A hole's identity: its pixels packed to bits, and hashes of them."""

import hashlib

import numpy as np

from gainbench.masks.statistics import BoolArray


def packed(mask: BoolArray) -> bytes:
    """Pixels as bits: row-major, big-endian bit order, hole = 1; 32,768 bytes for a mask of 512 x 512."""
    return np.packbits(mask).tobytes()


def pixel_id(prefix: str, mask: BoolArray) -> str:
    """``<prefix>-<16 hex digits>``: equal for equal pixels, whatever drew them."""
    return f"{prefix}-{hashlib.blake2b(packed(mask), digest_size=8).hexdigest()}"

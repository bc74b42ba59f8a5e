"""Randomness and identity keyed by content: the same names give the same numbers, whoever asks and when.

No module of gainbench uses a global random state. A generator is a pure function of named parts (a protocol, a seed,
an image id), so worker count, batch size, order and method change nothing.
"""

import hashlib
import json
from typing import Any

import numpy as np


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; equal values give equal text.

    Raises:
        TypeError: if ``value`` holds anything but dicts with string keys, lists, tuples, strings, numbers, bools, None.
        ValueError: if a number is NaN or infinite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_hash(value: Any, digest_size: int = 16) -> str:
    """Hexadecimal blake2b of the canonical JSON of ``value``."""
    return hashlib.blake2b(canonical_json(value).encode(), digest_size=digest_size).hexdigest()


def keyed_generator(*parts: Any) -> np.random.Generator:
    """A Philox generator that is a pure function of ``parts`` (anything canonical JSON can write)."""
    digest = hashlib.blake2b(canonical_json(list(parts)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "big")))


def keyed_fraction(*parts: Any) -> float:
    """A number in [0, 1) that is a pure function of ``parts``; used for splits and other fixed assignments."""
    digest = hashlib.blake2b(canonical_json(list(parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64

"""What a data set holds: every usable file with its hash and split, and every other one with the reason."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gainbench.spec import Split


@dataclass(frozen=True)
class Entry:
    """One usable file.

    Attributes:
        name: relative to the data set's folder, with forward slashes.
        sha256: of the file's bytes.
        split: whether it trains, validates or tests.
        unit: what was split and what statistics resample: the photograph, or the person. Files of equal bytes share it.
        width: of the upright picture in pixels.
        height: likewise.
    """

    name: str
    sha256: str
    split: Split
    unit: str
    width: int
    height: int


@dataclass(frozen=True)
class Manifest:
    """A data set's files, sorted by name.

    Attributes:
        dataset: name of the data set.
        preparation: how a file becomes pictures; changes whenever that does.
        entries: the usable files.
        skipped: (name, reason) of the others.
    """

    dataset: str
    preparation: str
    entries: tuple[Entry, ...]
    skipped: tuple[tuple[str, str], ...]

    @cached_property
    def hash(self) -> str:
        """blake2b, 32 hexadecimal digits, over the preparation and each usable file's hash, split and name.

        Paths, skipped files and the time of day do not enter: equal pictures give equal hashes on every machine.
        """
        digest = hashlib.blake2b(f"{self.preparation}\n".encode(), digest_size=16)
        for entry in self.entries:
            digest.update(f"{entry.sha256}  {entry.split}  {entry.name}\n".encode())
        return digest.hexdigest()

    @property
    def skip_counts(self) -> dict[str, int]:
        """Reason -> number of files, most frequent first; details after a colon are left out."""
        counts = Counter(reason.partition(":")[0] for _, reason in self.skipped)
        return dict(counts.most_common())

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON can write it."""
        return {
            "dataset": self.dataset,
            "preparation": self.preparation,
            "hash": self.hash,
            "entries": [[entry.name, entry.sha256, entry.split, entry.unit] for entry in self.entries],
            "skipped": [list(pair) for pair in self.skipped],
        }

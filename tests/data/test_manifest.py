import hashlib
import json
from dataclasses import replace

import pytest

from gainbench.data import Entry, Manifest

ENTRIES = (
    Entry("a.jpg", "1" * 64, "train", "a.jpg", 64, 64),
    Entry("b.jpg", "2" * 64, "test", "b.jpg", 80, 64),
)
MANIFEST = Manifest("folder", "square v1", ENTRIES, (("c.jpg", "gray"), ("d.jpg", "too small: 3x3 px")))


def test_the_hash_is_that_of_the_listed_lines() -> None:
    lines = f"square v1\n{'1' * 64}  train  a.jpg\n{'2' * 64}  test  b.jpg\n"
    assert MANIFEST.hash == hashlib.blake2b(lines.encode(), digest_size=16).hexdigest()


@pytest.mark.parametrize(
    "other",
    [
        replace(MANIFEST, preparation="square v2"),
        replace(MANIFEST, entries=ENTRIES[:1]),
        replace(MANIFEST, entries=(replace(ENTRIES[0], sha256="3" * 64), ENTRIES[1])),
        replace(MANIFEST, entries=(replace(ENTRIES[0], split="val"), ENTRIES[1])),
        replace(MANIFEST, entries=(replace(ENTRIES[0], name="e.jpg"), ENTRIES[1])),
    ],
)
def test_whatever_decides_the_pictures_changes_the_hash(other: Manifest) -> None:
    assert other.hash != MANIFEST.hash


def test_skipped_files_do_not_change_the_hash() -> None:
    assert replace(MANIFEST, skipped=()).hash == MANIFEST.hash


def test_reasons_are_counted_without_their_details() -> None:
    many = replace(MANIFEST, skipped=(*MANIFEST.skipped, ("e.jpg", "too small: 4x4 px")))
    assert list(many.skip_counts.items()) == [("too small", 2), ("gray", 1)]


def test_it_is_written_as_json() -> None:
    written = json.loads(json.dumps(MANIFEST.to_json()))
    assert written["hash"] == MANIFEST.hash
    assert written["entries"][1] == ["b.jpg", "2" * 64, "test", "b.jpg"]
    assert written["skipped"][0] == ["c.jpg", "gray"]

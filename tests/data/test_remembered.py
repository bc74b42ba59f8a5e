import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from gainbench.data import remembered
from gainbench.data.inspection import Inspection, inspect_file
from gainbench.data.remembered import inspect_files

Photographs = Callable[..., Path]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read."""
    names: list[str] = []

    def counted(path: Path) -> Inspection:
        names.append(path.name)
        return inspect_file(path)

    monkeypatch.setattr(remembered, "inspect_file", counted)
    return names


def test_unchanged_files_are_read_once(photographs: Photographs, read: list[str]) -> None:
    root = photographs(4)
    names = sorted(path.name for path in root.iterdir())
    first = inspect_files(root, names)
    assert sorted(read) == names
    assert inspect_files(root, names) == first
    assert len(read) == 4
    assert first == {name: inspect_file(root / name) for name in names}


def test_a_file_that_changed_is_read_again(photographs: Photographs, read: list[str]) -> None:
    root = photographs(["a.png", "b.png"])
    before = inspect_files(root, ["a.png", "b.png"])
    read.clear()
    Image.new("RGB", (50, 50)).save(root / "a.png")
    after = inspect_files(root, ["a.png", "b.png"])
    assert read == ["a.png"]
    assert after["a.png"].width == 50
    assert after["b.png"] == before["b.png"]
    os.utime(root / "b.png", ns=(1, 1))
    inspect_files(root, ["a.png", "b.png"])
    assert read == ["a.png", "b.png"]


def test_findings_are_saved_while_they_are_made(
    photographs: Photographs, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = photographs(6)
    names = sorted(path.name for path in root.iterdir())
    monkeypatch.setattr(remembered, "CHUNK", 2)

    def killed(path: Path) -> Inspection:
        if path.name == names[4]:
            raise KeyboardInterrupt
        return inspect_file(path)

    with monkeypatch.context() as patch:
        patch.setattr(remembered, "inspect_file", killed)
        with pytest.raises(KeyboardInterrupt):
            inspect_files(root, names)
    inspect_files(root, names)
    assert sorted(read) == names[4:]


def test_a_file_that_could_not_be_opened_is_tried_again(photographs: Photographs, read: list[str]) -> None:
    root = photographs(["a.png"])
    (root / "b.png").symlink_to(root / "later.png")
    assert inspect_files(root, ["a.png", "b.png"])["b.png"].kind == "unreadable"
    (root / "a.png").rename(root / "later.png")
    assert inspect_files(root, ["b.png"])["b.png"].kind == "rgb"


def test_a_damaged_memory_is_made_anew(photographs: Photographs, tmp_path: Path, read: list[str]) -> None:
    root = photographs(2)
    names = ["000.png", "001.png"]
    first = inspect_files(root, names)
    (database,) = (tmp_path / "cache").rglob("*.sqlite")
    database.write_bytes(b"not a database" * 100)
    assert inspect_files(root, names) == first
    assert len(read) == 4
    inspect_files(root, names)
    assert len(read) == 4


def test_a_memory_of_another_revision_is_forgotten(photographs: Photographs, tmp_path: Path, read: list[str]) -> None:
    root = photographs(1)
    inspect_files(root, ["000.png"])
    (database,) = (tmp_path / "cache").rglob("*.sqlite")
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA user_version = 9999")
    inspect_files(root, ["000.png"])
    assert len(read) == 2


def test_without_a_cache_that_can_be_written_files_are_read_each_time(
    photographs: Photographs, tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = photographs(1)
    (tmp_path / "file").touch()
    monkeypatch.setenv("GAINBENCH_CACHE", str(tmp_path / "file" / "cache"))
    assert inspect_files(root, ["000.png"])["000.png"].kind == "rgb"
    assert inspect_files(root, ["000.png"])["000.png"].kind == "rgb"
    assert len(read) == 2

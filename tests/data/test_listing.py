import os
from pathlib import Path

import pytest

from gainbench.data.listing import list_pictures
from gainbench.errors import DataError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_names_are_sorted_and_relative_with_forward_slashes(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.JPG", "b/10.png", "a.jpeg", "c/d/e.webp", "notes.txt", "b/list.csv")
    assert list_pictures(tmp_path) == (["a.jpeg", "b/10.png", "b/2.JPG", "c/d/e.webp"], [])


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "._a.jpg", ".thumbnails/a.jpg", "b/.c.png")
    assert list_pictures(tmp_path)[0] == ["a.jpg"]


def test_a_loop_of_links_ends_and_is_reported(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    names, skipped = list_pictures(tmp_path)
    assert names == ["a/1.jpg"]
    assert [(name, "already read" in reason) for name, reason in skipped] == [("a/again", True)]


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "1.jpg")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "x").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "y").symlink_to(tmp_path / "elsewhere")
    names, skipped = list_pictures(tmp_path / "root")
    assert names == ["x/1.jpg"]
    assert [name for name, _ in skipped] == ["y"]


def test_a_name_that_is_not_text_is_skipped(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.jpg")).touch()
    names, skipped = list_pictures(tmp_path)
    assert names == ["a.jpg"]
    assert [reason for _, reason in skipped] == ["name is not UTF-8"]
    assert all(name.isprintable() for name, _ in skipped)


def test_only_the_named_sub_folders_are_read(tmp_path: Path) -> None:
    touch(tmp_path, "val/1.jpg", "train/1.jpg", "test/1.jpg")
    assert list_pictures(tmp_path, ("train", "val"))[0] == ["train/1.jpg", "val/1.jpg"]


def test_a_folder_that_is_not_there_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder of pictures"):
        list_pictures(tmp_path / "nowhere")

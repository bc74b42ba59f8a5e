import json
from contextlib import suppress

import pytest

from gainbench.atomic import atomic_path, remove_leftovers, write_json, write_text


def test_a_file_appears_whole_with_its_folder(tmp_path):
    write_text(tmp_path / "a" / "b.txt", "whole")
    assert (tmp_path / "a" / "b.txt").read_text() == "whole"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.txt"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "x.json"
    write_json(target, {"a": 1})

    def fail():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        fail()
    assert json.loads(target.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [target]


def test_only_what_was_being_written_is_left_over(tmp_path):
    with suppress(RuntimeError), atomic_path(tmp_path / "rows.parquet") as temporary:
        # A killed process renames and removes nothing.
        kept = tmp_path / "kept" / temporary.name
        kept.parent.mkdir()
        kept.touch()
        raise RuntimeError
    for name in (".lock", ".holder.json", ".report.lock", "rows.parquet", ".gitignore", ".progress.json.new"):
        (kept.parent / name).touch()
    remove_leftovers(kept.parent)
    assert sorted(path.name for path in kept.parent.iterdir()) == [
        *[".gitignore", ".holder.json", ".lock", ".report.lock", "rows.parquet"]
    ]


def test_not_a_number_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_files_have_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    write_text(tmp_path / "atomic", "")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode

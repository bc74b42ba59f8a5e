import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gainbench.data.splits import carve_val, read_lists, split_by_lists, split_by_rank
from gainbench.errors import DataError


def names(count: int) -> list[str]:
    return [f"{number:06d}.jpg" for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("count", "train", "val", "test"),
    [
        (999, 699, 100, 200),
        (230, 161, 23, 46),
        (40, 28, 4, 8),
        (10, 7, 1, 2),
        (5, 3, 1, 1),
        (3, 1, 1, 1),
    ],
)
def test_shares_are_70_10_20_to_the_nearest_unit(count: int, train: int, val: int, test: int) -> None:
    assert Counter(split_by_rank("d", names(count)).values()) == {"train": train, "val": val, "test": test}


def test_the_ranking_is_blake2b_of_the_names() -> None:
    def fraction(name: str) -> int:
        text = json.dumps(["split", "d", name], separators=(",", ":"))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")

    ranked = sorted(names(20), key=fraction)
    splits = split_by_rank("d", names(20))
    assert {name for name, split in splits.items() if split == "test"} == set(ranked[:4])
    assert {name for name, split in splits.items() if split == "val"} == set(ranked[4:6])


@settings(max_examples=50, deadline=None)
@given(st.permutations(names(17)))
def test_the_order_of_the_names_does_not_matter(shuffled: list[str]) -> None:
    assert split_by_rank("d", shuffled) == split_by_rank("d", names(17))


def test_data_sets_of_the_same_names_are_split_apart() -> None:
    assert split_by_rank("d", names(100)) != split_by_rank("e", names(100))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_photographs_are_refused_with_the_need(count: int) -> None:
    with pytest.raises(DataError, match=f"has {count} usable photograph.*three in all"):
        split_by_rank("d", names(count))


def test_celeba_hq_keeps_its_published_number_of_test_faces() -> None:
    counts = Counter(split_by_rank("celeba-hq", names(30_000), val=1 / 30, test=1 / 15).values())
    assert counts == {"train": 27_000, "val": 1_000, "test": 2_000}


def test_validation_is_carved_out_of_training_by_the_same_ranking() -> None:
    carved = carve_val("d", names(100), 0.05)
    assert len(carved) == 5
    assert carved == {name for name, split in split_by_rank("d", names(100), test=0.05).items() if split == "test"}
    assert carve_val("d", list(reversed(names(100))), 0.05) == carved
    with pytest.raises(DataError, match="two are needed"):
        carve_val("d", names(1), 0.5)


def test_without_both_lists_there_are_none(tmp_path: Path) -> None:
    assert read_lists(tmp_path) is None
    (tmp_path / "train.txt").write_text("a.jpg\n")
    assert read_lists(tmp_path) is None


def test_lists_decide_and_what_they_do_not_name_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("./a.jpg\n\nb.jpg\ngone.jpg\n")
    (tmp_path / "val.txt").write_text("c.jpg\n")
    (tmp_path / "test.txt").write_text("d.jpg")
    lists = read_lists(tmp_path)
    assert lists is not None
    assert split_by_lists(lists, ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"], "d") == {
        "a.jpg": "train",
        "b.jpg": "train",
        "c.jpg": "val",
        "d.jpg": "test",
    }


def test_lists_without_validation_give_one_in_28_of_training(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("\n".join(names(280)))
    (tmp_path / "test.txt").write_text("t.jpg")
    lists = read_lists(tmp_path)
    assert lists is not None
    assert Counter(split_by_lists(lists, [*names(280), "t.jpg"], "d").values()) == {"train": 270, "val": 10, "test": 1}


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ("a.jpg", "b.jpg\na.jpg", "a.jpg, and so does train.txt"),
        ("a.jpg", "\n", "names no picture"),
        ("a.jpg", "else/b.jpg", "none of the 1 pictures of test.txt"),
    ],
)
def test_lists_that_cannot_be_used_say_why(tmp_path: Path, train: str, test: str, message: str) -> None:
    (tmp_path / "train.txt").write_text(train)
    (tmp_path / "test.txt").write_text(test)
    with pytest.raises(DataError, match=message):
        split_by_lists(read_lists(tmp_path) or {}, ["a.jpg", "b.jpg"], "d")


def test_a_list_that_is_not_text_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "test.txt").write_text("a.jpg")
    with pytest.raises(DataError, match="cannot be read as a list"):
        read_lists(tmp_path)

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gainbench.data.recipes import celeba_square, centre_square, places_folders, tiles


@pytest.mark.parametrize(
    ("width", "height", "box"),
    [(92, 112, (0, 10, 92, 102)), (112, 92, (10, 0, 102, 92)), (64, 64, (0, 0, 64, 64)), (101, 64, (18, 0, 82, 64))],
)
def test_the_square_is_the_largest_and_in_the_middle(width: int, height: int, box: tuple[int, int, int, int]) -> None:
    assert centre_square(width, height, 64) == [("", box)]


def test_celeba_keeps_rows_20_to_198_and_every_column() -> None:
    assert celeba_square(178, 218, 128) == [("", (0, 20, 178, 198))]


@given(width=st.integers(1, 1100), height=st.integers(1, 1100), size=st.sampled_from([32, 64, 128, 256]))
def test_tiles_are_disjoint_equal_and_as_many_as_fit(width: int, height: int, size: int) -> None:
    side = max(size, 128)
    cut = tiles(width, height, size)
    assert len(cut) == (width // side) * (height // side)
    assert len({suffix for suffix, _ in cut}) == len(cut)
    covered = np.zeros((height, width), np.uint8)
    for _, (left, upper, right, lower) in cut:
        assert (right - left, lower - upper) == (side, side)
        covered[upper:lower, left:right] += 1
    assert covered.max(initial=0) <= 1
    assert covered.sum() == len(cut) * side * side


def test_what_the_tiles_leave_over_is_the_same_on_both_sides() -> None:
    assert tiles(300, 128, 64) == [("#128-0-0", (22, 0, 150, 128)), ("#128-0-1", (150, 0, 278, 128))]


def test_places_is_known_by_torchvisions_folders(tmp_path: Path) -> None:
    assert places_folders(tmp_path) == ("",)
    (tmp_path / "val_256").mkdir()
    assert places_folders(tmp_path) == ("",)
    (tmp_path / "data_256_standard").mkdir()
    assert places_folders(tmp_path) == ("data_256_standard", "val_256")

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gainbench.data import PictureSet
from gainbench.data import pictures as module
from gainbench.data.pictures import Part
from gainbench.data.reading import decode
from gainbench.errors import DataError

Pixels = Callable[..., NDArray[np.uint8]]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were decoded."""
    names: list[str] = []

    def counted(path: Path) -> Image.Image:
        names.append(path.name)
        return decode(path)

    monkeypatch.setattr(module, "decode", counted)
    return names


@pytest.fixture
def parts(tmp_path: Path, pixels: Pixels) -> list[Part]:
    """Four 32-px quarters of each of two photographs."""
    made = []
    for name in ("a.png", "b.png"):
        Image.fromarray(pixels(name, 64, 64)).save(tmp_path / name)
        made += [Part(f"{name}#{x}-{y}", name, name, (x, y, x + 32, y + 32)) for x in (0, 32) for y in (0, 32)]
    return made


def test_each_picture_is_its_part_of_its_photograph(tmp_path: Path, pixels: Pixels, parts: list[Part]) -> None:
    pictures = PictureSet(tmp_path, parts, 32)
    assert len(pictures) == 8
    assert pictures.ids == tuple(part.id for part in parts)
    assert pictures.photographs == ("a.png",) * 4 + ("b.png",) * 4
    for index, part in enumerate(parts):
        left, upper, right, lower = part.box
        np.testing.assert_array_equal(pictures[index], pixels(part.file, 64, 64)[upper:lower, left:right], strict=True)


def test_a_photograph_is_decoded_once_for_all_its_pictures(
    tmp_path: Path, parts: list[Part], decoded: list[str]
) -> None:
    pictures = PictureSet(tmp_path, parts, 32)
    for _ in range(2):
        for index in range(8):
            pictures[index]
    assert decoded == ["a.png", "b.png"]


def test_beyond_the_memory_limit_pictures_are_decoded_each_time(
    tmp_path: Path, parts: list[Part], decoded: list[str]
) -> None:
    room_for_three = 3 * 32 * 32 * 3 + 1
    pictures = PictureSet(tmp_path, parts, 32, memory_limit=room_for_three)
    unlimited = PictureSet(tmp_path, parts, 32)
    for index in [*range(8), *range(8)]:
        np.testing.assert_array_equal(pictures[index], unlimited[index])
    decoded.clear()
    for index in range(8):
        pictures[index]
    assert decoded == ["a.png"] + ["b.png"] * 4


def test_changing_a_picture_changes_no_other_reading(tmp_path: Path, parts: list[Part]) -> None:
    pictures = PictureSet(tmp_path, parts, 32)
    first, again = pictures[0], pictures[0]
    first[:] = 0
    assert again.any()
    assert pictures[0].any()


def test_indices_are_those_of_a_sequence(tmp_path: Path, parts: list[Part]) -> None:
    pictures = PictureSet(tmp_path, parts, 32)
    np.testing.assert_array_equal(pictures[-1], pictures[7])
    for index in (8, -9):
        with pytest.raises(IndexError):
            pictures[index]
    assert len(list(iter(pictures))) == 8


def test_threads_see_the_same_pictures(tmp_path: Path, parts: list[Part]) -> None:
    expected = [PictureSet(tmp_path, parts, 32)[index].tobytes() for index in range(8)]
    pictures = PictureSet(tmp_path, parts, 32, memory_limit=5 * 32 * 32 * 3)
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda index: pictures[index % 8].tobytes(), range(400)))
    assert read == [expected[index % 8] for index in range(400)]


def test_a_file_that_has_gone_is_a_data_error(tmp_path: Path, parts: list[Part]) -> None:
    pictures = PictureSet(tmp_path, parts, 32)
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match="was it changed"):
        pictures[0]

"""Masks on disk: white = hole, two values; everything else is refused with what was found."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gainbench.errors import MaskError
from gainbench.masks import read_mask


def square(side: int = 64, hidden: int = 20) -> np.ndarray:
    hole = np.zeros((side, side), np.bool_)
    hole[5 : 5 + hidden, 7 : 7 + hidden] = True
    return hole


def saved(path: Path, pixels: np.ndarray, mode: str | None = None) -> Path:
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(path)
    return path


def test_white_is_the_hole(tmp_path: Path) -> None:
    hole = square()
    assert np.array_equal(read_mask(saved(tmp_path / "mask.png", hole * np.uint8(255))), hole)


@pytest.mark.parametrize("mode", ["1", "P", "RGB", "RGBA"])
def test_two_values_in_another_container_are_the_same_mask(tmp_path: Path, mode: str) -> None:
    hole = square()
    assert np.array_equal(read_mask(saved(tmp_path / "mask.png", hole * np.uint8(255), mode)), hole)


def test_a_mostly_white_mask_is_refused_with_its_share_and_the_flag_that_flips_it(tmp_path: Path) -> None:
    path = saved(tmp_path / "mask.png", ~square() * np.uint8(255))
    with pytest.raises(MaskError, match=r"mask\.png.*0\.90.*invert: true"):
        read_mask(path)
    assert np.array_equal(read_mask(path, invert=True), square())
    assert np.array_equal(read_mask(path, invert=False), ~square())


def test_a_third_grey_level_is_refused_and_named(tmp_path: Path) -> None:
    pixels = square() * np.uint8(255)
    pixels[0, 0] = 128
    with pytest.raises(MaskError, match=r"3 grey levels \(0, 128, 255\)"):
        read_mask(saved(tmp_path / "mask.png", pixels))


def test_values_zero_and_one_are_refused_and_named(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match=r"2 grey levels \(0, 1\)"):
        read_mask(saved(tmp_path / "mask.png", square() * np.uint8(1)))


@pytest.mark.parametrize(("value", "colour"), [(0, "black"), (255, "white")])
def test_one_value_throughout_is_refused(tmp_path: Path, value: int, colour: str) -> None:
    with pytest.raises(MaskError, match=f"{colour} throughout"):
        read_mask(saved(tmp_path / "mask.png", np.full((32, 32), value, np.uint8)))


def test_colours_are_refused(tmp_path: Path) -> None:
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[4:9, 4:9, 0] = 255
    with pytest.raises(MaskError, match="colours"):
        read_mask(saved(tmp_path / "mask.png", pixels))


def test_transparency_is_refused(tmp_path: Path) -> None:
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[4:9, 4:9] = 255
    with pytest.raises(MaskError, match="transparent"):
        read_mask(saved(tmp_path / "mask.png", pixels))


def test_sixteen_bits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match="8 bits"):
        read_mask(saved(tmp_path / "mask.png", square().astype(np.uint16) * 65535))


def test_a_file_that_is_no_picture_and_one_that_is_not_there_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "mask.png"
    text.write_text("not a picture")
    for path in (text, tmp_path / "absent.png"):
        with pytest.raises(MaskError, match="not a readable picture"):
            read_mask(path)

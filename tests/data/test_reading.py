from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gainbench.data import read_picture
from gainbench.data.reading import cut, decode
from gainbench.errors import DataError

Pixels = Callable[..., NDArray[np.uint8]]


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        # EXIF 2.3, tag 0x0112: where the stored first row and first column are in the scene.
        (1, lambda stored: stored),
        (2, lambda stored: stored[:, ::-1]),
        (3, lambda stored: stored[::-1, ::-1]),
        (4, lambda stored: stored[::-1]),
        (5, lambda stored: stored.transpose(1, 0, 2)),
        (6, lambda stored: np.rot90(stored, -1)),
        (7, lambda stored: stored[::-1, ::-1].transpose(1, 0, 2)),
        (8, lambda stored: np.rot90(stored, 1)),
    ],
)
def test_exif_orientation_is_applied(
    tmp_path: Path, pixels: Pixels, orientation: int, upright: Callable[..., NDArray[np.uint8]]
) -> None:
    stored = pixels("exif", 50, 40)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "p.png", exif=exif)
    np.testing.assert_array_equal(read_picture(tmp_path / "p.png"), upright(stored))


def test_gray_is_read_only_where_it_is_admitted(tmp_path: Path, pixels: Pixels) -> None:
    gray = pixels("gray")[..., 0]
    Image.fromarray(gray).save(tmp_path / "p.pgm")
    with pytest.raises(DataError, match="gray; expected an 8-bit RGB picture"):
        read_picture(tmp_path / "p.pgm")
    read = read_picture(tmp_path / "p.pgm", admit_gray=True)
    np.testing.assert_array_equal(read, np.stack([gray] * 3, axis=-1), strict=True)


def test_a_file_that_is_no_picture_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "p.jpg").write_text("text")
    for path in (tmp_path / "p.jpg", tmp_path / "missing.jpg"):
        with pytest.raises(DataError, match="cannot be used"):
            read_picture(path)


def test_a_file_that_changed_after_inspection_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "p.jpg").write_text("text")
    with pytest.raises(DataError, match="was it changed"):
        decode(tmp_path / "p.jpg")


def test_reducing_is_antialiased() -> None:
    # A one-pixel checkerboard has no content that half the size can show: antialiased it is the mean gray, sampled
    # without a filter it is black or white.
    board = np.where(np.indices((64, 64)).sum(axis=0) % 2, 255, 0).astype(np.uint8)
    reduced = cut(Image.fromarray(np.stack([board] * 3, axis=-1)), (0, 0, 64, 64), 32)
    assert np.abs(reduced[2:-2, 2:-2].astype(int) - 127.5).max() <= 1.5


def test_reducing_equals_the_bicubic_filter_written_out() -> None:
    # Keys' kernel, a = -0.5, widened by the factor of the reduction and normalised (what Pillow documents).
    def kernel(x: NDArray[np.float64]) -> NDArray[np.float64]:
        x = np.abs(x)
        near = 1.5 * x**3 - 2.5 * x**2 + 1
        far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
        return np.where(x < 1, near, np.where(x < 2, far, 0.0))

    signal = np.random.default_rng(3).integers(60, 196, (96, 96, 3), dtype=np.uint8)
    factor = 96 / 32
    centres = (np.arange(32)[:, None] + 0.5) * factor
    weights = kernel((np.arange(96)[None, :] + 0.5 - centres) / factor)
    weights /= weights.sum(axis=1, keepdims=True)
    expected = np.einsum("ij,jkc,lk->ilc", weights, signal.astype(np.float64), weights)
    reduced = cut(Image.fromarray(signal), (0, 0, 96, 96), 32)
    assert np.abs(reduced - expected).max() <= 1.5


def test_nothing_outside_the_box_is_read(pixels: Pixels) -> None:
    picture = pixels("box", 100, 80)
    other = picture.copy()
    other[:, :20], other[:, 60:], other[:10], other[50:] = 255, 0, 255, 0
    box = (20, 10, 60, 50)
    for size in (20, 40, 64):
        np.testing.assert_array_equal(cut(Image.fromarray(picture), box, size), cut(Image.fromarray(other), box, size))


def test_a_box_of_the_asked_size_is_copied_exactly(pixels: Pixels) -> None:
    picture = pixels("exact", 100, 80)
    np.testing.assert_array_equal(cut(Image.fromarray(picture), (20, 10, 60, 50), 40), picture[10:50, 20:60])

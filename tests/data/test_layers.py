"""Pictures of anybody's making are read without loss and written back the same."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from gainbench.data.layers import read_layers, write_png
from gainbench.errors import DataError

NO_HOLE = np.zeros((8, 12), bool)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P"])
def test_what_is_read_is_written_back_pixel_by_pixel(tmp_path: Path, pixels, mode: str) -> None:
    picture = Image.fromarray(pixels("kept", 12, 8))
    if mode in ("RGBA", "LA"):
        picture.putalpha(Image.fromarray(pixels("alpha", 12, 8)[..., 0]))
    picture = picture.convert(mode)
    picture.save(tmp_path / "in.png")
    write_png(read_layers(tmp_path / "in.png"), tmp_path / "deep" / "out.png")
    with Image.open(tmp_path / "deep" / "out.png") as written:
        assert written.mode == {"P": "RGB"}.get(mode, mode)
        np.testing.assert_array_equal(np.asarray(written.convert("RGBA")), np.asarray(picture.convert("RGBA")))


def test_a_transparent_palette_entry_is_alpha(tmp_path: Path) -> None:
    indices = np.arange(96, dtype=np.uint8).reshape(8, 12) % 4
    picture = Image.fromarray(indices)
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    picture.save(tmp_path / "in.png", transparency=2)
    layers = read_layers(tmp_path / "in.png")
    np.testing.assert_array_equal(layers.transparent, indices == 2)
    np.testing.assert_array_equal(layers.colours[indices == 1], [[0, 255, 0]] * 24)


def test_a_hole_becomes_opaque_and_nothing_else_changes(tmp_path: Path, pixels) -> None:
    stored = np.concatenate([pixels("rgb", 12, 8), np.full((8, 12, 1), 7, np.uint8)], axis=2)
    Image.fromarray(stored).save(tmp_path / "in.png")
    hole = NO_HOLE.copy()
    hole[2:4, 3:9] = True
    fill = pixels("fill", 12, 8)
    filled = read_layers(tmp_path / "in.png").filled(hole, fill)
    np.testing.assert_array_equal(filled.colours[hole], fill[hole])
    np.testing.assert_array_equal(filled.colours[~hole], stored[..., :3][~hole])
    np.testing.assert_array_equal(filled.alpha, np.where(hole, 255, 7))


def test_gray_stays_gray_and_a_colour_profile_is_handed_on(tmp_path: Path, pixels) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(pixels("gray", 12, 8)[..., 0]).save(tmp_path / "in.png", icc_profile=profile)
    layers = read_layers(tmp_path / "in.png").filled(~NO_HOLE, np.full((8, 12, 3), (10, 200, 30), np.uint8))
    write_png(layers, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as written:
        assert written.mode == "L"
        assert written.info["icc_profile"] == profile
        # ITU-R 601: .299 R + .587 G + .114 B
        assert np.unique(np.asarray(written)).tolist() == [round(0.299 * 10 + 0.587 * 200 + 0.114 * 30)]


def test_orientation_turns_colours_and_alpha_alike(tmp_path: Path, pixels) -> None:
    stored = np.concatenate([pixels("a", 12, 8), pixels("b", 12, 8)[..., :1]], axis=2)
    exif = Image.Exif()
    exif[0x0112] = 6  # the stored first row is the scene's right side
    Image.fromarray(stored).save(tmp_path / "in.png", exif=exif)
    layers = read_layers(tmp_path / "in.png")
    upright = np.rot90(stored, -1)
    np.testing.assert_array_equal(layers.colours, upright[..., :3])
    np.testing.assert_array_equal(layers.alpha, upright[..., 3])
    write_png(layers, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as written:
        assert written.getexif().get(0x0112, 1) == 1


def _animate(path: Path) -> None:
    frames = [Image.new("L", (8, 8), level) for level in (0, 255)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def _cut_short(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("deep.png", lambda path: Image.fromarray(np.zeros((8, 8), np.uint16)).save(path), "more than 8 bits.*8 bit"),
        ("cmyk.jpg", lambda path: Image.new("CMYK", (8, 8)).save(path), "CMYK.*colour profile"),
        ("text.png", lambda path: path.write_text("text"), "not a picture"),
        ("moves.gif", _animate, "animated.*frame"),
        ("gone.png", lambda path: None, "No such file"),
        ("cut.png", _cut_short, "cut.png cannot be used"),
    ],
)
def test_what_reading_would_change_is_refused_with_a_remedy(tmp_path: Path, name, write, message) -> None:
    write(tmp_path / name)
    with pytest.raises(DataError, match=message):
        read_layers(tmp_path / name)

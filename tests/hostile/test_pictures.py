"""Pictures of strangers: used, skipped and counted, or a clear error, in a data set, in `inpaint` and in `evaluate`."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gainbench.data import open_dataset
from gainbench.data.layers import read_layers
from gainbench.data.reading import read_picture
from gainbench.errors import DataError

from .corpus import MASKS, ODD_NAMES, PICTURES, bomb, bounded_memory, encoded, place, place_no_files, smooth, square

LAYERS = {name: make for name, make in PICTURES.items() if name not in {"palette", "1 pixel"}}
"""What `inpaint` refuses: palettes and single pixels are pictures too."""


@pytest.fixture
def folder(tmp_path):
    """Seven usable pictures of odd names, everything hostile, a loop of folders, and what is no plain file."""
    root = tmp_path / "pictures"
    place(root, PICTURES)
    place_no_files(root)
    for number, name in enumerate(ODD_NAMES):
        (root / name).write_bytes(encoded(smooth(number)))
    (root / "loop").symlink_to(root)
    return root


def test_a_data_set_uses_what_it_can_and_counts_the_rest(folder):
    manifest = open_dataset("folder", folder).manifest
    assert {entry.name for entry in manifest.entries} == set(ODD_NAMES)
    reasons = dict(manifest.skipped)
    assert set(reasons) == {make()[0] for make in PICTURES.values()} | {
        *("dangling.png", "itself.png", "pipe.png", "loop"),
    }
    assert all(reasons.values())
    assert sum(manifest.skip_counts.values()) == len(reasons)
    with pytest.raises(DataError, match=r"files cannot be used, and strict"):
        open_dataset("folder", folder, strict=True)


@pytest.mark.parametrize("name", LAYERS)
def test_a_picture_that_cannot_be_filled_says_why(tmp_path, name):
    file, content = LAYERS[name]()
    (tmp_path / file).write_bytes(content)
    for read in (read_layers, read_picture):
        with bounded_memory(), pytest.raises(DataError, match="expected an 8-bit") as raised:
            read(tmp_path / file)
        assert "MemoryError" not in str(raised.value)


def test_a_pipe_is_not_waited_for(tmp_path):
    for name in place_no_files(tmp_path):
        with pytest.raises(DataError, match=r"not a plain file|cannot be opened"):
            read_layers(tmp_path / name)


def test_inpaint_fills_what_it_can_counts_the_rest_and_loses_nothing(verb, tmp_path, folder):
    (tmp_path / "hole.png").write_bytes(encoded(square()))
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    done = verb(
        "inpaint", "--image", folder, "--mask", tmp_path / "hole.png", "--out", tmp_path / "out", "--method", "telea"
    )
    # The three names of cut.* and moving.* each give one output, so what would overwrite another is refused first.
    done.refused("would both become")
    for name in ("cut.jpg", "moving.gif"):
        (folder / name).unlink()
        del before[name]
    done = verb(
        "inpaint", "--image", folder, "--mask", tmp_path / "hole.png", "--out", tmp_path / "out", "--method", "telea"
    )
    done.clear("cut.png", "decompression bomb", "pixel.png")
    filled = {path.name for path in (tmp_path / "out").iterdir()}
    assert filled == {*ODD_NAMES, "palette.png"}
    assert done.code == done.err.count("not filled: ") == len(PICTURES) - 3 + 3
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("name", MASKS)
def test_inpaint_refuses_a_hostile_mask(verb, tmp_path, name):
    (tmp_path / "picture.png").write_bytes(encoded(smooth(1)))
    file, content = MASKS[name]()
    (tmp_path / file).write_bytes(content)
    images = ("--image", tmp_path / "picture.png", "--mask", tmp_path / file)
    verb("inpaint", *images, "--out", tmp_path / "out", "--method", "telea").refused(file, "expected")
    assert not (tmp_path / "out").exists()


def test_a_place_that_is_a_file_is_told(verb, tmp_path):
    for name, picture in (("picture.png", smooth(1)), ("hole.png", square())):
        (tmp_path / name).write_bytes(encoded(picture))
    images = ("--image", tmp_path / "picture.png", "--mask", tmp_path / "hole.png", "--method", "telea")
    verb("inpaint", *images, "--out", tmp_path / "hole.png" / "out").refused("cannot be written", "Not a directory")
    verb("inpaint", *images, "--out", tmp_path / ("long" * 100)).refused("name too long")


def test_evaluate_lists_what_cannot_be_scored_and_scores_the_rest_if_asked(verb, tmp_path):
    for folder in ("mine", "originals"):
        (tmp_path / folder).mkdir()
        for number, name in enumerate(ODD_NAMES[:4]):
            (tmp_path / folder / name).write_bytes(encoded(smooth(number)))
    for name in ("bomb", "truncated", "16 bit", "zero bytes"):
        place(tmp_path / "mine", {name: PICTURES[name]})
        place(tmp_path / "originals", {name: PICTURES[name]})
    words = ("evaluate", "--pred", tmp_path / "mine", "--target", tmp_path / "originals", "--metrics", "psnr_rgb")
    verb(*words).refused("4 of 8 names cannot be scored", "decompression bomb", "--partial")
    done = verb(*words, "--partial", "--out", tmp_path / "scores")
    done.clear("left out: bomb", "left out: cut", "left out: deep", "left out: zero")
    assert done.code == 0
    table = tmp_path / "names.csv"
    for content in (b"", b"\0\xff\xfe", b"name;photograph\n", b'name,photograph\n"a,b\n'):
        table.write_bytes(content)
        verb(*words, "--partial", "--photographs", table).refused("--photographs")
    verb(*words, "--partial", "--photographs", tmp_path).refused("--photographs")


WHOLE = [encoded(smooth(3, 40), kind) for kind in ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM", "GIF")]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_are_a_picture_or_a_clear_error(tmp_path, data):
    content = bytearray(data.draw(st.sampled_from(WHOLE)))
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, min(len(content) - 1, 300)))] = data.draw(st.integers(0, 255))
    path = tmp_path / "any.png"
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    for read, pixels in ((read_picture, np.asarray), (read_layers, lambda layers: layers.colours)):
        try:
            found = pixels(read(path))
        except DataError as error:
            assert "expected an 8-bit" in str(error)  # noqa: PT017 - most bytes are no picture, and either is right
        else:
            assert found.dtype == np.uint8
            assert found.shape[2] == 3


@pytest.mark.slow
def test_a_bomb_costs_a_process_no_memory(program, tmp_path):
    for place_, content in (("in", bomb(colour=2)), ("holes", bomb())):
        (tmp_path / place_).mkdir()
        (tmp_path / place_ / "a.png").write_bytes(content)
    images = ("--image", tmp_path / "in" / "a.png", "--mask", tmp_path / "holes" / "a.png")
    program("inpaint", *images, "--out", tmp_path / "out", "--method", "telea").refused("decompression bomb")
    (tmp_path / "in" / "a.png").write_bytes(encoded(smooth(1)))
    program("inpaint", *images, "--out", tmp_path / "out", "--method", "telea").refused("decompression bomb")
    words = ("plan", "--suite", "smoke", "--datasets", "folder", "--data", f"folder={tmp_path / 'holes'}")
    program(*words, "--out", tmp_path / "root").refused("decompression bomb")
    assert not Path(tmp_path / "root").exists()

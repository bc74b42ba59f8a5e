"""Masks of strangers: two values and white = hole, or a clear error; never gigabytes, never half a mask."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gainbench.errors import MaskError
from gainbench.masks import open_protocol, read_mask
from gainbench.masks.reading import decode_mask
from gainbench.spec import MaskSpec

from .corpus import MASKS, ODD_NAMES, bomb, bounded_memory, encoded, place_no_files, square

HERE = Path("hole.png")


@pytest.mark.parametrize("name", MASKS)
def test_what_is_no_mask_is_told_with_its_reason(tmp_path, name):
    file, content = MASKS[name]()
    (tmp_path / file).write_bytes(content)
    with pytest.raises(MaskError, match="expected") as raised:
        read_mask(tmp_path / file)
    assert file in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_is_no_plain_file_is_told_and_a_pipe_is_not_waited_for(tmp_path):
    (tmp_path / "folder.png").mkdir()
    for name in [*place_no_files(tmp_path), "folder.png", "absent.png", f"{'long' * 100}.png", "nul\0.png"]:
        with pytest.raises(MaskError, match="not a readable picture"):
            read_mask(tmp_path / name)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_is_only_a_name(tmp_path, name):
    (tmp_path / name).write_bytes(encoded(square()))
    assert read_mask(tmp_path / name).sum() == 16 * 16


@pytest.mark.parametrize(("width", "height"), [(30_000, 30_000), (100_000, 100_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_costs_no_memory(width, height):
    content = bomb(width, height)
    assert len(content) < 10_000
    with bounded_memory(), pytest.raises(MaskError, match="decompression bomb"):
        decode_mask(content, HERE, invert=False)


def test_the_bound_on_memory_bites():
    with bounded_memory(), pytest.raises(MemoryError):
        bytes(1 << 30)


@pytest.mark.parametrize("pairing", ["name", "hash"])
def test_a_folder_with_one_hostile_mask_is_refused_by_that_name(tmp_path, pairing):
    for number, name in enumerate(ODD_NAMES):
        (tmp_path / name).write_bytes(encoded(square(64 + number)))
    (tmp_path / "folder.png").mkdir()
    spec = MaskSpec(protocol="folder", path=tmp_path, pairing=pairing)
    assert len(open_protocol(spec).folder.files) == len(ODD_NAMES)
    for kind, reason in (("bomb", "bomb"), ("truncated", "truncated")):
        name, content = MASKS[kind]()
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MaskError, match=rf"{name}.*{reason}"):
            open_protocol(spec)
        (tmp_path / name).unlink()
    (tmp_path / "dangling.png").symlink_to("nothing")
    with pytest.raises(MaskError, match=r"dangling\.png cannot be opened"):
        open_protocol(spec)


def test_a_mask_whose_name_is_not_text_is_refused_by_the_name(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.png")).write_bytes(encoded(square()))
    with pytest.raises(MaskError, match="not UTF-8"):
        open_protocol(MaskSpec(protocol="folder", path=tmp_path, pairing="hash"))


def test_training_masks_of_strangers_are_told_when_their_folder_is_opened(tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / "train").mkdir()
    (tmp_path / "test" / "ok.png").write_bytes(encoded(square()))
    (tmp_path / "train" / "bomb.png").write_bytes(bomb())
    spec = MaskSpec(protocol="folder", path=tmp_path / "test", training_path=tmp_path / "train", pairing="hash")
    with pytest.raises(MaskError, match=r"bomb\.png.*bomb"):
        open_protocol(spec)


def decoded_or_none(content: bytes) -> np.ndarray | None:
    try:
        hole = decode_mask(content, HERE, invert=False)
    except MaskError:
        return None
    assert hole.dtype == np.bool_
    assert hole.ndim == 2
    assert 0 < hole.sum() < hole.size
    return hole


WHOLE = {
    kind: encoded(square(20), kind, **({"lossless": True} if kind == "WEBP" else {}))
    for kind in ("PNG", "BMP", "PPM", "TIFF", "GIF", "WEBP", "JPEG")
}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_bytes_give_a_mask_or_a_clear_error(data):
    content = bytearray(data.draw(st.sampled_from(sorted(WHOLE)).map(WHOLE.get)))
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    decoded_or_none(bytes(content[: data.draw(st.integers(0, len(content)))]) + data.draw(st.binary(max_size=8)))
    decoded_or_none(data.draw(st.binary(max_size=64)))


@settings(max_examples=80, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    channels=st.sampled_from([0, 2, 3, 4]),
    levels=st.sampled_from([(0, 255), (0, 1), (0, 128, 255), (255,), (0, 65535)]),
    seed=st.integers(0, 99),
)
def test_any_array_saved_as_png_is_itself_as_a_mask_or_a_clear_error(shape, channels, levels, seed):
    kind = np.uint16 if max(levels) > 255 else np.uint8
    size = (*shape, channels) if channels and kind == np.uint8 else shape
    array = np.random.default_rng(seed).choice(levels, size).astype(kind)
    written = io.BytesIO()
    Image.fromarray(array).save(written, "PNG")
    hole = decoded_or_none(written.getvalue())
    grey = array if array.ndim == 2 else array[..., 0]
    colours = array[..., None] if array.ndim == 2 else array[..., : 1 if channels == 2 else 3]
    alpha = array[..., -1] if channels in (2, 4) and array.ndim == 3 else np.full(shape, 255)
    plain = kind == np.uint8 and (colours == colours[..., :1]).all() and (alpha == 255).all()
    if plain and set(np.unique(grey)) == {0, 255}:
        np.testing.assert_array_equal(hole, grey == 255)
    else:
        assert hole is None

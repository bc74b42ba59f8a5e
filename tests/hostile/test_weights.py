"""Weights of strangers: they fit, or one error says what was found; nothing in them is ever run."""

import io
import json
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save, save_file
from torch import nn

from gainbench.errors import TrainingError
from gainbench.registry import build_method
from gainbench.spec import MethodSpec, scales
from gainbench.training.checkpoint import load_checkpoint, load_weights, save_checkpoint, save_weights

from .corpus import code, encoded, smooth, square


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "gain.safetensors"
    save_weights(build_method(MethodSpec.parse("gain[base=1]"), scales()["tiny"]), path)
    return path


def zipped(marker) -> bytes:
    written = io.BytesIO()
    torch.save({"x": torch.zeros(1)}, written)
    return written.getvalue() + code(marker)


def header(entries: object) -> bytes:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


HOSTILE = {
    "zero bytes": lambda good, marker: b"",
    "truncated header": lambda good, marker: good[:50],
    "truncated": lambda good, marker: good[: len(good) // 2],
    "a byte too many": lambda good, marker: good + b"\0",
    "another method's": lambda good, marker: save({"weight": torch.zeros(3)}),
    "a pickle with code": lambda good, marker: code(marker),
    "a torch file with code": lambda good, marker: zipped(marker),
    "a header of exabytes": lambda good, marker: struct.pack("<Q", 2**62) + b"{}",
    "a tensor of exabytes": lambda good, marker: header(
        {"w": {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 2**62]}}
    ),
    "deep JSON": lambda good, marker: header(b"[" * 100_000),
    "a picture": lambda good, marker: encoded(smooth(1)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_weights_are_one_error_and_nothing_is_run(verb, tmp_path, good, name):
    marker, weights = tmp_path / "was-run", tmp_path / "my weights.safetensors"
    weights.write_bytes(HOSTILE[name](good.read_bytes(), marker))
    for file, picture in (("picture.png", smooth(1)), ("hole.png", square())):
        (tmp_path / file).write_bytes(encoded(picture))
    pair = (tmp_path / "picture.png", tmp_path / "hole.png")
    out = ("--weights", weights, "--scale", "tiny", "--out", tmp_path / "out")
    filled = verb("inpaint", "--image", pair[0], "--mask", pair[1], "--method", "gain[base=1]", *out)
    filled.refused(weights.name, "does not fit" if name == "another method's" else "not a readable safetensors file")
    verb("explain", "gain[base=1]", *pair, *out).refused(weights.name)
    assert not marker.exists()
    assert not (tmp_path / "out").exists()


def test_what_is_no_file_of_weights_is_told(verb, tmp_path):
    for file, picture in (("picture.png", smooth(1)), ("hole.png", square())):
        (tmp_path / file).write_bytes(encoded(picture))
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    cell = tmp_path / "cell"
    cell.mkdir()
    (cell / "weights.safetensors").write_bytes(b"")
    images = (
        "inpaint",
        "--image",
        tmp_path / "picture.png",
        "--mask",
        tmp_path / "hole.png",
        "--out",
        tmp_path / "out",
    )
    verb(*images, "--weights", tmp_path / "itself").refused("no weights at")
    verb(*images, "--weights", cell).refused("no cell's folder")
    for content in (b"", b"{", b"[]", b"[" * 100_000, b"{}", b'{"dataset": 1}', b"\xff\xfe"):
        (cell / "spec.json").write_bytes(content)
        verb(*images, "--weights", cell).refused("spec.json")


def test_weights_of_another_type_are_told(tmp_path):
    save_file({"weight": torch.ones(1, 2, dtype=torch.float64), "bias": torch.ones(1)}, tmp_path / "w.safetensors")
    with pytest.raises(TrainingError, match=r"weight is torch\.float64, expected torch\.float32"):
        load_weights(nn.Linear(2, 1), tmp_path / "w.safetensors")


@pytest.fixture
def checkpoint(tmp_path):
    save_checkpoint(tmp_path, 7, nn.Linear(2, 1), {"optimisers": [torch.zeros(40)]})
    return tmp_path


def test_a_checkpoint_cut_or_damaged_anywhere_is_told_with_the_way_out(checkpoint):
    whole = (checkpoint / "7.pt").read_bytes()
    draws = np.random.default_rng(3)
    harmless = 0
    for length in {0, 1, 3, len(whole) - 1, *draws.integers(0, len(whole), 20).tolist()}:
        (checkpoint / "7.pt").write_bytes(whole[:length])
        with pytest.raises(TrainingError, match="to train anew"):
            load_checkpoint(checkpoint, nn.Linear(2, 1))
    for place in draws.integers(0, len(whole), 60).tolist():
        (checkpoint / "7.pt").write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            load_checkpoint(checkpoint, nn.Linear(2, 1))
            harmless += 1
        except TrainingError as error:
            assert "to train anew" in str(error)  # noqa: PT017 - a byte of padding may be any
    assert harmless < 60
    for value in ([1], {"step": 8}, {"other": 1}):
        torch.save(value, checkpoint / "7.pt")
        with pytest.raises(TrainingError, match="no checkpoint of step 7"):
            load_checkpoint(checkpoint, nn.Linear(2, 1))


def test_a_whole_checkpoint_is_taken(checkpoint):
    assert load_checkpoint(checkpoint, nn.Linear(2, 1))["step"] == 7
    assert set(load_file(checkpoint / "7.safetensors")) == {"weight", "bias"}


def test_weights_of_another_network_for_fid_end_a_run_before_it_begins(verb, tmp_path):
    (tmp_path / "inception.pth").write_bytes(code(tmp_path / "was-run"))
    words = ("run", "--suite", "smoke", "--fid-weights", tmp_path / "inception.pth", "--out", tmp_path / "root")
    verb(*words).refused("--fid-weights", "sha256")
    assert not (tmp_path / "root").exists()
    assert not (tmp_path / "was-run").exists()

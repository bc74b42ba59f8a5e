"""Holes of one's own pictures: what is known passes unchanged, sizes are met by rule, and mistakes are named."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from gainbench import inpaint
from gainbench.cli import app
from gainbench.errors import DataError, MaskError, MethodError, TrainingError
from gainbench.registry import build_method
from gainbench.run.cell import run_cell
from gainbench.run.layout import cell_folder
from gainbench.run.plan import plan_suite
from gainbench.spec import MethodSpec, scales
from gainbench.training import save_weights

pytestmark = pytest.mark.usefixtures("own_cache")

NETWORK = """
import torch
from torch import nn
from gainbench import Inpainter, TrainableInpainter

class Seeing(Inpainter, nn.Module):
    '''Paints the number of known pixels it is shown, and remembers the shapes.'''
    name = "seeing"
    shapes = []

    def __init__(self, params, scale):
        nn.Module.__init__(self)
        Inpainter.__init__(self, params, scale)

    def inpaint(self, image, known):
        self.shapes.append(tuple(image.shape))
        assert float((image * (1 - known)).abs().max()) == 0
        return image + (1 - known) * image.amax((2, 3), keepdim=True)

class Peeking(Inpainter):
    name = "peeking"
    oracle = True

class Narrow(Inpainter):
    name = "narrow"
    def inpaint(self, image, known):
        if image.shape[3] > 80:
            raise (MemoryError if image.shape[3] > 90 else ValueError)("too wide")
        return image

class Sulking(Inpainter):
    name = "sulking"
    def inpaint(self, image, known):
        raise ValueError("not today")
"""


@pytest.fixture
def plugin_file(tmp_path):
    (tmp_path / "plugin.py").write_text(NETWORK)
    return tmp_path / "plugin.py"


@pytest.fixture
def picture(tmp_path):
    """A smooth picture and a mask beside it: (picture, mask) paths, for any size and mode."""

    def write(name="a", width=70, height=50, mode="RGB", hole=(slice(10, 30), slice(20, 50))):
        coarse = Image.fromarray(np.random.default_rng(len(name)).integers(1, 256, (4, 4, 3), dtype=np.uint8))
        for folder in ("in", "holes"):
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
        coarse.resize((width, height), Image.Resampling.BICUBIC).convert(mode).save(tmp_path / "in" / f"{name}.png")
        mask = np.zeros((height, width), np.uint8)
        mask[hole] = 255
        Image.fromarray(mask).save(tmp_path / "holes" / f"{name}.png")
        return tmp_path / "in" / f"{name}.png", tmp_path / "holes" / f"{name}.png"

    return write


def read(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.array(opened)


def test_a_classical_method_gets_the_whole_picture_as_it_is(picture, tmp_path):
    image, mask = picture(width=71, height=53)
    (done,) = inpaint(image, mask, tmp_path / "out", method="telea")
    assert (done.output, done.problem) == (tmp_path / "out" / "a.png", "")
    original, hole = read(image), read(mask)
    blank = np.where(hole[..., None] > 0, np.uint8(0), original)
    np.testing.assert_array_equal(read(done.output), cv2.inpaint(blank, hole, 3.0, cv2.INPAINT_TELEA))
    np.testing.assert_array_equal(read(done.output)[hole == 0], original[hole == 0])


@pytest.mark.parametrize(
    ("width", "height", "tile", "shapes"),
    [
        (10, 7, None, [(64, 64)]),  # not smaller than the square that was trained on
        (100, 65, None, [(80, 112)]),  # the next multiples of 16
        (128, 128, None, [(128, 128)]),  # twice the square: one pass
        (130, 40, None, [(64, 128)] * 2),  # more: tiles
        (100, 65, 64, [(64, 64)] * 4),
    ],
)
def test_a_network_gets_sides_that_follow_the_rule(picture, plugin_file, tmp_path, width, height, tile, shapes):
    middle = slice(height // 2 - 2, height // 2 + 2), slice(width // 2 - 3, width // 2 + 3)
    image, mask = picture(width=width, height=height, hole=middle)
    recorded = []
    original = torch.Tensor.amax

    def spy(tensor, *dims, **options):
        recorded.append(tuple(tensor.shape[2:]))
        return original(tensor, *dims, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.Tensor, "amax", spy)
        (done,) = inpaint(image, mask, tmp_path / "out", method="seeing", plugin=plugin_file, scale="tiny", tile=tile)
    assert recorded == shapes
    filled, hole = read(done.output), read(mask) > 0
    assert filled.shape == (height, width, 3)
    np.testing.assert_array_equal(filled[~hole], read(image)[~hole])
    assert (filled[hole] > 0).all()


def test_hidden_pixels_change_no_output_bit(picture, plugin_file, tmp_path):
    image, mask = picture(width=150, height=140)
    noisy = read(image)
    hole = read(mask) > 0
    noisy[hole] = np.random.default_rng(0).integers(0, 256, (int(hole.sum()), 3))
    Image.fromarray(noisy).save(tmp_path / "noisy.png")
    options = {"method": "seeing", "plugin": plugin_file, "scale": "tiny"}
    (one,) = inpaint(image, mask, tmp_path / "one", **options)
    (two,) = inpaint(tmp_path / "noisy.png", mask, tmp_path / "two", **options)
    np.testing.assert_array_equal(read(one.output), read(two.output))


def test_transparent_pixels_tell_nothing_and_pass(picture, tmp_path):
    image, mask = picture(mode="RGBA")
    layered, hole = read(image), read(mask) > 0
    layered[:5, :, 3] = 0
    layered[:5, :, :3] = 255  # what an editor leaves there
    layered[hole, 3] = 0  # and the user rubbed the hole out
    Image.fromarray(layered).save(image)
    (done,) = inpaint(image, mask, tmp_path / "out", method="mean_fill")
    filled = read(done.output)
    np.testing.assert_array_equal(filled[~hole], layered[~hole])
    assert (filled[hole, 3] == 255).all()
    seen = ~hole & (layered[..., 3] > 0)
    np.testing.assert_array_equal(filled[hole][0, :3], layered[seen][:, :3].mean(axis=0).round())


def test_a_mask_lies_on_the_upright_picture(tmp_path, picture):
    image, mask = picture(width=40, height=60)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(read(image), 1)).save(image, exif=exif)
    (done,) = inpaint(image, mask, tmp_path / "out", method="telea")
    assert read(done.output).shape == (60, 40, 3)
    Image.fromarray(np.rot90(read(mask))).save(mask)
    with pytest.raises(MaskError, match=r"60 x 40 pixels, the picture .* is 40 x 60 \(upright\)"):
        inpaint(image, mask, tmp_path / "out", method="telea")


def test_a_folder_goes_on_after_what_cannot_be_used(picture, tmp_path):
    picture("a")
    picture("deep/b")
    picture("c")
    Image.fromarray(np.zeros((50, 70), np.uint16)).save(tmp_path / "in" / "c.png")
    told = []
    done = inpaint(
        tmp_path / "in",
        tmp_path / "holes",
        tmp_path / "out",
        method="telea",
        progress=lambda *so_far: told.append(so_far),
    )
    outputs = [str(item.output.relative_to(tmp_path / "out")) if item.output else None for item in done]
    assert outputs == ["a.png", None, "deep/b.png"]
    assert "more than 8 bits" in done[1].problem
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file()) == ["a.png", "b.png"]


def test_a_folder_goes_on_after_a_picture_on_which_the_method_fails(picture, plugin_file, tmp_path):
    picture("a", width=85)
    picture("b")
    picture("c", width=95)
    folders = (tmp_path / "in", tmp_path / "holes", tmp_path / "out")
    first, second, third = inpaint(*folders, method="narrow", plugin=str(plugin_file))
    assert (first.output, second.output, third.output) == (None, tmp_path / "out" / "b.png", None)
    assert first.problem == f"{tmp_path / 'in' / 'a.png'}: narrow fails on 85 x 50 pixels: ValueError: too wide"
    assert third.problem.startswith(f"{tmp_path / 'in' / 'c.png'}: narrow has not memory enough for 95 x 50 pixels")
    with pytest.raises(MethodError, match=r"a\.png: narrow fails"):
        inpaint(first.image, first.mask, tmp_path / "out", method="narrow", plugin=plugin_file)


def test_one_mask_may_serve_a_folder(picture, tmp_path):
    picture("a")
    picture("b")
    done = inpaint(tmp_path / "in", tmp_path / "holes" / "a.png", tmp_path / "out", method="telea")
    assert [item.output.name for item in done] == ["a.png", "b.png"]


def test_inverted_masks_are_refused_and_can_be_flipped(picture, tmp_path):
    image, mask = picture()
    (expected,) = inpaint(image, mask, tmp_path / "expected", method="telea")
    Image.fromarray(255 - read(mask)).save(mask)
    with pytest.raises(MaskError, match=r"white = hole.*--invert-masks.*--no-invert-masks"):
        inpaint(image, mask, tmp_path / "out", method="telea")
    (flipped,) = inpaint(image, mask, tmp_path / "out", method="telea", invert_masks=True)
    np.testing.assert_array_equal(read(flipped.output), read(expected.output))


@pytest.fixture(scope="module")
def cell(suite, pictures, plugin, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    plan = plan_suite(suite, root=root, methods=["learning"], plugin=plugin, data_paths={"folder": pictures})
    run_cell(plan.cells[0].spec, root)
    return cell_folder(root, plan.cells[0].spec)


def test_weights_of_a_cell_and_of_a_file_fill_alike(picture, plugin, cell, tmp_path):
    image, mask = picture()
    (by_cell,) = inpaint(image, mask, tmp_path / "cell", weights=cell)
    (by_file_in_cell,) = inpaint(
        image, mask, tmp_path / "beside", method="learning", weights=cell / "weights.safetensors"
    )
    away = tmp_path / "away.safetensors"
    away.write_bytes((cell / "weights.safetensors").read_bytes())
    (by_file,) = inpaint(image, mask, tmp_path / "file", method="learning", weights=away, scale="tiny", plugin=plugin)
    fresh = tmp_path / "fresh.safetensors"
    save_weights(build_method(MethodSpec(name="learning"), scales()["tiny"], seed=9, plugin=plugin), fresh)
    (other,) = inpaint(image, mask, tmp_path / "fresh", method="learning", weights=fresh, scale="tiny", plugin=plugin)
    np.testing.assert_array_equal(read(by_file.output), read(by_cell.output))
    np.testing.assert_array_equal(read(by_file_in_cell.output), read(by_cell.output))
    assert (read(other.output) != read(by_cell.output)).any()


@pytest.mark.parametrize("name", ["gain", "partial_conv", "gated_conv", "edge_canny"])
def test_trained_methods_fill_pictures_of_any_size(picture, tmp_path, name):
    save_weights(build_method(MethodSpec(name=name), scales()["tiny"]), tmp_path / "weights.safetensors")
    for width, height in ((91, 77), (3, 140)):
        hole = slice(height // 3, height // 2), slice(width // 3, width // 2 + 1)
        image, mask = picture(width=width, height=height, hole=hole)
        (done,) = inpaint(
            image, mask, tmp_path / "out", method=name, weights=tmp_path / "weights.safetensors", scale="tiny"
        )
        filled, hidden = read(done.output), read(mask) > 0
        np.testing.assert_array_equal(filled[~hidden], read(image)[~hidden])


def mistaken(cell: Path, tmp_path: Path) -> dict[str, tuple[dict, type, str]]:
    return {
        "no method": ({}, MethodError, "which method"),
        "unknown method": ({"method": "tela"}, MethodError, "did you mean 'telea'"),
        "no weights": ({"method": "gain"}, MethodError, "gain is a trained method: give it weights"),
        "weights for none": ({"method": "telea", "weights": __file__}, MethodError, "scale tiny, cpu"),
        "weights left over": ({"method": "telea", "weights": __file__, "scale": "tiny"}, MethodError, "no weights"),
        "not weights": ({"method": "gain", "weights": __file__, "scale": "tiny"}, TrainingError, "safetensors"),
        "weights missing": ({"method": "gain", "weights": "/nowhere"}, MethodError, "no weights at /nowhere"),
        "no cell": ({"method": "gain", "weights": tmp_path}, MethodError, "is no cell's folder"),
        "another method's": ({"method": "gain", "weights": cell}, MethodError, "holds weights of learning"),
        "another scale": ({"weights": cell, "scale": "gpu"}, MethodError, "trained at scale tiny"),
        "unknown scale": ({"method": "telea", "scale": "tinny"}, MethodError, "did you mean 'tiny'"),
        "tile": ({"weights": cell, "tile": 65}, MethodError, "multiple of 16"),
        "tile of none": ({"method": "telea", "tile": 64}, MethodError, "takes whole pictures"),
    }


@pytest.mark.parametrize("mistake", mistaken(Path(), Path()))
def test_mistakes_in_the_choice_of_a_method_are_explained(picture, cell, tmp_path, mistake):
    options, error, message = mistaken(cell, tmp_path)[mistake]
    with pytest.raises(error, match=message):
        inpaint(*picture(), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_mistakes_in_files_are_explained(picture, plugin_file, tmp_path):
    image, mask = picture()
    picture("b")
    out = tmp_path / "out"

    def refused(error, message, *paths, **options):
        with pytest.raises(error, match=message):
            inpaint(*paths, **({"method": "telea"} | options))

    refused(DataError, "no picture and no folder at", tmp_path / "gone.png", mask, out)
    refused(DataError, "no mask and no folder at", image, tmp_path / "gone.png", out)
    refused(DataError, "results would be taken for pictures", tmp_path / "in", mask, tmp_path / "in" / "out")
    refused(DataError, "would overwrite", image, mask, tmp_path / "in")
    refused(DataError, "would overwrite", image, mask, tmp_path / "holes")
    refused(
        MethodError,
        "sulking fails on 70 x 50 pixels: ValueError: not today",
        image,
        mask,
        out,
        method="sulking",
        plugin=plugin_file,
    )
    refused(MethodError, "peeking .* is an oracle", image, mask, out, method="peeking", plugin=plugin_file)
    (tmp_path / "holes" / "b.png").unlink()
    refused(
        DataError,
        r"1 of 2 pictures have no mask .* such as b.png: expected b.png",
        tmp_path / "in",
        tmp_path / "holes",
        out,
    )
    Image.fromarray(read(image)).save(tmp_path / "in" / "a.jpg")
    refused(DataError, "would both become", tmp_path / "in", mask, out)
    Image.new("L", (70, 50)).save(mask)
    refused(MaskError, "black throughout", image, mask, out)
    (tmp_path / "empty").mkdir()
    refused(DataError, "no picture in", tmp_path / "empty", mask, out)
    assert not out.exists()


def test_the_verb_says_what_it_did_and_counts_failures(picture, tmp_path):
    picture("a")
    picture("b")
    Image.fromarray(np.zeros((50, 70), np.uint16)).save(tmp_path / "in" / "b.png")
    folders = ["--image", str(tmp_path / "in"), "--mask", str(tmp_path / "holes"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["inpaint", "--method", "telea", *folders])
    assert done.exit_code == 1
    assert "b.png cannot be used: more than 8 bits a channel" in done.output
    assert f"1 of 2 pictures filled, in {tmp_path / 'out'}" in done.output

"""Explaining one picture: what is shown is what the network did, cut to the picture."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from gainbench.errors import DataError, MaskError, MethodError
from gainbench.registry import build_method
from gainbench.run.explain import explain
from gainbench.spec import MethodSpec, scales
from gainbench.training import save_weights

SCALE = scales()["tiny"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Untrained weights of a narrow gain, by its options."""
    folder = tmp_path_factory.mktemp("weights")

    def written(method):
        path = folder / f"{method}.safetensors"
        if not path.is_file():
            save_weights(build_method(MethodSpec.parse(method), SCALE), path)
        return path

    return written


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A picture of 72 x 60 pixels and a hole in it."""
    folder = tmp_path_factory.mktemp("pair")
    coarse = Image.fromarray(np.random.default_rng(3).integers(0, 256, (6, 7, 3), dtype=np.uint8))
    coarse.resize((72, 60), Image.Resampling.BICUBIC).save(folder / "scene.png")
    hole = np.zeros((60, 72), np.uint8)
    hole[10:45, 16:50] = 255
    Image.fromarray(hole).save(folder / "hole.png")
    return folder / "scene.png", folder / "hole.png"


def explained(method, pair, weights, **options):
    return explain(method, *pair, weights=weights(method), scale="tiny", **options)


def test_maps_cover_the_picture_and_known_pixels_are_its_own(pair, weights):
    found = explained("gain[base=2]", pair, weights)
    picture = np.asarray(Image.open(pair[0]))
    assert found.label == "gain[base=2]"
    assert (found.name, found.base, found.iterations) == ("scene.png", 2, None)
    assert np.array_equal(found.completed[~found.hidden], picture[~found.hidden])
    assert (found.completed[found.hidden] != picture[found.hidden]).any()
    assert found.recovered.shape == (60, 72, 2)
    assert [step.known.shape for step in found.steps[:4]] == [(60, 72), (30, 36), (15, 18), (15, 18)]
    assert [step.operation for step in found.steps[:5]] == [
        *("5 x 5", "3 x 3, stride 2", "3 x 3, stride 2", "dilation 1", "dilation 1"),
    ]
    # What the first convolution knows: everything within two pixels of what is known.
    hidden = torch.from_numpy(found.hidden)[None, None].float()
    still = -torch.nn.functional.max_pool2d(-hidden, 5, stride=1, padding=2)[0, 0].numpy()
    inner = (slice(4, -4), slice(4, -4))
    assert np.array_equal(~found.steps[0].known[inner], still[inner] > 0)
    assert found.ranks


def test_priorities_stand_only_where_something_was_hidden(pair, weights):
    steps = explained("gain[base=2]", pair, weights).steps
    ranked = [(before, step) for before, step in pairwise(steps[2:]) if step.priority is not None]
    assert ranked
    assert all((step.priority[before.known] == 0).all() for before, step in ranked)
    assert any(step.priority.max() > 0 for _, step in ranked)


@pytest.mark.parametrize(
    ("method", "channels"),
    [("gain[base=2,delta=0]", 2), ("gain[base=2,guidance=none]", 0), ("gain[base=2,guidance=canny]", 1)],
)
def test_options_are_honoured(method, channels, pair, weights):
    found = explained(method, pair, weights)
    assert found.label == method
    assert found.recovered.shape[2] == channels
    assert found.ranks == ("canny" in method)
    assert (any(step.priority is not None for step in found.steps)) == found.ranks


def test_hidden_pixels_change_nothing_that_is_shown_but_the_input(pair, weights, tmp_path):
    first = explained("gain[base=2]", pair, weights)
    noisy = np.asarray(Image.open(pair[0])).copy()
    noisy[first.hidden] = 77
    Image.fromarray(noisy).save(tmp_path / "noisy.png")
    second = explained("gain[base=2]", (tmp_path / "noisy.png", pair[1]), weights)
    assert np.array_equal(first.completed, second.completed)
    assert np.array_equal(first.recovered, second.recovered)


def test_what_is_made_from_something_else_is_not_named_alike(pair, weights, tmp_path):
    first = explained("gain[base=1]", pair, weights)
    assert first.mask == "hole.png"
    elsewhere = tmp_path / "hole.png"
    hole = np.asarray(Image.open(pair[1])).copy()
    hole[20, 20] = 0
    Image.fromarray(hole).save(elsewhere)
    others = tmp_path / "weights.safetensors"
    save_weights(build_method(MethodSpec.parse("gain[base=1]"), SCALE, seed=1), others)
    by_hole = explained("gain[base=1]", (pair[0], elsewhere), weights)
    by_weights = explain("gain[base=1]", *pair, weights=others, scale="tiny")
    assert len({first.digest, by_hole.digest, by_weights.digest}) == 3


def test_other_methods_and_what_does_not_fit_are_refused(pair, weights, tmp_path):
    with pytest.raises(MethodError, match="partial_conv cannot be explained"):
        explain("partial_conv", *pair, weights=tmp_path)
    with pytest.raises(MethodError, match="say what its network was built for"):
        explain("gain[base=2]", *pair, weights=weights("gain[base=2]"))
    Image.new("L", (72, 61), 0).save(tmp_path / "black.png")
    with pytest.raises(MaskError, match="black throughout"):
        explained("gain[base=2]", (pair[0], tmp_path / "black.png"), weights)
    inverted = Image.open(pair[1]).point(lambda value: 255 - value)
    inverted.save(tmp_path / "inverted.png")
    with pytest.raises(MaskError, match="expected white = hole"):
        explained("gain[base=2]", (pair[0], tmp_path / "inverted.png"), weights)
    Image.new("RGB", (200, 40)).save(tmp_path / "wide.png")
    hole = Image.new("L", (200, 40), 0)
    hole.paste(255, (5, 5, 20, 20))
    hole.save(tmp_path / "wide-hole.png")
    with pytest.raises(DataError, match="at most 128 in one pass"):
        explained("gain[base=2]", (tmp_path / "wide.png", tmp_path / "wide-hole.png"), weights)

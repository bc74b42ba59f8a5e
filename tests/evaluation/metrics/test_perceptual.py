import functools
import socket

import lpips
import numpy as np
import pytest
import torch
from PIL import Image

from gainbench.assets import asset_path, load_jax_checkpoint
from gainbench.errors import EvaluationError
from gainbench.evaluation.metrics.perceptual import Lpips, load_lpips

pytestmark = pytest.mark.assets

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def alex():
    return Lpips("alex", CPU)


@pytest.fixture(scope="module")
def networks():
    return functools.cache(load_lpips)


def photograph(asset, pattern):
    (path,) = asset_path(asset).rglob(pattern)
    return np.array(Image.open(path).convert("RGB"))


def pictures(seed, count, size=64):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


FACES = ("celeba-999", "000001.jpg", "000002.jpg")
SCENES = ("photos-230", "classification/**/11.jpg", "classification/**/23.jpg")


@pytest.mark.parametrize(
    ("trunk", "pair", "expected"),
    [
        ("alex", FACES, 0.5534),
        ("alex", SCENES, 0.8221),
        ("vgg", FACES, 0.6621),
        pytest.param("vgg", SCENES, 0.7470, marks=pytest.mark.slow),
    ],
)
def test_distances_of_photographs_are_the_published_weights_distances(networks, trunk, pair, expected):
    first, second = (lpips.im2tensor(photograph(pair[0], pattern)) for pattern in pair[1:])
    with torch.inference_mode():
        assert networks(trunk)(first, second).item() == pytest.approx(expected, abs=6e-5)


def test_distances_equal_the_packages_own_forward_pass(alex, networks):
    network = networks("alex")
    first, second = pictures(0, 6), pictures(1, 6)
    with torch.inference_mode():
        tensors = [torch.cat([lpips.im2tensor(picture) for picture in batch]) for batch in (first, second)]
        reference = network(*tensors).flatten().numpy()
    assert alex(first, second) == pytest.approx(reference, abs=1e-6)


def test_the_packages_heads_are_those_of_the_checkpoint(networks):
    for trunk, asset in (("alex", "lpips-alexnet"), ("vgg", "lpips-vgg16")):
        heads = load_jax_checkpoint(asset_path(asset))
        for index, head in enumerate(networks(trunk).lins):
            (weight,) = head.parameters()
            wanted = heads[f"NetLinLayer_{index}"]["Conv_0"]["kernel"].transpose(3, 2, 0, 1)
            assert np.array_equal(weight.detach().numpy(), wanted)


def test_a_value_does_not_depend_on_the_pictures_measured_beside_it(alex):
    first, second = pictures(2, 7), pictures(3, 7)
    together = alex(first, second)
    for index in range(7):
        assert alex(first[index : index + 1], second[index : index + 1])[0] == together[index]


def test_embedded_originals_can_be_used_for_several_pictures(alex):
    originals, completed = pictures(4, 2), pictures(5, 5)
    embedded = alex.embed(originals)
    order = [0, 1, 1, 0, 1]
    assert (alex.against(completed, [embedded[i] for i in order]) == alex(completed, originals[order])).all()


def test_identity_symmetry_and_growing_damage(alex):
    original = np.repeat(np.repeat(pictures(6, 2, size=16), 4, axis=1), 4, axis=2)
    noise = np.random.default_rng(7).normal(0, 1, original.shape)
    damaged = [np.clip(original + strength * noise, 0, 255).astype(np.uint8) for strength in (0, 5, 20, 80)]
    values = [alex(picture, original).mean() for picture in damaged]
    assert values[0] == 0.0
    assert values == sorted(values)
    assert alex(damaged[2], original) == pytest.approx(alex(original, damaged[2]), abs=1e-6)


def test_surrounding_autocast_changes_nothing(alex):
    first, second = pictures(8, 2), pictures(9, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = alex(first, second)
    assert (inside == alex(first, second)).all()


def test_loading_needs_no_network_and_leaves_the_random_state_alone(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    load_lpips("alex")
    assert torch.equal(torch.get_rng_state(), before)


def test_wrong_range_is_refused_with_what_was_seen(alex):
    with pytest.raises(EvaluationError, match=r"found float64 .* in \[0, 1\]"):
        alex(np.zeros((1, 64, 64, 3)) + np.eye(64)[:, :, None], pictures(10, 1))

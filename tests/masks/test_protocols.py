"""A hole is a pure function of protocol, seed, image, bin and border class."""

import hashlib
import itertools
import threading

import numpy as np
import pytest

from gainbench.keyed import keyed_generator
from gainbench.masks import MaskProtocol, PlannedHole, open_protocol
from gainbench.masks.draws import Draws
from gainbench.spec import BINS, BORDERS, MaskSpec

DRAWN = ("irregular-v1", "deepfill-v2", "lama-thin", "lama-medium", "lama-thick", "center")

# blake2b (16 bytes) over 50 test holes, then over 50 training holes at 512, each packed to bits. A change here changes
# every stored result: raise the protocol's version with it.
GOLDEN = {
    "irregular-v1": ("131c0e1891276681dd7d0066b9504475", "6c747c19ff950724d5173e37db472595"),
    "deepfill-v2": ("7728a4a07233dee271357df8aa28200c", "99f1accf0079ff338ba773958e88c02a"),
    "lama-thin": ("b5ad28f0ba61a9ed64889e8e370d18aa", "1fa22e64b2e4f5fe8f6d617446d56291"),
    "lama-medium": ("ffe57de9609feaca4264e4043e7a3934", "63b2da0e57eacfc9d1a8781246ccd521"),
    "lama-thick": ("86d94c35469aebe28ccf2dff32480b9f", "d2cf38b4929760fd45c131a7ce8e7828"),
    "center": ("8d97402fbf97246a9e97f2b4fbf3b713", "61725cef9b0c0f1b6945acbecb74b0bf"),
}


def holes(protocol: MaskProtocol, count: int) -> list[np.ndarray]:
    planned: list[PlannedHole] = []
    index = 0
    while len(planned) < count:
        planned += protocol.image_holes(f"golden {index}")
        index += 1
    return [hole.mask for _, _, hole in planned[:count]]


def digest(masks: list[np.ndarray]) -> str:
    whole = hashlib.blake2b(digest_size=16)
    for mask in masks:
        whole.update(np.packbits(mask).tobytes())
    return whole.hexdigest()


@pytest.mark.parametrize("name", DRAWN)
def test_fifty_holes_are_what_they_always_were(name: str) -> None:
    protocol = open_protocol(MaskSpec(protocol=name))
    training = [~protocol.training_known(0, sample, 512) for sample in range(50)]
    assert (digest(holes(protocol, 50)), digest(training)) == GOLDEN[name]


@pytest.mark.parametrize("name", DRAWN)
def test_order_and_company_change_no_hole(name: str) -> None:
    ids = [f"image {index}" for index in range(6)]
    alone = {}
    for image_id in ids:
        fresh = open_protocol(MaskSpec(protocol=name))
        alone[image_id] = digest([planned.hole.mask for planned in fresh.image_holes(image_id)])
    protocol = open_protocol(MaskSpec(protocol=name))
    protocol.training_known(0, 0, 64)
    for image_id in [*reversed(ids), *ids]:
        assert digest([planned.hole.mask for planned in protocol.image_holes(image_id)]) == alone[image_id]


def test_threads_draw_the_same_holes() -> None:
    protocol = open_protocol(MaskSpec())
    expected = [digest(holes(protocol, 12))] * 4
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(digest(holes(protocol, 12)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


def test_the_global_random_state_is_neither_read_nor_moved() -> None:
    protocol = open_protocol(MaskSpec())
    np.random.seed(1)  # noqa: NPY002 - the state that must not matter
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    first = digest(holes(protocol, 6))
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    assert digest(holes(protocol, 6)) == first


@pytest.mark.parametrize("name", [name for name in DRAWN if name != "center"])
def test_seed_and_image_each_give_other_holes(name: str) -> None:
    protocol, reseeded = (open_protocol(MaskSpec(protocol=name, seed=seed)) for seed in (0, 1))
    first = protocol.image_holes("image")[0].hole
    assert not np.array_equal(first.mask, protocol.image_holes("other image")[0].hole.mask)
    assert not np.array_equal(first.mask, reseeded.image_holes("image")[0].hole.mask)


@pytest.mark.parametrize("name", DRAWN)
def test_no_training_hole_is_a_test_hole_even_for_equal_numbers(name: str) -> None:
    protocol = open_protocol(MaskSpec(protocol=name))
    tested = {digest([planned.hole.mask]) for index in range(12) for planned in protocol.image_holes(str(index))}
    trained = {digest([~protocol.training_known(0, sample, 512)]) for sample in range(40)}
    assert not tested & trained


@pytest.mark.parametrize("name", DRAWN)
def test_training_samples_depend_on_seed_and_sample_only_and_shrink_by_nearest(name: str) -> None:
    protocol = open_protocol(MaskSpec(protocol=name))
    known = protocol.training_known(4, 7, 128)
    assert known.shape == (128, 128)
    assert known.dtype == np.bool_
    assert np.array_equal(known, open_protocol(MaskSpec(protocol=name)).training_known(4, 7, 128))
    assert not np.array_equal(known, protocol.training_known(4, 8, 128))
    assert not np.array_equal(known, protocol.training_known(5, 7, 128))
    full = protocol.training_known(4, 7, 512)
    assert np.array_equal(known, full[2::4, 2::4])


def test_every_image_gets_each_bin_once_and_border_classes_alternate() -> None:
    protocol = open_protocol(MaskSpec())
    firsts = set()
    for index in range(20):
        planned = protocol.image_holes(f"image {index}")
        assert [hole.bounds for hole in planned] == list(BINS)
        classes = [hole.border for hole in planned]
        assert all(one != next_one for one, next_one in itertools.pairwise(classes))
        firsts.add(classes[0])
    assert firsts == set(BORDERS)


def test_one_border_class_is_enough() -> None:
    protocol = open_protocol(MaskSpec(borders=("clear",), bins=BINS[:2]))
    assert [(hole.bounds, hole.border) for hole in protocol.image_holes("image")] == [
        (BINS[0], "clear"),
        (BINS[1], "clear"),
    ]


def test_the_hash_names_everything_that_decides_the_holes() -> None:
    specs = [
        MaskSpec(),
        MaskSpec(seed=1),
        MaskSpec(bins=BINS[:3]),
        MaskSpec(borders=("clear",)),
        *(MaskSpec(protocol=name) for name in DRAWN[1:]),
    ]
    hashes = [open_protocol(spec).hash for spec in specs]
    assert len(set(hashes)) == len(specs)
    assert hashes == [open_protocol(spec).hash for spec in specs]


def test_draws_stay_in_their_bounds_and_reach_both_ends() -> None:
    draws = Draws("bounds")
    assert set(draws.integers(-2, 3, 500).tolist()) == {-2, -1, 0, 1, 2, 3}
    low, high = np.array([0, 10, 100]), np.array([0, 11, 300])
    for _ in range(50):
        drawn = draws.integers(low, high, 3)
        assert (low <= drawn).all()
        assert (drawn <= high).all()
    fractions = draws.fractions(2000)
    assert 0 < fractions.min() < 0.01
    assert 0.99 < fractions.max() < 1
    assert abs(fractions.mean() - 0.5) < 0.03


def test_draws_are_the_upper_halves_of_philoxs_raw_words() -> None:
    words = keyed_generator("key", 1).bit_generator.random_raw(5).tolist()
    assert Draws("key", 1).integers(0, 999, 5).tolist() == [((word >> 32) * 1000) >> 32 for word in words]

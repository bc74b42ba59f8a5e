import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from gainbench.data import PictureSet, training_batches
from gainbench.data.pictures import Part
from gainbench.errors import DataError
from gainbench.keyed import keyed_generator

SIZE, COUNT = 8, 7


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> PictureSet:
    """Seven 8-px pictures of noise."""
    root = tmp_path_factory.mktemp("pictures")
    parts = []
    for number in range(COUNT):
        noise = keyed_generator("loader-test", number).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / f"{number}.png")
        parts.append(Part(f"{number}.png", f"{number}.png", f"{number}.png", (0, 0, SIZE, SIZE)))
    return PictureSet(root, parts, SIZE)


def draw_known(sample: int) -> NDArray[np.bool_]:
    return keyed_generator("loader-test-hole", sample).random((SIZE, SIZE)) < 0.7


def samples(pictures: PictureSet, batch: int, start: int, stop: int, **options: int) -> list[bytes]:
    """The training samples one by one, whatever the batch."""
    options = {"seed": 3, "workers": 0} | options
    found = []
    for image, known in training_batches(pictures, draw_known, batch=batch, start=start, stop=stop, **options):
        found += [image[j].numpy().tobytes() + known[j].numpy().tobytes() for j in range(batch)]
    return found


def shown(pictures: PictureSet, image: torch.Tensor) -> tuple[int, bool]:
    """Which picture a sample is, and whether it is mirrored."""
    found = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    for index in range(len(pictures)):
        if np.array_equal(found, pictures[index]):
            return index, False
        if np.array_equal(found, pictures[index][:, ::-1]):
            return index, True
    raise AssertionError("a sample is none of the pictures")


def test_tensors_have_the_harness_shapes_and_ranges(pictures: PictureSet) -> None:
    ((image, known),) = training_batches(pictures, draw_known, seed=0, batch=3, start=0, stop=1)
    assert (image.shape, image.dtype) == ((3, 3, SIZE, SIZE), torch.float32)
    assert (known.shape, known.dtype) == ((3, 1, SIZE, SIZE), torch.float32)
    assert image.is_contiguous()
    assert (image.min() >= 0, image.max() <= 1) == (True, True)
    assert set(known.unique().tolist()) == {0.0, 1.0}


def test_pixels_are_the_pictures_divided_by_255(pictures: PictureSet) -> None:
    ((image, _),) = training_batches(pictures, draw_known, seed=0, batch=1, start=0, stop=1)
    index, mirrored = shown(pictures, image[0])
    expected = pictures[index][:, :: -1 if mirrored else 1].astype(np.float32) / 255
    np.testing.assert_array_equal(image[0].permute(1, 2, 0).numpy(), expected)


def test_the_hole_is_that_of_the_sample_number(pictures: PictureSet) -> None:
    batches = training_batches(pictures, draw_known, seed=0, batch=2, start=5, stop=7)
    known = torch.cat([known for _, known in batches])[:, 0].numpy()
    np.testing.assert_array_equal(known, np.stack([draw_known(sample) for sample in (10, 11, 12, 13)]))


@settings(max_examples=25, deadline=None)
@given(batch=st.integers(1, 9), workers=st.integers(0, 4), seed=st.integers(0, 5))
def test_batch_size_and_workers_change_no_sample(pictures: PictureSet, batch: int, workers: int, seed: int) -> None:
    iterations = 24 // batch
    expected = samples(pictures, 1, 0, iterations * batch, seed=seed)
    assert samples(pictures, batch, 0, iterations, workers=workers, seed=seed) == expected


@settings(max_examples=10, deadline=None)
@given(parts=st.integers(1, 3), share=st.integers(1, 3), start=st.integers(0, 4))
def test_the_parts_of_several_devices_make_up_the_batch(pictures, parts: int, share: int, start: int) -> None:
    options = {"seed": 1, "batch": parts * share, "start": start, "stop": 5}
    whole = list(training_batches(pictures, draw_known, **options))
    devices = [list(training_batches(pictures, draw_known, part=(number, parts), **options)) for number in range(parts)]
    for batch, *own in zip(whole, *devices, strict=True):
        assert all(len(image) == share for image, _ in own)
        for number in range(2):
            torch.testing.assert_close(torch.cat([part[number] for part in own]), batch[number], rtol=0, atol=0)


@pytest.mark.parametrize("part", [(0, 2), (3, 3), (-1, 3)])
def test_a_batch_that_devices_cannot_share_is_refused(pictures: PictureSet, part: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="share equally, found 3"):
        training_batches(pictures, draw_known, seed=0, batch=3, start=0, stop=1, part=part)


@settings(max_examples=25, deadline=None)
@given(start=st.integers(0, 12), batch=st.integers(1, 5))
def test_starting_later_skips_and_changes_nothing(pictures: PictureSet, start: int, batch: int) -> None:
    assert samples(pictures, batch, start, 12) == samples(pictures, batch, 0, 12)[start * batch :]


def test_seeds_differ_in_order_and_mirroring(pictures: PictureSet) -> None:
    def told(seed: int) -> list[tuple[int, bool]]:
        batches = training_batches(pictures, draw_known, seed=seed, batch=1, start=0, stop=14)
        return [shown(pictures, image[0]) for image, _ in batches]

    first, second = told(0), told(1)
    assert [index for index, _ in first] != [index for index, _ in second]
    assert [mirrored for _, mirrored in first] != [mirrored for _, mirrored in second]


def test_an_epoch_shows_every_picture_once_in_an_order_of_its_own(pictures: PictureSet) -> None:
    batches = training_batches(pictures, draw_known, seed=0, batch=3, start=0, stop=COUNT)
    order = [shown(pictures, one)[0] for image, _ in batches for one in image]
    epochs = [order[start : start + COUNT] for start in range(0, 3 * COUNT, COUNT)]
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_half_of_the_samples_are_mirrored(pictures: PictureSet) -> None:
    batches = training_batches(pictures, draw_known, seed=0, batch=50, start=0, stop=12)
    mirrored = [shown(pictures, one)[1] for image, _ in batches for one in image]
    # 600 fair coins: five standard deviations are 61.
    assert abs(sum(mirrored) - 300) < 61


def test_the_global_random_states_are_left_alone(pictures: PictureSet) -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global state is what is tested
    before = torch.get_rng_state(), np.random.get_state()[1].tobytes()  # noqa: NPY002 - as above
    list(training_batches(pictures, draw_known, seed=0, batch=2, start=0, stop=5, workers=2))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tobytes() == before[1]  # noqa: NPY002 - as above


def test_the_next_batch_is_prepared_while_this_one_is_used(pictures: PictureSet) -> None:
    drawn: list[int] = []
    threads: set[str] = set()

    def watched(sample: int) -> NDArray[np.bool_]:
        drawn.append(sample)
        threads.add(threading.current_thread().name)
        return draw_known(sample)

    batches = training_batches(pictures, watched, seed=0, batch=1, start=0, stop=100)
    next(batches)
    deadline = time.monotonic() + 10
    while len(drawn) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert 2 <= len(drawn) <= 4
    assert threading.current_thread().name not in threads


def test_stopping_early_ends_the_threads(pictures: PictureSet) -> None:
    def loading() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if "gainbench-loader" in thread.name]

    batches = training_batches(pictures, draw_known, seed=0, batch=1, start=0, stop=10_000, workers=3)
    list(itertools.islice(batches, 4))
    assert loading()
    del batches
    deadline = time.monotonic() + 10
    while loading() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert not loading()


def test_no_iterations_are_no_batches(pictures: PictureSet) -> None:
    assert list(training_batches(pictures, draw_known, seed=0, batch=2, start=5, stop=5)) == []


@pytest.mark.parametrize(
    "numbers", [{"batch": 0}, {"start": -1}, {"start": 9}, {"workers": -1}], ids=lambda numbers: next(iter(numbers))
)
def test_numbers_out_of_range_are_refused_at_once(pictures: PictureSet, numbers: dict[str, int]) -> None:
    options = {"seed": 0, "batch": 1, "start": 0, "stop": 1, "workers": 0} | numbers
    with pytest.raises(DataError, match="expected batch >= 1"):
        training_batches(pictures, draw_known, **options)


def test_an_empty_set_cannot_train(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no picture to train on"):
        training_batches(PictureSet(tmp_path, [], SIZE), draw_known, seed=0, batch=1, start=0, stop=1)


@pytest.mark.parametrize(
    ("hole", "message"),
    [
        (np.ones((1, SIZE, SIZE)), "has the shape"),
        (np.ones((SIZE, SIZE + 1)), "has the shape"),
        (np.full((SIZE, SIZE), 255, np.uint8), "values other than 0"),
        (np.full((SIZE, SIZE), np.nan), "values other than 0"),
    ],
)
def test_a_hole_of_another_kind_is_refused(pictures: PictureSet, hole: NDArray[np.generic], message: str) -> None:
    draw: Callable[[int], NDArray[np.generic]] = lambda _: hole  # noqa: E731 - one line says it
    with pytest.raises(DataError, match=message):
        next(training_batches(pictures, draw, seed=0, batch=1, start=0, stop=1))

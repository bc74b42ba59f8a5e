import hashlib
import io
import json
import logging
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gainbench.assets import asset_path
from gainbench.data import DATASETS, open_dataset
from gainbench.data.recipes import RECIPES
from gainbench.data.splits import SPLITS
from gainbench.errors import DataError

Photographs = Callable[..., Path]
Pixels = Callable[..., NDArray[np.uint8]]


@pytest.fixture
def zoo(photographs: Photographs, pixels: Pixels) -> Path:
    """Ten good photographs among one of every kind that must be passed over."""
    root = photographs(10)
    colour = Image.fromarray(pixels("zoo"))
    jpeg = io.BytesIO()
    colour.save(jpeg, "JPEG")
    (root / "empty.jpg").touch()
    (root / "text.jpg").write_text("<html>not found</html>")
    (root / "truncated.jpg").write_bytes(jpeg.getvalue()[:-500])
    colour.convert("CMYK").save(root / "cmyk.jpg")
    colour.convert("L").save(root / "gray.png")
    colour.convert("RGBA").save(root / "alpha.png")
    Image.fromarray(pixels("zoo")[..., 0].astype(np.uint16)).save(root / "deep.png")
    colour.resize((31, 40)).save(root / "small.png")
    (root / "loop.png").symlink_to(root / "loop.png")
    (root / "again").symlink_to(root)
    (root / "readme.txt").write_text("not a candidate")
    return root


def test_the_table_and_the_recipes_name_the_same_data_sets() -> None:
    assert set(DATASETS) == set(RECIPES)


def test_only_the_open_photographs_may_be_published() -> None:
    assert [name for name, info in DATASETS.items() if info.publishable] == ["photos-230"]


def test_hostile_files_are_skipped_counted_and_listed(zoo: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "gainbench"):
        dataset = open_dataset("folder", zoo)
    assert [entry.name for entry in dataset.manifest.entries] == [f"{number:03d}.png" for number in range(10)]
    reasons = dict(dataset.manifest.skipped)
    assert set(reasons) == {
        "again", "alpha.png", "cmyk.jpg", "deep.png", "empty.jpg", "gray.png", "loop.png", "small.png", "text.jpg",
        "truncated.jpg",
    }  # fmt: skip
    assert reasons["small.png"] == "too small: 31x40 px, expected 32 or more"
    assert "10 of 19 files skipped" in caplog.text
    assert {len(dataset.pictures(split, 32)) for split in SPLITS} == {7, 1, 2}


def test_strict_reading_refuses_the_first_hostile_file(zoo: Path) -> None:
    with pytest.raises(DataError, match=r"10 files cannot be used.*alpha\.png: alpha channel.*and 5 more"):
        open_dataset("folder", zoo, strict=True)


def test_hostile_files_do_not_change_what_is_used(zoo: Path, photographs: Photographs) -> None:
    clean = open_dataset("folder", photographs(10, folder="clean"), strict=True)
    dirty = open_dataset("folder", zoo)
    assert clean.manifest.hash == dirty.manifest.hash
    assert clean.pictures("test", 32).ids == dirty.pictures("test", 32).ids


def test_the_hash_does_not_depend_on_place_time_or_order_of_writing(photographs: Photographs, tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(6)]
    first = open_dataset("folder", photographs(names, folder="one"))
    second = open_dataset("folder", photographs(names[::-1], folder="two"))
    shutil.copytree(tmp_path / "one", tmp_path / "three")
    third = open_dataset("folder", tmp_path / "three")
    assert first.manifest.hash == second.manifest.hash == third.manifest.hash
    Image.new("RGB", (40, 40)).save(tmp_path / "three" / "5.png")
    assert open_dataset("folder", tmp_path / "three").manifest.hash != first.manifest.hash


def test_the_same_files_prepared_otherwise_are_another_data_set(photographs: Photographs) -> None:
    root = photographs(30)
    dataset = open_dataset("folder", root)
    assert RECIPES["folder"].preparation != RECIPES["celeba-999"].preparation
    assert replace(dataset.manifest, preparation=RECIPES["celeba-999"].preparation).hash != dataset.manifest.hash


def test_every_photograph_is_in_one_split_and_every_split_has_one(photographs: Photographs) -> None:
    root = photographs(5)
    dataset = open_dataset("folder", root)
    ids = [dataset.pictures(split, 48).ids for split in SPLITS]
    assert sorted(name for split in ids for name in split) == sorted(path.name for path in root.iterdir())
    assert all(ids)


def test_copies_under_other_names_stay_on_one_side(photographs: Photographs) -> None:
    root = photographs(12)
    for number in range(12):
        shutil.copy(root / f"{number:03d}.png", root / f"copy-{number}.png")
    splits = defaultdict(set)
    for entry in open_dataset("folder", root).manifest.entries:
        splits[entry.sha256].add(entry.split)
    assert len(splits) == 12
    assert all(len(found) == 1 for found in splits.values())


def test_the_middle_square_is_cut_and_resampled(photographs: Photographs, pixels: Pixels) -> None:
    root = photographs(["a.png", "b.png", "c.png"], width=60, height=40)
    pictures = open_dataset("folder", root).pictures("train", 40)
    np.testing.assert_array_equal(pictures[0], pixels(pictures.ids[0], 60, 40)[:, 10:50], strict=True)


def test_smaller_photographs_are_left_out_never_enlarged(
    photographs: Photographs, pixels: Pixels, caplog: pytest.LogCaptureFixture
) -> None:
    root = photographs(20)
    dataset = open_dataset("folder", root)
    trained = dataset.pictures("train", 48).ids
    Image.fromarray(pixels("wide", 90, 47)).save(root / trained[0])
    dataset = open_dataset("folder", root)
    with caplog.at_level(logging.WARNING, "gainbench"):
        assert set(dataset.pictures("train", 48).ids) == set(trained[1:])
    assert "1 of the train files are smaller than 48 px" in caplog.text
    assert set(dataset.pictures("train", 32).ids) == set(trained)
    with pytest.raises(DataError, match="shorter side under 48 px"):
        open_dataset("folder", root, strict=True).pictures("train", 48)
    with pytest.raises(DataError, match="no test picture of 64 px"):
        dataset.pictures("test", 64)


def test_a_limited_selection_begins_the_full_one(photographs: Photographs) -> None:
    dataset = open_dataset("folder", photographs(60))
    full = dataset.pictures("train", 32).ids
    assert len(full) == 42
    assert full != tuple(sorted(full))
    for limit in (1, 7, 42, 100):
        assert dataset.pictures("train", 32, limit).ids == full[:limit]


def test_lists_of_the_publisher_are_kept(photographs: Photographs) -> None:
    root = photographs(9)
    (root / "train.txt").write_text("".join(f"{number:03d}.png\n" for number in range(6)))
    (root / "test.txt").write_text("006.png\n007.png\n")
    for name in ("celeba-hq", "folder"):
        dataset = open_dataset(name, root)
        assert set(dataset.pictures("test", 32).ids) == {"006.png", "007.png"}
        assert len(dataset.pictures("val", 32)) == 1
        assert len(dataset.pictures("train", 32)) == 5
        assert dataset.manifest.skipped == (("008.png", "named in no list of a split"),)


def test_places_tests_on_its_own_validation_set(photographs: Photographs) -> None:
    trained = [f"data_256_standard/a/abbey/{number:08d}.png" for number in range(30)]
    tested = [f"val_256/Places365_val_{number:08d}.png" for number in range(4)]
    root = photographs([*trained, *tested, "test_256/Places365_test_00000001.png"])
    dataset = open_dataset("places2", root)
    assert sorted(dataset.pictures("test", 32).ids) == tested
    assert sorted(dataset.pictures("train", 32).ids + dataset.pictures("val", 32).ids) == trained
    assert len(dataset.pictures("val", 32)) == 1


def test_places_in_another_layout_is_split_by_name(photographs: Photographs) -> None:
    dataset = open_dataset("places2", photographs(10))
    assert [len(dataset.pictures(split, 32)) for split in SPLITS] == [7, 1, 2]


@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        ("photos", None, "did you mean 'photos-230'"),
        ("places2", None, "yours to provide"),
        ("folder", Path("/nowhere/at/all"), "no folder of pictures"),
        ("orl-400", Path("/tmp"), "takes no path"),  # noqa: S108 - only named
    ],
)
def test_what_cannot_be_opened_says_why(name: str, path: Path | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_dataset(name, path)


def test_a_folder_without_usable_pictures_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no picture files \(\.bmp"):
        open_dataset("folder", tmp_path / "empty")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "1.jpg").write_text("text")
    with pytest.raises(DataError, match=r"none of the 1 picture files .* 1\.jpg: not a picture"):
        open_dataset("folder", tmp_path / "bad")


def test_two_photographs_are_too_few(photographs: Photographs) -> None:
    with pytest.raises(DataError, match="has 2 usable photographs"):
        open_dataset("folder", photographs(2))


@pytest.mark.parametrize(("size", "limit"), [(0, None), (32, 0)])
def test_sizes_and_limits_begin_at_one(photographs: Photographs, size: int, limit: int | None) -> None:
    with pytest.raises(DataError, match="at least 1"):
        open_dataset("folder", photographs(4)).pictures("train", size, limit)


def test_an_unknown_split_is_told_the_valid_ones(photographs: Photographs) -> None:
    with pytest.raises(DataError, match="Valid: test, train, val"):
        open_dataset("folder", photographs(4)).pictures("validation", 32)  # type: ignore[arg-type]


@pytest.mark.assets
@pytest.mark.parametrize(
    ("name", "size", "counts"),
    [("celeba-999", 128, (699, 100, 200)), ("orl-400", 64, (280, 40, 80))],
)
def test_the_faces_are_split_70_10_20(name: str, size: int, counts: tuple[int, int, int]) -> None:
    dataset = open_dataset(name, strict=True)
    assert tuple(len(dataset.pictures(split, size)) for split in SPLITS) == counts


@pytest.mark.assets
def test_celeba_faces_are_rows_20_to_198_resampled() -> None:
    pictures = open_dataset("celeba-999").pictures("val", 178, 3)
    for index, name in enumerate(pictures.ids):
        with Image.open(asset_path("celeba-999") / name) as stored:
            np.testing.assert_array_equal(pictures[index], np.asarray(stored)[20:198], strict=True)
    assert open_dataset("celeba-999").pictures("val", 256, 1)[0].shape == (256, 256, 3)


@pytest.mark.assets
def test_orl_persons_are_whole_on_one_side_and_gray() -> None:
    dataset = open_dataset("orl-400", strict=True)
    persons = [set(dataset.pictures(split, 64).photographs) for split in SPLITS]
    assert [len(found) for found in persons] == [28, 4, 8]
    assert len(set.union(*persons)) == 40
    picture = dataset.pictures("test", 64, 1)[0]
    assert np.ptp(picture.astype(int), axis=2).max() == 0
    assert picture.std() > 10


@pytest.mark.assets
@pytest.mark.parametrize(("size", "tiles"), [(64, 6262), (128, 6262), (256, 1360)])
def test_the_scenes_give_the_known_number_of_tiles(size: int, tiles: int) -> None:
    dataset = open_dataset("photos-230", strict=True)
    sets = [dataset.pictures(split, size) for split in SPLITS]
    assert sum(len(pictures) for pictures in sets) == tiles
    photographs = [set(pictures.photographs) for pictures in sets]
    assert [len(found) for found in photographs] == [161, 23, 46]
    assert len(set.union(*photographs)) == 230


@pytest.mark.assets
def test_a_limited_test_set_takes_at_most_five_tiles_of_a_photograph() -> None:
    dataset = open_dataset("photos-230")
    forty, two_hundred = (dataset.pictures("test", 128, limit) for limit in (40, 200))
    assert (len(forty), len(two_hundred)) == (40, 200)
    assert max(Counter(two_hundred.photographs).values()) == 5
    assert two_hundred.ids[:40] == forty.ids
    # 46 photographs of 5 tiles are 230: a larger selection must take more of some.
    assert len(dataset.pictures("test", 128, 1000)) == 1000


@pytest.mark.assets
def test_a_small_scene_is_its_128_px_tile_reduced() -> None:
    dataset = open_dataset("photos-230")
    small, large = dataset.pictures("test", 64, 1), dataset.pictures("test", 128, 1)
    assert small.ids == large.ids
    means = large[0].reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    # A reduction by area averages: the two filters agree but for sharp edges, and not at all if the tile were another.
    assert np.abs(small[0] - means).mean() < 3
    assert small[0].shape == (64, 64, 3)


@pytest.mark.assets
def test_the_manifest_of_the_faces_can_be_made_with_hashlib_alone() -> None:
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in asset_path("celeba-999").iterdir()}

    def fraction(name: str) -> int:
        text = json.dumps(["split", "celeba-999", name], separators=(",", ":"))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")

    ranked = sorted(files, key=fraction)
    splits = dict.fromkeys(ranked, "train") | dict.fromkeys(ranked[:300], "val") | dict.fromkeys(ranked[:200], "test")
    lines = "".join(f"{digest}  {splits[name]}  {name}\n" for name, digest in sorted(files.items()))
    listed = f"{RECIPES['celeba-999'].preparation}\n{lines}"
    expected = hashlib.blake2b(listed.encode(), digest_size=16).hexdigest()
    assert open_dataset("celeba-999").manifest.hash == expected

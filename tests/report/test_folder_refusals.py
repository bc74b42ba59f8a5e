"""gainbench evaluate: folders that do not fit are refused by a message that names the file and what to do."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gainbench.errors import DataError, EvaluationError, MaskError
from gainbench.report.folders import evaluate

from .folder_pictures import SIDE, Folders, scored


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def test_a_damaged_picture_is_named(folders):
    (folders.pred / "02.png").write_bytes(b"not a picture")
    with pytest.raises(EvaluationError, match=r"pred/02\.png: not a picture in any of"):
        scored(folders)


def test_folders_without_a_common_name_show_what_each_holds(folders):
    for path in folders.pred.iterdir():
        path.rename(path.with_name(f"fake_{path.name}"))
    with pytest.raises(
        EvaluationError, match=r"nothing to score: --pred pictures holds 'fake_00'.*--target holds '00'"
    ):
        scored(folders)


def test_two_files_of_one_name_are_an_error(folders):
    Image.fromarray(folders.original(0)).save(folders.pred / "00.jpg")
    with pytest.raises(EvaluationError, match=r"00\.jpg and .*00\.png have the same name"):
        scored(folders)


def test_a_missing_or_empty_folder_is_an_error(folders, tmp_path):
    with pytest.raises(DataError, match=r"nowhere"):
        evaluate(tmp_path / "nowhere", folders.target)
    (tmp_path / "empty").mkdir()
    with pytest.raises(EvaluationError, match=r"no picture in .*empty"):
        evaluate(tmp_path / "empty", folders.target)


def test_pictures_of_another_size_are_an_error_with_both_sizes(folders):
    folders.save(folders.pred, "02", folders.filled(2)[:, :-1])
    with pytest.raises(EvaluationError, match=r"02\.png is 31 x 32 px, its original .*02\.png is 32 x 32"):
        scored(folders)
    with pytest.raises(EvaluationError, match=r"31 x 32"):
        scored(folders, partial=True)  # resized pictures are no accident of one file


@pytest.mark.parametrize("shape", [(16, 16), (64, 48)])
def test_masks_of_another_size_are_an_error_with_both_sizes(folders, shape):
    mask = np.zeros(shape, np.uint8)
    mask[4:8, 4:8] = 255
    folders.save(folders.mask, "02", mask)
    with pytest.raises(MaskError, match=rf"02\.png is {shape[1]} x {shape[0]} px, its picture .* is 32 x 32"):
        scored(folders)


def test_a_gray_picture_of_a_colour_original_is_an_error(folders):
    folders.save(folders.pred, "02", folders.filled(2)[..., 0])
    with pytest.raises(EvaluationError, match=r"02\.png is gray, its original .* is rgb"):
        scored(folders)


def test_pictures_written_from_zero_to_one_are_an_error(folders):
    for number, name in enumerate(folders.names):
        folders.save(folders.pred, name, (folders.filled(number) / 255).astype(np.uint8))
    for masks in (folders.mask, None):
        with pytest.raises(EvaluationError, match=r"hold no value above [01], .*written from numbers in \[0, 1\]"):
            evaluate(folders.pred, folders.target, masks, metrics=["l1_mean"])


def test_pictures_of_floats_or_sixteen_bits_are_an_error(folders):
    Image.fromarray((folders.filled(2)[..., 0] / 255).astype(np.float32)).save(folders.pred / "02.tif")
    (folders.pred / "02.png").unlink()
    with pytest.raises(EvaluationError, match=r"02\.tif: more than 8 bits a channel"):
        scored(folders)


def invert(folders: Folders, names: list[str]) -> None:
    for name in names:
        folders.save(folders.mask, name, 255 - folders.read(folders.mask / f"{name}.png"))


def test_inverted_masks_are_an_error_by_their_share(folders):
    invert(folders, folders.names)
    with pytest.raises(MaskError, match=r"median hole share of 6 masks is 0\.8.*--invert-masks"):
        scored(folders)
    expected = scored(Folders(folders.root / "right")).rows
    pd.testing.assert_frame_equal(scored(folders, invert_masks=True).rows, expected, check_exact=True)


def test_inverted_masks_are_an_error_even_where_their_share_is_plausible(tmp_path):
    folders = Folders(tmp_path)
    for number, name in enumerate(folders.names):
        hole = np.zeros((SIDE, SIDE), bool)
        hole[:, : SIDE // 2 + 2] = True
        folders.save(folders.mask, name, np.where(hole, 0, 255).astype(np.uint8))
        completed = np.where(hole[..., None], 128, folders.original(number)).astype(np.uint8)
        folders.save(folders.pred, name, completed)
    with pytest.raises(MaskError, match=r"where the masks say known and by 0\.00 in the holes: the masks are inverted"):
        scored(folders)
    assert (scored(folders, invert_masks=True).rows["l1_hole"] > 0).all()


def test_one_inverted_mask_among_right_ones_is_named(folders):
    invert(folders, ["04"])
    with pytest.raises(MaskError, match=r"1 pictures of pictures differ .* First: 04"):
        scored(folders)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((SIDE, SIDE), np.uint8), "black throughout"),
        (np.full((SIDE, SIDE), 255, np.uint8), "white throughout"),
        (np.tile(np.array([0, 1], np.uint8), (SIDE, SIDE // 2)), r"2 grey levels \(0, 1\)"),
        (np.tile(np.array([0, 128, 255, 0], np.uint8), (SIDE, SIDE // 4)), "3 grey levels"),
    ],
)
def test_masks_of_other_values_are_an_error_that_names_the_file(folders, pixels, message):
    folders.save(folders.mask, "02", pixels)
    with pytest.raises(MaskError, match=rf"02\.png .*{message}"):
        scored(folders)

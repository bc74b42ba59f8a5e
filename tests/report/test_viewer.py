import base64
import io
import json
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from gainbench.errors import ReportError
from gainbench.report.analysis import Analysis
from gainbench.report.viewer import ERROR_RANGE, TILE, viewer
from gainbench.spec import BINS, bin_label

from .conftest import Bench, make_rows, make_samples

MakeBench = Callable[..., Bench]


def decoded(address: str) -> np.ndarray:
    content = base64.b64decode(address.removeprefix("data:image/webp;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"), np.float64)


@pytest.fixture
def made(bench: MakeBench) -> Bench:
    made = bench(methods=("gain", "telea"))
    for method, level in (("gain", 0.0), ("telea", 60.0)):
        made.done(method, make_rows(level / 60, 0, metrics=["l1_mean", "psnr_rgb"], photographs=6))
        make_samples(made.cells[-1].folder, level, pictures=3)
    return made


def test_every_picture_stands_under_every_hole_beside_its_original(made: Bench) -> None:
    shown = viewer(Analysis(made.stored()), "photos-230")
    assert shown is not None
    assert len(shown.groups) == 3 * len(BINS)
    assert [label for label, _ in shown.bins] == [bin_label(bounds) for bounds in BINS]
    assert shown.methods == ("gain", "telea")
    assert shown.left_out == 0
    first = shown.groups[0]
    assert [fill.method for fill in first.fills] == ["gain", "telea"]
    original, right = decoded(first.original), decoded(first.fills[0].result)
    assert np.abs(original - right).mean() < 2, "gain's fills are the originals"
    assert original.shape == (64, 64, 4)


def test_error_maps_are_bright_where_a_fill_is_wrong_and_empty_where_nothing_was_filled(made: Bench) -> None:
    shown = viewer(Analysis(made.stored()), "photos-230")
    assert shown is not None
    group = next(group for group in shown.groups if group.bin == "0.5-0.6")
    right, wrong = (decoded(fill.error) for fill in group.fills)
    hole = wrong[..., 3] == 255
    assert 0.5 < hole.mean() < 0.6
    assert set(np.unique(wrong[..., 3])) == {0.0, 255.0}
    black = np.array(mpl.colormaps["inferno"](0.0, bytes=True)[:3], np.float64)
    assert np.abs(right[hole][:, :3] - black).mean() < 3
    # The error is 60 |cos|, up to clipping: on average about .6 of the range.
    expected = mpl.colormaps["inferno"](np.abs(60 * np.cos(20 * (np.arange(64) / 64 - 0.5))) / ERROR_RANGE)[:, :3]
    assert wrong[hole][:, 0].mean() / 255 == pytest.approx(expected[:, 0].mean(), abs=0.1)


def test_numbers_are_those_of_this_very_picture(made: Bench) -> None:
    stored = made.stored()
    shown = viewer(Analysis(stored), "photos-230")
    assert shown is not None
    group = next(group for group in shown.groups if group.picture == 1 and group.bin == "0.2-0.3")
    rows = stored.rows[(stored.rows["image_id"] == "001/0") & (stored.rows["bin"] == "0.2-0.3")]
    psnr = rows.loc[rows["method"] == "telea", "psnr_rgb"].item()
    assert group.fills[1].numbers[0] == f"PSNR (dB) {psnr:.1f}"


def test_fewer_pictures_are_shown_where_more_do_not_fit(made: Bench) -> None:
    shown = viewer(Analysis(made.stored()), "photos-230", budget=1)
    assert shown is not None
    assert len(shown.pictures) == 1
    assert shown.left_out == 2
    assert len(shown.groups) == len(BINS)


def test_large_pictures_become_tiles(bench: MakeBench) -> None:
    made = bench(methods=("gain",)).done("gain", make_rows(0.0, 0, metrics=["psnr_rgb"], photographs=2))
    make_samples(made.cells[0].folder, 9.0, side=256, pictures=1)
    shown = viewer(Analysis(made.stored()), "photos-230")
    assert shown is not None
    assert decoded(shown.groups[0].original).shape == (TILE, TILE, 4)
    assert set(np.unique(decoded(shown.groups[0].fills[0].error)[..., 3])) == {0.0, 255.0}


def test_pictures_that_may_not_be_passed_on_are_never_shown(bench: MakeBench) -> None:
    made = bench(datasets=("celeba-999",), methods=("gain",))
    rows = make_rows(0.0, 0, metrics=["psnr_rgb"], photographs=2, dataset="celeba-999")
    make_samples(made.done("gain", rows, dataset="celeba-999").cells[0].folder, 9.0)
    assert viewer(Analysis(made.stored()), "celeba-999") is None


def test_without_kept_pictures_there_is_no_gallery_and_lost_ones_are_named(made: Bench, bench: MakeBench) -> None:
    lost = made.cells[1].folder / "samples" / "00002-completed.png"
    lost.unlink()
    with pytest.raises(ReportError, match=r"00002-completed\.png is missing or damaged"):
        viewer(Analysis(made.stored()), "photos-230")
    (lost.parent / "samples.json").write_text(json.dumps([{}]))
    with pytest.raises(ReportError, match=r"samples\.json cannot be read"):
        viewer(Analysis(made.stored()), "photos-230")

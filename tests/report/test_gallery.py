import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gainbench.errors import ReportError
from gainbench.report.analysis import Analysis
from gainbench.report.gallery import GAP, HEADER, MARGIN, SHEET_PICTURES, contact_sheet, publishable, write_gallery
from gainbench.spec import BINS, bin_label

from .conftest import Bench, make_rows

MakeBench = Callable[..., Bench]
SIDE = 64


def keep_samples(folder: Path, colour: tuple[int, int, int], pictures: int = 2) -> None:
    """Outputs of one colour; originals get brighter with each row, holes are the left half."""
    samples = folder / "samples"
    samples.mkdir(parents=True)
    records = []
    for row in range(pictures * len(BINS)):
        image_id = f"{row // len(BINS):03d}/0"
        bin_ = bin_label(BINS[row % len(BINS)])
        hole = np.zeros((SIDE, SIDE), np.uint8)
        hole[:, : SIDE // 2] = 255
        files = {"original": f"original/{row}.png", "known": f"hole/{row}.png", "completed": f"completed/{row}.png"}
        shown = Image.new("RGB", (SIDE, SIDE), (0, 0, 10 * row)), Image.fromarray(hole)
        for name, picture in zip(files.values(), (*shown, Image.new("RGB", (SIDE, SIDE), colour)), strict=True):
            (samples / name).parent.mkdir(exist_ok=True)
            picture.save(samples / name)
        records.append({"row": row, "image_id": image_id, "bin": bin_, "border": "clear", "files": files})
    (samples / "samples.json").write_text(json.dumps(records))


@pytest.fixture
def sampled(bench: MakeBench) -> Bench:
    made = bench()
    for method, colour in (("gain", (200, 0, 0)), ("telea", (0, 200, 0))):
        made.done(method, make_rows(0.0, 0, metrics=["psnr_rgb"], photographs=4))
        keep_samples(made.cells[-1].folder, colour)
    made.failed("partial_conv", "nan", "NaN")
    return made


def at(image: Image.Image, line: int, column: int, x: int, side: int) -> tuple[int, ...]:
    left, top = MARGIN + column * (side + GAP), HEADER + line * (side + GAP)
    return image.getpixel((left + x, top + side // 2))  # type: ignore[return-value]


def test_sheet_has_a_row_a_hole_and_a_column_a_method(sampled: Bench) -> None:
    sheet = contact_sheet(Analysis(sampled.stored()), "photos-230")
    assert sheet is not None
    side = 128
    assert sheet.methods == ("gain", "telea")
    assert sheet.image.size == (MARGIN + 4 * (side + GAP), HEADER + 12 * (side + GAP))
    assert [sample.bin for sample in sheet.samples] == [bin_label(bounds) for bounds in BINS for _ in range(2)]
    for line, sample in enumerate(sheet.samples):
        assert at(sheet.image, line, 1, 5, side)[:3] == (200, 0, 0)
        assert at(sheet.image, line, 2, 5, side)[:3] == (0, 200, 0)
        assert at(sheet.image, line, 3, 5, side)[:3] == (0, 0, 10 * sample.row)


def test_input_shows_the_hole_and_nothing_behind_it(sampled: Bench) -> None:
    sheet = contact_sheet(Analysis(sampled.stored()), "photos-230")
    assert sheet is not None
    for line, sample in enumerate(sheet.samples):
        red, green, blue, _ = at(sheet.image, line, 0, 5, 128)
        assert red == green == blue >= 150
        assert at(sheet.image, line, 0, 100, 128)[:3] == (0, 0, 10 * sample.row)


def test_one_a_bin_shows_each_bin_once_and_changes_pictures(sampled: Bench) -> None:
    sheet = contact_sheet(Analysis(sampled.stored()), "photos-230", side=64, one_a_bin=True)
    assert sheet is not None
    assert [sample.bin for sample in sheet.samples] == [bin_label(bounds) for bounds in BINS]
    assert {sample.image_id for sample in sheet.samples} == {"000/0", "001/0"}
    assert sheet.image.height == HEADER + 6 * (64 + GAP)


def test_a_sheet_of_some_methods_shows_the_pictures_that_all_kept(sampled: Bench) -> None:
    analysis = Analysis(sampled.stored())
    index = sampled.cells[1].folder / "samples" / "samples.json"
    index.write_text(json.dumps(json.loads(index.read_text())[:3]))
    sheet = contact_sheet(analysis, "photos-230", methods=["gain"])
    assert sheet is not None
    assert sheet.methods == ("gain",)
    assert len(sheet.samples) == 3


def test_pictures_that_may_not_be_passed_on_are_never_shown(bench: MakeBench, tmp_path: Path) -> None:
    made = bench(datasets=("celeba-999",))
    made.done(
        "gain", make_rows(0.0, 0, metrics=["psnr_rgb"], photographs=4, dataset="celeba-999"), dataset="celeba-999"
    )
    keep_samples(made.cells[-1].folder, (1, 2, 3))
    analysis = Analysis(made.stored())
    assert contact_sheet(analysis, "celeba-999") is None
    assert write_gallery(analysis, tmp_path / "gallery") == []
    assert not list(tmp_path.glob("gallery/*"))


def test_a_record_that_forbids_outweighs_the_catalogue(sampled: Bench) -> None:
    stored = sampled.stored()
    record = stored.resolved.datasets["photos-230"]
    stored.resolved.datasets["photos-230"] = record.model_copy(update={"publishable": False})
    assert not publishable(Analysis(stored), "photos-230")
    stored.resolved.datasets["photos-230"] = record
    assert publishable(Analysis(stored), "photos-230")


def test_gallery_writes_one_png_a_data_set(sampled: Bench, tmp_path: Path) -> None:
    (path,) = write_gallery(Analysis(sampled.stored()), tmp_path / "gallery")
    assert path.name == "photos-230.png"
    with Image.open(path) as opened:
        assert opened.format == "PNG"


def test_no_kept_outputs_no_sheet(bench: MakeBench) -> None:
    made = bench().done("gain", make_rows(0.0, 0, metrics=["psnr_rgb"], photographs=4))
    assert contact_sheet(Analysis(made.stored()), "photos-230") is None


def test_where_all_outputs_were_kept_a_few_pictures_are_shown(bench: MakeBench) -> None:
    made = bench().done("gain", make_rows(0.0, 0, metrics=["psnr_rgb"], photographs=12))
    keep_samples(made.cells[-1].folder, (1, 2, 3), pictures=12)
    sheet = contact_sheet(Analysis(made.stored()), "photos-230")
    assert sheet is not None
    shown = [sample.image_id for sample in sheet.samples]
    assert len(shown) == SHEET_PICTURES * len(BINS)
    assert {"000/0", "011/0"} <= set(shown)


def test_a_lost_file_is_named(sampled: Bench) -> None:
    (sampled.cells[0].folder / "samples" / "completed" / "3.png").unlink()
    with pytest.raises(ReportError, match=r"completed/3\.png is missing or damaged"):
        contact_sheet(Analysis(sampled.stored()), "photos-230")


def test_a_damaged_index_is_named(sampled: Bench) -> None:
    (sampled.cells[0].folder / "samples" / "samples.json").write_text("[{}]")
    with pytest.raises(ReportError, match=r"samples\.json cannot be read"):
        contact_sheet(Analysis(sampled.stored()), "photos-230")

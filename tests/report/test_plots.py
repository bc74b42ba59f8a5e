import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gainbench.report.analysis import Analysis
from gainbench.report.figures import PlotFiles
from gainbench.report.plots import difference_lines, metric_lines, write_plots
from gainbench.run.store import StoredResults

from .conftest import Bench, make_rows

MakeBench = Callable[..., Bench]


def test_every_metric_has_svg_png_and_csv(drawn: list[PlotFiles]) -> None:
    assert [one.metric for one in drawn] == ["l1_mean", "psnr_rgb", "ssim_rgb_g11", "lpips_alex", "fd_mobilenetv2"]
    for one in drawn:
        assert b"<svg" in one.svg.read_bytes()[:2000]
        with Image.open(one.png) as opened:
            assert opened.width > 800
            corner = opened.convert("RGBA").getpixel((2, 2))
        assert corner[3] == 0, "a figure without ground fits print and dark pages alike"
        assert one.svg.stat().st_size < 60_000
        assert one.paths == (one.svg, one.png, one.csv)


def test_csv_holds_what_is_drawn(drawn: list[PlotFiles], three: StoredResults) -> None:
    (psnr,) = [one for one in drawn if one.metric == "psnr_rgb"]
    lines = list(csv.DictReader(psnr.csv.open(encoding="utf-8")))
    assert len(lines) == 3 * 6
    for line in lines:
        rows = three.rows[(three.rows["method"] == line["method"]) & (three.rows["bin"] == line["bin"])]
        assert float(line["value"]) == pytest.approx(rows["psnr_rgb"].mean(), rel=1e-12)
        assert float(line["low"]) < float(line["value"]) < float(line["high"])
        assert int(line["n"]) == len(rows) == 40


def test_differences_are_taken_to_the_best_over_all_holes(analysis: Analysis, three: StoredResults) -> None:
    reference, lines = difference_lines(analysis, "photos-230", "psnr_rgb")
    means = three.rows.groupby("method")["psnr_rgb"].mean()
    assert reference == means.idxmax()
    assert set(lines) == set(means.index) - {reference}
    by_bin = three.rows.groupby(["method", "bin"])["psnr_rgb"].mean()
    expected = by_bin["telea"] - by_bin[reference]
    assert lines["telea"].values == pytest.approx(expected.to_numpy(), rel=1e-9)


def test_paired_differences_are_narrower_than_the_means(analysis: Analysis) -> None:
    means = metric_lines(analysis, "photos-230", "psnr_rgb")["telea"]
    gaps = difference_lines(analysis, "photos-230", "psnr_rgb")[1]["telea"]
    width = np.subtract(gaps.high, gaps.low)
    assert (width < 0.5 * np.subtract(means.high, means.low)).all()


def test_set_metrics_are_drawn_without_intervals(analysis: Analysis) -> None:
    line = metric_lines(analysis, "photos-230", "fd_mobilenetv2")["telea"]
    assert line.values == [60.0] * 6
    assert np.isnan(line.low).all()
    assert difference_lines(analysis, "photos-230", "fd_mobilenetv2") == ("", {})


def test_the_same_results_give_the_same_bytes(bench: MakeBench, tmp_path: Path) -> None:
    made = bench().done("gain", make_rows(0.0, 0, metrics=["psnr_rgb"], photographs=4))
    first, second = (write_plots(Analysis(made.stored()), tmp_path / name) for name in "ab")
    for one, other in zip(first, second, strict=True):
        assert one.svg.read_bytes() == other.svg.read_bytes()
        assert one.png.read_bytes() == other.png.read_bytes()


def test_a_single_bin_or_no_result_draws_nothing(bench: MakeBench, tmp_path: Path) -> None:
    rows = make_rows(0.0, 0, metrics=["psnr_rgb"], photographs=4)
    made = bench().done("gain", rows[rows["bin"] == "0.1-0.2"])
    assert write_plots(Analysis(made.stored()), tmp_path) == []
    assert write_plots(Analysis(bench().failed("gain", "failed", "x").stored()), tmp_path) == []

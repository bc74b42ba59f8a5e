import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gainbench.report.analysis import ALL, Analysis, Place
from gainbench.report.cost_plots import _ticks, shown_metrics, write_cost_plots

from .conftest import Bench

MakeBench = Callable[..., Bench]


def test_quality_stands_against_all_three_costs(analysis: Analysis, tmp_path: Path) -> None:
    (plot,) = write_cost_plots(analysis, tmp_path)
    assert [info.id for info in shown_metrics(analysis, "photos-230")] == ["psnr_rgb", "lpips_alex"]
    lines = list(csv.DictReader(plot.csv.open(encoding="utf-8")))
    assert len(lines) == 4 * 3
    telea = next(line for line in lines if line["method"] == "telea" and line["metric"] == "psnr_rgb")
    score = analysis.scores[Place("photos-230", "psnr_rgb", ALL, ALL)]["telea"]
    assert float(telea["value"]) == score.interval.value
    assert [float(telea[name]) for name in ("ms_per_image_median", "macs", "parameters")] == [5.25, 0.0, 0.0]
    svg = plot.svg.read_text(encoding="utf-8")
    for word in ("ms a picture", "multiply-accumulates", "parameters", ">0<", "PSNR (dB), higher is better"):
        assert word in svg


def test_nothing_finished_draws_nothing(bench: MakeBench, tmp_path: Path) -> None:
    assert write_cost_plots(Analysis(bench().failed("gain", "failed", "x").stored()), tmp_path) == []


@pytest.mark.parametrize(("least", "most"), [(6.0, 6.0), (6.5, 7.4), (0.3, 5.0), (9.7, 10.2), (6.95, 7.05)])
def test_ticks_are_round_few_and_apart(least: float, most: float) -> None:
    ticks = _ticks(least, most)
    assert 1 <= len(ticks) <= 6
    assert min(np.diff(ticks), default=1.0) > 0.29
    assert all(np.isclose(10**tick / 10 ** np.floor(tick + 1e-9), [1, 2, 5]).any() for tick in ticks)

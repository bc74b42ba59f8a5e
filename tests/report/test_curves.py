import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gainbench.errors import ReportError
from gainbench.report.analysis import Analysis
from gainbench.report.curves import POINTS, cell_curves, write_curves

from .conftest import Bench, make_rows, make_training_log

MakeBench = Callable[..., Bench]


@pytest.fixture
def trained(bench: MakeBench) -> Bench:
    made = bench(methods=("gain", "telea")).failed("gain", "nan", "loss")
    made.done("telea", make_rows(0.0, 0, metrics=["psnr_rgb"], photographs=2), trained=False)
    make_training_log(made.cells[0].folder, 3000)
    return made


def test_every_loss_term_has_a_curve_and_nothing_else_has(trained: Bench) -> None:
    terms = [curve.term for curve in cell_curves(trained.cells[0])]
    assert terms == ["discriminator/hinge", "generator/l1", "generator/adversarial"]
    assert cell_curves(trained.cells[1]) == []


def test_a_long_training_is_averaged_to_few_points(trained: Bench) -> None:
    curve = next(curve for curve in cell_curves(trained.cells[0]) if curve.term == "generator/l1")
    log = (trained.cells[0].folder / "training.jsonl").read_text().splitlines()
    values = [json.loads(line)["generator/l1"] for line in log]
    assert len(values) == 300
    assert len(curve.values) == POINTS
    assert (np.diff(curve.steps) > 0).all()
    assert curve.values[0] == pytest.approx(np.mean(values[:2]))
    assert (curve.steps[0], curve.steps[-1]) == (15, pytest.approx(2990, abs=10))


def test_an_unfinished_training_is_drawn_with_its_numbers(trained: Bench, tmp_path: Path) -> None:
    (plot,) = write_curves(Analysis(trained.stored()), tmp_path / "plots")
    svg = plot.svg.read_text(encoding="utf-8")
    assert "generator/l1" in svg
    assert ">gain<" in svg
    lines = list(csv.DictReader(plot.csv.open(encoding="utf-8")))
    assert {(line["method"], line["seed"]) for line in lines} == {("gain", "0")}
    assert len(lines) == 3 * POINTS


def test_a_term_of_a_late_phase_starts_where_it_was_logged(trained: Bench) -> None:
    with (trained.cells[0].folder / "training.jsonl").open("a") as log:
        log.write(json.dumps({"step": 3000, "seconds": 1.0, "finetune/l1": 0.5}) + "\n")
    late = cell_curves(trained.cells[0])[-1]
    assert (late.term, late.steps.tolist(), late.values.tolist()) == ("finetune/l1", [3000.0], [0.5])


def test_nothing_trained_draws_nothing_and_a_damaged_log_is_named(trained: Bench, tmp_path: Path) -> None:
    path = trained.cells[0].folder / "training.jsonl"
    path.write_text('{"step": 1, "generator/l1": "much"}\n')
    with pytest.raises(ReportError, match=r"training\.jsonl cannot be read"):
        write_curves(Analysis(trained.stored()), tmp_path)
    path.unlink()
    assert write_curves(Analysis(trained.stored()), tmp_path) == []

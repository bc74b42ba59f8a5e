import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from gainbench.evaluation.stats import holm
from gainbench.report.analysis import ALL, Analysis, Place
from gainbench.report.matrix import matrices
from gainbench.report.numbers import holes_between, probability
from gainbench.report.pair_plots import write_pair_plots
from gainbench.report.pairs import least_p, seen_from
from gainbench.run.store import StoredResults
from gainbench.spec import BINS, bin_label

from .conftest import Bench, make_rows

MakeBench = Callable[..., Bench]

BIN_LABELS = [bin_label(bounds) for bounds in BINS]


def test_a_pair_is_the_difference_of_paired_rows(three: StoredResults, analysis: Analysis) -> None:
    wide = three.rows.pivot_table(index=["image_id", "bin"], columns="method", values="psnr_rgb")
    pair = analysis.pairs[Place("photos-230", "psnr_rgb", ALL, ALL)]["gain", "telea"]
    assert pair.difference.value == pytest.approx((wide["gain"] - wide["telea"]).mean(), rel=1e-9)
    assert pair.winner == "gain", "higher is better"
    lower = analysis.pairs[Place("photos-230", "l1_mean", "0.2-0.3", ALL)]["gain", "telea"]
    assert lower.difference.value < 0
    assert lower.winner == "gain", "lower is better"
    assert seen_from(lower).difference.high == -lower.difference.low


def test_holm_runs_over_all_pairs_and_hole_sizes_of_a_metric(analysis: Analysis) -> None:
    found = [
        pair
        for bin_ in [*BIN_LABELS, ALL]
        for pair in analysis.pairs[Place("photos-230", "lpips_alex", bin_, ALL)].values()
    ]
    assert len(found) == 3 * 7
    assert [pair.p for pair in found] == pytest.approx(list(holm([pair.difference.p for pair in found])))
    assert min(pair.p for pair in found if pair.p) >= least_p(["a", "b", "c"], BIN_LABELS)


def test_oracles_are_compared_but_win_and_lose_nothing(bench: MakeBench) -> None:
    made = bench(methods=("gain", "gated_conv[guidance=hed_oracle]"))
    for place, method in enumerate(("gain", "gated_conv[guidance=hed_oracle]")):
        made.done(method, make_rows(float(place), 0, metrics=["psnr_rgb"], photographs=4))
    analysis = Analysis(made.stored())
    (pair,) = analysis.pairs[Place("photos-230", "psnr_rgb", ALL, ALL)].values()
    assert pair.difference.value > 0
    assert (pair.p, pair.winner) == (None, "")
    assert matrices(analysis, "photos-230") == []


def test_matrix_says_the_same_from_both_sides(analysis: Analysis) -> None:
    matrix = next(one for one in matrices(analysis, "photos-230") if one.metric.id == "psnr_rgb")
    assert matrix.methods == ("gain", "partial_conv", "telea")
    above, below = matrix.rows[0][2], matrix.rows[2][0]
    assert above is not None
    assert below is not None
    assert matrix.rows[1][1] is None
    assert (above.outcome, below.outcome) == ("better", "worse")
    assert below.difference == f"\N{MINUS SIGN}{above.difference}"
    assert (above.sizes, below.sizes) == ("▲" * 6, "▼" * 6)
    assert above.words == "better over all holes, better at all sizes"
    assert below.interval.startswith("[\N{MINUS SIGN}")
    rivals = matrix.rows[0][1]
    assert rivals is not None
    assert rivals.outcome == "even"
    assert rivals.words == "not separable over all holes, separable at no single hole size"


def test_matrix_figure_has_its_numbers_beside_it(analysis: Analysis, tmp_path: Path) -> None:
    (plot,) = write_pair_plots(analysis, tmp_path)
    lines = list(csv.DictReader(plot.csv.open(encoding="utf-8")))
    assert len(lines) == 4 * 3 * 7
    line = next(
        one for one in lines if one["metric"] == "psnr_rgb" and one["bin"] == "all" and one["second"] == "telea"
    )
    pair = analysis.pairs[Place("photos-230", "psnr_rgb", ALL, ALL)]["gain", "telea"]
    assert float(line["p_holm"]) == pair.p
    assert line["winner"] == "gain"
    assert probability(pair.p or 0) in plot.svg.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("p", "text"), [(0.0004, "< .001"), (0.0321, ".032"), (0.41, ".41"), (0.999, "1"), (float("nan"), "\N{EN DASH}")]
)
def test_p_values_are_short(p: float, text: str) -> None:
    assert probability(p) == text


def test_neighbouring_hole_sizes_are_joined() -> None:
    dash = "\N{EN DASH}"
    assert holes_between(BIN_LABELS, BIN_LABELS) == "all sizes"
    assert holes_between([], BIN_LABELS) == "no size"
    some = ["0.4-0.5", "0.01-0.1", "0.1-0.2"]
    assert holes_between(some, BIN_LABELS) == f"1{dash}20 and 40{dash}50 %"

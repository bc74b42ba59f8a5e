import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from gainbench.errors import ReportError
from gainbench.evaluation.stats import interval_of_mean
from gainbench.report.analysis import ALL, Analysis, Place
from gainbench.report.notes import general_notes
from gainbench.run.store import StoredResults

from .conftest import Bench, make_rows

MakeBench = Callable[..., Bench]


def psnr(bin_: str = ALL, border: str = ALL) -> Place:
    return Place("photos-230", "psnr_rgb", bin_, border)


def test_each_place_holds_the_plain_mean_of_its_rows(three: StoredResults, analysis: Analysis) -> None:
    rows = three.rows[three.rows["method"] == "telea"]
    for place, chosen in (
        (psnr(), rows),
        (psnr("0.2-0.3"), rows[rows["bin"] == "0.2-0.3"]),
        (psnr(ALL, "touching"), rows[rows["border"] == "touching"]),
        (psnr("0.5-0.6", "clear"), rows[(rows["bin"] == "0.5-0.6") & (rows["border"] == "clear")]),
    ):
        interval = analysis.scores[place]["telea"].interval
        assert interval.value == pytest.approx(chosen["psnr_rgb"].mean(), rel=1e-12)
        assert interval.n == len(chosen)
        assert interval.clusters == chosen["photograph"].nunique() == 20
        alone = interval_of_mean(chosen["psnr_rgb"].to_numpy(), chosen["photograph"].to_numpy(str))
        assert (interval.low, interval.high) == pytest.approx((alone.low, alone.high), rel=1e-9)


def test_the_close_rival_is_tied_and_the_far_one_is_not(analysis: Analysis) -> None:
    scores = analysis.scores[psnr()]
    best = max(scores, key=lambda method: scores[method].interval.value)
    rival = ({"gain", "partial_conv"} - {best}).pop()
    assert (scores[best].best, scores[best].tied) == (True, False)
    assert (scores[rival].best, scores[rival].tied) == (False, True)
    assert (scores["telea"].best, scores["telea"].tied) == (False, False)
    assert scores["telea"].p is not None
    assert scores["telea"].p < 0.05


def test_lower_is_better_where_the_catalogue_says_so(analysis: Analysis) -> None:
    for place, found in analysis.scores.items():
        (best,) = [score.interval.value for score in found.values() if score.best]
        values = [score.interval.value for score in found.values()]
        assert best == (max if place.metric in {"psnr_rgb", "ssim_rgb_g11"} else min)(values)


def test_rows_in_another_order_give_the_same_scores(three: StoredResults, analysis: Analysis) -> None:
    shuffled = three.rows.sample(frac=1, random_state=1).reset_index(drop=True)
    again = StoredResults(three.root, three.resolved, three.cells, shuffled, three.set_metrics)
    first, second = analysis.scores, Analysis(again).scores
    assert first.keys() == second.keys()
    for place, found in first.items():
        for method, score in found.items():
            other = second[place][method]
            assert (score.best, score.tied) == (other.best, other.tied)
            assert score.interval.low == pytest.approx(other.interval.low, rel=1e-9)


def test_seeds_are_averaged_and_a_method_with_fewer_is_still_compared(bench: MakeBench) -> None:
    made = bench(seeds=(0, 1))
    for seed in (0, 1):
        made.done("gain", make_rows(0.0, seed, metrics=["psnr_rgb"]), seed=seed)
    made.done("partial_conv", make_rows(1.5, 0, metrics=["psnr_rgb"]))
    made.failed("partial_conv", "killed", "SIGKILL", seed=1)
    stored = made.stored()
    scores = Analysis(stored).scores[psnr()]
    gain = stored.rows[stored.rows["method"] == "gain"]
    assert scores["gain"].interval.value == pytest.approx(gain["psnr_rgb"].mean(), rel=1e-12)
    assert (scores["gain"].interval.seeds, scores["partial_conv"].interval.seeds) == (2, 1)
    assert scores["gain"].interval.n == scores["partial_conv"].interval.n == 240
    assert not scores["partial_conv"].tied


def test_missing_values_shrink_n_only_where_they_are(bench: MakeBench) -> None:
    rows = make_rows(0.5, 0, metrics=["psnr_rgb"])
    rows.loc[rows["bin"] == "0.01-0.1", "psnr_rgb"] = np.nan
    stored = bench().done("gain", make_rows(0.0, 0, metrics=["psnr_rgb"])).done("telea", rows).stored()
    scores = Analysis(stored).scores
    assert "telea" not in scores[psnr("0.01-0.1")]
    assert scores[psnr()]["telea"].interval.n == 200
    assert scores[psnr()]["gain"].interval.n == 240
    gap = scores[psnr()]["telea"].difference
    assert gap is not None
    paired = make_rows(0.0, 0, metrics=["psnr_rgb"]).merge(rows, on=["image_id", "bin"]).dropna()
    expected = (paired["psnr_rgb_y"] - paired["psnr_rgb_x"]).mean()
    assert gap.value == pytest.approx(expected, rel=1e-9)


def test_an_oracle_is_shown_but_never_the_best(bench: MakeBench) -> None:
    methods = ("gated_conv[guidance=hed_oracle]", "gain", "telea")
    made = bench(methods=methods)
    for place, method in zip((-3.0, 0.0, 2.0), methods, strict=True):
        made.done(method, make_rows(place, 0, metrics=["psnr_rgb"]))
    scores = Analysis(made.stored()).scores[psnr()]
    assert scores["gain"].best
    oracle = scores["gated_conv[guidance=hed_oracle]"]
    assert oracle.interval.value > scores["gain"].interval.value
    assert (oracle.best, oracle.tied, oracle.p) == (False, False, None)


def test_an_oracle_is_what_its_result_says_not_what_its_name_has(bench: MakeBench) -> None:
    made = bench(methods=("cheater", "oracle_free", "telea"))
    for place, (method, oracle) in enumerate((("cheater", True), ("oracle_free", False), ("telea", False))):
        made.done(method, make_rows(float(place), 0, metrics=["psnr_rgb"]))
        cell = made.cells[-1]
        assert cell.result is not None
        made.cells[-1] = replace(cell, result=cell.result.model_copy(update={"oracle": oracle}))
    analysis = Analysis(made.stored())
    assert analysis.oracles == {"cheater"}
    assert analysis.scores[psnr()]["oracle_free"].best
    assert "cheater: an oracle" in "".join(general_notes(analysis, "photos-230", ["psnr_rgb"], of_all_metrics=True))


def test_a_single_method_is_not_called_the_best(bench: MakeBench) -> None:
    scores = Analysis(bench().done("gain", make_rows(0.0, 0)).stored()).scores[psnr()]
    assert not scores["gain"].best


def test_one_border_class_is_not_reported_twice(bench: MakeBench) -> None:
    rows = make_rows(0.0, 0)
    analysis = Analysis(bench().done("gain", rows[rows["border"] == "clear"]).stored())
    assert analysis.borders("photos-230") == [ALL]
    assert {place.border for place in analysis.scores} == {ALL}


def test_twin_rows_are_refused(bench: MakeBench) -> None:
    rows = make_rows(0.0, 0)
    doubled = rows.iloc[[*range(len(rows)), 7]]
    with pytest.raises(ReportError, match=r"two rows where one is expected: gain, 000/1, 0\.1-0\.2"):
        Analysis(bench().done("gain", doubled).stored())


def test_set_metrics_keep_value_n_and_floor(analysis: Analysis) -> None:
    scores = analysis.set_scores[Place("photos-230", "fd_mobilenetv2", "0.1-0.2", ALL)]
    assert (scores["telea"].value, scores["telea"].n, scores["telea"].floor) == (60.0, 40, 9.25)


def test_no_finished_cell_is_no_error(bench: MakeBench) -> None:
    analysis = Analysis(bench().failed("gain", "failed", "no such photographs").stored())
    assert analysis.scores == {}
    assert analysis.bins("photos-230") == []
    assert analysis.borders("photos-230") == [ALL]


def test_the_report_loads_no_torch() -> None:
    program = "import sys, gainbench.report, gainbench.report.comparison; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

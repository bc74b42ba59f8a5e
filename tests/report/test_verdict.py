from collections.abc import Callable

from gainbench.report.analysis import Analysis
from gainbench.report.verdict import verdict

from .conftest import Bench, make_rows

MakeBench = Callable[..., Bench]


def test_verdict_names_best_tied_and_worse_and_joins_metrics_that_agree(analysis: Analysis) -> None:
    said = verdict(analysis, "photos-230")
    assert sum(len(statement.metrics) for statement in said.statements) == 4
    for statement in said.statements:
        assert {statement.best, *statement.tied, *statement.worse} == {"gain", "partial_conv", "telea"}
        assert statement.worse == ("telea",)
    assert len(said.statements) < 4


def test_leaders_are_given_for_every_hole_size_and_all(analysis: Analysis) -> None:
    for info, places in verdict(analysis, "photos-230").leaders:
        assert len(places) == 7
        for place in places:
            assert place is not None, info.id
            assert "telea" not in {place.best, *place.tied}
            assert 1 + len(place.tied) + place.rest == 3


def test_pairs_that_nothing_separates_are_named(analysis: Analysis) -> None:
    said = verdict(analysis, "photos-230")
    assert said.pairs == 3
    assert said.always == 2
    assert said.never == (("gain", "partial_conv"),)
    assert said.never_count == 1


def test_one_method_leads_nobody(bench: MakeBench) -> None:
    made = bench().done("gain", make_rows(0.0, 0, metrics=["psnr_rgb"], photographs=4)).failed("telea", "failed", "x")
    said = verdict(Analysis(made.stored()), "photos-230")
    assert (said.statements, said.leaders, said.pairs) == ((), (), 0)

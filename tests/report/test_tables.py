from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from gainbench.report.analysis import Analysis
from gainbench.report.numbers import NOTHING
from gainbench.report.tables import Table, all_tables, bin_table, cost_table, dataset_tables, main_table
from gainbench.run.store import StoredResults
from gainbench.spec import scales

from .conftest import Bench, make_rows

MakeBench = Callable[..., Bench]


def row(table: Table, label: str, panel: int = -1) -> dict[str, str]:
    (found,) = [row for row in table.panels[panel].rows if row.label == label]
    return {column.heading: cell.text for column, cell in zip(table.columns, found.cells, strict=True)}


def text_of(table: Table) -> str:
    return "\n".join([*table.caption, *table.footnotes, *table.notes])


def rows_of(place: float) -> pd.DataFrame:
    return make_rows(place, 0, metrics=["psnr_rgb"], photographs=10)


def test_main_table_shows_means_floor_costs_and_n(three: StoredResults, analysis: Analysis) -> None:
    table = main_table(analysis, "photos-230")
    mean = three.rows.loc[three.rows["method"] == "telea", "l1_mean"].mean()
    telea = row(table, "telea")
    assert float(telea["l1 (%)"]) == pytest.approx(mean, abs=0.005)
    assert telea["FD (MobileNetV2)"] == "60.0"
    assert (row(table, "gain")["parameters"], row(table, "gain")["MACs"]) == ("14.6 M", "68.2 G")
    assert row(table, "real against real")["FD (MobileNetV2)"] == "9.2"
    assert row(table, "n")["PSNR (dB)"] == "240"


def test_border_classes_stand_apart_then_pooled(analysis: Analysis) -> None:
    table = main_table(analysis, "photos-230")
    assert [panel.heading.split()[1] for panel in table.panels] == ["clear", "that", "holes"]
    assert [row(table, "n", panel)["SSIM"] for panel in range(3)] == ["120", "120", "240"]


def test_arrows_point_where_better_is(analysis: Analysis) -> None:
    arrows = {column.metric: column.arrow for column in main_table(analysis, "photos-230").columns if column.metric}
    assert arrows == {
        "l1_mean": "↓",
        "psnr_rgb": "↑",
        "ssim_rgb_g11": "↑",
        "lpips_alex": "↓",
        "fd_mobilenetv2": "↓",
    }


def test_bin_table_has_every_bin_and_all_of_them(analysis: Analysis) -> None:
    table = bin_table(analysis, "photos-230", "psnr_rgb")
    headings = [column.heading.replace("\N{EN DASH}", "-") for column in table.columns]
    bins = ["1-10 %", "10-20 %", "20-30 %", "30-40 %", "40-50 %", "50-60 %"]
    assert headings == [*bins, "all", "parameters", "MACs"]
    assert row(table, "gain")["all"] == row(main_table(analysis, "photos-230"), "gain")["PSNR (dB)"]


def test_a_panel_without_any_number_is_left_out(analysis: Analysis) -> None:
    assert len(bin_table(analysis, "photos-230", "fd_mobilenetv2").panels) == 1


def test_every_table_says_what_it_is(analysis: Analysis) -> None:
    tables = dataset_tables(analysis, "photos-230")
    assert [table.name for table in tables][-1] == "photos-230-cost"
    assert len(tables) == 7
    for table in tables[:-1]:
        caption = " ".join(table.caption)
        for fact in (
            "photos-230", "Scale cpu: 128 x 128 px, base 8", "1,500 iterations of batch 4", "Reduced run",
            "40 test pictures of 20 photographs", "n = 240", "irregular-v1, mask seed 0", "1a2b3c4d5e6f", "seeds: 0",
        ):  # fmt: skip
            assert fact in caption
        for column in table.columns:
            assert column.metric in caption


def test_cost_table_has_training_time_and_budget(analysis: Analysis) -> None:
    table = cost_table(analysis, "photos-230")
    gain = row(table, "gain")
    assert (gain["parameters"], gain["MACs"], gain["training"]) == ("14.6 M", "68.2 G", "14 min")
    assert (gain["ms a picture"], table.pooled.rows[0].cells[3].interval) == ("5.25", "[5.1, 6]")
    assert gain["process memory (MiB)"] == "1,300"
    assert row(table, "telea")["training"] == NOTHING
    assert "1,500 iterations of batch 4" in " ".join(table.caption)


def test_the_papers_own_budget_is_not_called_reduced(bench: MakeBench) -> None:
    made = bench(scale=scales()["full"]).done("telea", rows_of(0.0), trained=False)
    assert "Reduced" not in " ".join(main_table(Analysis(made.stored()), "photos-230").caption)
    shorter = scales()["full"].model_copy(update={"iterations": 20})
    made = bench(scale=shorter).done("telea", rows_of(0.0), trained=False)
    assert "Reduced run" in " ".join(main_table(Analysis(made.stored()), "photos-230").caption)


def test_a_missing_metric_is_no_column_but_a_line_on_why_and_how(analysis: Analysis) -> None:
    table = main_table(analysis, "photos-230")
    assert "fid" not in {column.metric for column in table.columns}
    assert "fid is missing: its Inception weights are not here; give --fid-weights PATH." in table.notes


def test_reasons_of_several_lines_become_one(bench: MakeBench) -> None:
    reason = "asset x is missing. Tried:\n  - your folder: not given\n  - PyPI: no\nTo provide it: put it there"
    made = bench().done("gain", rows_of(0.0), missing={"fid": reason})
    said = "fid is missing: asset x is missing. Tried: your folder: not given; PyPI: no. To provide it: put it there."
    assert said in main_table(Analysis(made.stored()), "photos-230").notes


def test_kid_leads_while_the_sets_are_small(bench: MakeBench) -> None:
    for pictures, first in ((240, "kid_mobilenetv2"), (2000, "fd_mobilenetv2")):
        made = bench(metrics=("psnr_rgb", "fd_mobilenetv2", "kid_mobilenetv2")).done("gain", rows_of(0.0), fd=21.0)
        for record in [*made.sets]:
            record["n"] = pictures
            made.sets.append(record | {"metric": "kid_mobilenetv2", "value": 0.01, "floor": 0.0})
        table = main_table(Analysis(made.stored()), "photos-230")
        assert [column.metric for column in table.columns][1] == first
        assert any("read KID first" in note for note in table.notes) == (pictures < 2000)


def test_a_metric_missing_for_one_method_names_it(bench: MakeBench) -> None:
    made = bench().done("gain", rows_of(0.0), missing={"fid": "no"}).done("telea", rows_of(1.0), missing={})
    notes = main_table(Analysis(made.stored()), "photos-230").notes
    assert "fid is missing for gain: no." in notes


def test_a_failed_cell_is_a_visible_hole_with_its_cause(bench: MakeBench) -> None:
    made = bench().done("gain", rows_of(0.0)).failed("telea", "nan", "loss l1 is NaN at iteration 340")
    for table in dataset_tables(Analysis(made.stored()), "photos-230"):
        for panel in table.panels:
            (hole,) = [row for row in panel.rows if row.label == "telea"]
            assert [cell.text for cell in hole.cells] == ["not a number", *[NOTHING] * (len(table.columns) - 1)]
            assert hole.note == 1
        assert table.footnotes == ("telea, seed 0: not a number: loss l1 is NaN at iteration 340.",)


def test_a_failed_seed_is_named_beside_the_mean_of_the_others(bench: MakeBench) -> None:
    made = bench(seeds=(0, 1)).done("gain", rows_of(0.0)).failed("gain", "timeout", "", seed=1)
    table = main_table(Analysis(made.stored()), "photos-230")
    (gain,) = [row for row in table.pooled.rows if row.label == "gain"]
    assert gain.note == 1
    assert float(gain.cells[0].text) > 0
    assert table.footnotes == ("gain, seed 1: timed out.",)


def test_a_cell_with_fewer_pairs_says_how_many(bench: MakeBench) -> None:
    rows = rows_of(1.0)
    rows.loc[rows["bin"] == "0.1-0.2", "psnr_rgb"] = float("nan")
    made = bench().done("gain", rows_of(0.0)).done("telea", rows)
    table = main_table(Analysis(made.stored()), "photos-230")
    assert "telea: 100 of 120 pairs have a value of psnr_rgb." in table.footnotes


def test_all_cells_failed_still_gives_a_table(bench: MakeBench) -> None:
    (table,) = all_tables(Analysis(bench().failed("gain", "failed", "no data").stored()))
    assert "No cell is finished." in table.caption
    assert [row.label for row in table.pooled.rows] == ["gain", "n"]


def test_a_narrowed_run_says_so(bench: MakeBench) -> None:
    made = bench(narrowed=("methods: gain only (--methods)",)).done("gain", rows_of(0.0))
    for table in all_tables(Analysis(made.stored())):
        assert "Narrowed: methods: gain only (--methods)." in table.notes


def test_what_must_be_known_of_the_holes_is_a_note(bench: MakeBench) -> None:
    made = bench(footnotes=("block 3 differs from the published masks",)).done("gain", rows_of(0.0))
    assert "block 3 differs from the published masks." in main_table(Analysis(made.stored()), "photos-230").notes


@pytest.mark.parametrize(
    ("scale", "method", "said"),
    [("tiny", "gain", True), ("cpu", "gain", False), ("tiny", "telea", False), ("tiny", "gain[delta=0]", True)],
)
def test_no_statement_on_the_priority_below_128_px(bench: MakeBench, scale: str, method: str, *, said: bool) -> None:
    made = bench(scale=scales()[scale]).done(method, rows_of(0.0))
    text = text_of(main_table(Analysis(made.stored()), "photos-230"))
    assert ("No statement about the mask-shrinkage priority" in text) == said


def test_notes_say_what_one_seed_cannot(bench: MakeBench, analysis: Analysis) -> None:
    one = text_of(main_table(analysis, "photos-230"))
    assert "One training seed" in one
    assert "rather too narrow" not in one
    made = bench(seeds=(0, 1))
    for seed in (0, 1):
        made.done("gain", make_rows(0.0, seed, metrics=["psnr_rgb"], photographs=10), seed=seed)
    text = text_of(main_table(Analysis(made.stored()), "photos-230"))
    assert "One training seed" not in text
    assert "training seeds and photographs resampled" in text
    assert "Intervals over 2 training seeds are rather too narrow" in text
    assert "as few as 10 photographs" in text


def test_notes_name_the_method_that_has_one_seed_where_others_have_more(bench: MakeBench) -> None:
    made = bench(seeds=(0, 1))
    for method, seed in (("gain", 0), ("gain", 1), ("partial_conv", 0)):
        made.done(method, make_rows(0.0, seed, metrics=["psnr_rgb"]), seed=seed)
    made.done("telea", make_rows(1.0, 0, metrics=["psnr_rgb"]), trained=False)
    text = text_of(main_table(Analysis(made.stored()), "photos-230"))
    assert "photographs and, where there are several, training seeds resampled" in text
    assert "One training seed of partial_conv: intervals and differences speak of the network trained here" in text
    assert "Intervals over 2 training seeds are rather too narrow" in text


def test_methods_that_no_definition_tells_apart_change_no_places(bench: MakeBench) -> None:
    made = bench(metrics=("psnr_rgb", "legacy_zits_psnr"), methods=("gain", "telea"))
    for sign, method in ((1, "gain"), (-1, "telea")):
        rows = make_rows(0.0, 0, metrics=["psnr_rgb"], photographs=6)
        # Half of the rows better, half worse: means differ by .001 dB, each way by another definition.
        noise = sign * np.where(np.arange(len(rows)) % 2, 1.0, -1.0)
        rows["legacy_zits_psnr"] = rows["psnr_rgb"] + noise - sign * 0.001
        rows["psnr_rgb"] += noise + sign * 0.001
        made.done(method, rows)
    table = dataset_tables(Analysis(made.stored()), "photos-230")[-2]
    ours, theirs = ([row.cells[place].value for row in table.pooled.rows[:2]] for place in (0, 1))
    assert (ours[0] - ours[1]) * (theirs[0] - theirs[1]) < 0
    assert not any("opposite orders" in note for note in table.notes)


def test_the_cost_table_says_which_method_ran_on_which_machine(bench: MakeBench) -> None:
    def notes(*processors: str) -> str:
        made = bench(methods=("gain", "telea", "partial_conv"))
        for method, processor in zip(("gain", "telea", "partial_conv"), processors, strict=True):
            made.done(method, rows_of(0.0), environment={"device": "cpu", "processor": processor})
        return " ".join(dataset_tables(Analysis(made.stored()), "photos-230")[-1].notes)

    assert "Measured on cpu (A), beside whatever else ran there." in notes("A", "A", "A")
    several = notes("A", "B", "A")
    assert "whose times must not be compared: gain and partial_conv on cpu (A); telea on cpu (B)." in several


def test_identical_pictures_are_counted(bench: MakeBench) -> None:
    rows = rows_of(0.0)
    rows.loc[[0, 5], "psnr_rgb"] = 100.0
    notes = main_table(Analysis(bench().done("gain", rows).stored()), "photos-230").notes
    assert "psnr_rgb: 2 completed pictures are identical to their original; capped at 100 dB." in notes


def test_other_papers_definitions_stand_in_a_table_of_their_own(bench: MakeBench) -> None:
    metrics = ("psnr_rgb", "ssim_rgb_g11", "legacy_lama_ssim", "legacy_zits_psnr")
    made = bench(metrics=metrics, methods=("gain", "telea"))
    for place, method in enumerate(("gain", "telea")):
        rows = make_rows(float(place), 0, metrics=["psnr_rgb", "ssim_rgb_g11"], photographs=10)
        rows["legacy_zits_psnr"] = rows["psnr_rgb"] + 1
        # The other way round: what happens when a window makes the difference.
        rows["legacy_lama_ssim"] = 1 - rows["ssim_rgb_g11"] / 2
        made.done(method, rows)
    analysis = Analysis(made.stored())
    tables = dataset_tables(analysis, "photos-230")
    assert [column.metric for column in tables[0].columns[:2]] == ["psnr_rgb", "ssim_rgb_g11"]
    assert not any(column.metric.startswith("legacy") for table in tables[:-2] for column in table.columns)
    table = tables[-2]
    assert table.name == "photos-230-definitions"
    assert [column.metric for column in table.columns] == [
        "psnr_rgb", "legacy_zits_psnr", "ssim_rgb_g11", "legacy_lama_ssim"
    ]  # fmt: skip
    values = [cell.value for cell in table.pooled.rows[0].cells[:2]]
    assert values[1] == pytest.approx((values[0] or 0) + 1)
    assert table.notes[0] == "SSIM and SSIM (LaMa) rank gain and telea in opposite orders."
    assert not any("PSNR (ZITS" in note and "rank" in note for note in table.notes)
    assert {place.metric for place in analysis.pairs} == {"psnr_rgb", "ssim_rgb_g11"}

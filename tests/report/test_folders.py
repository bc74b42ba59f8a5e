"""gainbench evaluate: anybody's pictures get the suite's numbers, or an error that says what and where."""

import json
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import gainbench
from gainbench.cli import app
from gainbench.errors import EvaluationError
from gainbench.evaluation import evaluate as evaluation
from gainbench.evaluation.metrics.catalogue import METRICS
from gainbench.evaluation.metrics.pixel import l1_hole, l1_mean
from gainbench.evaluation.stats import interval_of_mean, paired_differences
from gainbench.masks import open_protocol
from gainbench.report.analysis import Place
from gainbench.report.folders import evaluate
from gainbench.run.cell import run_cell
from gainbench.run.layout import cell_folder
from gainbench.run.plan import plan_suite
from gainbench.spec import BINS, MaskSpec, MethodSpec, Suite

from .folder_pictures import PIXELS, SIDE, Folders, scored

NETWORKS = ("lpips_alex", "fd_mobilenetv2", "kid_mobilenetv2")
OF_ROWS = [metric for metric, info in METRICS.items() if info.per == "picture" and not info.asset]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def test_rows_are_the_metrics_of_the_pictures(folders):
    rows = scored(folders).rows
    assert rows["image_id"].tolist() == folders.names
    for number, row in enumerate(rows.to_dict("records")):
        pair = folders.filled(number)[None], folders.original(number)[None]
        assert row["l1_mean"] == l1_mean(*pair)[0]
        assert row["l1_hole"] == l1_hole(*pair, ~folders.hole(number)[None])[0]
        assert row["hole_area"] == folders.hole(number).mean()
        assert row["bin_lo"] < row["hole_area"] <= row["bin_hi"]
        assert row["mask_id"] == f"{folders.names[number]}.png"


def test_known_pixels_are_the_originals_whatever_a_tool_made_of_them(folders):
    expected = scored(folders).rows
    repainted = np.clip(folders.filled(0).astype(int) + 3, 0, 255).astype(np.uint8)
    changed = np.where(folders.hole(0)[..., None], folders.filled(0), repainted)
    folders.save(folders.pred, "00", changed)
    report = scored(folders)
    pd.testing.assert_frame_equal(report.rows, expected, check_exact=True)
    assert any("1 of 6 pictures had other known pixels" in note for note in report.tables[0].notes)


def plan_of(tmp_path, metrics, photographs):
    generator = np.random.default_rng(1)
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(photographs):
        coarse = Image.fromarray(generator.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        coarse.resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"{number:03d}.png")
    suite = Suite(
        name="outputs",
        datasets=("folder",),
        methods=(MethodSpec(name="telea"),),
        masks=MaskSpec(bins=BINS[:5]),
        metrics=metrics,
        scale="tiny",
        samples="all",
    )
    return plan_suite(suite, root=tmp_path, data_paths={"folder": folder}).cells[0].spec


@pytest.mark.parametrize(
    ("metrics", "outputs"),
    [
        (OF_ROWS, 40),
        pytest.param((*OF_ROWS, *NETWORKS), 200, marks=[pytest.mark.slow, pytest.mark.assets]),
    ],
)
def test_outputs_get_the_same_rows_from_the_suite_from_folders_and_in_other_batches(
    tmp_path, monkeypatch, metrics, outputs
):
    spec = plan_of(tmp_path, metrics, outputs)  # a fifth of them for testing, under five holes each
    result = run_cell(spec, tmp_path, precision="fp32")
    suite = pd.read_parquet(cell_folder(tmp_path, spec) / "rows.parquet")
    assert len(suite) == outputs
    samples, masks = cell_folder(tmp_path, spec) / "samples", tmp_path / "masks"
    protocol = open_protocol(spec.masks)
    for name, row in zip((f"{number:05d}" for number in range(outputs)), suite.to_dict("records"), strict=True):
        (hole,) = (one.hole for one in protocol.image_holes(row["image_id"]) if one.hole.mask_id == row["mask_id"])
        Folders.save(masks, name, np.where(hole.mask, 255, 0).astype(np.uint8))  # 512 px, as published masks are
    own = [column for column in suite.columns if column not in {"image_id", "mask_id"}]
    told = {"photographs": samples / "photographs.csv", "metrics": metrics}
    for batch in (16, 7):
        report = evaluate(samples / "completed", samples / "original", masks, batch=batch, **told)
        pd.testing.assert_frame_equal(report.rows[own], suite[own], check_exact=True)
        found = {(at.metric, at.bin, at.border): one["pictures"] for at, one in report.set_scores.items()}
        for record in result.set_metrics:
            score = found[record["metric"], record["bin"], record["border"]]
            assert (score.value, score.n) == (pytest.approx(record["value"], rel=1e-9), record["n"])
    as_evaluated = evaluate(samples / "completed", samples / "original", samples / "hole", **told).rows
    computed = [metric for metric in metrics if METRICS[metric].per == "picture" and metric in suite]
    pd.testing.assert_frame_equal(as_evaluated[computed], suite[computed], check_exact=True)
    # Another batch for the method, and for the metrics: the cell is evaluated again from nothing.
    monkeypatch.setattr("gainbench.run.cell.EVALUATION_BATCH", 5)
    monkeypatch.setattr(evaluation, "METRIC_BATCH", 9)
    again = tmp_path / "again"
    run_cell(spec, again, precision="fp32")
    other = pd.read_parquet(cell_folder(again, spec) / "rows.parquet")
    pd.testing.assert_frame_equal(other, suite, check_exact=True)


def test_several_methods_are_compared_in_pairs_by_picture(folders):
    methods = {"fair": folders.pred, "good": folders.method("good", 5), "same": folders.method("same", 19)}
    report = evaluate(methods, folders.target, folders.mask, metrics=["l1_hole"])
    scores = report.scores[Place("target", "l1_hole", "all", "all")]
    values = {name: rows["l1_hole"].to_numpy() for name, rows in report.rows.groupby("method")}
    assert scores["good"].best
    for name in methods:
        expected = interval_of_mean(values[name], folders.names)
        assert astuple(scores[name].interval) == pytest.approx(astuple(expected), rel=1e-12)
    (gap,) = paired_differences(
        values["fair"][None, :, None], values["good"][None, :, None], folders.names, flips=10_000
    )
    assert astuple(scores["fair"].difference) == pytest.approx(astuple(gap), rel=1e-12)
    # Six pictures: the smallest two-sided p there is, 2 / 64, is not below .05 over all bins together.
    assert scores["fair"].tied


def test_a_difference_over_enough_pictures_is_separable_and_marked(tmp_path):
    folders = Folders(tmp_path, 24)
    report = evaluate(
        {"fair": folders.pred, "good": folders.method("good", 5)}, folders.target, folders.mask, metrics=["l1_hole"]
    )
    table = report.tables[0]
    fair, good = (table.pooled.rows[place].cells[0] for place in (0, 1))
    assert (good.best, fair.best, fair.tied) == (True, False, False)
    assert good.interval.startswith("[")
    assert "Bold: best" in " ".join(table.notes)


def test_rows_of_two_evaluations_can_be_compared_by_the_public_function(folders):
    first = scored(folders).rows
    second = evaluate(folders.method("good", 5), folders.target, folders.mask, metrics=PIXELS).rows
    comparison = gainbench.compare(first, second, metrics=["l1_hole"])
    assert comparison.entries[0].mean_b < comparison.entries[0].mean_a


def test_originals_that_are_the_same_file_are_one_photograph(folders):
    for name in ("02", "05"):
        folders.save(folders.target, name, folders.original(0))
        folders.save(
            folders.pred, name, np.where(folders.hole(int(name))[..., None], 99, folders.original(0)).astype("u1")
        )
    rows = scored(folders).rows
    assert len(set(rows["photograph"])) == 4
    assert len(set(rows["photograph"][[0, 2, 5]])) == 1


def test_photographs_can_be_told(folders, tmp_path):
    table = tmp_path / "photographs.csv"
    table.write_text("name,photograph\n" + "".join(f"{name},{int(name) // 2}\n" for name in folders.names))
    report = scored(folders, photographs=table)
    assert report.rows["photograph"].tolist() == ["0", "0", "1", "1", "2", "2"]
    assert "of 3 photographs" in report.tables[0].caption[0]
    table.write_text("name,photograph\n00,a\n")
    with pytest.raises(EvaluationError, match=r"does not tell the photograph of '01', '02'"):
        scored(folders, photographs=table)
    table.write_text("file,group\n00,a\n")
    with pytest.raises(EvaluationError, match=r"columns 'file', 'group'; expected name, photograph"):
        scored(folders, photographs=table)


def test_without_masks_only_whole_pictures_are_measured_and_it_says_so(folders):
    report = evaluate(folders.pred, folders.target, metrics=PIXELS)
    assert "l1_hole" not in report.rows
    assert report.missing == {"l1_hole": "needs the holes: give --mask"}
    assert report.rows["l1_mean"][0] == l1_mean(folders.filled(0)[None], folders.original(0)[None])[0]
    assert report.rows["hole_area"].isna().all()
    assert len(report.tables) == 1
    assert any(note.startswith("No masks were given") and "l1_hole" in note for note in report.tables[0].notes)


def test_masks_larger_in_proportion_are_reduced_by_nearest_and_binned_at_their_own_size(folders):
    expected = scored(folders).rows
    for number, name in enumerate(folders.names):
        folders.save(folders.mask, name, np.kron(folders.hole(number), np.full((4, 4), 255)).astype(np.uint8))
    report = scored(folders)
    pd.testing.assert_frame_equal(report.rows, expected, check_exact=True)
    assert "6 masks larger than the picture: reduced by nearest neighbour." in report.tables[0].notes


def test_pictures_of_several_sizes_and_proportions_are_measured_each_at_its_own(folders):
    wide, hole = np.tile(folders.original(1), (1, 2, 1)), np.tile(folders.hole(1), (1, 2))
    folders.save(folders.target, "01", wide)
    folders.save(folders.mask, "01", np.where(hole, 255, 0).astype(np.uint8))
    completed = np.where(hole[..., None], 128, wide).astype(np.uint8)
    folders.save(folders.pred, "01", completed)
    rows = scored(folders).rows
    assert rows["l1_mean"][1] == l1_mean(completed[None], wide[None])[0]
    assert rows["image_id"].tolist() == folders.names


def test_files_are_written_whole_and_say_the_same(folders, tmp_path):
    report = scored(folders, out=tmp_path / "out")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out" / "rows.parquet"), report.rows)
    tables = tmp_path / "out" / "tables"
    numbers = pd.read_csv(tables / "target.csv")
    whole = numbers[(numbers["metric"] == "l1_hole") & (numbers["bin"] == "all") & (numbers["border"] == "all")]
    assert whole["value"].item() == pytest.approx(report.rows["l1_hole"].mean(), rel=1e-12)
    assert whole["n"].item() == 6
    assert r"\toprule" in (tables / "target.tex").read_text()
    assert {path.name for path in report.files} == {
        *("rows.parquet", "target.md", "target.csv", "target.tex"),
        *(f"target-{metric}.tex" for metric in PIXELS),
    }
    for name in ("related_work.tex", "notes.md", "target-mine.tex"):
        (tables / name).write_text("mine")
    scored(folders, out=tmp_path / "out", metrics=["l1_mean"])
    assert not (tables / "target-l1_hole.tex").exists()
    assert all((tables / name).read_text() == "mine" for name in ("related_work.tex", "notes.md", "target-mine.tex"))


def test_notes_speak_of_pictures_not_of_trainings(folders):
    folders.save(folders.pred, folders.names[0], folders.original(0))
    (main, *_) = scored(folders).tables
    assert "psnr_rgb: 1 completed picture is identical to its original; capped at 100 dB." in main.notes
    assert not any("seed" in note for note in main.notes)


def test_no_folder_is_an_oracle_for_its_name(folders):
    better = folders.method("theirs_oracle", 5)
    report = evaluate({"theirs_oracle": better, "mine": folders.pred}, folders.target, folders.mask, metrics=PIXELS)
    assert report.scores[Place("target", "l1_hole", "all", "all")]["theirs_oracle"].best


def test_the_verb_prints_the_table_and_writes(folders, tmp_path):
    folders.method("good", 5)
    options = ["--pred", f"fair={folders.pred}", "--pred", str(tmp_path / "good"), "--target", str(folders.target)]
    options += ["--mask", str(folders.mask), "--metrics", "l1_hole,psnr_rgb", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["evaluate", *options])
    assert done.exit_code == 0, done.output
    assert all(word in done.output for word in ("fair", "good", "l1 in the hole", "PSNR", "taken from the originals"))
    assert (tmp_path / "out" / "rows.parquet").is_file()
    told = json.loads(CliRunner().invoke(app, ["evaluate", *options, "--json", "--quiet"]).stdout)
    (good,) = (
        one
        for one in told["scores"]
        if (one["metric"], one["bin"], one["border"], one["method"]) == ("l1_hole", "all", "all", "good")
    )
    rows = pd.read_parquet(tmp_path / "out" / "rows.parquet")
    assert good["interval"]["value"] == pytest.approx(rows[rows["method"] == "good"]["l1_hole"].mean(), rel=1e-12)


# Hostile folders: each ends in an error that says what and where, or in a value that is documented.


def test_a_missing_file_is_an_error_that_names_it_and_where(folders):
    (folders.pred / "03.png").unlink()
    with pytest.raises(
        EvaluationError, match=r"1 of 6 names.*\n- .*target/03\.png has no counterpart in --pred pictures"
    ):
        scored(folders)
    (folders.mask / "01.png").unlink()
    with pytest.raises(EvaluationError, match=r"2 of 6 names(.|\n)*01\.png has no counterpart in --mask"):
        scored(folders)


def test_what_is_left_out_with_partial_is_listed(folders, tmp_path):
    (folders.pred / "03.png").unlink()
    (folders.pred / "04.png").write_bytes((folders.pred / "04.png").read_bytes()[:-40])
    report = scored(folders, partial=True, out=tmp_path / "out")
    assert report.rows["image_id"].tolist() == ["00", "01", "02", "05"]
    assert [one.name for one in report.unpaired] == ["03", "04"]
    listed = pd.read_csv(tmp_path / "out" / "unpaired.csv", dtype=str)
    assert listed["name"].tolist() == ["03", "04"]
    assert "has no counterpart in --pred pictures" in listed["reason"][0]
    assert "damaged or truncated" in listed["reason"][1]
    assert any("2 names left out" in note for note in report.tables[0].notes)


def test_methods_are_scored_on_the_names_that_all_of_them_have(folders):
    (folders.method("good", 5) / "03.png").unlink()
    both = {"fair": folders.pred, "good": folders.root / "good"}
    with pytest.raises(EvaluationError, match=r"--pred good"):
        evaluate(both, folders.target, folders.mask, metrics=PIXELS)
    rows = evaluate(both, folders.target, folders.mask, metrics=PIXELS, partial=True).rows
    assert rows.groupby("method").size().to_dict() == {"fair": 5, "good": 5}


def test_a_hole_of_one_pixel_has_a_bin_of_its_own_and_the_documented_values(folders):
    hole = np.zeros((SIDE, SIDE), np.uint8)
    hole[5, 7] = 255
    folders.save(folders.mask, "02", hole)
    completed = folders.original(2).copy()
    completed[5, 7] ^= 0b100000  # 32 of 255 in every channel
    folders.save(folders.pred, "02", completed)
    report = evaluate(folders.pred, folders.target, folders.mask, metrics=OF_ROWS)
    row = report.rows.iloc[2]
    assert (row["bin"], row["bin_lo"], row["bin_hi"]) == ("0-0.01", 0.0, 0.01)
    assert row["hole_area"] == 1 / SIDE**2
    assert row["l1_hole"] == pytest.approx(100 * 32 / 255, rel=1e-12)
    assert row["l1_mean"] == pytest.approx(100 * 32 / 255 / SIDE**2, rel=1e-12)
    assert row["seam_rgb"] == pytest.approx(100 * 32 / 255, rel=1e-12)
    assert np.isfinite(report.rows[[m for m in OF_ROWS if m in report.rows]].to_numpy()).all()
    assert report.tables[0].panels


def test_a_metric_whose_window_does_not_fit_is_missing_and_says_so(folders):
    report = evaluate(folders.pred, folders.target, folders.mask, metrics=["legacy_edgeconnect_ssim", "l1_mean"])
    assert "at least 51 px, these have 32" in report.missing["legacy_edgeconnect_ssim"]
    assert any("legacy_edgeconnect_ssim is missing" in note for note in report.tables[0].notes)


def test_an_unknown_metric_is_refused_before_anything_is_read(folders, tmp_path):
    with pytest.raises(EvaluationError, match="did you mean 'psnr_rgb'"):
        evaluate(tmp_path / "nowhere", folders.target, metrics=["psnr"])


def test_names_are_paths_below_the_folder(folders):
    for folder in (folders.target, folders.mask, folders.pred):
        (folder / "faces").mkdir()
        (folder / "02.png").rename(folder / "faces" / "02.png")
    assert scored(folders).rows["image_id"].tolist() == ["00", "01", "03", "04", "05", "faces/02"]

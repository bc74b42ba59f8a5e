"""Committed weights give the committed numbers here; what does not is found, and said where."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import gainbench
from gainbench.cli import app
from gainbench.errors import RunError
from gainbench.reference import reproduction as reproduction_module
from gainbench.reference.reproduction import reproduction
from gainbench.reference.tolerance import TOLERANCES, tolerance_of
from gainbench.report import build_report
from gainbench.report.analysis import Analysis
from gainbench.run.store import read_results, rows_sha256
from gainbench.spec import load_suite


@pytest.fixture(scope="module")
def reused(world, run, reference, tmp_path_factory):
    """A results root in which the reference's weights were evaluated, and its rows taken."""
    root = tmp_path_factory.mktemp("reused")
    with world():
        run(root, reference_dir=reference, seeds=[0, 1], reference="only")
    return root


@pytest.fixture
def altered(reference, tmp_path):
    """A copy of the reference in which a method's committed rows are others; both files still vouch for them."""

    def alter(method, change):
        shutil.copytree(reference, tmp_path / "reference")
        folder = next((tmp_path / "reference").glob(f"cells/folder/{method}-*"))
        rows = pd.read_parquet(folder / "rows.parquet")
        change(rows).to_parquet(folder / "rows.parquet", index=False)
        for name in ("result.json", "reference.json"):
            written = json.loads((folder / name).read_text()) | {"rows_sha256": rows_sha256(folder)}
            (folder / name).write_text(json.dumps(written))
        return tmp_path / "reference"

    return alter


def test_the_same_machine_gives_the_same_numbers(reused, reference):
    found = reproduction(read_results(reused), reference)
    assert found.holds
    assert found.cells == 4, "rows that were taken are not compared with themselves"
    assert found.numbers == 4 * 2 * 9  # methods, metrics, two bins and all by two border classes and all
    assert {metric: one.difference for metric, one in found.worst.items()} == {"l1_mean": 0.0, "psnr_rgb": 0.0}
    assert found.sentence().startswith("reproduced: 72 numbers of 4 cells")


def test_what_is_compared_is_what_tables_print(reused, reference, monkeypatch):
    stored = read_results(reused)
    means = reproduction_module._means(stored)
    printed = {
        (place, method): score.interval.value
        for place, scores in Analysis(stored).scores.items()
        for method, score in scores.items()
    }
    assert means.keys() == printed.keys()
    assert all(means[of] == pytest.approx(printed[of], rel=1e-12) for of in printed)


def test_a_number_beyond_its_tolerance_is_named(reused, altered, run):
    out = altered("delicate-s0", lambda rows: rows.assign(psnr_rgb=rows["psnr_rgb"] + 0.05))
    stored = read_results(reused)
    # What was taken is no longer what the reference vouches for, so nothing of it can be said ...
    assert reproduction(stored, out).cells == 3
    # ... until it is taken anew and evaluated.
    run(reused.parent / "again", reference_dir=out)
    found = reproduction(read_results(reused.parent / "again"), out)
    assert not found.holds
    assert found.largest.method == "delicate"
    assert found.largest.difference == pytest.approx(0.05)
    assert "not reproduced, 72 numbers of 4 cells" in found.sentence()
    assert "psnr_rgb" in found.sentence()
    assert "l1_mean" not in found.sentence()


def test_a_difference_within_the_tolerance_holds_and_its_share_is_told(reused, altered):
    out = altered("telea-s0", lambda rows: rows.assign(psnr_rgb=rows["psnr_rgb"] + 0.01))
    found = reproduction(read_results(reused), out)
    assert found.holds
    assert found.largest.share == pytest.approx(0.5)
    assert "50 % of what is allowed" in found.sentence()


def test_a_difference_in_one_row_counts_where_the_table_shows_it(reused, altered):
    def change(rows):
        changed = rows["psnr_rgb"].to_numpy().copy()
        changed[0] += 0.03
        return rows.assign(psnr_rgb=changed)

    stored = read_results(reused)
    row = stored.rows[stored.rows["method"] == "telea"].iloc[0]
    found = reproduction(stored, altered("telea-s0", change))
    worst = found.worst["psnr_rgb"]
    assert (worst.place.bin, worst.place.border) == (row["bin"], row["border"])
    alike = stored.rows[(stored.rows["method"] == "telea") & (stored.rows["bin"] == row["bin"])]
    n = np.sum(alike["border"] == row["border"])
    assert worst.difference == pytest.approx(0.03 / n)


def test_other_holes_are_a_problem_not_a_number(reused, reference, tmp_path):
    shutil.copytree(reference, tmp_path / "reference")
    path = next((tmp_path / "reference").glob("cells/folder/telea-*/result.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pairing_sha256": "0" * 64}))
    found = reproduction(read_results(reused), tmp_path / "reference")
    assert not found.holds
    assert "evaluated on other holes, pairing" in found.sentence()


def test_a_damaged_reference_is_an_error(reused, reference, tmp_path):
    shutil.copytree(reference, tmp_path / "reference")
    next((tmp_path / "reference").glob("cells/folder/telea-*/rows.parquet")).write_bytes(b"")
    with pytest.raises(RunError, match="reference results are damaged"):
        reproduction(read_results(reused), tmp_path / "reference")


def test_what_was_trained_here_is_not_compared(run, reference, tmp_path):
    run(tmp_path, reference="none", methods=["sturdy"])
    assert reproduction(read_results(tmp_path), reference) is None


def test_every_metric_of_a_shipped_suite_has_its_own_tolerance():
    suites = [path for path in (Path(gainbench.__file__).parent / "suites").glob("*.yaml") if path.stem != "scales"]
    assert len(suites) >= 4
    assert {metric for path in suites for metric in load_suite(path).metrics} <= set(TOLERANCES)
    assert tolerance_of("fd_mobilenetv2").of(200.0) == 3.0
    assert tolerance_of("fd_mobilenetv2").of(1.0) == 0.1


def test_tables_say_what_was_not_trained_here(reused):
    stored = read_results(reused)
    build_report(stored, reused / "little-tiny")
    text = (reused / "little-tiny" / "tables" / "folder.md").read_text(encoding="utf-8")
    assert "evaluated here with the weights of the reference results: sturdy (seed 0), delicate (seed 0)" in text
    assert "neither trained nor evaluated here: sturdy (seed 1)." in text


def test_the_verb_exits_with_1_where_numbers_differ(reused, reference, altered):
    runner = CliRunner()
    words = ["reference", "check", "little-tiny", "--out", str(reused), "--reference-dir"]
    good = runner.invoke(app, [*words, str(reference)])
    assert (good.exit_code, "reproduced: 72 numbers of 4 cells" in good.output) == (0, True)
    assert json.loads((reused / "little-tiny" / "reproduction.json").read_text())["holds"] is True
    out = altered("telea-s0", lambda rows: rows.assign(psnr_rgb=rows["psnr_rgb"] + 0.05))
    bad = runner.invoke(app, [*words, str(out)])
    assert bad.exit_code == 1
    assert json.loads((reused / "little-tiny" / "reproduction.json").read_text())["holds"] is False


@pytest.mark.slow
def test_a_run_ends_with_the_check(suite, pictures, plugin, reference, altered, tmp_path):
    written = tmp_path / "little.yaml"
    written.write_text(json.dumps(suite.model_dump(mode="json", exclude_defaults=True)))
    words = [sys.executable, "-m", "gainbench", "run", "--suite", str(written), "--data", f"folder={pictures}"]
    words += ["--plugin", str(plugin), "--methods", "sturdy,telea", "--no-forecast", "--out", str(tmp_path / "runs")]

    def run(*more):
        return subprocess.run([*words, *more], capture_output=True, text=True, check=False)

    good = run("--reference-dir", str(reference))
    assert good.returncode == 0, good.stderr
    assert "reference: 1 of 2 cells are evaluated with the committed weights in" in good.stdout
    assert good.stdout.strip().splitlines()[-1].startswith("reproduced: 36 numbers of 2 cells")
    bad = run("--reference-dir", str(altered("telea-s0", lambda rows: rows.assign(psnr_rgb=rows["psnr_rgb"] + 0.05))))
    assert bad.returncode == 1
    assert "not reproduced" in bad.stderr
    fresh = run("--fresh")
    assert fresh.returncode == 0
    assert "reference" not in fresh.stdout
    assert not (tmp_path / "runs" / "little-tiny" / "reproduction.json").exists()
    assert run("--fresh", "--reference", "only").returncode == 2

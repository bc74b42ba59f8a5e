"""Reference results are made of whatever is done: rows of the very weights that are kept, no place, no picture."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from gainbench import spec
from gainbench.data import DATASETS
from gainbench.errors import RunError
from gainbench.reference import contents, digits
from gainbench.reference.build import build_reference
from gainbench.registry import find_method
from gainbench.report import build_report
from gainbench.run.store import read_results


@pytest.fixture
def entries(reference):
    return {
        path.parent.name.rpartition("-")[0]: json.loads(path.read_text())
        for path in reference.glob("cells/*/*/reference.json")
    }


@pytest.fixture
def cells(reference):
    return {path.parent.name.rpartition("-")[0]: path.parent for path in reference.glob("cells/*/*/reference.json")}


def test_seed_0_keeps_weights_other_seeds_rows_and_untrained_methods_need_none(entries):
    assert {name: (entry["kind"], entry["weights_type"]) for name, entry in entries.items()} == {
        "sturdy-s0": ("weights", "float16"),
        "delicate-s0": ("weights", "float32"),
        "enormous-s0": ("weights", "float32"),
        "sturdy-s1": ("rows", None),
        "telea-s0": ("untrained", None),
    }


def test_why_weights_are_not_at_half_precision_is_said(entries):
    assert entries["sturdy-s0"]["remark"].startswith("at half precision none of 18 printed numbers changes a digit")
    assert entries["delicate-s0"]["remark"].startswith("float32, as at half precision 18 of 18 printed numbers")
    assert "too large for float16" in entries["enormous-s0"]["remark"]


def test_half_weights_are_the_trained_ones_rounded(cells, finished):
    trained = load_file(next(finished.glob("cells/folder/sturdy-s0-*/weights.safetensors")))
    kept = load_file(cells["sturdy-s0"] / "weights.safetensors")
    # The critic is used in training alone: what completes no picture is left out, and the file says so.
    assert trained.keys() - kept.keys() == {"critic.weight", "critic.bias"}
    with safe_open(cells["sturdy-s0"] / "weights.safetensors", framework="pt") as opened:
        assert json.loads(opened.metadata()["left_out"]) == ["critic.bias", "critic.weight"]
    assert all(kept[name].dtype == torch.float16 for name in kept)
    assert all(torch.equal(kept[name].float(), trained[name].half().float()) for name in kept)


def test_every_file_is_the_one_that_its_entry_vouches_for(cells, entries):
    for name, folder in cells.items():
        rows = (folder / "rows.parquet").read_bytes()
        assert hashlib.sha256(rows).hexdigest() == entries[name]["rows_sha256"]
        if entries[name]["weights_sha256"]:
            weights = (folder / "weights.safetensors").read_bytes()
            assert hashlib.sha256(weights).hexdigest() == entries[name]["weights_sha256"]
            assert len(weights) == entries[name]["weights_bytes"]
        else:
            assert not (folder / "weights.safetensors").exists()


def test_all_trained_rows_are_of_float32_arithmetic(cells, entries):
    for name, folder in cells.items():
        if entries[name]["kind"] != "untrained":
            assert json.loads((folder / "result.json").read_text())["environment"]["precision"] == "fp32"
            assert entries[name]["trained_in"]["precision"] == "bf16"


def test_tables_can_be_made_again_from_the_committed_rows_to_the_last_digit(reference, tmp_path):
    build_report(read_results(reference, "little-tiny"), tmp_path)
    committed = {path.name: path.read_bytes() for path in (reference / "little-tiny" / "tables").iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "tables").iterdir()} == committed
    assert {Path(name).suffix for name in committed} == {".md", ".csv", ".tex"}


@pytest.mark.slow
def test_the_notebook_makes_the_committed_tables_again(reference, tmp_path):
    notebook = Path(__file__).parents[2] / "notebooks" / "paper_tables.py"

    def run():
        environment = os.environ | {"GAINBENCH_RUN": str(reference / "little-tiny")}
        return subprocess.run([sys.executable, notebook], capture_output=True, text=True, check=False, env=environment)

    ran = run()
    assert ran.returncode == 0, ran.stderr
    tables = list((reference / "little-tiny" / "tables").glob("*.md")) + list(
        reference.glob("little-tiny/tables/*.tex")
    )
    assert f"{len(tables)} tables of little-tiny made again, digit by digit" in ran.stdout
    path = reference / "little-tiny" / "tables" / "folder.md"
    committed = path.read_text(encoding="utf-8")
    path.write_text(committed.replace("0", "1", 1), encoding="utf-8")
    try:
        assert "these tables are not those of the rows: ['folder.md']" in run().stderr
    finally:
        path.write_text(committed, encoding="utf-8")


def test_a_seed_that_a_later_narrowed_run_added_joins_the_suite(reference):
    resolved = read_results(reference, "little-tiny").resolved
    assert [(spec.method.label, spec.seed) for spec in resolved.cells] == [
        ("sturdy", 0), ("sturdy", 1), ("delicate", 0), ("enormous", 0), ("telea", 0),
    ]  # fmt: skip
    assert "seed 1 added for sturdy on folder" in resolved.narrowed


def test_trainings_are_told_in_a_table(reference):
    table = pd.read_csv(reference / "little-tiny" / "trainings.csv")
    trained = table[table["iterations"].notna()]
    assert set(trained["method"]) == {"sturdy", "delicate", "enormous"}
    assert trained["final losses"].str.contains("l1").all()
    assert "environment.json" in {path.name for path in (reference / "little-tiny").iterdir()}


def test_no_place_of_this_machine_is_told(reference, finished, pictures, plugin):
    endings = {".json", ".jsonl", ".md", ".csv", ".html", ".svg", ".tex"}
    texts = [path.read_text(encoding="utf-8") for path in reference.rglob("*") if path.suffix in endings]
    assert len(texts) > 20
    for place in (reference, finished, pictures, plugin.parent):
        assert not any(str(place) in text for text in texts)


def test_pictures_that_may_not_be_passed_on_are_not_copied(reference, finished):
    assert list(finished.glob("cells/folder/*/samples/**/*.png")), "the run kept some"
    allowed = {"plots"}
    assert {path.parent.name for path in reference.rglob("*.png")} <= allowed
    assert not list(reference.rglob("samples"))
    assert "data:image/png" not in (reference / "little-tiny" / "report.html").read_text(encoding="utf-8")


def test_pictures_that_may_be_passed_on_are_those_of_contact_sheets_alone(run, tmp_path, monkeypatch):
    monkeypatch.setitem(DATASETS, "folder", replace(DATASETS["folder"], publishable=True))
    first, second, reference = tmp_path / "first", tmp_path / "second", tmp_path / "reference"
    run(first, reference="none", methods=["sturdy"])
    build_reference([first], reference)
    pictures = {path.relative_to(reference).as_posix() for path in reference.rglob("*.png")}
    assert {path for path in pictures if "/plots/" not in path} == {"little-tiny/gallery/folder.png"}
    assert not list(reference.rglob("samples"))
    sheet = Image.open(reference / "little-tiny" / "gallery" / "folder.png").size
    # A sheet that is made anew keeps what the run took from the reference.
    run(second, reference="use", reference_dir=reference, methods=["sturdy", "telea"])
    build_reference([second], reference)
    wider = Image.open(reference / "little-tiny" / "gallery" / "folder.png").size
    assert wider[0] > sheet[0]
    assert not list(reference.rglob("samples"))


def test_a_suite_lists_the_cells_that_another_suite_has_trained(suite, run, reference, tmp_path, monkeypatch):
    shutil.copytree(spec.SUITES, tmp_path / "suites")
    monkeypatch.setattr(spec, "SUITES", tmp_path / "suites")
    smaller = suite.model_copy(update={"name": "smaller", "methods": suite.methods[:2]})
    written = json.dumps(smaller.model_dump(mode="json", exclude_defaults=True))
    (spec.SUITES / "smaller.yaml").write_text(written)
    out = tmp_path / "reference"
    shutil.copytree(reference, out)
    run(tmp_path / "runs", suite=smaller, reference="none", methods=["delicate"])
    build_reference([tmp_path / "runs"], out)
    resolved = json.loads((out / "smaller-tiny" / "suite.json").read_text())
    # Trained here is the second alone; the plugin's third joins every suite, and telea is not of this one.
    assert [cell["method"]["name"] for cell in resolved["cells"]] == ["sturdy", "delicate", "enormous"]


def test_a_further_seed_stays_with_the_suite_that_lists_it(suite, run, tmp_path, monkeypatch):
    shutil.copytree(spec.SUITES, tmp_path / "suites")
    monkeypatch.setattr(spec, "SUITES", tmp_path / "suites")
    seeds = suite.model_copy(update={"name": "seeds", "methods": suite.methods[:1], "seeds": (0, 1)})
    (spec.SUITES / "seeds.yaml").write_text(json.dumps(seeds.model_dump(mode="json", exclude_defaults=True)))
    root, out = tmp_path / "runs", tmp_path / "reference"
    run(root, reference="none", methods=["sturdy"])
    run(root, suite=seeds, reference="none", methods=["sturdy"], seeds=[1])
    assert not build_reference([root], out, rows_only=["sturdy"]).left_out
    listed = {
        name: [
            (cell["method"]["name"], cell["seed"])
            for cell in json.loads((out / name / "suite.json").read_text())["cells"]
        ]
        for name in ("little-tiny", "seeds-tiny")
    }
    assert ("sturdy", 1) in listed["seeds-tiny"]
    assert listed["little-tiny"] == [("sturdy", 0)]


def test_building_again_changes_nothing(reference, finished, tmp_path):
    out = tmp_path / "reference"
    shutil.copytree(reference, out)
    (out / "README.md").write_text("by hand")
    (out / "little-tiny" / "tables" / "left-over.md").write_text("of an earlier report")
    evaluated = {path: path.stat().st_mtime_ns for path in (finished / ".reference").rglob("rows.parquet")}
    build_reference([finished / "little-tiny"], out)
    assert {path: path.stat().st_mtime_ns for path in (finished / ".reference").rglob("rows.parquet")} == evaluated
    files = {path.relative_to(out) for path in out.rglob("*") if path.is_file()}
    assert files - {path.relative_to(reference) for path in reference.rglob("*")} == {Path("README.md")}
    kept = [path for path in sorted(reference.rglob("*.*")) if path.suffix in {".parquet", ".safetensors", ".md"}]
    assert all((out / path.relative_to(reference)).read_bytes() == path.read_bytes() for path in kept)


@pytest.mark.slow
def test_cells_of_other_runs_are_kept(run, finished, reference, tmp_path):
    out = tmp_path / "reference"
    shutil.copytree(reference, out)
    run(tmp_path / "other", reference="none", methods=["delicate"], seeds=[1])
    built = build_reference([tmp_path / "other"], out)
    assert len(built.entries) == 6
    specs = [(spec.method.label, spec.seed) for spec in read_results(out).resolved.cells]
    assert specs == [("sturdy", 0), ("sturdy", 1), ("delicate", 0), ("delicate", 1), ("enormous", 0), ("telea", 0)]


def test_what_is_not_finished_is_a_gap_not_an_error(run, tmp_path):
    root = tmp_path / "runs"
    run(root, reference="none", methods=["delicate", "telea"])
    next(root.glob("cells/folder/delicate-*/result.json")).unlink()
    built = build_reference([root], tmp_path / "reference")
    assert [name.partition("-")[0] for name in built.unfinished] == ["folder/delicate"]
    assert "not run" in (tmp_path / "reference" / "little-tiny" / "tables" / "folder.md").read_text(encoding="utf-8")


def test_a_run_without_a_finished_cell_gives_no_reference(run, tmp_path):
    run(tmp_path / "runs", reference="none", methods=["sturdy"])
    next((tmp_path / "runs").glob("cells/*/*/result.json")).unlink()
    with pytest.raises(RunError, match="no cell is finished"):
        build_reference([tmp_path / "runs"], tmp_path / "reference")
    assert not (tmp_path / "reference").exists()


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="holds no run"):
        build_reference([tmp_path], tmp_path / "reference")


def test_weights_can_be_left_out(finished, tmp_path):
    built = build_reference([finished], tmp_path / "reference", rows_only=["folder/delicate"], work=tmp_path / "work")
    kinds = {name.partition("-")[0]: entry.kind for name, entry in built.entries.items() if "-s0-" in name}
    assert kinds == {f"folder/{name}": "weights" for name in ("sturdy", "enormous")} | {
        "folder/delicate": "rows",
        "folder/telea": "untrained",
    }
    none = build_reference([finished], tmp_path / "none", rows_only=["folder"], work=tmp_path / "work")
    assert {entry.kind for entry in none.entries.values()} == {"rows", "untrained"}
    with pytest.raises(RunError, match="did you mean 'sturdy'"):
        build_reference([finished], tmp_path / "reference", rows_only=["sturdi"], work=tmp_path / "work")


@pytest.mark.slow
def test_every_digit_asks_for_more(finished, tmp_path, monkeypatch):
    # One more hundredth of a level changes digits, but no mean by a quarter of what is allowed between machines.
    monkeypatch.setattr(digits, "OF_TOLERANCE", 1e9)
    close = build_reference([finished], tmp_path / "close", work=tmp_path / "work")
    exact = build_reference([finished], tmp_path / "exact", work=tmp_path / "work", every_digit=True)
    types = [
        {name.partition("-")[0]: entry.weights_type for name, entry in built.entries.items() if "-s0-" in name}
        for built in (close, exact)
    ]
    assert types[0]["folder/delicate"] == "float16"
    assert types[1]["folder/delicate"] == "float32"
    assert types[1]["folder/sturdy"] == "float16"


def test_more_than_a_repository_should_carry_is_refused_and_changes_nothing(finished, reference, tmp_path, monkeypatch):
    out = tmp_path / "reference"
    monkeypatch.setattr(contents, "LIMIT", 1000)
    with pytest.raises(
        RunError, match=r"at most 0 are wanted.*--rows-only METHOD, DATASET or DATASET/METHOD. Largest: folder/"
    ):
        build_reference([finished], out)
    assert not out.exists()


@pytest.mark.slow
def test_a_cell_of_another_revision_is_left_out_and_said(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(find_method("telea"), "revision", 99)
    built = build_reference([finished], tmp_path / "reference")
    assert not any("telea" in name for name in built.entries)
    (sentence,) = built.left_out
    assert sentence.startswith("folder/telea-s0-")
    assert "finished with revision 1; its key is of another revision" in sentence


def test_a_listed_cell_of_another_revision_is_left_out_and_said(run, tmp_path, monkeypatch):
    run(tmp_path / "runs", reference="none", methods=["telea", "sturdy"])
    monkeypatch.setattr(find_method("telea"), "revision", 99)
    built = build_reference([tmp_path / "runs"], tmp_path / "reference")
    assert [name.partition("-")[0] for name in built.entries] == ["folder/sturdy"]
    assert built.left_out == ("folder telea seed 0: computed with revision 1, it is at revision 99 now",)

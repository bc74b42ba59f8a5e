"""Reading results: whole files give their rows, anything else is an error that names the file."""

import hashlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from gainbench.atomic import write_json
from gainbench.errors import RunError
from gainbench.run.store import ResolvedSuite, named_results, read_results, read_suite
from gainbench.spec import CellResult, CellSpec, MaskSpec, MethodSpec, Scale, Suite

SCALE = Scale(name="tiny", size=64, base=8, batch=8, iterations=3, test_pictures=40)


def cell_spec(method: str) -> CellSpec:
    return CellSpec(
        dataset="folder",
        manifest_hash="m" * 32,
        method=MethodSpec.parse(method),
        revision=1,
        seed=4,
        scale=SCALE,
        masks=MaskSpec(),
        mask_hash="h" * 32,
        metrics=("l1_mean",),
    )


def write_cell(root: Path, spec: CellSpec, *, pairing: str = "a" * 64) -> Path:
    folder = root / "cells" / spec.folder_name
    folder.mkdir(parents=True)
    pd.DataFrame({"image_id": ["x", "y"], "bin": ["0.1-0.2"] * 2, "l1_mean": [1.5, 2.5]}).to_parquet(
        folder / "rows.parquet"
    )
    pd.DataFrame({"runtime_ms": [7.0, 8.0]}).to_parquet(folder / "timings.parquet")
    np.savez(folder / "features.npz", completed=np.arange(6.0).reshape(2, 3))
    result = CellResult(
        key=spec.key,
        spec=spec,
        metrics=("l1_mean",),
        missing={},
        set_metrics=({"metric": "kid", "bin": "all", "border": "all", "value": None, "n": 2, "floor": 0.25},),
        pairing_sha256=pairing,
        rows_sha256=hashlib.sha256((folder / "rows.parquet").read_bytes()).hexdigest(),
        cost={"parameters": 12.0},
        environment={"precision": "fp32"},
    )
    write_json(folder / "result.json", result.model_dump(mode="json"))
    return folder


def write_suite(root: Path, specs: list[CellSpec], name: str = "little") -> None:
    suite = Suite(name=name, datasets=("folder",), methods=tuple(spec.method for spec in specs), metrics=("l1_mean",))
    resolved = ResolvedSuite(suite=suite, scale=SCALE, narrowed=(), datasets={}, cells=tuple(specs))
    write_json(root / resolved.folder_name / "suite.json", resolved.model_dump(mode="json"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    specs = [cell_spec("telea"), cell_spec("gain[guidance=canny]"), cell_spec("gain")]
    write_suite(tmp_path, specs)
    for spec in specs[:2]:
        write_cell(tmp_path, spec)
    return tmp_path


def folder_of(root: Path, method: str) -> Path:
    return root / "cells" / cell_spec(method).folder_name


def test_rows_carry_their_cell_their_metrics_and_their_run_times(root):
    rows = read_results(root, "little-tiny").rows
    assert list(rows.columns) == [
        *["key", "dataset", "method", "seed", "scale"],
        *["image_id", "bin", "l1_mean", "runtime_ms"],
    ]
    assert rows["method"].tolist() == ["telea"] * 2 + ["gain[guidance=canny]"] * 2
    assert rows["key"].tolist() == [cell_spec("telea").key] * 2 + [cell_spec("gain[guidance=canny]").key] * 2
    assert rows["l1_mean"].tolist() == [1.5, 2.5] * 2
    assert rows["runtime_ms"].tolist() == [7.0, 8.0] * 2
    assert set(rows["seed"]) == {4}
    assert set(rows["scale"]) == {"tiny"}


def test_set_metrics_carry_their_cell_and_a_value_that_could_not_be_computed_is_nan(root):
    table = read_results(root).set_metrics
    assert table["method"].tolist() == ["telea", "gain[guidance=canny]"]
    assert table["value"].isna().all()
    assert table["floor"].tolist() == [0.25, 0.25]


def test_unfinished_cells_are_listed_without_rows(root):
    stored = read_results(root)
    assert [cell.status.state for cell in stored.cells] == ["done", "done", "pending"]
    assert [cell.spec.method.label for cell in stored.unfinished] == ["gain"]
    assert stored.folder == root / "little-tiny"


def test_features_come_back_as_they_were_written(root):
    np.testing.assert_array_equal(read_results(root).cells[0].features()["completed"], [[0, 1, 2], [3, 4, 5]])


def test_a_root_without_finished_cells_gives_empty_tables_with_columns(tmp_path):
    write_suite(tmp_path, [cell_spec("telea")])
    stored = read_results(tmp_path)
    assert len(stored.rows) == len(stored.set_metrics) == 0
    assert {"key", "dataset", "method"} <= set(stored.rows.columns)
    assert {"metric", "value", "floor"} <= set(stored.set_metrics.columns)


@pytest.mark.parametrize("name", ["rows.parquet", "timings.parquet", "result.json"])
@pytest.mark.parametrize("length", [0, 40])
def test_a_file_that_was_cut_short_is_named(root, name, length):
    path = folder_of(root, "telea") / name
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(RunError, match=f"{path}.*delete"):
        read_results(root)


@pytest.mark.parametrize("name", ["rows.parquet", "timings.parquet"])
def test_a_file_that_is_missing_is_named(root, name):
    path = folder_of(root, "telea") / name
    path.unlink()
    with pytest.raises(RunError, match=f"{path} is missing"):
        read_results(root)


def test_features_that_were_cut_short_are_named(root):
    path = folder_of(root, "telea") / "features.npz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match=str(path)):
        read_results(root).cells[0].features()


def test_rows_that_result_json_does_not_vouch_for_are_refused(root):
    path = folder_of(root, "telea") / "rows.parquet"
    pd.read_parquet(path).assign(l1_mean=0.0).to_parquet(path)
    with pytest.raises(RunError, match=rf"{path}.*sha256"):
        read_results(root)


def test_a_result_of_another_cell_is_refused(root):
    (folder_of(root, "telea") / "result.json").write_text(
        (folder_of(root, "gain[guidance=canny]") / "result.json").read_text()
    )
    with pytest.raises(RunError, match="belongs to cell"):
        read_results(root)


def test_rows_on_different_holes_are_never_put_into_one_table(root):
    write_cell(root, cell_spec("gain"), pairing="b" * 64)
    with pytest.raises(RunError, match="different holes"):
        read_results(root)


def test_a_suite_is_found_by_its_full_name_or_by_what_is_unique(root):
    assert read_suite(root) == read_suite(root, "little") == read_suite(root, "little-tiny")
    write_suite(root, [cell_spec("telea")], name="other")
    with pytest.raises(RunError, match="little-tiny, other-tiny"):
        read_suite(root)
    with pytest.raises(RunError, match="did you mean 'little-tiny'"):
        read_suite(root, "litle-tiny")
    with pytest.raises(RunError, match="no suite yet"):
        read_suite(root / "elsewhere")


def test_results_are_named_by_a_suites_folder_or_by_a_method(root):
    assert len(named_results(str(root / "little-tiny"), Path("elsewhere")).rows) == 4
    assert set(named_results("telea", root).rows["method"]) == {"telea"}
    with pytest.raises(RunError, match="did you mean 'telea'"):
        named_results("tela", root)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, "running"),
        ({"pid_started": 1.0}, "interrupted"),
        ({"pid": 2**22 + 1}, "interrupted"),
        ({"host": "another-machine"}, "running"),
    ],
)
def test_a_running_cell_whose_process_is_gone_is_interrupted(root, change, state):
    me = psutil.Process()
    status = {"state": "running", "pid": os.getpid(), "pid_started": me.create_time(), "host": socket.gethostname()}
    folder_of(root, "gain").mkdir(parents=True)
    write_json(folder_of(root, "gain") / "status.json", status | change)
    assert read_results(root).cells[2].status.state == state


def test_a_whole_result_counts_whatever_the_status_says(root):
    write_json(folder_of(root, "telea") / "status.json", {"state": "killed", "signal": "SIGKILL", "cause": "ended"})
    status = read_results(root).cells[0].status
    assert (status.state, status.cause) == ("done", "")


def test_reading_results_loads_no_torch(root):
    code = (
        "import sys; from pathlib import Path; from gainbench.run import read_results; "
        "rows = read_results(Path(sys.argv[1])).rows; print(len(rows), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4", "False"]

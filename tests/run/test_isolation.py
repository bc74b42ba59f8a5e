"""Whatever one cell does, the others finish; the suite says what happened and does not do it twice."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gainbench.cli import app
from gainbench.run.grid import run_suite
from gainbench.run.store import read_results

pytestmark = pytest.mark.usefixtures("own_cache")

METHODS = ("steady", "raising", "killed", "diverging")


class Ran:
    """A grid run through the command line, and how to run it again."""

    def __init__(self, root: Path, suite: Path, pictures: Path, plugin: Path) -> None:
        self.root = root
        self._command = ["run", "--suite", str(suite), "--data", f"folder={pictures}", "--plugin", str(plugin)]
        self.first = self.run(root, METHODS)

    def run(self, root: Path, methods: tuple[str, ...]):
        options = ["--out", str(root), "--jobs", "2", "--methods", ",".join(methods)]
        return CliRunner().invoke(app, [*self._command, *options])

    @property
    def statuses(self):
        return {cell.spec.method.name: cell.status for cell in read_results(self.root).cells}


@pytest.fixture(scope="module")
def ran(own_cache, tmp_path_factory, suite, pictures, plugin) -> Ran:
    folder = tmp_path_factory.mktemp("isolation")
    # JSON is YAML.
    (folder / "little.yaml").write_text(suite.model_dump_json())
    return Ran(folder / "runs", folder / "little.yaml", pictures, plugin)


def test_the_others_finish(ran):
    assert {name: status.state for name, status in ran.statuses.items()} == {
        "steady": "done",
        "raising": "failed",
        "killed": "killed",
        "diverging": "nan",
    }
    rows = read_results(ran.root).rows
    assert set(rows["method"]) == {"steady"}
    assert len(rows) == 6


def test_the_exit_code_counts_what_is_missing(ran):
    assert ran.first.exit_code == 3


def test_every_cause_is_told(ran):
    assert "ArithmeticError: the method is not in the mood" in ran.statuses["raising"].cause
    assert "in inpaint" in "".join(ran.statuses["raising"].log_tail)
    assert ran.statuses["killed"].signal == "SIGKILL"
    assert "not finite at step 0" in ran.statuses["diverging"].cause
    for cause in (status.cause for status in ran.statuses.values()):
        assert cause in ran.first.output.replace("\n", " ")


def test_the_report_shows_the_holes(ran):
    assert (ran.root / "little-tiny" / "report.html").is_file()
    assert "raising" in (ran.root / "little-tiny" / "report.html").read_text()


def test_the_log_says_how_often_each_cell_ended(ran):
    ends = [line for line in ran.first.output.splitlines() if line.startswith("[")]
    assert sorted(line.partition("]")[0] for line in ends) == ["[1/4", "[2/4", "[3/4", "[4/4"]


def test_status_tells_the_same(ran):
    told = CliRunner().invoke(app, ["status", "--out", str(ran.root)]).output
    for name, status in ran.statuses.items():
        line = next(line for line in told.splitlines() if f" {name} " in line)
        assert status.state in line
        assert status.cause[:60] in line


def test_narrowed_to_what_is_done_nothing_is_left_to_do(ran, tmp_path):
    copy = shutil.copytree(ran.root, tmp_path / "runs")
    narrowed = ran.run(copy, ("steady",))
    assert narrowed.exit_code == 0
    assert "nothing was left to do" in narrowed.output
    stored = read_results(copy)
    assert [cell.status.attempts for cell in stored.cells] == [1]
    assert "methods left out: telea" in stored.resolved.narrowed


@pytest.mark.slow
def test_one_that_raises_one_killed_one_nan_one_that_leaves_and_one_that_never_ends(tmp_path, suite, pictures, plugin):
    ran = run_suite(
        suite,
        root=tmp_path,
        data_paths={"folder": pictures},
        plugin=plugin,
        methods=["sleeping", "leaving", *METHODS],
        timeout=60.0,
    )
    assert {cell.spec.method.name: status.state for cell, status in zip(ran.plan.cells, ran.statuses, strict=True)} == {
        "sleeping": "timeout",
        "leaving": "failed",
        "steady": "done",
        "raising": "failed",
        "killed": "killed",
        "diverging": "nan",
    }
    assert "ended with code 0 and without a result" in ran.statuses[1].cause
    again = run_suite(
        suite, root=tmp_path, data_paths={"folder": pictures}, plugin=plugin, methods=["killed", "leaving", "steady"]
    )
    # Only what was interrupted from outside is tried again by itself.
    assert [spec.method.name for spec in again.started] == ["killed"]
    assert again.statuses[0].attempts == 2

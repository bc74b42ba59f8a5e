"""Whatever one cell does, the others finish; the suite says what happened and does not do it twice."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gainbench.cli import app
from gainbench.run.store import read_results

pytestmark = pytest.mark.usefixtures("own_cache")

METHODS = ("steady", "raising", "killed", "diverging", "leaving")


class Ran:
    """A grid run through the command line, and how to run it again."""

    def __init__(self, root: Path, suite: Path, pictures: Path, plugin: Path) -> None:
        self.root = root
        self._command = ["run", "--suite", str(suite), "--data", f"folder={pictures}", "--plugin", str(plugin)]
        self._command += ["--out", str(root), "--jobs", "2"]
        self.first = self.again()

    def again(self, *, methods: tuple[str, ...] = METHODS):
        return CliRunner().invoke(app, [*self._command, "--methods", ",".join(methods)])

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
        "leaving": "failed",
    }
    rows = read_results(ran.root).rows
    assert set(rows["method"]) == {"steady"}
    assert len(rows) == 6


def test_the_exit_code_counts_what_is_missing(ran):
    assert ran.first.exit_code == 4


def test_every_cause_is_told(ran):
    assert "ArithmeticError: the method is not in the mood" in ran.statuses["raising"].cause
    assert "in inpaint" in "".join(ran.statuses["raising"].log_tail)
    assert ran.statuses["killed"].signal == "SIGKILL"
    assert "not finite at step 0" in ran.statuses["diverging"].cause
    assert "ended with code 0 and without a result" in ran.statuses["leaving"].cause
    for cause in (status.cause for status in ran.statuses.values()):
        assert cause in ran.first.output.replace("\n", " ")


def test_the_report_shows_the_holes(ran):
    assert (ran.root / "little-tiny" / "report.html").is_file()
    assert "raising" in (ran.root / "little-tiny" / "report.html").read_text()


def test_a_second_run_tries_the_killed_again_and_leaves_the_failed(ran):
    second = ran.again()
    assert second.exit_code == 4
    assert {name: status.attempts for name, status in ran.statuses.items()} == {
        "steady": 1,
        "raising": 1,
        "killed": 2,
        "diverging": 1,
        "leaving": 1,
    }
    assert "--retry failed" in second.output


def test_status_tells_the_same(ran):
    told = CliRunner().invoke(app, ["status", "--out", str(ran.root)]).output
    for name, status in ran.statuses.items():
        line = next(line for line in told.splitlines() if f" {name} " in line)
        assert status.state in line
        assert status.cause[:60] in line


def test_narrowed_to_what_is_done_nothing_is_left_to_do(ran):
    narrowed = ran.again(methods=("steady",))
    assert narrowed.exit_code == 0
    assert "nothing was left to do" in narrowed.output
    assert ran.statuses["steady"].attempts == 1
    assert "methods left out: telea" in json.loads((ran.root / "little-tiny" / "suite.json").read_text())["narrowed"]

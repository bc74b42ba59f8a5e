"""Every way in which a cell can go wrong, in one grid: the others finish, and the run says what happened to whom."""

import csv
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from gainbench.cli import app
from gainbench.run.attempt import CAUSE_LENGTH, attempt
from gainbench.run.grid import run_suite
from gainbench.run.layout import cell_folder
from gainbench.run.plan import plan_suite
from gainbench.run.store import StoredCell, read_results
from gainbench.spec import CellSpec

pytestmark = pytest.mark.usefixtures("own_cache")

Say = Callable[[str], CellSpec]


@pytest.fixture
def planned(suite, pictures, plugin, tmp_path) -> Say:
    def spec(method: str) -> CellSpec:
        plan = plan_suite(
            suite, root=tmp_path, data_paths={"folder": pictures}, plugin=plugin, methods=[method], scale="tiny"
        )
        return plan.cells[0].spec

    return spec


def attempted(spec: CellSpec, root: Path):
    return attempt(
        spec, root, threads=1, precision="fp32", checkpoint_seconds=0.0, progress=lambda _progress: None, counted=True
    )


def test_a_fill_that_is_no_number_is_its_own_status_and_names_the_picture(planned, tmp_path):
    status = attempted(planned("blank"), tmp_path)
    assert status.state == "nan"
    assert "Blank.inpaint gave values that are not finite" in status.cause
    assert "bin 0." in status.cause


def test_a_step_that_raises_keeps_the_checkpoint_before_it_and_goes_on_when_the_trouble_is_over(
    planned, tmp_path, monkeypatch
):
    trouble = tmp_path / "trouble"
    trouble.touch()
    monkeypatch.setenv("TROUBLE", str(trouble))
    spec = planned("stumbling")
    status = attempted(spec, tmp_path)
    assert (status.state, status.cause) == ("failed", "ArithmeticError: stumbled at step 2")
    assert [path.name for path in sorted(cell_folder(tmp_path, spec).glob("checkpoint/*"))] == [
        "2.pt",
        "2.safetensors",
    ]
    trouble.unlink()
    assert attempted(spec, tmp_path).state == "done"


class MuteError(Exception):
    """Has no message to give."""

    def __str__(self) -> str:
        raise ValueError("not even this")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (MuteError(), "MuteError: its message cannot be read"),
        (MemoryError(), "MemoryError"),
        (ValueError("picture \udcff.png"), "ValueError: picture \\udcff.png"),
        (ValueError("x" * 10**6), "(1,000,000 characters, see the log)"),
        (SystemExit(3), "SystemExit: 3"),
    ],
    ids=["no message", "empty", "a name that is not text", "endless", "exit"],
)
def test_whatever_is_raised_becomes_a_bounded_cause(planned, tmp_path, monkeypatch, error, cause):
    def raising(*_args, **_options):
        raise error

    monkeypatch.setattr("gainbench.run.attempt.run_cell", raising)
    status = attempted(planned("steady"), tmp_path)
    assert status.state == "failed"
    assert cause in status.cause
    assert len(status.cause) < CAUSE_LENGTH + 100


@pytest.fixture
def little_disk(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Mounts a disk of 8 MiB at a folder, where this user may."""
    mounted: list[Path] = []

    def mount(folder: Path) -> None:
        folder.mkdir(parents=True)
        if (
            shutil.which("mount") is None
            or subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, check=False
            ).returncode
        ):
            pytest.skip("this user may not mount a disk")
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
class TestAGridOfEveryFault:
    """One run through the command line, then another when the trouble is over."""

    METHODS = ("steady", "stumbling", "diverging", "blank", "killed", "sleeping", "bulky", "leaking")
    STATES: ClassVar = {
        "steady": "done",
        "stumbling": "failed",
        "diverging": "nan",
        "blank": "nan",
        "killed": "killed",
        "sleeping": "timeout",
        "bulky": "failed",
        "leaking": "killed",
    }
    CAUSES: ClassVar = {
        "stumbling": "stumbled at step 2",
        "diverging": "not finite at step 0",
        "blank": "Blank.inpaint gave values that are not finite",
        "killed": "ended by SIGKILL",
        "sleeping": "longer than 60 s",
        "bulky": "No space left on device",
        "leaking": "more than the 2000 allowed",
    }

    def test_the_others_finish_and_a_retry_runs_only_what_is_not_done(
        self, tmp_path, suite, pictures, plugin, little_disk, half_written, monkeypatch
    ):
        root, trouble = tmp_path / "runs", tmp_path / "trouble"
        (tmp_path / "little.yaml").write_text(suite.model_dump_json())
        trouble.touch()
        monkeypatch.setenv("TROUBLE", str(trouble))
        full = plan_suite(suite, root=root, data_paths={"folder": pictures}, plugin=plugin, methods=["bulky"])
        little_disk(cell_folder(root, full.cells[0].spec))
        command = ["run", "--suite", str(tmp_path / "little.yaml"), "--data", f"folder={pictures}"]
        command += ["--plugin", str(plugin), "--out", str(root), "--jobs", "2"]
        command += ["--timeout", "60", "--memory-limit", "2000", "--methods"]

        ran = CliRunner().invoke(app, [*command, ",".join(self.METHODS)])
        assert ran.exit_code == 7, ran.output
        cells = self._cells(root)
        assert {name: cell.status.state for name, cell in cells.items()} == self.STATES
        for name, cause in self.CAUSES.items():
            assert cause in cells[name].status.cause
            assert cause in ran.output.replace("\n", " ")
        assert "ArithmeticError: stumbled at step 2" in "\n".join(cells["stumbling"].status.log_tail)
        self._assert_tables_show_holes(root, {name for name, state in self.STATES.items() if state != "done"})
        assert half_written(root) == []

        trouble.unlink()
        again = CliRunner().invoke(app, [*command, "steady,stumbling,blank", "--retry", "failed"])
        assert again.exit_code == 1, again.output
        cells = self._cells(root)
        assert {name: (cell.status.state, cell.status.attempts) for name, cell in cells.items()} == {
            "steady": ("done", 1),
            "stumbling": ("done", 2),
            "blank": ("nan", 2),
        }
        self._assert_tables_show_holes(root, {"blank"})

    def _cells(self, root: Path) -> dict[str, StoredCell]:
        return {cell.spec.method.name: cell for cell in read_results(root).cells}

    def _assert_tables_show_holes(self, root: Path, holes: set[str]) -> None:
        with (root / "little-tiny" / "tables" / "folder.csv").open(encoding="utf-8") as opened:
            rows = [row for row in csv.DictReader(opened) if row["metric"] == "l1_mean" and row["bin"] == "all"]
        assert {row["method"] for row in rows if not row["value"]} == holes
        assert {row["method"] for row in rows if row["value"]} == {"steady", "stumbling"} - holes


def test_a_full_disk_costs_a_cell_its_result_and_not_the_run(planned, tmp_path, monkeypatch, suite, pictures, plugin):
    # Whatever is written into this one cell's folder fails as on a full disk.
    folder = cell_folder(tmp_path, planned("steady"))
    whole = Path.replace

    def short_of_room(path: Path, target: Path):
        if folder in Path(target).parents:
            raise OSError(28, "No space left on device", str(target))
        return whole(path, target)

    monkeypatch.setattr(Path, "replace", short_of_room)
    ran = run_suite(
        suite, root=tmp_path, data_paths={"folder": pictures}, plugin=plugin, methods=["steady"], executor="local"
    )
    ((_spec, status),) = ran.unfinished
    assert status.state == "failed"
    assert "No space left on device" in status.cause

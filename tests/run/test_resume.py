"""Killed at any moment, without a chance to clean up, a run goes on to the same bytes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from gainbench.run.store import read_results

pytestmark = [pytest.mark.usefixtures("own_cache"), pytest.mark.slow]

IDENTITY = ("rows.parquet", "weights.safetensors")
PATIENCE = 300.0
"""Seconds until a moment must have come; on an idle machine it takes five."""


class Grid:
    """One command in one results root."""

    def __init__(self, root: Path, suite: Path, pictures: Path, plugin: Path) -> None:
        self.root = root
        self.command = [sys.executable, "-m", "gainbench", "run", "--suite", str(suite), "--out", str(root)]
        self.command += ["--data", f"folder={pictures}", "--plugin", str(plugin), "--methods", "steady,dawdling"]
        self.command += ["--iterations", "60", "--checkpoint-seconds", "0"]

    def finish(self) -> None:
        done = subprocess.run(self.command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    @contextlib.contextmanager
    def started(self) -> Iterator[subprocess.Popen[bytes]]:
        """A run in a process group of its own, its output in ``log.txt``; it never outlives the test."""
        with self.log.open("ab") as log:
            run = subprocess.Popen(self.command, stdout=log, stderr=log, start_new_session=True)
        try:
            yield run
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()

    def wait_for(self, moment: Callable[["Grid"], bool], run: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not moment(self):
            assert run.poll() is None, "the run ended before the moment came: " + self.log.read_text()
            assert time.monotonic() < deadline, "the moment never came: " + self.log.read_text()
            time.sleep(0.002)

    def kill_when(self, moment: Callable[["Grid"], bool]) -> None:
        """SIGKILL the run's process group at a moment; its cells, in sessions of their own, must notice that."""
        with self.started() as run:
            self.wait_for(moment, run)
            cells = psutil.Process(run.pid).children(recursive=True)
        gone, alive = psutil.wait_procs(cells, timeout=60)
        assert not alive, f"{len(gone)} cells ended with their run, {alive} did not"

    @property
    def log(self) -> Path:
        return self.root.parent / "log.txt"

    def one(self, pattern: str) -> Path | None:
        return next(iter(self.root.glob(f"cells/folder/dawdling*/{pattern}")), None)

    def identity(self) -> dict[str, bytes]:
        paths = [path for name in IDENTITY for path in self.root.glob(f"cells/*/*/{name}")]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in paths}


def started(grid: Grid) -> bool:
    return grid.one("log.txt") is not None


def trained_some(grid: Grid) -> bool:
    steps = [0]
    with contextlib.suppress(OSError):
        steps += [int(path.stem) for path in grid.root.glob("cells/folder/dawdling*/checkpoint/[0-9]*.pt")]
    return max(steps) >= 7


def trained(grid: Grid) -> bool:
    return grid.one("weights.safetensors") is not None


@pytest.fixture
def grids(suite, pictures, plugin, tmp_path):
    (tmp_path / "little.yaml").write_text(suite.model_dump_json())

    def grid(name: str) -> Grid:
        (tmp_path / name).mkdir()
        return Grid(tmp_path / name / "runs", tmp_path / "little.yaml", pictures, plugin)

    return grid


def test_killed_three_times_a_run_ends_with_the_rows_of_an_uninterrupted_one(grids):
    whole, broken = grids("whole"), grids("broken")
    whole.finish()
    for moment in (started, trained_some, trained):
        broken.kill_when(moment)
        assert broken.one("result.json") is None
    broken.finish()
    expected, found = whole.identity(), broken.identity()
    assert len(expected) == 3  # rows of both methods, weights of one
    assert expected == found
    attempts = {cell.spec.method.name: cell.status.attempts for cell in read_results(broken.root).cells}
    assert attempts["dawdling"] == 4


def test_interrupted_by_sigterm_a_run_says_how_to_go_on(grids):
    grid = grids("asked")
    with grid.started() as run:
        grid.wait_for(trained_some, run)
        run.terminate()
        assert run.wait(60) == 130
    told = grid.log.read_text()
    assert "the same command goes on" in told
    assert "Traceback" not in told
    states = {cell.spec.method.name: cell.status.state for cell in read_results(grid.root).cells}
    assert states["dawdling"] == "interrupted"
    grid.finish()

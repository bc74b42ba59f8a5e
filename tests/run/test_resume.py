"""Killed at any moment, without a chance to clean up, a run goes on to the same bytes; asked to end, it cleans up."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from gainbench.run.layout import PARTIAL_SAMPLES
from gainbench.run.store import read_results
from gainbench.spec import MaskSpec

pytestmark = [pytest.mark.usefixtures("own_cache"), pytest.mark.slow]

IDENTITY = (
    *[f"cells/*/*/{name}" for name in ("rows.parquet", "weights.safetensors", "features.npz", "samples/**/*.*")],
    *["little-tiny/tables/*", "little-tiny/plots/*.csv"],
)
"""Everything that may not depend on how often a run was killed."""

ITERATIONS = 60
PATIENCE = 300.0
"""Seconds until a moment must have come; on an idle machine it takes five."""


class Grid:
    """One command in one results root."""

    def __init__(self, root: Path, suite: Path, pictures: Path, plugin: Path) -> None:
        self.root = root
        self._said_before = 0
        self.command = [sys.executable, "-m", "gainbench", "run", "--suite", str(suite), "--out", str(root)]
        self.command += ["--data", f"folder={pictures}", "--plugin", str(plugin), "--methods", "steady,dawdling"]
        self.command += ["--iterations", str(ITERATIONS), "--checkpoint-seconds", "0"]

    def finish(self) -> None:
        done = subprocess.run(self.command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    @contextlib.contextmanager
    def started(self) -> Iterator[subprocess.Popen[bytes]]:
        """A run in a process group of its own, its output in ``log.txt``; it never outlives the test."""
        with self.log.open("ab") as log:
            self._said_before = log.tell()
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

    def kill_when(self, moment: Callable[["Grid"], bool], delay: float = 0.0) -> bool:
        """SIGKILL the run's process group some time after a moment; False if the run was at its end before that."""
        if (stale := self.one("progress.json")) is not None:
            stale.unlink()
        if (samples := self.one(PARTIAL_SAMPLES)) is not None:
            shutil.rmtree(samples)
        with self.started() as run:
            self.wait_for(moment, run)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return run.wait(delay) != 0
            self._kill(run)
        return True

    def _kill(self, run: "subprocess.Popen[bytes]") -> None:
        """Kill a run; its cells, in sessions of their own, must notice that."""
        cells = psutil.Process(run.pid).children(recursive=True)
        os.killpg(run.pid, signal.SIGKILL)
        gone, alive = psutil.wait_procs(cells, timeout=60)
        assert not alive, f"{len(gone)} cells ended with their run, {alive} did not"

    @property
    def said(self) -> str:
        """What the last run that was started said."""
        return self.log.read_bytes()[self._said_before :].decode(errors="replace")

    @property
    def log(self) -> Path:
        return self.root.parent / "log.txt"

    def one(self, pattern: str) -> Path | None:
        return next(iter(self.root.glob(f"cells/folder/dawdling*/{pattern}")), None)

    def identity(self) -> dict[str, bytes]:
        """The run's identity; what a clock measured, tables and plots of costs, is left out of it."""
        paths = [
            path
            for pattern in IDENTITY
            for path in self.root.glob(pattern)
            if not path.name.endswith(("-cost.tex", "-cost.csv"))
        ]
        contents = {str(path.relative_to(self.root)): path.read_bytes() for path in paths}
        for name in [name for name in contents if name.endswith(".md")]:
            sections = contents[name].split(b"\n## ")
            kept = [section for section in sections if b"what a method costs" not in section.splitlines()[0]]
            assert len(kept) == len(sections) - 1
            contents[name] = b"\n## ".join(kept)
        return contents

    def seconds_between(self, first: str, last: str) -> float:
        """Wall time between two files of the slow cell or the report."""
        times = [path.stat().st_mtime for name in (first, last) for path in [self.one(name) or self.root / name]]
        return times[1] - times[0]


def started(grid: Grid) -> bool:
    return grid.one("log.txt") is not None


def trained_for(steps: int) -> Callable[[Grid], bool]:
    def moment(grid: Grid) -> bool:
        done = [0]
        with contextlib.suppress(OSError):
            done += [int(path.stem) for path in grid.root.glob("cells/folder/dawdling*/checkpoint/[0-9]*.pt")]
        return max(done) >= steps

    return moment


def trained(grid: Grid) -> bool:
    return grid.one("weights.safetensors") is not None


def evaluating(grid: Grid) -> bool:
    # Seen by its first sample: the note of progress comes twice a second at most, and a fast evaluation ends before.
    return grid.one(f"{PARTIAL_SAMPLES}/completed/*.png") is not None


def reporting(grid: Grid) -> bool:
    return "nothing was left to do" in grid.said or ("dawdling seed 0: done" in grid.said and evaluated(grid))


def evaluated(grid: Grid) -> bool:
    return len([*grid.root.glob("cells/*/*/result.json")]) == 2


@pytest.fixture
def grids(suite, pictures, plugin, tmp_path):
    # Holes of every size: eighteen rows, so that an evaluation has a middle.
    (tmp_path / "little.yaml").write_text(suite.model_copy(update={"masks": MaskSpec()}).model_dump_json())

    def grid(name: str) -> Grid:
        (tmp_path / name).mkdir()
        return Grid(tmp_path / name / "runs", tmp_path / "little.yaml", pictures, plugin)

    return grid


def test_killed_at_twenty_random_moments_a_run_ends_with_the_bytes_of_an_uninterrupted_one(grids, half_written):
    whole, broken = grids("whole"), grids("broken")
    whole.finish()
    chance = random.Random(20)  # noqa: S311 - moments, not secrets

    kills = [broken.kill_when(started)]
    steps = sorted(chance.sample(range(1, ITERATIONS), 9))
    kills.extend(broken.kill_when(trained_for(step), chance.uniform(0.0, 0.05)) for step in steps)
    assert broken.one("weights.safetensors") is None
    kills.append(broken.kill_when(trained))
    # The samples are written from the first batch of metrics on.
    lasting = whole.seconds_between("samples/completed/*.png", "result.json")
    for delay in sorted(chance.uniform(0.0, lasting) for _ in range(4)):
        kills.append(broken.kill_when(evaluating, delay))
        if (result := broken.one("result.json")) is not None:
            result.unlink()  # killed a moment before
    lasting = whole.seconds_between("result.json", "little-tiny/report.html")
    while len(kills) < 20:
        if broken.kill_when(reporting, chance.uniform(0.0, lasting)):
            kills.append(True)
    assert all(kills)

    broken.finish()
    expected, found = whole.identity(), broken.identity()
    assert {Path(name).name for name in expected} >= {"rows.parquet", "weights.safetensors", "folder.md", "folder.tex"}
    assert expected.keys() == found.keys()
    assert [name for name, content in expected.items() if found[name] != content] == []
    attempts = {cell.spec.method.name: cell.status.attempts for cell in read_results(broken.root).cells}
    assert attempts["dawdling"] >= 12  # some kills come before the cell has begun
    assert half_written(broken.root) == []


@pytest.mark.parametrize(
    ("number", "moment"),
    [(signal.SIGTERM, trained_for(7)), (signal.SIGINT, trained), (signal.SIGHUP, reporting)],
    ids=["SIGTERM in training", "Ctrl-C in evaluation", "SIGHUP in the report"],
)
def test_asked_to_end_a_run_puts_everything_away_and_says_how_to_go_on(grids, half_written, number, moment):
    grid = grids("asked")
    with grid.started() as run:
        grid.wait_for(moment, run)
        cells = psutil.Process(run.pid).children(recursive=True)
        run.send_signal(number)
        assert run.wait(60) == 130
    assert not [cell for cell in cells if cell.is_running() and cell.status() != psutil.STATUS_ZOMBIE]
    assert "what is finished is kept. To go on: " in grid.said
    assert "Traceback" not in grid.said
    assert half_written(grid.root) == []
    states = {cell.spec.method.name: cell.status.state for cell in read_results(grid.root).cells}
    assert states["dawdling"] == ("done" if moment is reporting else "interrupted")
    grid.finish()


def test_of_two_runs_in_one_root_the_second_leaves_with_a_reason_or_waits(grids, half_written):
    grid = grids("shared")
    with grid.started() as first:
        grid.wait_for(started, first)
        second = subprocess.run(grid.command, capture_output=True, text=True, check=False)
        assert second.returncode == 2
        assert f"another run works in {grid.root} (process {first.pid} on " in second.stderr
        third = subprocess.run([*grid.command, "--wait", "300"], capture_output=True, text=True, check=False)
        assert third.returncode == 0
        assert "nothing was left to do" in third.stdout
        assert first.wait(300) == 0
    assert half_written(grid.root) == []
    assert len(read_results(grid.root).rows) == 2 * 3 * 6

"""Suites of five hundred cells, and of sixty thousand rows: planned in seconds, run, killed, resumed and reported.

Cells are run in one process here: a process of its own takes seconds to load torch, five hundred times over.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gainbench.report.html import LARGEST
from gainbench.run.store import read_results
from gainbench.spec import MaskSpec, MethodSpec, Suite

pytestmark = [pytest.mark.usefixtures("own_cache"), pytest.mark.slow]

PLANNING_SECONDS = 5.0
"""Of processor time, the start of the process among it: a busy machine takes longer by the clock."""

MEMORY_MIB = 1536
METRICS = ("l1_mean", "psnr_rgb")

RUN = """
import json, sys
from pathlib import Path
import gainbench.run.plan
from gainbench import run_suite
from gainbench.spec import scales

changes = json.loads(sys.argv[1])
# No shipped scale tests five hundred pictures of 32 px.
gainbench.run.plan.scales = lambda: {name: one.model_copy(update=changes) for name, one in scales().items()}
ran = run_suite(
    sys.argv[2], root=Path(sys.argv[3]), methods=["steady"], plugin=Path(sys.argv[4]), executor="in_process",
    data_paths={pair.partition("=")[0]: Path(pair.partition("=")[2]) for pair in sys.argv[5:]},
)
print(json.dumps({"started": len(ran.started), "unfinished": len(ran.unfinished)}))
"""


@dataclass(frozen=True)
class Ended:
    """A process that ended: what it said, processor seconds, and its largest resident memory."""

    said: str
    seconds: float
    mib: float


class Bench:
    """A suite of the stub method, its pictures and its results root."""

    def __init__(self, folder: Path, plugin: Path, suite: Suite, pictures: int, **changes: int) -> None:
        self.suite, self.plugin, self.root, self.changes = folder / "load.yaml", plugin, folder / "runs", changes
        self.suite.write_text(suite.model_dump_json())
        self.data = []
        for number, name in enumerate(suite.datasets):
            own, generator = folder / name, np.random.default_rng(number)
            own.mkdir()
            for place in range(pictures):
                coarse = Image.fromarray(generator.integers(0, 256, (5, 5, 3), dtype=np.uint8))
                coarse.resize((64, 64), Image.Resampling.BICUBIC).save(own / f"{place:04d}.png")
            self.data.append(f"{name}={own}")

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)

    def end(self, process: subprocess.Popen[str], code: int = 0) -> Ended:
        said = process.stdout.read() if process.stdout is not None else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == code, said
        return Ended(said, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)

    def plan(self) -> Ended:
        words = ["-m", "gainbench", "plan", "--suite", str(self.suite), "--out", str(self.root), "--json"]
        words += ["--plugin", str(self.plugin), "--methods", "steady"]
        return self.end(self.start(*words, *(word for pair in self.data for word in ("--data", pair))))

    def run(self) -> subprocess.Popen[str]:
        return self.start(
            "-c", RUN, json.dumps(self.changes), str(self.suite), str(self.root), str(self.plugin), *self.data
        )

    def report(self) -> Ended:
        return self.end(self.start("-m", "gainbench", "report", "--out", str(self.root), "--quiet"))

    def results(self) -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in self.root.glob("cells/*/*/result.json")}


def stages(plan: Ended) -> list[str]:
    return [cell["stage"] for cell in json.loads(plan.said)["cells"]]


def test_five_hundred_cells_are_planned_run_killed_resumed_and_reported(tmp_path, plugin):
    suite = Suite(
        name="load",
        datasets=("folder", "places2"),
        methods=tuple(MethodSpec(name="steady", params={"level": level / 50}) for level in range(50)),
        masks=MaskSpec(bins=((0.1, 0.2), (0.3, 0.4))),
        metrics=METRICS,
        seeds=tuple(range(5)),
        scale="tiny",
        iterations=0,
        samples=1,
    )
    bench = Bench(tmp_path, plugin, suite, pictures=15)
    planned = bench.plan()
    assert stages(planned) == ["new"] * 500

    running = bench.run()
    while len(bench.results()) < 100:
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    bench.end(running, code=-signal.SIGKILL)
    before = bench.results()
    assert 100 <= len(before) < 500

    resumed = bench.end(bench.run())
    assert json.loads(resumed.said) == {"started": 500 - len(before), "unfinished": 0}
    after = bench.results()
    assert len(after) == 500
    assert {path: after[path] for path in before} == before

    again = bench.plan()
    assert stages(again) == ["done"] * 500
    reported = bench.report()
    page = bench.root / "load-tiny" / "report.html"
    assert page.stat().st_size < LARGEST
    assert "50 methods: the first table has all of them" in page.read_text(encoding="utf-8")
    assert len(read_results(bench.root).rows) == 500 * 3 * 2
    ended = {"planned": planned, "resumed": resumed, "planned again": again, "reported": reported}
    said = {what: f"{one.seconds:.1f} s of processor time, {one.mib:.0f} MiB" for what, one in ended.items()}
    assert max(planned.seconds, again.seconds) < PLANNING_SECONDS, said
    assert max(one.mib for one in ended.values()) < MEMORY_MIB, said


def test_sixty_thousand_rows_are_run_and_reported(tmp_path, plugin):
    suite = Suite(
        name="load",
        datasets=("folder",),
        methods=tuple(MethodSpec(name="steady", params={"level": level / 20}) for level in range(20)),
        metrics=METRICS,
        scale="tiny",
        iterations=0,
        samples=1,
    )
    # A test picture has a hole of each of the six bins.
    bench = Bench(tmp_path, plugin, suite, pictures=2500, size=32, test_pictures=500)
    ran = bench.end(bench.run())
    assert json.loads(ran.said) == {"started": 20, "unfinished": 0}
    reported = bench.report()
    rows = read_results(bench.root).rows
    assert len(rows) == 60_000
    assert set(rows.groupby("method").size()) == {3000}
    assert (bench.root / "load-tiny" / "report.html").stat().st_size < LARGEST
    said = {what: f"{one.seconds:.1f} s, {one.mib:.0f} MiB" for what, one in {"ran": ran, "reported": reported}.items()}
    assert max(ran.mib, reported.mib) < MEMORY_MIB, said

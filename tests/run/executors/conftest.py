"""Grids that are run from the command line, as on a login node, and compared with what the local executor gives."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from gainbench.run.store import StoredCell, StoredResults, read_results


@dataclass
class Grid:
    """A suite in a folder, and how to run it."""

    root: Path
    command: list[str]

    def start(self, *options: str) -> subprocess.Popen:
        with (self.root.parent / f"{self.root.name}.txt").open("ab") as output:
            return subprocess.Popen([*self.command, *options], stdout=output, stderr=subprocess.STDOUT)

    def run(self, *options: str) -> int:
        return self.start(*options).wait()

    @property
    def output(self) -> str:
        return (self.root.parent / f"{self.root.name}.txt").read_text()

    def results(self) -> StoredResults:
        return read_results(self.root)

    def cells(self) -> dict[str, StoredCell]:
        return {f"{cell.spec.method.name}-{cell.spec.seed}": cell for cell in self.results().cells}

    def states(self) -> dict[str, str]:
        return {name: cell.status.state for name, cell in self.cells().items()}

    def processes(self) -> dict[str, psutil.Process]:
        """Processes of cells that are alive now, by method and seed."""
        found = {}
        for process in psutil.process_iter(["cmdline"]):
            line = process.info["cmdline"] or []
            if "cell" in line and (paths := [word for word in line if word.startswith(str(self.root / "cells"))]):
                spec = json.loads(Path(paths[0]).read_text())
                found[f"{spec['method']['name']}-{spec['seed']}"] = process
        return found

    def wait_for(self, what: Callable[[], bool], seconds: float = 300.0) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, self.output
            time.sleep(0.2)


@pytest.fixture
def grid(own_cache, suite, pictures, tmp_path) -> Iterator[Callable[..., Grid]]:
    (tmp_path / "little.yaml").write_text(suite.model_dump_json())
    grids = []

    def made(name: str, plugin: Path) -> Grid:
        command = [sys.executable, "-m", "gainbench", "run", "--suite", str(tmp_path / "little.yaml")]
        command += ["--data", f"folder={pictures}", "--plugin", str(plugin), "--out", str(tmp_path / name)]
        grids.append(Grid(tmp_path / name, command))
        return grids[-1]

    yield made
    for one in grids:
        for process in one.processes().values():
            process.kill()


@pytest.fixture(scope="session")
def placed() -> Path:
    return Path(__file__).parent.parent.parent / "plugins" / "placed.py"

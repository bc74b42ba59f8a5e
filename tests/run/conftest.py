"""A data set, a suite and methods small enough to run whole grids in tests."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from gainbench.spec import MaskSpec, MethodSpec, Suite

PLUGIN = Path(__file__).parent.parent / "plugins" / "troublesome.py"


@pytest.fixture(scope="module")
def own_cache(apart: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """The module's tests remember nothing in the user's cache, and fetch nothing."""
    with apart():
        yield


@pytest.fixture(scope="session")
def plugin() -> Path:
    return PLUGIN


@pytest.fixture(scope="session")
def half_written() -> Callable[[Path], list[Path]]:
    """Lists what is left below a folder of files that were being written: hidden, and not a lock."""

    def found(root: Path) -> list[Path]:
        return [path for path in root.rglob(".*") if path.is_file() and path.suffix != ".lock" and path.name != ".lock"]

    return found


@pytest.fixture
def hold() -> Iterator[Callable[[Path], subprocess.Popen]]:
    """Has another process hold a cell's lock until ``communicate()`` is called, or the test is over."""
    code = "import filelock, sys\nwith filelock.FileLock(sys.argv[1]): print(flush=True); sys.stdin.read()"
    holders: list[subprocess.Popen] = []

    def held(folder: Path) -> subprocess.Popen:
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-c", code, str(folder / ".lock")]
        holders.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        holders[-1].stdout.readline()
        return holders[-1]

    yield held
    for holder in holders:
        if holder.poll() is None:
            holder.communicate()


@pytest.fixture(scope="session")
def suite() -> Suite:
    return Suite(
        name="little",
        question="Does the grid hold?",
        datasets=("folder",),
        methods=(MethodSpec(name="telea"),),
        masks=MaskSpec(bins=((0.1, 0.2), (0.3, 0.4))),
        metrics=("l1_mean", "psnr_rgb"),
        scale="tiny",
        iterations=3,
        samples=1,
    )

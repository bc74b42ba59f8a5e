"""A data set, a suite and methods small enough to run whole grids in tests."""

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

"""A data set, a suite and methods small enough to run whole grids in tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gainbench.spec import MaskSpec, MethodSpec, Suite

PLUGIN = Path(__file__).parent.parent / "plugins" / "troublesome.py"


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is remembered of the test's pictures stays out of the user's cache; nothing is fetched."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GAINBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        environment.setenv("GAINBENCH_OFFLINE", "1")
        environment.delenv("GAINBENCH_ASSETS", raising=False)
        environment.delenv("GAINBENCH_FID_WEIGHTS", raising=False)
        yield


@pytest.fixture(scope="session")
def plugin() -> Path:
    return PLUGIN


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen smooth pictures of 64 px: ten and some to train on, three to test."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(7)
    for number in range(15):
        coarse = Image.fromarray(generator.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        coarse.resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"{number:02d}.png")
    return folder


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

"""What all tests share: processes of one thread each; and for grids pictures, and a cache of their own."""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

if "PYTEST_XDIST_WORKER" in os.environ:
    # One process a core: threads of each would wait for those of the others. Read when torch loads.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write lone surrogates, which tests of file names log, as escapes: between processes only UTF-8 passes."""
    report = yield
    report.sections = [(title, text.encode("utf-8", "backslashreplace").decode()) for title, text in report.sections]
    return report


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
def apart(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], AbstractContextManager[None]]:
    """A context in which what is remembered of pictures stays out of the user's cache, and nothing is fetched."""

    @contextmanager
    def entered() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("GAINBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
            environment.setenv("GAINBENCH_OFFLINE", "1")
            environment.delenv("GAINBENCH_ASSETS", raising=False)
            environment.delenv("GAINBENCH_FID_WEIGHTS", raising=False)
            yield

    return entered

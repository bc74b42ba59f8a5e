"""The program as a person starts it, and a cache of the test's own."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from gainbench.cli import main


class Told(NamedTuple):
    """How a verb ended and what it said."""

    code: int
    out: str
    err: str

    def refused(self, *words: str) -> None:
        """It is one error for a person, with these words, and no traceback."""
        assert self.code == 2, self
        assert self.err.startswith("error: "), self.err
        self.clear(*words)

    def clear(self, *words: str) -> None:
        """It says these words, and no traceback."""
        assert "Traceback" not in self.err + self.out
        assert len(self.err) < 4000
        for word in words:
            assert word in self.err, (word, self.err)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("GAINBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("GAINBENCH_OFFLINE", "1")
    monkeypatch.delenv("GAINBENCH_ASSETS", raising=False)
    return


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """Run a verb through the entry point of `gainbench`, in this process."""

    def run(*words: str | Path) -> Told:
        monkeypatch.setattr(sys, "argv", ["gainbench", *map(str, words)])
        capsys.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        return Told(int(code or 0) if not isinstance(code, str) else 1, said.out, said.err)

    return run


@pytest.fixture
def program() -> Callable[..., Told]:
    """Run `python -m gainbench` in a process that may have three gigabytes, and two minutes."""

    def run(*words: str | Path) -> Told:
        limited = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_DATA, (3 << 30, 3 << 30)); "
        begun = "sys.argv[0] = 'gainbench'; runpy.run_module('gainbench', run_name='__main__', alter_sys=True)"
        command = [sys.executable, "-c", limited + begun, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        return Told(done.returncode, done.stdout, done.stderr)

    return run

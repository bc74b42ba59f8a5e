"""Iterations are timed in a process of their own, which leaves nothing behind."""

from pathlib import Path

import psutil
import pytest

from gainbench.run.executors import Execution
from gainbench.run.forecast import kind_of
from gainbench.run.plan import plan_suite
from gainbench.run.timing import _note, time_cells

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def cells(suite, pictures, plugin, tmp_path):
    def planned(*methods, iterations=1000, plugin=plugin):
        plan = plan_suite(
            suite,
            root=tmp_path / "runs",
            iterations=iterations,
            methods=methods,
            data_paths={"folder": pictures},
            plugin=plugin,
        )
        return [cell.spec for cell in plan.cells]

    return planned


def test_a_few_iterations_tell_the_pace_and_one_that_raises_is_left_out(cells, tmp_path):
    dawdling, raising = cells("dawdling", "raising")
    told = []
    paces = time_cells([dawdling, raising], Execution(threads=1), limit=240.0, telling=told.append)
    assert told == ["dawdling", "raising"]
    assert list(paces) == [kind_of(dawdling)]
    pace = paces[kind_of(dawdling)]
    assert pace.source == "timed"
    assert 0.05 <= pace.iteration < 5  # each of its losses sleeps for 0.05 s
    assert pace.rest > 0
    assert not (tmp_path / "runs").exists()


def test_what_a_method_prints_is_not_taken_for_what_was_timed(cells):
    (chatty,) = cells("chatty", plugin=Path(__file__).parent.parent / "plugins" / "chatty.py")
    told = []
    paces = time_cells([chatty], Execution(threads=1), limit=240.0, telling=told.append)
    assert told == ["chatty"]
    assert paces[kind_of(chatty)].rest > 0


@pytest.mark.parametrize("line", [b"parameters: 1\n", b'{"next": "ga', b"", b"[]\n", b"1\n", b"\xff\n", b"[" * 10**5])
def test_a_line_that_is_no_note_is_passed_over(line):
    assert _note(line) is None


def test_time_limits_are_kept_and_no_process_is_left(cells):
    sleeping = cells("dawdling")
    assert time_cells(sleeping, Execution(threads=1), limit=0.2) == {}
    assert [child for child in psutil.Process().children(recursive=True) if "time-cells" in child.cmdline()] == []


def test_what_is_over_sooner_than_timed_is_not_timed(cells, monkeypatch):
    monkeypatch.setattr("gainbench.run.timing.subprocess.Popen", None)
    assert time_cells(cells("learning", iterations=99), Execution()) == {}

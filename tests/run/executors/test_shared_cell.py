"""A cell whose training two processes share, from the command line: whichever process dies, none of it is left."""

import os
import signal

import psutil
import pytest

from gainbench.training.log import read_log

pytestmark = pytest.mark.slow

OPTIONS = ("--methods", "dawdling", "--devices", "2", "--iterations", "60", "--checkpoint-seconds", "0")


def parts(grid) -> list[psutil.Process]:
    """Processes that share a training, the main one first."""
    found = [
        process
        for process in psutil.process_iter(["cmdline"])
        if "train-part" in (line := process.info["cmdline"] or []) and str(grid.root) in line
    ]
    return sorted(found, key=lambda process: process.environ()["RANK"])


@pytest.mark.parametrize(
    ("victim", "number", "state", "cause"),
    [
        ("part", signal.SIGKILL, "killed", "its process 2 of 2 was ended by SIGKILL"),
        ("cell", signal.SIGKILL, "killed", "its process was ended by SIGKILL"),
        ("run", signal.SIGTERM, "interrupted", "the run was interrupted; run again to go on"),
        ("run", signal.SIGKILL, "interrupted", "the run that started it ended; run again to go on"),
    ],
)
def test_none_is_left_and_the_next_run_goes_on(grid, plugin, victim, number, state, cause):
    shared = grid("shared", plugin)
    run = shared.start(*OPTIONS)
    shared.wait_for(lambda: any(shared.root.glob("cells/*/*/checkpoint/*.pt")))
    trained = parts(shared)
    assert len(trained) == 2
    (cell,) = shared.processes().values()
    os.kill({"part": trained[1].pid, "cell": cell.pid, "run": run.pid}[victim], number)
    assert run.wait(60) != 0
    shared.wait_for(lambda: not parts(shared) and not shared.processes(), seconds=30)
    (status,) = (stored.status for stored in shared.cells().values())
    assert (status.state, status.attempts) == (state, 1)
    assert status.cause.startswith(cause)
    (log,) = shared.root.glob("cells/*/*/training.jsonl")
    first = read_log(log)[0]

    assert shared.run(*OPTIONS) == 0
    (stored,) = shared.cells().values()
    assert (stored.status.state, stored.status.attempts) == ("done", 2)
    assert stored.result.environment["training_devices"] == 2
    # The first record, with its time, is that of the attempt that was ended.
    assert read_log(log)[0] == first
    assert read_log(log)[-1]["step"] == 60

"""Who runs cells: one protocol, small implementations.

``local`` gives every cell a process of its own, so that nothing a method does reaches the others; ``in_process`` runs
them one after the other in this process, for debuggers. ``ray`` and ``submitit`` have a node of a cluster do for each
cell what ``local`` does here.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gainbench.run.layout import WEIGHTS, cell_folder, half_trained
from gainbench.run.status import CellProgress, CellStatus, read_status
from gainbench.spec import CellSpec, Precision


@dataclass(frozen=True)
class Execution:
    """How cells are run; nothing here is part of a cell's identity.

    Attributes:
        jobs: cells at a time.
        threads: torch threads of each, or of each of the processes that share one's training.
        timeout: seconds of wall time for one attempt at a cell; None is without limit.
        memory_limit: MiB of resident memory for one cell and what it starts; None is without limit. It is watched from
            outside ten times a second: a limit on addresses, which the system could enforce, would count what torch
            and CUDA reserve and never touch. A cell that outruns the watch meets the system's own limit.
        precision: arithmetic of forward passes.
        checkpoint_seconds: wall time between training checkpoints.
        devices: indices of the GPUs to spread cells over; empty on the CPU.
        environment: variables that cells get beside those of the process that starts them.
        devices_per_cell: processes that share one cell's training, with a GPU each where there are GPUs.
    """

    jobs: int = 1
    threads: int = 1
    timeout: float | None = None
    memory_limit: float | None = None
    precision: Precision = "auto"
    checkpoint_seconds: float = 60.0
    devices: tuple[int, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    devices_per_cell: int = 1

    @property
    def cell_threads(self) -> int:
        """What a cell's processes take together; its own process takes as many when they are not there."""
        return self.threads * self.devices_per_cell


class Watch(Protocol):
    """Is told what happens while cells run; a console, a log or a notebook's widget."""

    def __call__(self, spec: CellSpec, status: CellStatus, progress: CellProgress | None) -> None:
        """``status.state`` is ``running`` (``progress`` says how far, if known) or final."""


class Executor(Protocol):
    """Brings every cell to an end, good or bad."""

    def opened(self, execution: Execution, *, jobs: int | None, cells: int) -> AbstractContextManager[Execution]:
        """Hold what the executor needs while it runs, such as a connection to a cluster.

        Args:
            execution: as it fits this machine.
            jobs: cells at a time as they were asked for; None leaves it to the executor.
            cells: how many the whole plan has.

        Returns:
            A context manager that gives the execution as it fits where the cells will run.

        Raises:
            RunError: there is nothing to run cells on, or it never has what one of them asks for.
        """

    def execute(self, specs: Sequence[CellSpec], root: Path, execution: Execution, watch: Watch) -> list[CellStatus]:
        """Run the cells; one that fails does not touch the others.

        Returns:
            The final status of every cell, in the order of ``specs``; each is also in the cell's ``status.json``.

        Raises:
            KeyboardInterrupt: the run was interrupted (SIGINT, SIGTERM, SIGHUP); no process of it is left.
        """


def kept_settings(root: Path, spec: CellSpec, execution: Execution) -> tuple[int, Precision]:
    """Threads and precision for a cell: those it began with if it left weights or a checkpoint, else the run's.

    Floating-point sums depend on both; keeping them is what lets an interrupted cell end with the same bits. With
    another number of devices than it began with, its sums are others whatever is kept, and threads are the run's.

    A precision that the run asks for by name is that of a whole evaluation, whatever the weights were trained in; a
    training never changes its own halfway.
    """
    folder = cell_folder(root, spec)
    trained = (folder / WEIGHTS).is_file()
    if not trained and not half_trained(folder):
        return execution.threads, execution.precision
    status = read_status(folder)
    threads = status.threads if (status.devices or 1) == execution.devices_per_cell else None
    asked = execution.precision if trained and execution.precision != "auto" else None
    return threads or execution.threads, asked or status.precision or execution.precision

"""How verbs speak to a person: tables, progress and errors. Imports no torch, decides nothing."""

import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from gainbench.run.executors import Execution
from gainbench.run.layout import LOG, cell_folder
from gainbench.run.status import CellProgress, CellStatus, read_progress
from gainbench.run.store import StoredCell
from gainbench.spec import CellSpec

if TYPE_CHECKING:
    from gainbench.run.grid import SuiteRun
    from gainbench.run.plan import Plan

# Labels such as gain[guidance=canny] look like rich's markup, so markup is off everywhere. Where output goes to a file
# or another program, lines are as long as they need to be.
out = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 10_000)
err = Console(markup=False, highlight=False, stderr=True)

STYLES = {
    "done": "green",
    "running": "cyan",
    "failed": "red",
    "nan": "red",
    "killed": "red",
    "timeout": "red",
    "interrupted": "yellow",
    "pending": "yellow",
}

LINE_SECONDS = 30.0
"""Where there is no terminal, the wall time between two lines about the same running cell."""


def fail(message: str) -> None:
    """Print an error for a person."""
    err.print(f"error: {message}", style="bold red", soft_wrap=True)


def say(message: str, style: str | None = None) -> None:
    """Print a line, however long."""
    out.print(message, style=style, soft_wrap=True)


def show_table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
    """Print a table; a terminal folds long cells, a file gets whole lines."""
    table = Table(*headers, title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    out.print(table)


def show_report(tables: Iterable[RenderableType], html: Path, files: int) -> None:
    """Print the main tables, which are marked up, and where the report lies."""
    for table in tables:
        Console(highlight=False, width=out.width).print(table)
    say(f"report: {html} ({files} tables, plots and galleries beside it)", "bold")


def cell_name(spec: CellSpec) -> str:
    """A cell as progress and statuses name it."""
    return f"{spec.dataset} {spec.method.label} seed {spec.seed}"


def show_plan(plan: "Plan") -> None:
    """Print what a run would do, cell by cell."""
    resolved, scale = plan.resolved, plan.resolved.scale
    say(f"{resolved.suite.name}: {resolved.suite.question}", "bold")
    say(f"scale {scale.name}: {scale.size} px, batch {scale.batch}, {scale.iterations} training iterations")
    for name, record in resolved.datasets.items():
        skipped = f", {record.skipped} files skipped" if record.skipped else ""
        say(f"{name}: {record.photographs} photographs{skipped}, manifest {record.manifest_hash[:12]}")
    for note in (*resolved.narrowed, *resolved.footnotes):
        say(f"note: {note}", "yellow")
    show_table(
        ("data set", "method", "seed", "key", "stage", "last attempt"),
        [(*_named(cell.spec), cell.spec.key[:8], cell.stage, cell.stored.status.state) for cell in plan.cells],
    )
    say(", ".join(f"{count} {stage}" for stage, count in plan.counts().items()))


def show_statuses(title: str, cells: Sequence[StoredCell]) -> None:
    """Print how every cell of a suite stands, and why those that are not done are not."""
    show_table(
        ("data set", "method", "seed", "state", "attempts", "seconds", "remark"),
        [
            (
                *_named(cell.spec),
                cell.status.state,
                str(cell.status.attempts),
                f"{cell.status.seconds:.0f}",
                _remark(cell),
            )
            for cell in cells
        ],
        title=title,
    )


def _remark(cell: StoredCell) -> str:
    progress = read_progress(cell.folder) if cell.status.state == "running" else None
    return cell.status.cause if progress is None else f"{progress.what} {progress.done} of {progress.total}"


def show_unfinished(run: "SuiteRun") -> None:
    """Print the cells that are not done, the ends of their logs, and what to do."""
    started = {spec.key for spec in run.started}
    for spec, status in run.unfinished:
        say(f"{cell_name(spec)}: {status.state}: {status.cause}", "red")
        for line in status.log_tail[-5:] if spec.key in started else ():
            say(f"    {line}", "dim")
        say(f"    log: {cell_folder(run.plan.root, spec) / LOG}", "dim")
    left = [status for spec, status in run.unfinished if spec.key not in started]
    if left:
        say(f"{len(left)} failed before and are not tried again; --retry failed tries them", "yellow")


class RunDisplay:
    """Follows a run: bars on a terminal, plain lines elsewhere. A context manager, and a ``RunWatch``."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=out,
            transient=True,
            disable=not out.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._spoken: dict[str, float] = {}
        self._count = self._ended = 0
        self._all: TaskID | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bars.stop()

    def planned(self, plan: "Plan", started: Sequence[CellSpec], execution: Execution) -> None:
        """Say how much there is to do."""
        self._count = len(started)
        done = plan.counts()["done"]
        say(f"{plan.resolved.folder_name}: {len(plan.cells)} cells, {done} done already, {len(started)} to run")
        for note in (*plan.resolved.narrowed, *plan.resolved.footnotes):
            say(f"note: {note}", "yellow")
        if started:
            say(f"{min(execution.jobs, len(started))} at a time, {execution.threads} threads each")
            self._all = self._bars.add_task("cells", total=len(started))
        elif done == len(plan.cells):
            say("nothing was left to do", "green")

    def cell(self, spec: CellSpec, status: CellStatus, progress: CellProgress | None) -> None:
        """Say that a cell started, moved on or ended."""
        if status.state == "running":
            self._running(spec, progress)
            return
        self._ended += 1
        if (task := self._tasks.pop(spec.key, None)) is not None:
            self._bars.remove_task(task)
        if self._all is not None:
            self._bars.update(self._all, completed=self._ended)
        cause = f": {status.cause}" if status.cause else ""
        line = f"[{self._ended}/{self._count}] {cell_name(spec)}: {status.state} in {status.seconds:.1f} s{cause}"
        say(line, STYLES.get(status.state))

    def _running(self, spec: CellSpec, progress: CellProgress | None) -> None:
        if spec.key not in self._tasks:
            self._tasks[spec.key] = self._bars.add_task(f"{cell_name(spec)}: starting", total=None)
            if not out.is_terminal:
                say(f"{cell_name(spec)}: started")
                self._spoken[spec.key] = time.monotonic()
        if progress is None:
            return
        description = f"{cell_name(spec)}: {progress.what}"
        self._bars.update(self._tasks[spec.key], description=description, completed=progress.done, total=progress.total)
        if not out.is_terminal and time.monotonic() - self._spoken[spec.key] > LINE_SECONDS:
            say(f"{description} {progress.done} of {progress.total}")
            self._spoken[spec.key] = time.monotonic()


class Counter:
    """Follows work on a known number of things: a bar on a terminal, now and then a line elsewhere."""

    def __init__(self, what: str) -> None:
        self._what = what
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=out, transient=True, disable=not out.is_terminal)
        self._task = self._bar.add_task(what, total=None)
        self._spoken = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, done: int, total: int) -> None:
        """Say how many are done."""
        self._bar.update(self._task, completed=done, total=total)
        if not out.is_terminal and time.monotonic() - self._spoken > LINE_SECONDS:
            say(f"{self._what}: {done} of {total}")
            self._spoken = time.monotonic()


def _named(spec: CellSpec) -> tuple[str, str, str]:
    return spec.dataset, spec.method.label, str(spec.seed)

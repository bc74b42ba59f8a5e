"""How verbs speak: tables and sentences for a person, one JSON value for a program. Loads no torch, decides nothing."""

import contextlib
import json
import sys
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from gainbench.standard_output import standard_output_apart

if TYPE_CHECKING:
    from gainbench.run.grid import SuiteRun
    from gainbench.run.planned import Plan
    from gainbench.run.store import StoredCell
    from gainbench.spec import CellSpec

LINE_SECONDS = 30.0
"""Where there is no terminal, the wall time between two lines about the same work."""

UNBOUNDED = 10_000
"""Columns of a line that goes to a file or another program: as long as it needs to be."""

STYLES = {
    "done": "green",
    "passed": "green",
    "running": "cyan",
    "failed": "red",
    "nan": "red",
    "killed": "red",
    "timeout": "red",
    "interrupted": "yellow",
    "pending": "yellow",
}


def _console(*, stderr: bool = False, quiet: bool = False) -> Console:
    # Labels such as gain[guidance=canny] look like rich's markup, so markup is off everywhere.
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        markup=False, highlight=False, stderr=stderr, quiet=quiet, width=None if stream.isatty() else UNBOUNDED
    )


out = _console()
err = _console(stderr=True)

_for_program: TextIO | None = None
_apart = contextlib.ExitStack()


def behave(*, quiet: bool = False, as_json: bool = False) -> None:
    """Set the manner of the verb that is about to speak; each verb that has the options calls it first.

    Called without any, it ends the manner of the verb before: standard output is everybody's again.

    Args:
        quiet: nothing but errors, and what is wrong at the end.
        as_json: standard output is for one JSON value; what a person reads, and whatever a method prints, goes to
            standard error until the verb has ended.
    """
    global out, err, _for_program
    _apart.close()
    apart = _apart.enter_context(standard_output_apart()) if as_json else None
    out, err, _for_program = _console(stderr=as_json, quiet=quiet), _console(stderr=True), apart


def tell(value: Any) -> None:
    """Print one JSON value to standard output, for a program."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str)
    (_for_program or sys.stdout).write(text + "\n")


def fail(message: str) -> None:
    """Print an error for a person."""
    err.print(f"error: {message}", style="bold red", soft_wrap=True)


def warn(message: str, style: str | None = "red") -> None:
    """Print to standard error what even a quiet verb must not keep to itself."""
    err.print(message, style=style, soft_wrap=True)


def say(message: str, style: str | None = None, *, whole: bool = False) -> None:
    """Print a line; a terminal breaks it between words, or nowhere if it is ``whole``, as a path is to be copied."""
    out.print(message, style=style, soft_wrap=whole or not out.is_terminal)


def show_table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
    """Print a table; a terminal folds long cells, a file gets whole lines."""
    table = Table(*headers, title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    out.print(table)


def show_tables(tables: Iterable[RenderableType]) -> None:
    """Print tables of results; see ``gainbench.report.terminal.terminal_tables``."""
    for table in tables:
        out.print(table)


def show_report(tables: Iterable[RenderableType], places: dict[str, str]) -> None:
    """Print the main tables and where everything lies.

    Args:
        tables: what ``gainbench.report.terminal.terminal_tables`` makes.
        places: what -> where, the most wanted last, as that is what a terminal shows longest.
    """
    show_tables(tables)
    widest = max(map(len, places))
    for what, where in places.items():
        say(f"{what.ljust(widest)}  {where}", "bold" if what == "report" else None, whole=True)


def cell_name(spec: "CellSpec") -> str:
    """A cell as progress and statuses name it."""
    return f"{spec.dataset} {spec.method.label} seed {spec.seed}"


def show_plan(plan: "Plan", expected: Sequence[str] = ()) -> None:
    """Print what a run would do, cell by cell.

    Args:
        plan: the resolved suite and how far each cell is.
        expected: sentences about the time it would take.
    """
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
        [(*named(cell.spec), cell.spec.key[:8], cell.stage, cell.stored.status.state) for cell in plan.cells],
    )
    say(", ".join(f"{count} {stage}" for stage, count in plan.counts().items()))
    for sentence in plan.reference_sentences():
        say(sentence)
    for sentence in expected:
        say(sentence)


def show_statuses(title: str, cells: "Sequence[StoredCell]") -> None:
    """Print how every cell of a suite stands, and why those that are not done are not."""
    show_table(
        ("data set", "method", "seed", "state", "attempts", "seconds", "remark"),
        [
            (
                *named(cell.spec),
                cell.status.state,
                str(cell.status.attempts),
                f"{cell.status.seconds:.0f}",
                _remark(cell),
            )
            for cell in cells
        ],
        title=title,
    )


def _remark(cell: "StoredCell") -> str:
    from gainbench.run.status import read_progress

    progress = read_progress(cell.folder) if cell.status.state == "running" else None
    return cell.status.cause if progress is None else f"{progress.what} {progress.done} of {progress.total}"


def show_unfinished(run: "SuiteRun") -> None:
    """Print the cells that are not done, the ends of their logs, and what to do; to standard error, however quiet."""
    from gainbench.run.layout import LOG, cell_folder

    started = {spec.key for spec in run.started}
    for spec, status in run.unfinished:
        warn(f"{cell_name(spec)}: {status.state}: {status.cause}")
        for line in status.log_tail[-5:] if spec.key in started else ():
            warn(f"    {line}", "dim")
        warn(f"    log: {cell_folder(run.plan.root, spec) / LOG}", "dim")
    left = [status for spec, status in run.unfinished if spec.key not in started]
    if left:
        warn(f"{len(left)} failed before and are not tried again; --retry failed tries them", "yellow")


def show_environment(found: dict[str, Any]) -> None:
    """Print what computes, a line a fact; nested values are indented."""
    for name, value in found.items():
        if isinstance(value, dict):
            say(f"{name.replace('_', ' ')}:")
            widest = max(map(len, value), default=0)
            for part, content in value.items():
                say(f"  {part.ljust(widest)}  {_fact(content)}")
        else:
            say(f"{name.replace('_', ' ')}: {_fact(value)}")


def _fact(value: Any) -> str:
    if value is None:
        return "none"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


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


def named(spec: "CellSpec") -> tuple[str, str, str]:
    """Data set, method and seed of a cell as tables print them."""
    return spec.dataset, spec.method.label, str(spec.seed)

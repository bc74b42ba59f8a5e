"""A run as it is followed: the plan and its forecast, then a live grid on a terminal or plain lines elsewhere.

The grid has a line for each method and a column for each data set; where that is too wide or too high for the terminal,
the cells that are running are listed, and the others counted. What ended is also a line above, which stays.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gainbench import console
from gainbench.console import LINE_SECONDS, STYLES, cell_name
from gainbench.run.executors import Execution
from gainbench.run.forecast import Forecast, Kind, Pace, duration, few_of, forecast_run
from gainbench.run.status import CellProgress, CellStatus
from gainbench.run.timing import time_cells
from gainbench.spec import CellSpec

if TYPE_CHECKING:
    from gainbench.run.planned import Plan

REFRESH_PER_SECOND = 4.0

MARKS = {"done": "✓", "running": "▶", "waiting": "·", "left": "-"}
PLAIN_MARKS = {"done": "ok", "running": ">", "waiting": ".", "left": "-"}
"""For terminals whose encoding has no such letters."""

FAILED = "✗"
PLAIN_FAILED = "x"


def forecast_told(root: Path, started: Sequence[CellSpec], execution: Execution, *, timing: bool) -> Forecast:
    """Forecast a run, and say what is timed while it is.

    Args:
        root: the results root.
        started: the cells that will be run, in their order.
        execution: how they will be run.
        timing: whether iterations of what no earlier cell tells about may be timed.
    """
    if not timing:
        return forecast_run(root, started, execution)
    if not console.out.is_terminal:
        return forecast_run(root, started, execution, partial(time_cells, telling=_say_timed))
    with console.out.status(_timed("what is new")) as waiting:

        def timer(specs: Sequence[CellSpec], execution: Execution) -> dict[Kind, Pace]:
            return time_cells(specs, execution, telling=lambda label: waiting.update(Text(_timed(label))))

        return forecast_run(root, started, execution, timer)


def _say_timed(label: str) -> None:
    console.say(_timed(label))


def _timed(label: str) -> str:
    return f"timing a few iterations of {label}"


class RunDisplay:
    """Follows a run. A context manager, and a ``RunWatch``.

    Args:
        timing: whether a few iterations may be timed before the run, of what no earlier cell tells about.
    """

    def __init__(self, *, timing: bool = False) -> None:
        self._timing = timing
        self._grid: _Grid | None = None
        self._live: Live | None = None
        self._spoken: dict[str, float] = {}
        self._count = self._ended = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def planned(self, plan: "Plan", started: Sequence[CellSpec], execution: Execution) -> None:
        """Say what there is to do and how long it should take, and open the grid."""
        self._count = len(started)
        resolved, scale = plan.resolved, plan.resolved.scale
        done = plan.counts()["done"]
        console.say(
            f"{resolved.folder_name}: {len(plan.cells)} cells, {done} done already, {len(started)} to run", "bold"
        )
        console.say(f"scale {scale.name}: {scale.size} px, batch {scale.batch}, {scale.iterations} training iterations")
        for note in (*resolved.narrowed, *resolved.footnotes):
            console.say(f"note: {note}", "yellow")
        for sentence in plan.reference_sentences():
            console.say(sentence)
        if not started:
            if done == len(plan.cells):
                console.say("nothing was left to do", "green")
            return
        for line in _planned_lines(plan, started):
            console.say(line)
        each = f"{execution.devices_per_cell} processes of " if execution.devices_per_cell > 1 else ""
        console.say(f"{min(execution.jobs, len(started))} at a time, {each}{execution.threads} threads each")
        forecast = forecast_told(plan.root, started, execution, timing=self._timing)
        for sentence in forecast.sentences():
            console.say(sentence)
        if _lively():
            self._grid = _Grid(plan, started, forecast)
            self._live = Live(self._grid, console=console.out, refresh_per_second=REFRESH_PER_SECOND, transient=True)
            self._live.start()

    def cell(self, spec: CellSpec, status: CellStatus, progress: CellProgress | None) -> None:
        """Say that a cell started, moved on or ended."""
        if self._grid is not None:
            self._grid.note(spec, status, progress)
        if status.state == "running":
            if not _lively():
                self._running(spec, progress)
            return
        self._ended += 1
        cause = f": {status.cause}" if status.cause else ""
        line = f"[{self._ended}/{self._count}] {cell_name(spec)}: {status.state} in {status.seconds:.1f} s{cause}"
        console.say(line, STYLES.get(status.state))

    def _running(self, spec: CellSpec, progress: CellProgress | None) -> None:
        if spec.key not in self._spoken:
            console.say(f"{cell_name(spec)}: started")
            self._spoken[spec.key] = time.monotonic()
        elif progress is not None and time.monotonic() - self._spoken[spec.key] > LINE_SECONDS:
            console.say(f"{cell_name(spec)}: {progress.what} {progress.done} of {progress.total}")
            self._spoken[spec.key] = time.monotonic()


def _lively() -> bool:
    return console.out.is_terminal and not console.out.is_dumb_terminal and not console.out.quiet


def _planned_lines(plan: "Plan", started: Sequence[CellSpec]) -> Iterator[str]:
    """Which cells are at which stage, by data set."""
    chosen = {spec.key for spec in started}
    out = {cell.spec.key for cell in plan.left_out}  # told with the reference
    words = {"done": "done", "evaluate": "to evaluate", "resume": "to go on", "new": "to begin"}
    for dataset in plan.resolved.datasets:
        parts = []
        for stage, word in (*words.items(), ("left", "failed before, left alone")):
            cells = [cell for cell in plan.cells if cell.spec.dataset == dataset and cell.spec.key not in out]
            at_stage = [
                cell.spec.method.label
                for cell in cells
                if (cell.stage if cell.stage == "done" or cell.spec.key in chosen else "left") == stage
            ]
            if at_stage:
                counted = Counter(at_stage)
                parts.append(f"{word}: {few_of(f'{label} x {n}' if n > 1 else label for label, n in counted.items())}")
        if parts:
            yield f"{dataset}: {'; '.join(parts)}"


class _Grid:
    """What a live display draws: the state of every cell of the plan."""

    def __init__(self, plan: "Plan", started: Sequence[CellSpec], forecast: Forecast) -> None:
        self._name = plan.resolved.folder_name
        self._forecast = forecast
        self._begun = time.monotonic()
        self._specs = {cell.spec.key: cell.spec for cell in plan.cells}
        self._places: dict[tuple[str, str], list[str]] = {}
        for key, spec in self._specs.items():
            self._places.setdefault((spec.method.label, spec.dataset), []).append(key)
        self._methods = list(dict.fromkeys(method for method, _ in self._places))
        self._datasets = list(dict.fromkeys(dataset for _, dataset in self._places))
        waiting = {spec.key for spec in started}
        self._states = {
            cell.spec.key: "done" if cell.stage == "done" else "waiting" if cell.spec.key in waiting else "left"
            for cell in plan.cells
        }
        self._started = [spec.key for spec in started]
        self._seconds: dict[str, float] = {}
        self._progress: dict[str, CellProgress] = {}
        self._first: dict[str, tuple[float, CellProgress]] = {}

    def note(self, spec: CellSpec, status: CellStatus, progress: CellProgress | None) -> None:
        """Remember how a cell stands."""
        self._states[spec.key] = status.state
        if status.state != "running":
            self._seconds[spec.key] = status.seconds
        elif progress is not None:
            before = self._first.get(spec.key)
            if before is None or before[1].what != progress.what:
                self._first[spec.key] = (time.monotonic(), progress)
            self._progress[spec.key] = progress

    def __rich_console__(self, terminal: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the grid if it fits, else the cells that are running."""
        plain = not (options.encoding or "").startswith("utf")
        rows = options.size.height - 4
        yield Text(self._headline(), style="bold", no_wrap=True, overflow="ellipsis")
        if len(self._methods) < rows:
            grid = self._table(plain=plain)
            if terminal.measure(grid, options=options.update(width=console.UNBOUNDED)).maximum <= options.max_width:
                yield grid
                return
        yield self._list(rows, plain=plain)

    def _headline(self) -> str:
        ended = sum(self._states[key] not in {"waiting", "running"} for key in self._started)
        parts = [f"{self._name}: {ended} of {len(self._started)} cells", _clock(time.monotonic() - self._begun)]
        if (left := self._left()) is not None:
            parts.append(f"about {duration(left)} left")
        return ", ".join(parts)

    def _left(self) -> float | None:
        running = [key for key in self._started if self._states[key] == "running"]
        waiting = [key for key in self._started if self._states[key] == "waiting"]
        return self._forecast.wall({key: self._left_of(key) for key in (*running, *waiting)})

    def _left_of(self, key: str) -> float | None:
        """Seconds left of a cell: training at the pace seen since it began, evaluation as forecast."""
        expected, progress = self._forecast.cells.get(key), self._progress.get(key)
        if progress is None:
            return expected
        since, first = self._first[key]
        done = progress.done - first.done
        if done <= 0:
            return expected
        seconds = (progress.total - progress.done) * (time.monotonic() - since) / done
        rest = self._forecast.paces[key].rest or 0.0
        return seconds + (rest if progress.what == "training" else 0.0)

    def _table(self, *, plain: bool) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("", no_wrap=True)
        for dataset in self._datasets:
            table.add_column(dataset, no_wrap=True, min_width=16)
        for method in self._methods:
            cells = (self._of(self._places.get((method, dataset), []), plain=plain) for dataset in self._datasets)
            table.add_row(Text(method), *cells)
        return table

    def _of(self, keys: list[str], *, plain: bool) -> Text:
        return Text("  ").join(self._mark(key, plain=plain, alone=len(keys) == 1) for key in keys)

    def _mark(self, key: str, *, plain: bool, alone: bool) -> Text:
        """A cell's state as a sign, and as a word where there is room: colour never says anything alone."""
        state = self._states[key]
        marks, failed = (PLAIN_MARKS, PLAIN_FAILED) if plain else (MARKS, FAILED)
        sign = marks.get(state, failed)
        if state == "running":
            progress = self._progress.get(key)
            if progress is None:
                words = "starting" if alone else ""
            else:
                share = f"{progress.done / max(1, progress.total):.0%}"
                words = f"{progress.what} {share}" if alone else share
        elif state in {"waiting", "left"}:
            words = "" if state == "waiting" or not alone else "failed before"
        elif state == "done":
            words = _clock(self._seconds[key]) if alone and key in self._seconds else ""
        else:
            words = state
        return Text(f"{sign} {words}".rstrip(), style=STYLES.get(state, "dim"))

    def _list(self, rows: int, *, plain: bool) -> Group:
        """The running cells with what they do, and how many cells are in which other state."""
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_column(no_wrap=True)
        running = [key for key, state in self._states.items() if state == "running"]
        shown = running[: max(1, rows - 2)]
        for key in shown:
            table.add_row(Text(cell_name(self._specs[key])), self._mark(key, plain=plain, alone=True))
        counts = Counter(self._states.values())
        counts["running"] -= len(shown)
        others = [f"{count} {state}" for state, count in counts.items() if count > 0]
        return Group(table, Text(", ".join(others), style="dim", no_wrap=True, overflow="ellipsis"))


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"

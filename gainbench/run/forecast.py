"""How long a run will take: from what earlier cells took, and from a few real iterations timed before it starts.

A forecast is a courtesy, no result: nothing that a cell computes depends on it.
"""

import heapq
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple

from gainbench.run.executors import Execution
from gainbench.run.layout import RESULT, SPEC, STATUS, TAKEN, TRAINING, TRAINING_LOG, WEIGHTS, cell_folder
from gainbench.spec import CellSpec
from gainbench.training.log import read_log

MOST_NAMED = 24
"""Methods that a sentence names one by one; a suite may have hundreds."""

Source = Literal["earlier", "timed", "kin", "unknown"]
"""Cells of the same kind in the results root; iterations timed just now; cells of another kind; nothing at all."""


class Kind(NamedTuple):
    """What decides how long an iteration takes; data set, seed and training budget do not."""

    method: str
    revision: int
    plugin: str | None
    size: int
    base: int
    batch: int


def kind_of(spec: CellSpec) -> Kind:
    """The kind of a cell."""
    scale = spec.scale
    return Kind(spec.method.label, spec.revision, spec.plugin_hash, scale.size, scale.base, scale.batch)


@dataclass(frozen=True)
class Pace:
    """What work at a kind of cell takes.

    Attributes:
        iteration: seconds per training iteration; None if the method does not train, or nobody knows.
        rest: seconds of everything but training: starting, evaluating, writing. None if nobody knows.
        source: where that is from.
    """

    iteration: float | None
    rest: float | None
    source: Source


@dataclass(frozen=True)
class Forecast:
    """What the cells that a run starts should take.

    Attributes:
        cells: seconds by cell key, in the order in which they start; None where nothing is known.
        paces: what they are computed from, by the same keys.
        labels: the method of every cell.
        jobs: cells at a time.
    """

    cells: dict[str, float | None]
    paces: dict[str, Pace]
    labels: dict[str, str]
    jobs: int

    def wall(self, left: Mapping[str, float | None] | None = None) -> float | None:
        """Wall time in seconds when ``jobs`` cells run at a time; None if it is not known of a single cell.

        Args:
            left: seconds left by cell key, for cells that have begun; default all of :attr:`cells`.
        """
        seconds = [value for value in (self.cells if left is None else left).values() if value is not None]
        if not seconds:
            return None
        slots = [0.0] * max(1, self.jobs)
        for value in seconds:
            heapq.heapreplace(slots, slots[0] + value)
        return max(slots)

    def sentences(self) -> list[str]:
        """The forecast for a person: how long, and where each part of that is from."""
        if not self.cells:
            return []
        wall, origins = self.wall(), []
        if wall is None:
            names = few_of(self.labels.values())
            return [f"time not known: no earlier cell of {names} at this scale, and nothing timed"]
        for source, words in _WORDS.items():
            methods = [self.labels[key] for key, pace in self.paces.items() if pace.source == source]
            if methods:
                origins.append(f"{words}: {few_of(methods)}")
        if any(pace.rest is None and pace.source != "unknown" for pace in self.paces.values()):
            origins.append("evaluation is not known and not counted")
        return [f"about {duration(wall)} ({'; '.join(origins)})"]


_WORDS: dict[Source, str] = {
    "timed": "from iterations timed just now",
    "earlier": "from earlier cells",
    "kin": "from other options of the same method",
    "unknown": "not known",
}


def few_of(labels: Iterable[str]) -> str:
    """Labels in a sentence, each once; of many the first ones, and how many more there are."""
    names = list(dict.fromkeys(labels))
    if len(names) <= MOST_NAMED:
        return ", ".join(names)
    return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} more"


def duration(seconds: float) -> str:
    """A time span for a person, to two places: ``45 s``, ``12 min``, ``3 h 20 min``, ``5 d 3 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 36:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


Timer = Callable[[Sequence[CellSpec], Execution], dict[Kind, Pace]]
"""Times cells of kinds that the results root knows nothing of; see :func:`gainbench.run.timing.time_cells`."""


def forecast_run(root: Path, started: Sequence[CellSpec], execution: Execution, timer: Timer | None = None) -> Forecast:
    """Forecast what a run's cells will take.

    Args:
        root: the results root; its cells, of whatever suite, say what cells of their kind took.
        started: the cells that will be run, in their order.
        execution: how they will be run; earlier cells count if they used as many threads and devices.
        timer: times the kinds that no earlier cell tells about; None leaves them unknown.
    """
    paces = _earlier(root, execution)
    unknown: dict[Kind, CellSpec] = {}
    for spec in started:
        if (known := paces.get(kind_of(spec))) is None or (known.iteration is None and spec.scale.iterations):
            unknown.setdefault(kind_of(spec), spec)
    if timer is not None and unknown:
        paces |= timer(list(unknown.values()), execution)
    found = {spec.key: _pace(spec, paces) for spec in started}
    return Forecast(
        cells={spec.key: _seconds(root, spec, found[spec.key]) for spec in started},
        paces=found,
        labels={spec.key: spec.method.label for spec in started},
        jobs=execution.jobs,
    )


def _pace(spec: CellSpec, paces: Mapping[Kind, Pace]) -> Pace:
    kind = kind_of(spec)
    if kind in paces:
        return paces[kind]
    same_size = {other: pace for other, pace in paces.items() if other[3:] == kind[3:]}
    kin = [pace for other, pace in same_size.items() if _name(other.method) == spec.method.name]
    if not kin:
        return Pace(None, None, "unknown")
    return Pace(_middle(pace.iteration for pace in kin), _middle(pace.rest for pace in kin), "kin")


def _name(label: str) -> str:
    return label.partition("[")[0]


def _seconds(root: Path, spec: CellSpec, pace: Pace) -> float | None:
    if pace.source == "unknown":
        return None
    folder = cell_folder(root, spec)
    left = 0 if (folder / WEIGHTS).is_file() else spec.scale.iterations - _trained(folder)
    return (pace.iteration or 0.0) * max(0, left) + (pace.rest or 0.0)


def _trained(folder: Path) -> int:
    records = read_log(folder / TRAINING_LOG)
    return int(records[-1]["step"]) if records else 0


@dataclass
class _Seen:
    iterations: list[float] = field(default_factory=list)
    rests: list[float] = field(default_factory=list)


def _earlier(root: Path, execution: Execution) -> dict[Kind, Pace]:
    """The paces of the kinds of which the root holds cells, whichever suite they belong to."""
    seen: dict[Kind, _Seen] = {}
    for path in sorted((root / "cells").glob(f"*/*/{SPEC}")):
        folder, status = path.parent, _json(path.parent / STATUS)
        if not execution.devices and status.get("threads") not in {None, execution.threads}:
            continue
        if (status.get("devices") or 1) != execution.devices_per_cell:
            continue
        try:
            kind = kind_of(CellSpec(**json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError, RecursionError):
            continue  # whoever reads this cell for its numbers will say what is wrong with it
        summary = _json(folder / TRAINING)
        noted = seen.setdefault(kind, _Seen())
        records = [] if summary else read_log(folder / TRAINING_LOG)
        steps, seconds = (
            (summary.get("iterations", 0), summary.get("seconds", 0.0))
            if summary
            else (records[-1]["step"], records[-1]["seconds"])
            if records
            else (0, 0.0)
        )
        taken = _json(folder / TAKEN)
        if isinstance(elsewhere := taken.get("evaluation_seconds"), float):
            noted.rests.append(elsewhere)
        if steps:
            noted.iterations.append(seconds / steps)
        # Of a cell that took several attempts, the last one's time says nothing about the whole.
        if not taken and (folder / RESULT).is_file() and status.get("state") == "done" and status.get("attempts") == 1:
            noted.rests.append(max(0.0, status.get("seconds", 0.0) - seconds))
    return {
        kind: Pace(_middle(noted.iterations), _middle(noted.rests), "earlier")
        for kind, noted in seen.items()
        if noted.iterations or noted.rests
    }


def _middle(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return median(known) if known else None


def _json(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}

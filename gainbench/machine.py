"""What verbs say to programs: plain values that become the JSON of ``--json``."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gainbench.run.layout import LOG, cell_folder
from gainbench.run.status import CellStatus, read_progress
from gainbench.run.store import StoredCell
from gainbench.spec import CellSpec

if TYPE_CHECKING:
    from gainbench.reference.build import Built
    from gainbench.reference.reproduction import Reproduction
    from gainbench.report import ReportPaths
    from gainbench.report.comparison import Comparison
    from gainbench.report.folders import FolderReport
    from gainbench.run.check import Verdict
    from gainbench.run.forecast import Forecast
    from gainbench.run.grid import SuiteRun
    from gainbench.run.inpaint import Inpainted
    from gainbench.run.planned import Plan


def plan_record(plan: "Plan", forecast: "Forecast") -> dict[str, Any]:
    """A plan: the suite as it would be run, and every cell with its stage and the seconds it should take."""
    resolved = plan.resolved
    return {
        "suite": resolved.folder_name,
        "question": resolved.suite.question,
        "scale": resolved.scale.model_dump(mode="json"),
        "metrics": list(resolved.suite.metrics),
        "notes": [*resolved.narrowed, *resolved.footnotes],
        "datasets": {name: record.model_dump(mode="json") for name, record in resolved.datasets.items()},
        "seconds": forecast.wall(),
        "cells": [
            _named(cell.spec)
            | {
                "stage": cell.stage,
                "reference": None if cell.reference is None else cell.reference.kind,
                "state": cell.stored.status.state,
                "folder": str(cell.stored.folder),
                "seconds": forecast.cells.get(cell.spec.key),
                "seconds_from": pace.source if (pace := forecast.paces.get(cell.spec.key)) is not None else None,
            }
            for cell in plan.cells
        ],
    }


def status_record(suites: Mapping[str, Sequence[StoredCell]]) -> dict[str, Any]:
    """How every cell of some suites stands, by suite."""
    return {name: [_stood(cell) for cell in cells] for name, cells in suites.items()}


def _stood(cell: StoredCell) -> dict[str, Any]:
    progress = read_progress(cell.folder) if cell.status.state == "running" else None
    return (
        _named(cell.spec)
        | _ended(cell.status)
        | {"folder": str(cell.folder), "progress": None if progress is None else asdict(progress)}
    )


def run_record(run: "SuiteRun", paths: "ReportPaths", reproduced: "Reproduction | None" = None) -> dict[str, Any]:
    """How a run ended: every cell with its final status, and where everything lies."""
    root, started = run.plan.root, {spec.key for spec in run.started}
    return {
        "suite": run.plan.resolved.folder_name,
        "root": str(root),
        "unfinished": len(run.unfinished),
        "cells": [
            _named(cell.spec)
            | _ended(status)
            | {
                "started": cell.spec.key in started,
                "folder": str(cell.stored.folder),
                "log": str(cell_folder(root, cell.spec) / LOG),
            }
            for cell, status in zip(run.plan.cells, run.statuses, strict=True)
        ],
        "report": report_record(paths),
        "reproduction": None if reproduced is None else reproduced.record(),
    }


def report_record(paths: "ReportPaths") -> dict[str, Any]:
    """What a report consists of."""
    return {
        "html": str(paths.html),
        "tables": [str(path) for path in paths.tables],
        "plots": [str(path) for path in paths.plots],
        "gallery": [str(path) for path in paths.gallery],
    }


def reference_record(built: "Built") -> dict[str, Any]:
    """What reference results hold."""
    return {
        "folder": str(built.folder),
        "bytes": built.size,
        "cells": {name: entry.model_dump(mode="json") for name, entry in built.entries.items()},
        "unfinished": list(built.unfinished),
        "left_out": list(built.left_out),
    }


def comparison_record(comparison: "Comparison") -> dict[str, Any]:
    """Every difference between two sets of results at full precision."""
    return {
        "regressions": len(comparison.regressions),
        "entries": [_finite(asdict(entry)) for entry in comparison.entries],
    }


def verdicts_record(verdicts: "Sequence[Verdict]") -> dict[str, Any]:
    """What a method's check found."""
    return {
        "passed": all(verdict.passed for verdict in verdicts),
        "verdicts": [asdict(verdict) for verdict in verdicts],
    }


def filled_record(done: "Sequence[Inpainted]") -> list[dict[str, Any]]:
    """What became of every picture whose holes were to be filled."""
    return [
        {
            "image": str(item.image),
            "mask": str(item.mask),
            "output": None if item.output is None else str(item.output),
            "problem": item.problem or None,
        }
        for item in done
    ]


def scores_record(report: "FolderReport") -> dict[str, Any]:
    """What folders of pictures scored, all holes pooled and by hole area and border class, at full precision."""
    numbers = [
        asdict(place) | {"method": method, "interval": asdict(score.interval), "best": score.best, "tied": score.tied}
        for place, found in report.scores.items()
        for method, score in found.items()
    ]
    numbers = [entry | {"interval": _finite(entry["interval"])} for entry in numbers]
    sets = [
        asdict(place) | {"method": method, "value": score.value, "n": score.n}
        for place, found in report.set_scores.items()
        for method, score in found.items()
    ]
    return {
        "scores": numbers,
        "set_scores": sets,
        "missing": report.missing,
        "left_out": {one.name: one.reason for one in report.unpaired},
        "notes": list(report.tables[0].notes),
        "files": [str(path) for path in report.files],
    }


def _named(spec: CellSpec) -> dict[str, Any]:
    return {"dataset": spec.dataset, "method": spec.method.label, "seed": spec.seed, "key": spec.key}


def _ended(status: CellStatus) -> dict[str, Any]:
    return status.model_dump(mode="json", include={"state", "cause", "log_tail", "signal", "attempts", "seconds"})


def _finite(value: Any) -> Any:
    """JSON has no NaN: what could not be computed is null."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124 - only NaN differs from itself

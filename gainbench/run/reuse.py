"""What an earlier attempt left of a cell, and what of it can be used."""

from typing import Literal

from gainbench.assets import available
from gainbench.evaluation.metrics.catalogue import METRICS
from gainbench.run.layout import WEIGHTS, half_trained
from gainbench.run.store import StoredCell
from gainbench.spec import CellResult, CellSpec

Stage = Literal["done", "evaluate", "resume", "new"]
"""``done``: nothing to do. ``evaluate``: trained, to be evaluated (again). ``resume``: goes on from a checkpoint."""


def stage(cell: StoredCell) -> Stage:
    """How far a cell got in earlier attempts."""
    if cell.result is not None and (_rows_alone(cell) or not lacking(cell.spec, cell.result)):
        return "done"
    if cell.result is not None or (cell.folder / WEIGHTS).is_file():
        return "evaluate"
    return "resume" if half_trained(cell.folder) else "new"


def _rows_alone(cell: StoredCell) -> bool:
    """Whether there is nothing to evaluate: reference rows without weights. A training would make other rows."""
    return cell.taken is not None and cell.taken.kind == "rows"


def lacking(spec: CellSpec, result: CellResult) -> tuple[str, ...]:
    """What a finished cell is asked for now and does not have: metric ids, and ``samples``.

    A metric that could not be computed for want of weights is lacking only once they can be had without a download.
    """
    metrics = [
        metric
        for metric in spec.metrics
        if metric not in result.metrics and (metric not in result.missing or _weights_at_hand(metric))
    ]
    return (*metrics, *(["samples"] if spec.samples > result.spec.samples else []))


def _weights_at_hand(metric: str) -> bool:
    asset = METRICS[metric].asset
    return asset is not None and available(asset)

"""The reproduction check: do committed weights give the committed numbers on this machine?

Of every cell whose weights were taken from reference results and evaluated here, and of every method that is not
trained, each number that tables print is compared with the committed one. Rows that were taken as they are say nothing,
and neither does a cell that was trained here: trainings drift apart between machines, and are not compared.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gainbench.atomic import write_json
from gainbench.errors import RunError
from gainbench.evaluation.metrics.catalogue import METRICS
from gainbench.reference.tolerance import tolerance_of
from gainbench.report.alignment import ALL, aligned, chosen_rows
from gainbench.report.analysis import Place, bins_of, borders_of, set_scores_in
from gainbench.run.layout import cell_folder
from gainbench.run.reference import reference_cell, unusable
from gainbench.run.store import StoredCell, StoredResults, read_cell, read_rows, results_of

REPRODUCTION = "reproduction.json"

Means = dict[tuple[Place, str], float]
"""(place, method) -> the number that tables print there."""


@dataclass(frozen=True)
class Deviation:
    """One number of a table, here and as committed."""

    place: Place
    method: str
    here: float
    committed: float

    @property
    def difference(self) -> float:
        """How far apart they are, in the metric's unit."""
        return abs(self.here - self.committed)

    @property
    def allowed(self) -> float:
        """How far apart they may be."""
        return tolerance_of(self.place.metric).of(self.committed)

    @property
    def share(self) -> float:
        """The difference as a share of what is allowed."""
        return self.difference / self.allowed if self.allowed else float("inf") if self.difference else 0.0

    def __str__(self) -> str:
        place = self.place
        where = ", ".join((place.dataset, self.method, f"holes: {place.bin}", f"border: {place.border}"))
        return f"{place.metric} {self.here:.6g}, committed {self.committed:.6g}, allowed {self.allowed:.2g} ({where})"


@dataclass(frozen=True)
class Reproduction:
    """What the check found.

    Attributes:
        reference: the folder of the reference results.
        cells: how many were compared.
        numbers: how many numbers of tables were.
        worst: by metric, the largest share of what is allowed.
        problems: what makes cells incomparable, one sentence each.
    """

    reference: Path
    cells: int
    numbers: int
    worst: dict[str, Deviation]
    problems: tuple[str, ...]

    @property
    def largest(self) -> Deviation | None:
        """The number that differs most, measured by what is allowed."""
        return max(self.worst.values(), key=lambda one: one.share, default=None)

    @property
    def holds(self) -> bool:
        """Whether everything could be compared and nothing differs by more than is allowed."""
        return not self.problems and all(one.share <= 1 for one in self.worst.values())

    def sentence(self) -> str:
        """The verdict for a person."""
        if self.problems:
            return f"not reproduced: {'; '.join(self.problems)}"
        if self.largest is None:
            return "not reproduced: there is no number to compare"
        exceeded = [str(one) for one in self.worst.values() if one.share > 1]
        counted = f"{self.numbers:,} numbers of {self.cells} cells"
        if exceeded:
            return f"not reproduced, {counted} compared with {self.reference}: {'; '.join(exceeded)}"
        return (
            f"reproduced: {counted} compared with {self.reference}, the largest difference is "
            f"{100 * self.largest.share:.2g} % of what is allowed: {self.largest}"
        )

    def save(self, folder: Path) -> Path:
        """Write ``reproduction.json`` into a suite's folder."""
        path = folder / REPRODUCTION
        write_json(path, self.record())
        return path

    def record(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "holds": self.holds,
            "sentence": self.sentence(),
            "cells": self.cells,
            "numbers": self.numbers,
            "problems": list(self.problems),
            "worst": [
                {
                    "metric": metric,
                    "dataset": one.place.dataset,
                    "method": one.method,
                    "bin": one.place.bin,
                    "border": one.place.border,
                    "here": one.here,
                    "committed": one.committed,
                    "difference": one.difference,
                    "allowed": one.allowed,
                }
                for metric, one in self.worst.items()
            ],
        }


def reproduction(stored: StoredResults, reference: Path) -> Reproduction | None:
    """Compare what was evaluated here with reference results.

    A method's number is compared over the seeds that can be: in a table that also has seeds with rows alone, the
    printed mean is over more.

    Args:
        stored: a suite's results.
        reference: the folder of the reference results.

    Returns:
        None if no cell of the suite was evaluated here and is in the reference.

    Raises:
        RunError: files of either are damaged.
    """
    cells = [cell for cell in stored.cells if _evaluated_here(cell, reference)]
    if not cells:
        return None
    problems, here, there = [], [], []
    for cell in cells:
        committed = _committed(reference, cell)
        if problem := _incomparable(cell, committed):
            problems.append(problem)
        else:
            here.append(cell)
            there.append(committed)
    found, expected = (_means(results_of(some, stored.root, stored.resolved)) for some in (here, there))
    worst: dict[str, Deviation] = {}
    both = [of for of in expected if of in found]  # a metric that one side alone has is no difference
    for place, method in both:
        one = Deviation(place, method, found[place, method], expected[place, method])
        if place.metric not in worst or one.share > worst[place.metric].share:
            worst[place.metric] = one
    return Reproduction(reference, len(here), len(both), worst, tuple(problems))


def _evaluated_here(cell: StoredCell, reference: Path) -> bool:
    if cell.result is None or (entry := reference_cell(reference, cell.spec)) is None:
        return False
    return cell.taken == entry if entry.kind == "weights" else cell.taken is None and entry.kind == "untrained"


def _committed(reference: Path, cell: StoredCell) -> StoredCell:
    try:
        committed = read_cell(reference, cell.spec)
        if committed.result is not None:
            read_rows(committed.folder, committed.result)
    except RunError as error:
        raise unusable(cell_folder(reference, cell.spec), str(error).partition(";")[0]) from error
    return committed


def _incomparable(cell: StoredCell, committed: StoredCell) -> str:
    if cell.result is None or committed.result is None:
        return f"{cell.spec.folder_name} has no committed result"
    holes = [one.result.pairing_sha256[:12] for one in (cell, committed) if one.result is not None]
    if holes[0] != holes[1]:
        return f"{cell.spec.folder_name} was evaluated on other holes, pairing {holes[0]} instead of {holes[1]}"
    return ""


def _means(results: StoredResults) -> Means:
    """Every number of a metric that tables of some results print, without intervals."""
    found: Means = {}
    for place, scores in set_scores_in(results.set_metrics):
        found |= {(place, method): score.value for method, score in scores.items()}
    for dataset in dict.fromkeys(results.rows["dataset"]):
        rows = results.rows[results.rows["dataset"] == dataset]
        block = aligned(rows, [metric for metric in METRICS if metric in rows], list(dict.fromkeys(rows["method"])))
        for border in borders_of(rows):
            for bin_ in (*bins_of(rows), ALL):
                chosen = chosen_rows(block, bin_, border)
                for method, numbers in block.numbers.items():
                    of_rows = numbers.mean(axis=0)[chosen]  # NaN unless every seed has a value, as for intervals
                    for metric, column in zip(block.metrics, of_rows.T, strict=True):
                        if (values := column[~np.isnan(column)]).size:
                            found[Place(dataset, metric, bin_, border), method] = float(values.mean())
    return found

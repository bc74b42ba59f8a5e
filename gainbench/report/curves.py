"""Training curves: every loss term that a trained method logged, against its iterations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, SymmetricalLogLocator
from numpy.typing import NDArray

from gainbench.errors import ReportError
from gainbench.report.analysis import Analysis
from gainbench.report.direct_labels import LABEL_GAP, LEADER, label_ends, label_width
from gainbench.report.figures import PlotFiles, comma_separated, write_plot
from gainbench.report.numbers import count
from gainbench.report.palette import INK, Style, method_styles
from gainbench.run.layout import TRAINING_LOG
from gainbench.run.store import StoredCell
from gainbench.training.log import read_log

POINTS = 120
"""Points of a curve at most: neighbours are averaged, so that a long training stays a small file."""

NORM = "/gradient_norm"
"""Logged beside the losses, and no loss."""

LINEAR = 0.01
"""Up to here the axis is linear, as adversarial losses fall below zero; beyond it is logarithmic."""

LEFT, PANEL, TOP, HEIGHT, DOWN, BOTTOM, ACROSS = 0.62, 2.3, 0.4, 1.7, 0.72, 0.78, 2
"""Inches: tick labels, a panel, title, panel height, between rows, axis label and footer; panels side by side."""

DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1, 1.2)),
    (0, (5, 1.2, 1, 1.2)),
    (0, (8, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
)

CSV_COLUMNS = ("method", "seed", "term", "iteration", "value")


@dataclass(frozen=True)
class Curve:
    """One loss term of one cell: iterations and values."""

    method: str
    seed: int
    term: str
    steps: NDArray[np.float64]
    values: NDArray[np.float64]


def write_curves(analysis: Analysis, folder: Path) -> list[PlotFiles]:
    """One figure for each data set on which something was trained: a panel for each method."""
    written = []
    for dataset in analysis.datasets:
        curves = [
            curve
            for method in analysis.drawn
            for cell in analysis.cells(dataset, method)
            for curve in cell_curves(cell)
        ]
        if curves:
            plot = write_plot(
                partial(_drawn, analysis, dataset, curves),
                comma_separated(CSV_COLUMNS, _numbers(curves)),
                folder,
                f"{dataset}-training",
                dataset=dataset,
                kind="training",
                metric="",
                text=f"loss terms of every trained method on {dataset} against iterations",
            )
            written.append(plot)
    return written


def cell_curves(cell: StoredCell) -> list[Curve]:
    """The loss terms of a cell, finished or not; none where nothing was trained.

    Raises:
        ReportError: a log without steps.
    """
    path = cell.folder / TRAINING_LOG
    records = read_log(path)
    try:
        terms = list(dict.fromkeys(name for record in records for name in record))
        found = []
        for term in terms:
            if term not in {"step", "seconds"} and not term.endswith(NORM):
                pairs = [(record["step"], record[term]) for record in records if term in record]
                steps, values = np.array(pairs, dtype=np.float64).T
                found.append(Curve(cell.spec.method.label, cell.spec.seed, term, *_thinned(steps, values)))
    except (KeyError, TypeError, ValueError) as error:
        raise ReportError(f"{path} cannot be read ({error!r}); delete it: tables do not need it") from error
    return found


def _thinned(
    steps: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most POINTS points, each the mean of its neighbours."""
    if len(steps) <= POINTS:
        return steps, values
    edges = np.linspace(0, len(steps), POINTS + 1).astype(int)[:-1]
    sizes = np.diff([*edges, len(steps)])
    return np.add.reduceat(steps, edges) / sizes, np.add.reduceat(values, edges) / sizes


def _drawn(analysis: Analysis, dataset: str, curves: Sequence[Curve]) -> Figure:
    by_method: dict[str, list[Curve]] = {}
    for curve in curves:
        by_method.setdefault(curve.method, []).append(curve)
    styles = method_styles(analysis.methods)
    names = max(label_width(curve.term) for curve in curves) + LEADER + 0.1
    across = min(ACROSS, len(by_method))
    down = -(-len(by_method) // across)
    most = max(len({curve.term for curve in own}) for own in by_method.values())
    height = max(HEIGHT, LABEL_GAP * most)
    width = across * (LEFT + PANEL + names)
    total = TOP + down * height + (down - 1) * DOWN + BOTTOM
    figure = Figure(figsize=(width, total))
    for place, (method, own) in enumerate(by_method.items()):
        line, column = divmod(place, across)
        bottom = total - TOP - (line + 1) * height - line * DOWN
        left = column * (LEFT + PANEL + names) + LEFT
        axes = figure.add_axes((left / width, bottom / total, PANEL / width, height / total))
        terms = list(dict.fromkeys(curve.term for curve in own))
        for curve in own:
            dashes = DASHES[terms.index(curve.term) % len(DASHES)]
            # A term that was logged once is a point.
            marker = "o" if len(curve.steps) == 1 else ""
            axes.plot(
                curve.steps, curve.values, color=styles[method].colour, linestyle=dashes, linewidth=1.2, marker=marker,
                markersize=3,
            )  # fmt: skip
        axes.set_yscale("symlog", linthresh=LINEAR)
        axes.yaxis.set_major_locator(_decades(own))
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(lambda value, _place: count(value))
        axes.tick_params(length=0, labelsize=8)
        axes.minorticks_off()
        axes.grid(axis="y")
        axes.set_title(method, loc="left", fontsize=10, color=styles[method].colour, pad=8, y=1.0)
        if line == down - 1 or place + across >= len(by_method):
            axes.set_xlabel("iterations", labelpad=4)
        ends = {curve.term: float(curve.values[-1]) for curve in own}
        plain = {term: Style(styles[method].colour, "", "-") for term in terms}
        label_ends(axes, ends, plain, width=PANEL, height=height)
    text = f"{dataset}: loss terms as logged, each method by its own losses; not comparable between methods."
    figure.text(0.1 / width, 0.06 / total, text, fontsize=7.5, va="bottom", color=INK)
    return figure


def _decades(curves: Sequence[Curve]) -> SymmetricalLogLocator:
    locator = SymmetricalLogLocator(base=10, linthresh=LINEAR)
    largest = max(float(np.abs(curve.values).max()) for curve in curves)
    locator.set_params(numticks=6 if largest > 1 else 5)
    return locator


def _numbers(curves: Sequence[Curve]) -> Iterator[Sequence[Any]]:
    for curve in curves:
        for step, value in zip(curve.steps.tolist(), curve.values.tolist(), strict=True):
            yield (curve.method, curve.seed, curve.term, step, value)

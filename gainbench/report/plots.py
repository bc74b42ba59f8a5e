"""Each metric against the size of the hole, with intervals: SVG, PNG, and the CSV behind them.

The upper panel shows the values. Methods differ far less than bins do, so the lower panel shows what the question asks:
the paired difference of each method to one of them, the best over all holes, with its interval.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainbench.evaluation.metrics.catalogue import MetricInfo
from gainbench.report.analysis import ALL, Analysis, Place, best_method
from gainbench.report.direct_labels import LABEL_GAP, LEADER, label_ends, label_width
from gainbench.report.figures import NAN, PlotFiles, comma_separated, write_plot
from gainbench.report.notes import FLOOR_LABEL, resampled
from gainbench.report.numbers import count, percent
from gainbench.report.palette import INK, Style, method_styles

DODGE = 0.5
"""Share of a bin's width over which differences are spread, so that intervals do not hide one another."""

LEFT, PANEL = 0.62, 3.5
"""Inches from left to right: tick labels, a panel; then come leader and names."""

TOP, HEIGHT, BETWEEN, BOTTOM, LINE = 0.4, 2.1, 0.62, 0.54, 0.16
"""Inches from top to bottom: title, panel (at least), between panels, axis label, a line of the footer."""

FOOTER_SIZE = 7.5

CSV_COLUMNS = (
    "method",
    "bin",
    "value",
    "low",
    "high",
    "n",
    "reference",
    "difference",
    "difference_low",
    "difference_high",
)


@dataclass(frozen=True)
class Line:
    """What one method draws: numbers by bin, NaN where there are none."""

    values: list[float]
    low: list[float]
    high: list[float]
    n: list[int]


def write_plots(analysis: Analysis, folder: Path) -> list[PlotFiles]:
    """Draw every metric of every data set that has more than one bin.

    Returns:
        The files of each figure, in the tables' order.
    """
    return [
        _write(analysis, dataset, info, folder)
        for dataset in analysis.datasets
        if len(analysis.bins(dataset)) > 1
        for info in [*analysis.metrics(dataset, "picture"), *analysis.metrics(dataset, "set")]
        if metric_lines(analysis, dataset, info.id)
    ]


def _write(analysis: Analysis, dataset: str, info: MetricInfo, folder: Path) -> PlotFiles:
    lines = metric_lines(analysis, dataset, info.id)
    reference, gaps = difference_lines(analysis, dataset, info.id)
    shown = f"{info.label} of every method on {dataset} by hole area"
    return write_plot(
        partial(_drawn, analysis, dataset, info, lines=lines, reference=reference, gaps=gaps),
        comma_separated(CSV_COLUMNS, _numbers(analysis.bins(dataset), lines, gaps, reference)),
        folder,
        f"{dataset}-{info.id}",
        dataset=dataset,
        kind="metric",
        metric=info.id,
        text=f"{shown}, and the paired difference to {reference}" if gaps else shown,
    )


def metric_lines(analysis: Analysis, dataset: str, metric: str) -> dict[str, Line]:
    """Method -> its values by bin, border classes pooled."""
    places = [Place(dataset, metric, bin_, ALL) for bin_ in analysis.bins(dataset)]
    lines = {}
    for method in analysis.drawn:
        scores = [analysis.scores.get(place, {}).get(method) for place in places]
        sets = [analysis.set_scores.get(place, {}).get(method) for place in places]
        if any(sets):
            values = [one.value if one else NAN for one in sets]
            lines[method] = Line(values, [NAN] * len(sets), [NAN] * len(sets), [one.n if one else 0 for one in sets])
        elif any(scores):
            intervals = [score.interval if score else None for score in scores]
            lines[method] = Line(
                [one.value if one else NAN for one in intervals],
                [one.low if one else NAN for one in intervals],
                [one.high if one else NAN for one in intervals],
                [one.n if one else 0 for one in intervals],
            )
    return lines


def difference_lines(analysis: Analysis, dataset: str, metric: str) -> tuple[str, dict[str, Line]]:
    """The best method drawn, over all holes, and every other's paired difference to it by bin; empty without a best."""
    everyone = analysis.scores.get(Place(dataset, metric, ALL, ALL), {})
    pooled = {method: score for method, score in everyone.items() if method in analysis.drawn}
    best = best_method({method: score.interval for method, score in pooled.items()}, metric, analysis.oracles)
    if best is None:
        return "", {}
    bins = analysis.bins(dataset)
    found = analysis.differences_to(best, dataset, metric)
    lines = {}
    for method in pooled:
        if method != best:
            gaps = [found[bin_].get(method) for bin_ in bins]
            lines[method] = Line(
                [gap.value if gap else NAN for gap in gaps],
                [gap.low if gap else NAN for gap in gaps],
                [gap.high if gap else NAN for gap in gaps],
                [gap.n if gap else 0 for gap in gaps],
            )
    return best, lines


def _drawn(
    analysis: Analysis,
    dataset: str,
    info: MetricInfo,
    *,
    lines: Mapping[str, Line],
    reference: str,
    gaps: Mapping[str, Line],
) -> Figure:
    bins = analysis.bins(dataset)
    styles = method_styles(analysis.methods)
    floors = [_floor(analysis, Place(dataset, info.id, bin_, ALL)) for bin_ in bins]
    names = [*lines, FLOOR_LABEL] if np.isfinite(floors).any() else [*lines]
    width = LEFT + PANEL + LEADER + max(map(label_width, names)) + 0.08
    text = [
        line
        for sentence in _footer(analysis, dataset, info, lines)
        for line in textwrap.wrap(sentence, int(width / 0.061))
    ]
    height = max(HEIGHT, LABEL_GAP * len(names))
    panels = 2 if gaps else 1
    total = TOP + panels * height + (panels - 1) * BETWEEN + BOTTOM + LINE * len(text)
    figure = Figure(figsize=(width, total))
    values = _panel(figure, 0, height, bins, last=not gaps)
    _title(values, f"{info.label}, {info.direction} is better")
    values.plot(range(len(bins)), floors, color=INK, linewidth=1, linestyle=(0, (1, 2)))
    _draw_lines(values, lines, styles, dodge=0.0)
    ends = {method: _last(line.values) for method, line in lines.items()} | {FLOOR_LABEL: _last(floors)}
    label_ends(values, ends, styles, width=PANEL, height=height)
    if gaps:
        apart = _panel(figure, 1, height, bins, last=True)
        _title(apart, f"difference to {reference}, {'above' if info.direction == 'lower' else 'below'} 0 is worse")
        apart.axhline(0, color=styles[reference].colour, linewidth=1.2)
        _draw_lines(apart, gaps, styles, dodge=DODGE)
        ends = {method: _last(line.values) for method, line in gaps.items()} | {reference: 0.0}
        label_ends(apart, ends, styles, width=PANEL, height=height)
    figure.text(0.1 / width, 0.06 / total, "\n".join(text), fontsize=FOOTER_SIZE, va="bottom")
    return figure


def _title(axes: Axes, text: str) -> None:
    # A height of one's own spares matplotlib the search for one.
    axes.set_title(text, loc="left", fontsize=10, color=INK, pad=8, y=1.0)


def _panel(figure: Figure, place: int, panel_height: float, bins: Sequence[str], *, last: bool) -> Axes:
    width, height = figure.get_size_inches()
    bottom = height - TOP - (place + 1) * panel_height - place * BETWEEN
    axes = figure.add_axes((LEFT / width, bottom / height, PANEL / width, panel_height / height))
    axes.set_xlim(-0.5, len(bins) - 0.5)
    axes.set_xticks(range(len(bins)), [percent(bin_) for bin_ in bins])
    axes.tick_params(length=0, labelsize=8)
    if last:
        axes.set_xlabel("hole area, % of the picture", labelpad=4)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    return axes


def _draw_lines(axes: Axes, lines: Mapping[str, Line], styles: Mapping[str, Style], *, dodge: float) -> None:
    shifts = np.linspace(-dodge / 2, dodge / 2, len(lines)) if len(lines) > 1 else np.zeros(1)
    for shift, (method, line) in zip(shifts, lines.items(), strict=True):
        style, places = styles[method], np.arange(len(line.values)) + shift
        axes.plot(
            places, line.values, color=style.colour, linestyle=style.dashes, linewidth=1.2, marker=style.marker,
            markersize=4.5, markeredgewidth=0, zorder=3,
        )  # fmt: skip
        axes.vlines(places, line.low, line.high, color=style.colour, linewidth=1.6, alpha=0.55, zorder=2)


def _last(values: Sequence[float]) -> float:
    return next((value for value in reversed(values) if np.isfinite(value)), NAN)


def _floor(analysis: Analysis, place: Place) -> float:
    floors = [score.floor for score in analysis.set_scores.get(place, {}).values() if score.floor is not None]
    return floors[0] if floors else NAN


def _footer(analysis: Analysis, dataset: str, info: MetricInfo, lines: Mapping[str, Line]) -> list[str]:
    """What a figure that is passed on alone must still say."""
    scale = analysis.stored.resolved.scale
    counts = sorted({n for line in lines.values() for n in line.n if n})
    each = count(counts[0]) if counts[0] == counts[-1] else f"{count(counts[0])} to {count(counts[-1])}"
    drawn = (
        f"95 % BCa intervals over {resampled(analysis, dataset, info.id)}, differences paired"
        if info.per == "picture"
        else "no intervals: one value a set"
    )
    absent = [method for method in analysis.drawn if method not in lines and analysis.cells(dataset, method)]
    budget = f"{scale.size} px, base {scale.base}, {count(scale.iterations)} iterations of batch {scale.batch}"
    sentences = [f"{dataset}, {info.id}, n = {each} a bin, {drawn}.", f"Scale {scale.name}: {budget}."]
    return [" ".join(sentences), *([f"Without numbers: {', '.join(absent)}."] if absent else [])]


def _numbers(
    bins: Sequence[str], lines: Mapping[str, Line], gaps: Mapping[str, Line], reference: str
) -> Iterator[Sequence[Any]]:
    for method, line in lines.items():
        gap = gaps.get(method)
        for place, bin_ in enumerate(bins):
            numbers = (line.values[place], line.low[place], line.high[place], line.n[place])
            beside = (gap.values[place], gap.low[place], gap.high[place]) if gap else (NAN, NAN, NAN)
            yield (method, bin_, *numbers, reference, *beside)

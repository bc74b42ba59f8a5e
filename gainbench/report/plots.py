"""Each metric against the size of the hole, with intervals: SVG, PNG, and the CSV behind them.

The left panel shows the values. Methods differ far less than bins do, so the right panel shows what the question asks:
the paired difference of each method to one of them, the best over all holes, with its interval.
"""

import csv
import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath

from gainbench.atomic import atomic_path, write_text
from gainbench.evaluation.metrics.catalogue import MetricInfo
from gainbench.report.analysis import ALL, Analysis, Place
from gainbench.report.notes import FLOOR_LABEL
from gainbench.report.numbers import count, percent
from gainbench.report.palette import FAINT, INK, RC, Style, method_styles

PNG_DPI = 160

DODGE = 0.5
"""Share of a bin's width over which differences are spread, so that intervals do not hide one another."""

LEFT, PANEL, BETWEEN, LEADER = 0.62, 3.5, 0.72, 0.42
"""Inches from left to right: tick labels, a panel, the space between panels, from the last panel to the labels."""

TOP, HEIGHT, BOTTOM, LINE = 0.42, 2.75, 0.54, 0.16
"""Inches from top to bottom: title, panel (at least), axis label, a line of the footer."""

LABEL_SIZE, FOOTER_SIZE = 8.5, 7.5

LABEL_GAP = 0.17
"""Inches between two direct labels, at least; a panel grows where they would not fit beside it."""

NAN = float("nan")


@dataclass(frozen=True)
class PlotFiles:
    """One figure on disk."""

    dataset: str
    metric: str
    svg: Path
    png: Path
    csv: Path
    description: str
    paired: bool


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
    stem = f"{dataset}-{info.id}"
    svg, png, numbers = (folder / f"{stem}.{ending}" for ending in ("svg", "png", "csv"))
    lines = metric_lines(analysis, dataset, info.id)
    reference, gaps = difference_lines(analysis, dataset, info.id)
    write_text(numbers, _csv(analysis.bins(dataset), lines, gaps, reference))
    with mpl.rc_context(RC):
        figure = _drawn(analysis, dataset, info, lines=lines, reference=reference, gaps=gaps)
        FigureCanvasAgg(figure)
        with atomic_path(svg) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": "gainbench"})
        with atomic_path(png) as temporary:
            figure.savefig(temporary, format="png", dpi=PNG_DPI, metadata={"Software": "gainbench"})
    return PlotFiles(
        dataset=dataset,
        metric=info.id,
        svg=svg,
        png=png,
        csv=numbers,
        description=f"{info.label} of every method on {dataset} by hole area; the numbers are in {numbers.name}",
        paired=bool(gaps),
    )


def metric_lines(analysis: Analysis, dataset: str, metric: str) -> dict[str, Line]:
    """Method -> its values by bin, border classes pooled."""
    places = [Place(dataset, metric, bin_, ALL) for bin_ in analysis.bins(dataset)]
    lines = {}
    for method in analysis.methods:
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
    """The best method over all holes, and every other method's paired difference to it by bin; empty without a best."""
    pooled = analysis.scores.get(Place(dataset, metric, ALL, ALL), {})
    best = next((method for method, score in pooled.items() if score.best), "")
    if not best:
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
    panels, footer = 2 if gaps else 1, _footer(analysis, dataset, info, lines)
    width = LEFT + panels * PANEL + (panels - 1) * BETWEEN + LEADER + max(map(_width, names)) + 0.08
    text = [line for sentence in footer for line in textwrap.wrap(sentence, int(width / 0.061))]
    height = max(HEIGHT, LABEL_GAP * len(names))
    figure = Figure(figsize=(width, TOP + height + BOTTOM + LINE * len(text)))
    values = _panel(figure, 0, height, bins)
    better = "lower is better" if info.direction == "lower" else "higher is better"
    values.set_title(f"{info.label}, {better}", loc="left", fontsize=10, color=INK, pad=10)
    values.plot(range(len(bins)), floors, color=INK, linewidth=1, linestyle=(0, (1, 2)))
    _draw_lines(values, lines, styles, dodge=0.0)
    if gaps:
        apart = _panel(figure, 1, height, bins)
        worse = "above" if info.direction == "lower" else "below"
        apart.set_title(f"difference to {reference}, {worse} 0 is worse", loc="left", fontsize=10, color=INK, pad=10)
        apart.axhline(0, color=styles[reference].colour, linewidth=1.2)
        _draw_lines(apart, gaps, styles, dodge=DODGE)
        _label(apart, {method: _last(line.values) for method, line in gaps.items()} | {reference: 0.0}, styles, height)
    else:
        ends = {method: _last(line.values) for method, line in lines.items()}
        _label(values, ends | {FLOOR_LABEL: _last(floors)}, styles, height)
    figure.text(0.1 / width, 0.06 / figure.get_figheight(), "\n".join(text), fontsize=FOOTER_SIZE, va="bottom")
    return figure


def _panel(figure: Figure, place: int, panel_height: float, bins: Sequence[str]) -> Axes:
    width, height = figure.get_size_inches()
    left = LEFT + place * (PANEL + BETWEEN)
    bottom = 1 - (TOP + panel_height) / height
    axes = figure.add_axes((left / width, bottom, PANEL / width, panel_height / height))
    axes.set_xlim(-0.5, len(bins) - 0.5)
    axes.set_xticks(range(len(bins)), [percent(bin_) for bin_ in bins])
    axes.tick_params(length=0, labelsize=8)
    axes.set_xlabel("hole area, % of the picture", labelpad=4)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    return axes


@cache
def _width(label: str) -> float:
    """Inches that a direct label takes."""
    return float(TextPath((0, 0), label, size=LABEL_SIZE).get_extents().width) / 72


def _draw_lines(axes: Axes, lines: Mapping[str, Line], styles: Mapping[str, Style], *, dodge: float) -> None:
    shifts = np.linspace(-dodge / 2, dodge / 2, len(lines)) if len(lines) > 1 else np.zeros(1)
    for shift, (method, line) in zip(shifts, lines.items(), strict=True):
        style, places = styles[method], np.arange(len(line.values)) + shift
        axes.plot(
            places, line.values, color=style.colour, linestyle=style.dashes, linewidth=1.2, marker=style.marker,
            markersize=4.5, markeredgewidth=0, zorder=3,
        )  # fmt: skip
        axes.vlines(places, line.low, line.high, color=style.colour, linewidth=1.6, alpha=0.55, zorder=2)


def _label(axes: Axes, ends: Mapping[str, float], styles: Mapping[str, Style], height: float) -> None:
    """Names at the right end of their lines, moved apart where they would overlap, each tied to its end by a leader."""
    bottom, top = axes.get_ylim()
    known = {name: (end - bottom) / (top - bottom) for name, end in ends.items() if np.isfinite(end)}
    names = sorted(known, key=known.__getitem__)
    leader = LEADER / PANEL
    outside: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
    for name, beside in zip(names, spread([known[name] for name in names], LABEL_GAP / height), strict=True):
        style = styles.get(name)
        colour = style.colour if style else INK
        axes.plot([1.0, 1.0 + 0.55 * leader], [known[name], beside], color=FAINT, linewidth=0.8, **outside)
        if style:
            middle = 1.0 + 0.74 * leader
            axes.plot(middle, beside, color=colour, marker=style.marker, markersize=4.5, markeredgewidth=0, **outside)
        axes.text(1.0 + leader, beside, name, color=colour, fontsize=LABEL_SIZE, va="center", **outside)


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move sorted heights in [0, 1] apart until neighbours are at least ``gap`` apart, and no further than needed.

    Overlapping neighbours are merged into groups (pool adjacent violators) that stay around their own mean: the
    least-squares solution, kept within [0, 1] where there is room.
    """
    groups: list[tuple[float, int]] = []
    for place, height in enumerate(heights):
        # Without the gaps the labels only have to stay in order.
        mean, size = height - place * gap, 1
        while groups and groups[-1][0] > mean:
            before, members = groups.pop()
            mean, size = (mean * size + before * members) / (size + members), size + members
        groups.append((mean, size))
    highest = max(0.0, 1.0 - (len(heights) - 1) * gap)
    levels = [min(max(mean, 0.0), highest) for mean, size in groups for _ in range(size)]
    return [level + place * gap for place, level in enumerate(levels)]


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
        "95 % BCa intervals over photographs, differences paired"
        if info.per == "picture"
        else "no intervals: one value a set"
    )
    absent = [method for method in analysis.methods if method not in lines and analysis.cells(dataset, method)]
    budget = f"{scale.size} px, base {scale.base}, {count(scale.iterations)} iterations of batch {scale.batch}"
    sentences = [f"{dataset}, {info.id}, n = {each} a bin, {drawn}.", f"Scale {scale.name}: {budget}."]
    return [" ".join(sentences), *([f"Without numbers: {', '.join(absent)}."] if absent else [])]


def _csv(bins: Sequence[str], lines: Mapping[str, Line], gaps: Mapping[str, Line], reference: str) -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(
        ["method", "bin", "value", "low", "high", "n", "reference", "difference", "difference_low", "difference_high"]
    )
    for method, line in lines.items():
        gap = gaps.get(method)
        for place, bin_ in enumerate(bins):
            numbers: list[Any] = [line.values[place], line.low[place], line.high[place], line.n[place]]
            beside: list[Any] = [gap.values[place], gap.low[place], gap.high[place]] if gap else [NAN] * 3
            texts = ["" if isinstance(one, float) and np.isnan(one) else one for one in (*numbers, reference, *beside)]
            writer.writerow([method, bin_, *texts])
    return written.getvalue()

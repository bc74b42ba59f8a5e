"""Quality against cost: what a method's milliseconds, multiplications and parameters buy."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainbench.evaluation.metrics.catalogue import MetricInfo
from gainbench.report.analysis import ALL, Analysis, Place, Score
from gainbench.report.direct_labels import LABEL_GAP, LEADER, label_ends, label_width
from gainbench.report.figures import NAN, PlotFiles, comma_separated, write_plot
from gainbench.report.notes import resampled
from gainbench.report.numbers import quantity
from gainbench.report.palette import FAINT, INK, Style, method_styles

COSTS = (("ms_per_image_median", "ms a picture"), ("macs", "multiply-accumulates"), ("parameters", "parameters"))

FIDELITY = ("l1_hole", "psnr_rgb", "l1_mean", "l1_rel", "ssim_rgb_g11")
PERCEPTION = ("lpips_alex", "lpips_vgg")
"""What quality is drawn by: the first of each that the suite has."""

LEFT, PANEL, BETWEEN = 0.62, 2.2, 0.2
"""Inches from left to right: tick labels, a panel, between panels; then come leader and names."""

TOP, HEIGHT, ROWS_APART, BOTTOM = 0.4, 1.9, 0.62, 0.82
"""Inches from top to bottom: title, panel (at least), between rows, axis label and footer."""

NONE_APART = 0.7
"""Decades between no cost at all, which a logarithm has no place for, and the least."""

CSV_COLUMNS = ("method", "metric", "value", "low", "high", *(name for name, _ in COSTS))


def write_cost_plots(analysis: Analysis, folder: Path) -> list[PlotFiles]:
    """One figure for each data set with numbers: a row for fidelity and one for perception, a column for each cost."""
    return [
        write_plot(
            partial(_drawn, analysis, dataset, infos, costs),
            comma_separated(CSV_COLUMNS, _numbers(analysis, dataset, costs)),
            folder,
            f"{dataset}-quality-against-cost",
            dataset=dataset,
            kind="cost",
            metric="",
            text=f"{' and '.join(info.label for info in infos)} of every method on {dataset} against milliseconds, "
            "multiply-accumulates and parameters",
        )
        for dataset in analysis.datasets
        if (infos := shown_metrics(analysis, dataset)) and (costs := method_costs(analysis, dataset))
    ]


def shown_metrics(analysis: Analysis, dataset: str) -> list[MetricInfo]:
    """The metrics that stand for fidelity and perception; whatever there is where neither is known."""
    present = {info.id: info for info in analysis.metrics(dataset, "picture")}
    chosen = [next((name for name in family if name in present), None) for family in (FIDELITY, PERCEPTION)]
    return [present[name] for name in chosen if name] or list(present.values())[:1]


def method_costs(analysis: Analysis, dataset: str) -> dict[str, dict[str, float]]:
    """Method -> what its first finished cell cost."""
    costs: dict[str, dict[str, float]] = {}
    for cell in analysis.cells(dataset):
        if cell.result is not None:
            costs.setdefault(cell.spec.method.label, cell.result.cost)
    return {method: costs[method] for method in analysis.drawn if method in costs}


def _scores(analysis: Analysis, dataset: str, metric: str) -> Mapping[str, Score]:
    scores = analysis.scores.get(Place(dataset, metric, ALL, ALL), {})
    return {method: score for method, score in scores.items() if method in analysis.drawn}


def _drawn(
    analysis: Analysis, dataset: str, infos: Sequence[MetricInfo], costs: Mapping[str, Mapping[str, float]]
) -> Figure:
    styles = method_styles(analysis.methods)
    height = max(HEIGHT, LABEL_GAP * len(costs))
    width = LEFT + len(COSTS) * (PANEL + BETWEEN) - BETWEEN + LEADER + max(map(label_width, costs)) + 0.08
    total = TOP + len(infos) * height + (len(infos) - 1) * ROWS_APART + BOTTOM
    figure = Figure(figsize=(width, total))
    for line, info in enumerate(infos):
        scores = _scores(analysis, dataset, info.id)
        for place, (name, label) in enumerate(COSTS):
            left = LEFT + place * (PANEL + BETWEEN)
            bottom = total - TOP - (line + 1) * height - line * ROWS_APART
            axes = figure.add_axes((left / width, bottom / total, PANEL / width, height / total))
            _draw_points(axes, scores, {method: cost.get(name, NAN) for method, cost in costs.items()}, styles)
            axes.tick_params(length=0, labelsize=8, labelleft=place == 0)
            axes.grid(axis="y")
            axes.set_axisbelow(True)
            if line == len(infos) - 1:
                axes.set_xlabel(label, labelpad=4)
            if place == 0:
                axes.set_title(
                    f"{info.label}, {info.direction} is better", loc="left", fontsize=10, color=INK, pad=8, y=1.0
                )
        ends = {method: score.interval.value for method, score in scores.items()}
        label_ends(axes, ends, styles, width=PANEL, height=height)
    scale = analysis.stored.resolved.scale
    of = resampled(analysis, dataset, *(info.id for info in infos))
    drawn = f"All holes, 95 % intervals over {of}; costs of one picture."
    text = f"{dataset}, scale {scale.name}, {scale.size} px. {drawn}"
    figure.text(0.1 / width, 0.06 / total, text, fontsize=7.5, va="bottom")
    return figure


def _draw_points(
    axes: Axes, scores: Mapping[str, Score], costs: Mapping[str, float], styles: Mapping[str, Style]
) -> None:
    logs = {method: math.log10(cost) for method, cost in costs.items() if cost > 0}
    free = [method for method, cost in costs.items() if cost == 0]
    least, most = min(logs.values(), default=0.0), max(logs.values(), default=0.0)
    nothing = least - NONE_APART
    for method, score in scores.items():
        x, interval = logs.get(method, nothing if method in free else NAN), score.interval
        style = styles[method]
        axes.plot(x, interval.value, color=style.colour, marker=style.marker, markersize=5, markeredgewidth=0, zorder=3)
        axes.vlines(x, interval.low, interval.high, color=style.colour, linewidth=1.6, alpha=0.55, zorder=2)
    ticks = _ticks(least, most) if logs else []
    labels = [quantity(10**tick) for tick in ticks]
    if free:
        ticks, labels = [nothing, *ticks], ["0", *labels]
        axes.axvline(least - NONE_APART / 2, color=FAINT, linewidth=0.8)
    axes.set_xticks(ticks, labels)
    axes.set_xlim((nothing if free else least) - 0.35, most + 0.35)
    axes.margins(y=0.08)


def _ticks(least: float, most: float) -> list[float]:
    """Whole decades within reach, a few at most; where there is hardly one, round numbers that do not touch."""
    first, last = math.floor(least - 0.3), math.ceil(most + 0.3)
    step = max(1, math.ceil((last - first) / 4))
    decades = [float(tick) for tick in range(first, last + 1, step) if least - 0.35 <= tick <= most + 0.35]
    if len(decades) > 1:
        return decades
    fine = [decade + math.log10(part) for decade in range(first, last + 1) for part in (1, 2, 5)]
    near = [tick for tick in fine if least - 0.35 <= tick <= most + 0.35]
    return near[:: max(1, math.ceil(len(near) / 3))]


def _numbers(analysis: Analysis, dataset: str, costs: Mapping[str, Mapping[str, float]]) -> Iterator[Sequence[Any]]:
    for info in analysis.metrics(dataset, "picture"):
        for method, score in _scores(analysis, dataset, info.id).items():
            one = score.interval
            spent = [costs.get(method, {}).get(name, NAN) for name, _ in COSTS]
            yield (method, info.id, one.value, one.low, one.high, *spent)

"""The win matrix: every two methods against each other, for each metric, over all holes and by hole size."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from gainbench.evaluation.metrics.catalogue import MetricInfo
from gainbench.report.analysis import ALL, Analysis, Place
from gainbench.report.direct_labels import label_width
from gainbench.report.figures import NAN, PlotFiles, comma_separated, write_plot
from gainbench.report.numbers import probability
from gainbench.report.pairs import Names, Pair
from gainbench.report.palette import FAINT, INK

WIN, LOSS = "#2b6cf0", "#d9730d"
"""Row better, row worse; not separable stays without a colour."""

CELL, TITLE, BETWEEN, MARGIN, FOOTER, ACROSS = 0.44, 0.34, 0.3, 0.12, 0.32, 3
"""Inches: a cell, a title, between matrices, around, below; matrices side by side."""

CSV_COLUMNS = (
    "metric", "bin", "first", "second", "difference", "low", "high", "p_holm", "winner", "n", "photographs"
)  # fmt: skip


def write_pair_plots(analysis: Analysis, folder: Path) -> list[PlotFiles]:
    """One figure for each data set with pairs: a matrix for every metric of single pictures, all holes pooled."""
    written = []
    for dataset in analysis.datasets:
        infos = [
            info
            for info in analysis.metrics(dataset, "picture")
            if any(pair.p is not None for pair in analysis.pairs.get(Place(dataset, info.id, ALL, ALL), {}).values())
        ]
        if infos:
            plot = write_plot(
                partial(_drawn, analysis, dataset, infos),
                comma_separated(CSV_COLUMNS, _numbers(analysis, dataset)),
                folder,
                f"{dataset}-pairs",
                dataset=dataset,
                kind="pairs",
                metric="",
                text=f"which of every two methods is better on {dataset} over all holes, with Holm-adjusted p",
            )
            written.append(plot)
    return written


def ranked_methods(analysis: Analysis, pairs: Mapping[Names, Pair]) -> list[str]:
    """The methods that are compared, in the suite's order."""
    named = {name for names, pair in pairs.items() if pair.p is not None for name in names}
    return [method for method in analysis.methods if method in named]


def _drawn(analysis: Analysis, dataset: str, infos: Sequence[MetricInfo]) -> Figure:
    pooled = {info.id: analysis.pairs[Place(dataset, info.id, ALL, ALL)] for info in infos}
    methods = [
        method for method in analysis.methods if any(method in ranked_methods(analysis, p) for p in pooled.values())
    ]
    names = MARGIN + max(map(label_width, methods)) + 0.1
    side, across = CELL * len(methods), min(ACROSS, len(infos))
    down = -(-len(infos) // across)
    width = MARGIN + across * (names + side) + (across - 1) * BETWEEN + MARGIN
    height = MARGIN + down * (TITLE + 0.24 + side) + (down - 1) * BETWEEN + FOOTER
    figure = Figure(figsize=(width, height))
    for place, info in enumerate(infos):
        line, column = divmod(place, across)
        left = MARGIN + column * (names + side + BETWEEN) + names
        bottom = height - MARGIN - (line + 1) * (TITLE + 0.24 + side) - line * BETWEEN
        axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
        _draw_matrix(axes, info, methods, pooled[info.id])
    text = (
        f"{dataset}, all holes. Blue: the row is better; orange: worse; blank: not separable. Numbers: Holm-adjusted p."
    )
    figure.text(0.1 / width, 0.06 / height, text, fontsize=7.5, va="bottom")
    return figure


def _draw_matrix(axes: Axes, info: MetricInfo, methods: Sequence[str], pairs: Mapping[Names, Pair]) -> None:
    shade = np.zeros((len(methods), len(methods), 4))
    for (row, first), (column, second) in permutations(enumerate(methods), 2):
        pair = pairs.get((first, second)) or pairs.get((second, first))
        if pair is None or pair.p is None:
            continue
        if pair.winner:
            shade[row, column] = to_rgba(WIN if pair.winner == first else LOSS)
        # Both halves share their p: said once, below the diagonal.
        if column < row:
            ink = "#ffffff" if pair.winner else INK
            axes.text(column + 0.5, row + 0.5, probability(pair.p), color=ink, fontsize=6.5, ha="center", va="center")
    edges = np.arange(len(methods))
    places = np.stack(np.meshgrid(edges, edges), axis=-1).reshape(-1, 2)
    corners = np.array([(0.03, 0.03), (0.97, 0.03), (0.97, 0.97), (0.03, 0.97)])
    axes.add_collection(
        PolyCollection(
            [place + corners for place in places], facecolors=shade.reshape(-1, 4), edgecolors=FAINT, linewidths=0.5
        )
    )
    axes.set_xlim(0, len(methods))
    axes.set_ylim(len(methods), 0)
    middles = [place + 0.5 for place in range(len(methods))]
    axes.set_yticks(middles, [f"{method}  {place + 1}" for place, method in enumerate(methods)])
    axes.set_xticks(middles, [str(place + 1) for place in range(len(methods))])
    axes.tick_params(length=0, labelsize=8, labelbottom=False, labeltop=True, pad=2)
    axes.spines[:].set_visible(False)
    axes.set_title(info.label, loc="left", fontsize=10, color=INK, pad=18, y=1.0)


def _numbers(analysis: Analysis, dataset: str) -> Iterator[Sequence[Any]]:
    for info in analysis.metrics(dataset, "picture"):
        for bin_ in [*analysis.bins(dataset), ALL]:
            for (first, second), pair in analysis.pairs.get(Place(dataset, info.id, bin_, ALL), {}).items():
                gap = pair.difference
                p = NAN if pair.p is None else pair.p
                yield (info.id, bin_, first, second, gap.value, gap.low, gap.high, p, pair.winner, gap.n, gap.clusters)

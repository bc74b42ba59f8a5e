"""How holes close inside of a method, step by step: SVG, PNG, and the CSV of the share still hidden behind them.

For methods whose layers carry masks that shrink. Masks are holes and no pictures: they are shown for every data set.
"""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from gainbench.evaluation.shrinkage import Shrinkage
from gainbench.report.analysis import Analysis
from gainbench.report.canvas import Canvas, text_width
from gainbench.report.figures import PlotFiles, comma_separated, write_plot
from gainbench.report.masks import LEGEND_SIZE, Known, draw_legend, mask_pixels, share_text
from gainbench.report.notes import priority_silence, scale_sentence
from gainbench.report.numbers import counted, percent
from gainbench.report.palette import method_styles
from gainbench.run.store import StoredCell

CSV_COLUMNS = ("method", "row", "image_id", "bin", "place", "step", "height", "width", "still_hidden")

MOST_COLUMNS = 11
"""Maps side by side; where more steps change something, some between the first and the last are left out."""

SIDE, GAP, HEADING, BELOW = 0.74, 0.1, 0.22, 0.2
"""Inches: a map, the space between two, a column heading of one line, the share under a map."""

EDGE, TITLE, LINE = 0.1, 0.3, 0.16
"""Inches: around everything, the title, a line of small text."""

LABEL_SIZE, SHARE_SIZE = 8.5, 7.5


@dataclass(frozen=True)
class Strip:
    """One row of the figure: a hole on its way through a method.

    Attributes:
        label: what stands left of it.
        method: the method's label.
        shrinkage: what the cell kept.
        row: place of the hole in it.
    """

    label: str
    method: str
    shrinkage: Shrinkage
    row: int

    def known(self, step: str) -> Known | None:
        """The hole's mask after a step, bool (h, w); None if the method has no such step."""
        steps = self.shrinkage.steps
        return self.shrinkage.known[steps.index(step)][self.row] if step in steps else None


def write_shrinkages(analysis: Analysis, folder: Path) -> list[PlotFiles]:
    """Draw every data set's holes in every method that tells how they close, each with the smallest training seed.

    Raises:
        RunError: a stored file is damaged.
    """
    return [
        _write(analysis, dataset, name, found, folder)
        for dataset in analysis.datasets
        for name, found in _by_name(analysis, dataset).items()
    ]


def strips(analysis: Analysis, dataset: str, found: dict[str, Shrinkage]) -> list[Strip]:
    """The rows of a figure: with one method a hole of each bin, with several the same hole, of the largest bin.

    Args:
        analysis: the suite's results.
        dataset: whose holes.
        found: what each method, by its label, told.
    """
    first = next(iter(found.values()))
    bins = [bin_ for bin_ in analysis.bins(dataset) if bin_ in first.bins]
    if len(found) > 1:
        row = first.rows[first.bins.index(bins[-1])]
        return [
            Strip(label.replace("[", "\n["), label, one, one.rows.index(row))
            for label, one in found.items()
            if row in one.rows
        ]
    ((label, one),) = found.items()
    chosen: list[Strip] = []
    for place, bin_ in enumerate(bins):
        here = [row for row, its in enumerate(one.bins) if its == bin_]
        # Another picture in each row, as far as there are enough.
        chosen.append(Strip(f"{percent(bin_)} %", label, one, here[place % len(here)]))
    return chosen


def shown_steps(rows: Sequence[Strip]) -> tuple[list[str], int]:
    """Which steps become columns, and how many there are until every hole is closed.

    All of these, or some of them, evenly thinned out, where they are too many.
    """
    steps = max((strip.shrinkage.steps for strip in rows), key=len)
    still_open = [place for place, step in enumerate(steps) for strip in rows if not _all_known(strip.known(step))]
    last = min(max(still_open, default=0) + 1, len(steps) - 1)
    places = np.linspace(0, last, min(MOST_COLUMNS, last + 1)).round().astype(int)
    return [steps[place] for place in places], last + 1


def _all_known(known: Known | None) -> bool:
    return known is None or bool(known.all())


def _by_name(analysis: Analysis, dataset: str) -> dict[str, dict[str, Shrinkage]]:
    """Method name -> label -> what its finished cell of the smallest seed kept, if anything."""
    cells = [cell for cell in analysis.cells(dataset) if cell.result is not None]
    first: dict[str, StoredCell] = {}
    for cell in sorted(cells, key=lambda cell: cell.spec.seed):
        first.setdefault(cell.spec.method.label, cell)
    found: dict[str, dict[str, Shrinkage]] = {}
    for label in analysis.drawn:
        if label in first and (shrinkage := first[label].shrinkage()) is not None:
            found.setdefault(first[label].spec.method.name, {})[label] = shrinkage
    return found


def _write(analysis: Analysis, dataset: str, name: str, found: dict[str, Shrinkage], folder: Path) -> PlotFiles:
    return write_plot(
        partial(_drawn, analysis, dataset, name, strips(analysis, dataset, found)),
        comma_separated(CSV_COLUMNS, _numbers(found)),
        folder,
        f"{dataset}-shrinkage-{name}",
        dataset=dataset,
        kind="shrinkage",
        metric="",
        text=f"How holes of {dataset} close inside of {name}, step by step",
    )


def _drawn(analysis: Analysis, dataset: str, name: str, rows: Sequence[Strip]) -> Figure:
    steps, until_closed = shown_steps(rows)
    styles = method_styles(analysis.methods)
    several = len({strip.method for strip in rows}) > 1
    labels = max(text_width(strip.label, LABEL_SIZE) for strip in rows) + 0.16
    title, footer = _words(analysis, dataset, name, rows, (len(steps), until_closed))
    width = max(2 * EDGE + labels + len(steps) * (SIDE + GAP), 6.0)
    lines = [line for sentence in footer for line in textwrap.wrap(sentence, int((width - 2 * EDGE) / 0.061))]
    heading = HEADING + LINE * max(step.count(", ") for step in steps)
    above = EDGE + TITLE + heading
    canvas = Canvas(width, above + len(rows) * (SIDE + BELOW + GAP) + (len(lines) + 1.4) * LINE + EDGE)
    canvas.text(EDGE, EDGE, title, size=10)
    for column, step in enumerate(steps):
        middle = EDGE + labels + column * (SIDE + GAP) + SIDE / 2
        canvas.text(middle, above - 0.06, step.replace(", ", "\n"), size=SHARE_SIZE, ha="center", va="bottom")
    for line, strip in enumerate(rows):
        top = above + line * (SIDE + BELOW + GAP)
        colour = {"color": styles[strip.method].colour} if several else {}
        canvas.text(EDGE, top + SIDE / 2, strip.label, size=LABEL_SIZE, va="center", **colour)
        before = None
        for column, step in enumerate(steps):
            known = strip.known(step)
            if known is not None:
                left = EDGE + labels + column * (SIDE + GAP)
                canvas.picture(mask_pixels(known, before), left, top, SIDE, SIDE)
                canvas.text(left + SIDE / 2, top + SIDE + 0.05, share_text(known), size=SHARE_SIZE, ha="center")
                before = known
    below = above + len(rows) * (SIDE + BELOW + GAP)
    draw_legend(canvas, EDGE, below, since="since the map before")
    canvas.text(EDGE, below + 1.4 * LINE, "\n".join(lines), size=LEGEND_SIZE)
    return canvas.figure


def _words(
    analysis: Analysis, dataset: str, name: str, rows: Sequence[Strip], counts: tuple[int, int]
) -> tuple[str, list[str]]:
    """Title and footer: what a figure that is passed on alone must still say."""
    scale, (shown, until_closed) = analysis.stored.resolved.scale, counts
    strip, every = rows[0], max((one.shrinkage.steps for one in rows), key=len)
    finished = [cell for cell in analysis.cells(dataset, strip.method) if cell.result is not None]
    seed = min(cell.spec.seed for cell in finished)
    if len({one.method for one in rows}) > 1:
        shares = f"{percent(strip.shrinkage.bins[strip.row])} %"
        title = f"How a hole of {shares} of the picture closes inside of {name}"
    else:
        title = f"How holes close inside of {strip.method}, by their share of the picture"
    sentences = [
        "Under each map: the share of its positions that is still hidden.",
        f"{dataset}, training seed {seed}.",
        scale_sentence(scale),
    ]
    if until_closed < len(every):
        rest = counted(len(every) - until_closed, "more step follows", "more steps follow")
        sentences.append(f"Every hole shown is closed after {every[until_closed - 1]}; {rest}.")
    if shown < until_closed:
        sentences.append(f"{shown} of the {until_closed} maps until then are shown.")
    footer = [" ".join(sentences)]
    if silence := priority_silence([name], scale.size):
        footer.append(silence)
    return title, footer


def _numbers(found: dict[str, Shrinkage]) -> Iterator[Sequence[Any]]:
    for label, shrinkage in found.items():
        shares = shrinkage.hidden_share
        for number, row in enumerate(shrinkage.rows):
            for place, (step, known) in enumerate(zip(shrinkage.steps, shrinkage.known, strict=True)):
                identity = (label, row, shrinkage.image_ids[number], shrinkage.bins[number])
                yield (*identity, place, step, *known.shape[1:], shares[number, place])

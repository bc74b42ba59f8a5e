"""One picture on its way through GAIN, as a figure: input, result, recovered gradients, and how the hole closes.

Below the pictures, a row for the encoder and one for every dilation block that had something to fill: left the mask
after each block with the share still hidden, right the priorities by which it chose.
"""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gainbench.report.canvas import Canvas, Pixels, write_figure
from gainbench.report.colour_wheel import vector_pixels, wheel_pixels
from gainbench.report.masks import (
    HIDDEN_COLOUR,
    KNOWN_COLOUR,
    LEGEND_SIZE,
    Known,
    draw_legend,
    mask_pixels,
    share_text,
    striped,
)
from gainbench.report.notes import priority_silence
from gainbench.report.numbers import counted

if TYPE_CHECKING:
    # Loads torch, which drawing needs as little as the report does.
    from gainbench.run.explain import ExplainedStep, Explanation

EDGE, LINE = 0.12, 0.16
"""Inches around everything, and of a line of small text."""

PICTURE, APART, WHEEL = 2.35, 0.3, 1.1
"""Inches: side of a square picture, the space between two, side of the colour wheel."""

MAP, GAP, WORDS, SHARE = 0.82, 0.1, 0.2, 0.24
"""Inches: least width of a map, the space between two, the words above it, the share under it."""

NAMES, BETWEEN = 0.66, 0.36
"""Inches: the rows' names left of the masks, the space between masks and priorities."""

MAPS = 4
"""Masks in a row: the hole and the encoder's three, or a dilation block's convolutions."""

TITLE_SIZE, HEADING_SIZE, SMALL = 10, 8.5, 7.5

LETTER = 0.061
"""Inches of an average small letter."""

LONGEST = 99.0
"""Percentile of the gradients' lengths that gets the wheel's full colour: a few edges would bleach all the others."""

LONGEST_STEM = 60
"""Bytes that the names of picture and mask each have in a figure's name: file systems allow 255 in all."""

PRIORITY_COLOURS = "YlOrRd"
"""From the lowest to the highest priority of a map."""

OUTLINE = "#1d1f23"

RECOVERED = {
    "gradient": "recovered gradient field",
    "canny": "recovered Canny edges",
    "hed": "recovered HED edges",
    "none": "no gradient field",
}


@dataclass(frozen=True)
class _Layout:
    """Inches of pictures and maps, all in the picture's proportions, and where the strip's two halves lie.

    Attributes:
        picture: width and height.
        map: width and height.
        top: of the pictures' names.
    """

    picture: tuple[float, float]
    map: tuple[float, float]
    top: float = EDGE + 0.3

    @classmethod
    def of(cls, hidden: Known) -> "_Layout":
        aspect = hidden.shape[1] / hidden.shape[0]
        # Pictures of any proportions get one area; a map is never narrower than the words above it.
        width = PICTURE * math.sqrt(aspect)
        narrow = MAP * max(1.0, math.sqrt(aspect))
        return cls((width, width / aspect), (narrow, narrow / aspect))

    @property
    def half(self) -> float:
        return MAPS * (self.map[0] + GAP) - GAP

    @property
    def right(self) -> float:
        return EDGE + NAMES + self.half + BETWEEN

    @property
    def width(self) -> float:
        return max(self.right + self.half, EDGE + 3 * (self.picture[0] + APART) + WHEEL) + EDGE

    @property
    def strip(self) -> float:
        return self.top + 0.22 + max(self.picture[1], WHEEL + 0.9) + 0.3

    def row(self, place: int) -> float:
        """Upper edge of a row's words."""
        return self.strip + place * (WORDS + self.map[1] + SHARE)

    def column(self, place: int) -> float:
        """Left edge of a map within its half."""
        return place * (self.map[0] + GAP)


def write_explanation(explanation: "Explanation", folder: Path) -> tuple[Path, Path]:
    """Draw it, and write ``<picture>-<mask>-<method>-<scale>-<digest>.svg`` and ``.png`` atomically.

    The digest tells apart what is explained with other weights, or of files that have these names elsewhere.

    Returns:
        Both paths.
    """
    method = explanation.label.replace("[", "-").replace("]", "").replace(",", "-")
    of = "-".join(_shortened(Path(name).stem) for name in (explanation.name, explanation.mask))
    stem = f"{of}-{method}-{explanation.scale.name}-{explanation.digest}"
    svg, png = folder / f"{stem}.svg", folder / f"{stem}.png"
    write_figure(lambda: _drawn(explanation), svg, png)
    return svg, png


def _shortened(stem: str) -> str:
    return stem.encode()[:LONGEST_STEM].decode(errors="ignore")


def shown_rows(explanation: "Explanation") -> list[list["ExplainedStep"]]:
    """The encoder's steps, then each dilation block's, up to the block that closes the hole."""
    rows: list[list[ExplainedStep]] = []
    for _, steps in groupby(explanation.steps, key=_row_name):
        rows.append(list(steps))
        if rows[-1][-1].known.all():
            break
    return rows


def priority_pixels(priority: NDArray[np.float32], before: Known) -> Pixels:
    """Priorities as shares of the map's largest; known positions and hidden ones out of reach as in the masks.

    Args:
        priority: (h, w), 0 where there was nothing to choose.
        before: bool (h, w), the mask from which the block chose.

    Returns:
        RGBA, uint8 (h, w, 4).
    """
    ground = np.array([to_rgba(HIDDEN_COLOUR), to_rgba(KNOWN_COLOUR)])[before.astype(int)]
    largest = float(priority.max())
    shares = np.clip(priority / largest, 0, 1) if largest > 0 else np.zeros_like(priority)
    colours = np.where((priority > 0)[..., None], mpl.colormaps[PRIORITY_COLOURS](shares), ground)
    pixels: Pixels = (colours * 255).round().astype(np.uint8)
    return pixels


def why_no_priorities(explanation: "Explanation") -> str:
    """Why no priority map can be shown; empty if one can."""
    if explanation.guidance == "none":
        return "Without guidance there is no gradient to rank by: every block fills all that it reaches."
    if explanation.branch != "structure":
        return "Only branch 1 has priorities; here every block fills all that it reaches."
    if explanation.delta == 0:
        return "delta = 0: every block fills all that it reaches, none ranks."
    if all(step.priority is None for step in explanation.steps):
        return "The encoder alone closed the hole: no block had anything to rank."
    return ""


def _row_name(step: "ExplainedStep") -> str:
    """``encoder``, ``block 1`` ..."""
    return step.name.partition(", ")[0] if ", " in step.name else step.name.partition(" ")[0]


def _drawn(explanation: "Explanation") -> Figure:
    layout, rows = _Layout.of(explanation.hidden), shown_rows(explanation)
    footer = _wrapped(_footer(explanation, rows), layout.width - 2 * EDGE)
    below = layout.row(len(rows)) + 0.06
    canvas = Canvas(layout.width, below + 1.5 * LINE + len(footer) * LINE + EDGE)
    canvas.text(EDGE, EDGE, f"{explanation.label}: how the hole in {explanation.name} closes", size=TITLE_SIZE)
    _draw_pictures(canvas, explanation, layout)
    _draw_masks(canvas, explanation, rows, layout)
    _draw_priorities(canvas, explanation, rows, layout)
    draw_legend(canvas, EDGE, below)
    if not why_no_priorities(explanation):
        _draw_scale(canvas, explanation.delta, layout.right, below)
    canvas.text(EDGE, below + 1.5 * LINE, "\n".join(footer), size=LEGEND_SIZE)
    return canvas.figure


def _draw_pictures(canvas: Canvas, explanation: "Explanation", layout: _Layout) -> None:
    (width, height), top = layout.picture, layout.top
    lefts = [EDGE + place * (width + APART) for place in range(3)]
    names = ("input, the hole striped", "completed picture", RECOVERED[explanation.guidance])
    for left, name in zip(lefts, names, strict=True):
        canvas.text(left, top, name, size=HEADING_SIZE)
    top += 0.22
    canvas.picture(striped(explanation.picture, explanation.hidden), lefts[0], top, width, height)
    canvas.picture(explanation.completed, lefts[1], top, width, height)
    left, beside = lefts[2], lefts[2] + width + 0.14
    if explanation.guidance == "none":
        blank = np.zeros((*explanation.hidden.shape, 4), np.uint8)
        canvas.picture(blank, left, top, width, height)
        words = "guidance = none:\nthis twin has one flow,\nit recovers no gradients"
        canvas.text(left + width / 2, top + height / 2, words, size=HEADING_SIZE, ha="center", va="center")
    elif explanation.guidance == "gradient":
        lengths = np.hypot(*np.moveaxis(explanation.recovered, -1, 0))
        longest = float(np.percentile(lengths, LONGEST)) or 1.0
        axes = canvas.picture(vector_pixels(explanation.recovered, longest), left, top, width, height)
        _outline(axes, explanation.hidden)
        _draw_wheel(canvas, beside, top, longest)
    else:
        edges = (255 * (1 - explanation.recovered.clip(0, 1))).round().astype(np.uint8)
        axes = canvas.picture(np.repeat(edges, 3, axis=-1), left, top, width, height)
        _outline(axes, explanation.hidden)
        canvas.text(
            beside, top, "black: 1,\nan edge\nwhite: 0,\nnone\noutlined:\nthe hole", size=SMALL, linespacing=1.4
        )


def _outline(axes: Axes, hidden: Known) -> None:
    axes.contour(hidden, levels=[0.5], colors=[OUTLINE], linewidths=0.7)


def _draw_wheel(canvas: Canvas, left: float, top: float, longest: float) -> None:
    """The legend of the gradient field."""
    side = WHEEL - 0.34
    axes = canvas.axes(left, top, side, side)
    axes.imshow(wheel_pixels(200), interpolation="none", aspect="auto")
    canvas.text(left + side + 0.05, top + side / 2, "x", size=SMALL, va="center")
    canvas.text(left + side / 2, top + side + 0.02, "y", size=SMALL, ha="center")
    words = ("hue: towards", "where it gets", "brighter", f"rim: {longest:.2g} a", "pixel or more", "(gray: -1 to 1)")
    canvas.text(left, top + side + 0.24, "\n".join((*words, "outlined:", "the hole")), size=SMALL, linespacing=1.25)


def _draw_masks(
    canvas: Canvas, explanation: "Explanation", rows: Sequence[Sequence["ExplainedStep"]], layout: _Layout
) -> None:
    width, height = layout.map
    before: Known | None = None
    for line, steps in enumerate(rows):
        upper = layout.row(line) + WORDS
        canvas.text(EDGE, upper + height / 2, _row_name(steps[0]), size=HEADING_SIZE, va="center")
        shown = [(step.operation, step.known) for step in steps]
        if line == 0:
            shown = [("hole", ~explanation.hidden), *shown]
        for column, (name, known) in enumerate(shown):
            left = EDGE + NAMES + layout.column(column)
            middle = left + width / 2
            canvas.text(middle, upper - 0.05, name, size=SMALL, ha="center", va="bottom")
            canvas.picture(mask_pixels(known, before), left, upper, width, height)
            canvas.text(middle, upper + height + 0.04, share_text(known), size=SMALL, ha="center")
            before = known


def _draw_priorities(
    canvas: Canvas, explanation: "Explanation", rows: Sequence[Sequence["ExplainedStep"]], layout: _Layout
) -> None:
    left, top, (width, height) = layout.right, layout.row(0) + WORDS, layout.map
    sentences = [why_no_priorities(explanation) or _priority_words(explanation)]
    # The network sees no less than the scale's square, however small the picture is.
    if silence := priority_silence(["gain"], explanation.scale.size):
        sentences.append(silence)
    canvas.text(left, top - 0.05, "by which priority each block chose", size=HEADING_SIZE, va="bottom")
    canvas.text(left, top, "\n".join(_wrapped(sentences, layout.half)), size=SMALL, linespacing=1.3)
    before = rows[0][-1].known
    for line, steps in enumerate(rows[1:], 1):
        upper = layout.row(line) + WORDS
        for column, step in enumerate(steps):
            if step.priority is not None and not before.all():
                corner = left + layout.column(column)
                canvas.picture(priority_pixels(step.priority, before), corner, upper, width, height)
                largest = float(step.priority.max())
                words = f"largest {largest:.2g}" if largest > 0 else "all 0, plain"
                canvas.text(corner + width / 2, upper + height + 0.04, words, size=SMALL, ha="center")
            before = step.known


def _priority_words(explanation: "Explanation") -> str:
    return (
        "Each map in its own scale: a position's priority as a share of the map's largest. What reaches "
        f"{explanation.delta:g} of it is filled. Blue: hidden, without a priority. Where no position has one, all "
        "within reach are filled."
    )


def _draw_scale(canvas: Canvas, delta: float, left: float, top: float) -> None:
    """The priorities' colours, with a mark where filling begins; a line of text high."""
    width, height = 1.4, 0.1
    canvas.text(left, top, "0", size=LEGEND_SIZE)
    left += 0.12
    colours = mpl.colormaps[PRIORITY_COLOURS](np.linspace(0, 1, 128))[None]
    canvas.picture((colours * 255).round().astype(np.uint8), left, top + 0.02, width, height)
    mark = canvas.axes(left + delta * width - 0.005, top - 0.02, 0.01, height + 0.08)
    mark.axvline(0.5, color=OUTLINE, linewidth=1.4)
    canvas.text(left + width + 0.06, top, f"largest; filled from the mark on ({delta:g})", size=LEGEND_SIZE)


def _footer(explanation: "Explanation", rows: Sequence[Sequence["ExplainedStep"]]) -> list[str]:
    last, rest = rows[-1][-1], len(explanation.steps) - sum(map(len, rows))
    trained = counted(explanation.iterations, "iteration") if explanation.iterations is not None else "unknown"
    sentences = ["Under each mask: the share of its positions that is still hidden."]
    if rest:
        more = counted(rest, "more step follows", "more steps follow")
        sentences.append(f"Closed after {_row_name(last)}; {more}.")
    scale = explanation.scale
    sentences.append(f"Scale {scale.name}: {scale.size} px, base {explanation.base}; training {trained}.")
    return [" ".join(sentences)]


def _wrapped(sentences: Sequence[str], width: float) -> list[str]:
    return [line for sentence in sentences for line in textwrap.wrap(sentence, int(width / LETTER))]

"""A figure on disk: SVG, PNG and the CSV behind it, the same bytes for the same results; and as the page shows it."""

import base64
import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from matplotlib.figure import Figure

from gainbench.atomic import write_text
from gainbench.report.canvas import write_figure
from gainbench.report.palette import INK

NAN = float("nan")

Kind = Literal["metric", "cost", "pairs", "shrinkage", "training"]

FONTS = "'DejaVu Sans', 'Arial', 'Helvetica', sans-serif"
"""As matplotlib writes the fonts of the house's look."""

LIGHT_INK, DARK_INK = "#4b5058", "#b9bec6"
"""Letters and axes on the page, in its light and its dark look; files on disk keep one gray that serves both."""


@dataclass(frozen=True)
class PlotFiles:
    """One figure on disk.

    Attributes:
        dataset: whose numbers.
        kind: which figure of a data set.
        metric: id of the metric drawn; empty where a figure shows several.
        svg: vectors.
        png: pixels.
        csv: the numbers drawn.
        description: what a reader who cannot see it must know.
        width: inches.
        height: inches.
    """

    dataset: str
    kind: Kind
    metric: str
    svg: Path
    png: Path
    csv: Path
    description: str
    width: float
    height: float

    @property
    def paths(self) -> tuple[Path, Path, Path]:
        """The files, vectors first."""
        return self.svg, self.png, self.csv


def write_plot(
    draw: Callable[[], Figure],
    numbers: str,
    folder: Path,
    stem: str,
    *,
    dataset: str,
    kind: Kind,
    metric: str,
    text: str,
) -> PlotFiles:
    """Draw a figure in the house's look and write its three files.

    Args:
        draw: gives the figure; called with the look in force.
        numbers: the CSV.
        folder: where to.
        stem: the files' name.
        dataset: whose numbers.
        kind: which figure.
        metric: id of the metric, or empty.
        text: the description.
    """
    svg, png, table = (folder / f"{stem}.{ending}" for ending in ("svg", "png", "csv"))
    write_text(table, numbers)
    width, height = (float(side) for side in write_figure(draw, svg, png).get_size_inches())
    return PlotFiles(
        dataset=dataset,
        kind=kind,
        metric=metric,
        svg=svg,
        png=png,
        csv=table,
        description=f"{text}; the numbers are in {table.name}",
        width=width,
        height=height,
    )


def comma_separated(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    """A CSV; numbers that do not exist are empty."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(header)
    for line in lines:
        writer.writerow(["" if isinstance(one, float) and math.isnan(one) else one for one in line])
    return written.getvalue()


def page_address(plot: PlotFiles) -> str:
    """The figure as an address that holds it, its letters and axes as dark or light as the page is."""
    look = (
        f"<style>:root{{--ink:{LIGHT_INK}}}text{{font-family:{FONTS}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{--ink:{DARK_INK}}}}}</style>"
    )
    svg = compact(plot.svg.read_text(encoding="utf-8")).replace(INK, "var(--ink)")
    return data_uri(svg.replace("<defs>", f"{look}<defs>", 1).encode(), "image/svg+xml")


def compact(svg: str) -> str:
    """An SVG of matplotlib's without what nobody sees: names of groups, comments, fonts said again, spare digits."""
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg).replace(f"font-family: {FONTS}; ", "")
    svg = re.sub(r' transform="rotate\(-0 [^"]*\)"', "", svg)
    svg = re.sub(
        r' (d|x|y|transform)="[^"]*"', lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]).replace("\n", ""), svg
    )
    return re.sub(r">\s+<", "><", svg)


def data_uri(content: bytes, kind: str) -> str:
    """A file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"

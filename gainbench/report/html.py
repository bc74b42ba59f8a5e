"""One self-contained page: verdict, tables, figures, pictures, and where the numbers come from. It loads nothing.

Its parts lie in ``page/``: templates, one style sheet, one script. The script only sorts tables and picks pictures:
without it, everything is there to read. The page forbids itself, by its own policy, to load or run anything else.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import jinja2
from markupsafe import Markup

import gainbench
from gainbench.atomic import write_text
from gainbench.gain.readings import READINGS
from gainbench.report.analysis import Analysis
from gainbench.report.figures import Kind, PlotFiles, page_address
from gainbench.report.gallery import publishable
from gainbench.report.matrix import Matrix, matrices
from gainbench.report.notes import drawn_sentence, reduced_sentence, scale_sentence
from gainbench.report.numbers import percent, probability
from gainbench.report.pairs import least_p
from gainbench.report.palette import method_styles
from gainbench.report.provenance import cell_origins, commands, dataset_origins, environments
from gainbench.report.tables import ARROWS, LEGACY, Table
from gainbench.report.verdict import Verdict, verdict
from gainbench.report.viewer import BUDGET, ERROR_RANGE, Viewer, viewer

PAGE = Path(__file__).parent / "page"

LARGEST = 2_850_000
"""Bytes of the page: one that can be sent about."""

CSS_PIXELS = 96
"""To an inch."""

LEAST_SHARE = 0.68
"""A figure gets no smaller than this, so that its letters stay legible; a telephone shows the rest by scrolling."""


@dataclass(frozen=True)
class Figure:
    """A figure as the page shows it: the address that holds it, and its files relative to the page."""

    address: str
    description: str
    width: int
    height: int
    least_width: int
    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Section:
    """What the page says of one data set."""

    name: str
    verdict: Verdict
    bins: tuple[str, ...]
    main: Table
    legacy: Table | None
    others: tuple[Table, ...]
    matrices: tuple[Matrix, ...]
    least_p: str
    figures: dict[Kind, tuple[Figure, ...]]
    viewer: Viewer | None = None


def write_html(analysis: Analysis, path: Path, *, tables: Sequence[Table], plots: Sequence[PlotFiles]) -> Path:
    """Write the page.

    Args:
        analysis: the suite's results.
        path: the file to write; figures and tables beside it are linked relative to it.
        tables: every table, each data set's main table first.
        plots: every figure.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    resolved = analysis.stored.resolved
    names = {cell.spec.method.name for cell in analysis.stored.cells}
    script = (PAGE / "report.js").read_text(encoding="utf-8")
    render = partial(
        environment.get_template("report.html").render,
        version=gainbench.__version__,
        resolved=resolved,
        scale=scale_sentence(resolved.scale),
        reduced=reduced_sentence(resolved.scale),
        drawn=drawn_sentence(analysis),
        unfinished=cell_origins(analysis.stored.unfinished),
        styles=method_styles(analysis.methods),
        metrics=analysis.asked_metrics,
        arrows=ARROWS,
        percent=percent,
        error_range=ERROR_RANGE,
        readings=READINGS if "gain" in names else (),
        commands=commands(resolved),
        origins=dataset_origins(analysis),
        cells=cell_origins(analysis.stored.cells),
        environments=environments(analysis.stored.cells),
        suite_json=resolved.suite.model_dump_json(indent=2, exclude_defaults=True),
        # Both are the package's own files, no foreign text among them.
        style=Markup((PAGE / "report.css").read_text(encoding="utf-8")),  # noqa: S704
        script=Markup(script),  # noqa: S704
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    sections = _sections(analysis, path.parent, tables, plots)
    # Galleries share what the rest of the page leaves of its size, however many methods and data sets there are.
    left = min(BUDGET, LARGEST - len(render(sections=sections).encode()))
    galleries = max(1, sum(publishable(analysis, section.name) for section in sections))
    shown = [replace(one, viewer=viewer(analysis, one.name, budget=left // galleries)) for one in sections]
    write_text(path, render(sections=shown))
    return path


def _sections(analysis: Analysis, folder: Path, tables: Sequence[Table], plots: Sequence[PlotFiles]) -> list[Section]:
    sections = []
    # Hundreds of methods in every table make a page of tens of megabytes: what is left out lies beside it.
    whole = len(analysis.drawn) == len(analysis.methods)
    for dataset in analysis.datasets:
        main, *others = [table for table in tables if table.dataset == dataset]
        own = [plot for plot in plots if plot.dataset == dataset]
        sections.append(
            Section(
                name=dataset,
                verdict=verdict(analysis, dataset),
                bins=tuple(analysis.bins(dataset)),
                main=main,
                legacy=next((table for table in others if table.name.endswith(LEGACY)), None),
                others=tuple(table for table in others if not table.name.endswith(LEGACY)) if whole else (),
                matrices=tuple(matrices(analysis, dataset)),
                least_p=probability(least_p(analysis.drawn, analysis.bins(dataset), analysis.oracles)),
                figures={
                    kind: tuple(_figure(plot, folder) for plot in own if plot.kind == kind)
                    for kind in ("metric", "pairs", "cost", "shrinkage", "training")
                },
            )
        )
    return sections


def _figure(plot: PlotFiles, folder: Path) -> Figure:
    files = tuple((path.suffix[1:].upper(), _relative(path, folder)) for path in plot.paths)
    width, height = (round(CSS_PIXELS * side) for side in (plot.width, plot.height))
    return Figure(page_address(plot), plot.description, width, height, round(LEAST_SHARE * width), files)


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name

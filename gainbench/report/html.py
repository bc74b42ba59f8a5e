"""One self-contained page: question, tables, plots, pictures, and where the numbers come from. It loads nothing."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np

import gainbench
from gainbench.atomic import write_text
from gainbench.evaluation.metrics.catalogue import MetricInfo
from gainbench.gain.readings import READINGS
from gainbench.report.analysis import ALL, Analysis, Place
from gainbench.report.gallery import contact_sheet
from gainbench.report.notes import reduced_sentence, scale_sentence
from gainbench.report.numbers import bracket, decimals_of_intervals, fixed
from gainbench.report.palette import method_styles
from gainbench.report.plots import PlotFiles
from gainbench.report.provenance import cell_origins, command, dataset_origins, environments
from gainbench.report.shrinkage import SHRINKAGE_FIGURE
from gainbench.report.tables import ARROWS, Table

TEMPLATE = "template.html"

SHEET_SIDE = 128
"""Pixels of a picture on the page's contact sheet; the sheet beside the page has them whole."""

SHEET_METHODS = 8
"""Methods on one sheet of the page; more would be too small to judge."""

SHEET_QUALITY = 82


@dataclass(frozen=True)
class Finding:
    """One metric over all holes of a data set, in words: who is best and who cannot be told from it."""

    metric: MetricInfo
    arrow: str
    best: str
    value: str
    tied: tuple[str, ...]
    worse: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """What the page says of one data set."""

    name: str
    findings: list[Finding]
    main: Table
    others: list[Table]
    plots: list[tuple[PlotFiles, str]]
    strips: list[tuple[PlotFiles, str]]
    sheets: list[tuple[str, str]]


def write_html(analysis: Analysis, path: Path, *, tables: Sequence[Table], plots: Sequence[PlotFiles]) -> Path:
    """Write the page.

    Args:
        analysis: the suite's results.
        path: the file to write.
        tables: every table, each data set's main table first.
        plots: every figure.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    resolved = analysis.stored.resolved
    names = {cell.spec.method.name for cell in analysis.stored.cells}
    page = environment.get_template(TEMPLATE).render(
        version=gainbench.__version__,
        resolved=resolved,
        scale=scale_sentence(resolved.scale),
        reduced=reduced_sentence(resolved.scale),
        unfinished=cell_origins(analysis.stored.unfinished),
        styles=method_styles(analysis.methods),
        sections=[_section(analysis, dataset, tables, plots) for dataset in analysis.datasets],
        metrics=analysis.asked_metrics,
        arrows=ARROWS,
        readings=READINGS if "gain" in names else (),
        command=command(resolved),
        origins=dataset_origins(analysis),
        cells=cell_origins(analysis.stored.cells),
        environments=environments(analysis.stored.cells),
        suite_json=resolved.suite.model_dump_json(indent=2, exclude_defaults=True),
    )
    write_text(path, page)
    return path


def _section(analysis: Analysis, dataset: str, tables: Sequence[Table], plots: Sequence[PlotFiles]) -> Section:
    main, *others = [table for table in tables if table.dataset == dataset]
    shown = [(one, data_uri(one.svg.read_bytes(), "image/svg+xml")) for one in plots if one.dataset == dataset]
    return Section(
        name=dataset,
        findings=findings(analysis, dataset),
        main=main,
        others=others,
        plots=[pair for pair in shown if pair[0].metric != SHRINKAGE_FIGURE],
        strips=[pair for pair in shown if pair[0].metric == SHRINKAGE_FIGURE],
        sheets=list(_sheets(analysis, dataset)),
    )


def _sheets(analysis: Analysis, dataset: str) -> Iterator[tuple[str, str]]:
    """Contact sheets as (address, description), a few methods on each."""
    methods = [method for method in analysis.methods if analysis.cells(dataset, method)]
    # As even as can be: 18 methods make three sheets of six, not two of eight and one of two.
    sheets = -(-len(methods) // SHEET_METHODS)
    for part in np.array_split(np.array(methods, dtype=object), sheets):
        some = [str(method) for method in part]
        sheet = contact_sheet(analysis, dataset, methods=some, side=SHEET_SIDE, one_a_bin=True)
        if sheet is not None:
            written = io.BytesIO()
            sheet.image.save(written, format="WEBP", quality=SHEET_QUALITY)
            shown = ", ".join(("input", *sheet.methods, "original"))
            yield data_uri(written.getvalue(), "image/webp"), f"{dataset}: {shown}; training seed {sheet.seed}"


def findings(analysis: Analysis, dataset: str) -> list[Finding]:
    """For each metric with at least two ranked methods: the best over all holes, the tied and the separably worse."""
    found = []
    for info in analysis.metrics(dataset, "picture"):
        scores = analysis.scores.get(Place(dataset, info.id, ALL, ALL), {})
        digits = decimals_of_intervals(score.interval for score in scores.values())
        for method, score in scores.items():
            if score.best:
                value = f"{fixed(score.interval.value, digits)} {bracket(score.interval, digits)}".strip()
                compared = {name: other.tied for name, other in scores.items() if other.difference is not None}
                tied = tuple(name for name, is_tied in compared.items() if is_tied)
                worse = tuple(name for name, is_tied in compared.items() if not is_tied)
                found.append(Finding(info, ARROWS[info.direction], method, value, tied, worse))
    return found


def data_uri(content: bytes, kind: str) -> str:
    """A file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"

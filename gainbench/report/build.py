"""Everything a suite's stored results are turned into, in one call."""

from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from gainbench.atomic import remove_leftovers, write_text
from gainbench.errors import ReportError
from gainbench.report.analysis import Analysis
from gainbench.report.cost_plots import write_cost_plots
from gainbench.report.curves import write_curves
from gainbench.report.gallery import write_gallery
from gainbench.report.html import write_html
from gainbench.report.pair_plots import write_pair_plots
from gainbench.report.plots import write_plots
from gainbench.report.render import comma_separated, latex, markdown
from gainbench.report.shrinkage import write_shrinkages
from gainbench.report.tables import Table, all_tables
from gainbench.run.store import StoredResults

KINDS = {
    "tables": {".md", ".csv", ".tex"},
    "plots": {".svg", ".png", ".csv"},
    "gallery": {".png"},
}
"""The folders of a report, and the endings of what is written there."""

LOCK = ".report.lock"
LOCK_SECONDS = 300.0
"""How long to wait for another process that builds the same report."""


@dataclass(frozen=True)
class ReportPaths:
    """What a report consists of.

    Attributes:
        html: the page.
        tables: Markdown, CSV and LaTeX files.
        plots: SVG, PNG and CSV files.
        gallery: contact sheets, of data sets that may be shown.
        main_tables: each data set's main table; ``gainbench.report.terminal.terminal_tables`` makes of them what a
            terminal shows.
    """

    html: Path
    tables: tuple[Path, ...]
    plots: tuple[Path, ...]
    gallery: tuple[Path, ...]
    main_tables: tuple[Table, ...]


def build_report(stored: StoredResults, out: Path) -> ReportPaths:
    """Write tables, plots, gallery and report.html; reads stored results only, computes no picture, loads no torch.

    Args:
        stored: what ``gainbench.run.read_results`` gives; unfinished cells are shown as holes.
        out: folder that gets ``tables/``, ``plots/``, ``gallery/`` and ``report.html``.

    Raises:
        ReportError: the suite has no cells, a stored file is not what it should be, or another process is building
            the same report and does not come to an end.
    """
    if not stored.cells:
        raise ReportError(f"suite {stored.resolved.folder_name} has no cells: there is nothing to report")
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / LOCK, timeout=LOCK_SECONDS):
            return _build(stored, out)
    except Timeout as error:
        raise ReportError(
            f"another process has been building the report in {out} for {LOCK_SECONDS:g} s; wait for it or end it"
        ) from error


def _build(stored: StoredResults, out: Path) -> ReportPaths:
    analysis = Analysis(stored)
    tables = all_tables(analysis)
    plots = [
        plot
        for write in (write_plots, write_pair_plots, write_cost_plots, write_shrinkages, write_curves)
        for plot in write(analysis, out / "plots")
    ]
    gallery = write_gallery(analysis, out / "gallery")
    written = _write_tables(analysis, tables, out / "tables")
    figures = tuple(path for plot in plots for path in plot.paths)
    html = write_html(analysis, out / "report.html", tables=tables, plots=plots)
    _remove_stale(out, {*written, *figures, *gallery})
    return ReportPaths(
        html=html,
        tables=tuple(written),
        plots=figures,
        gallery=tuple(gallery),
        main_tables=tuple(next(table for table in tables if table.dataset == name) for name in analysis.datasets),
    )


def _remove_stale(out: Path, written: set[Path]) -> None:
    """Delete what an earlier report of other data sets or metrics left, so that no old number stands among new ones.

    A report that was killed left temporary files, too.
    """
    for place in (out, *(out / kind for kind in KINDS)):
        remove_leftovers(place)
    for folder, endings in KINDS.items():
        for path in (out / folder).glob("*"):
            if path.suffix in endings and path not in written:
                path.unlink()


def _write_tables(analysis: Analysis, tables: list[Table], folder: Path) -> list[Path]:
    written: list[Path] = []
    for dataset in analysis.datasets:
        own = [table for table in tables if table.dataset == dataset]
        contents = {
            folder / f"{dataset}.md": markdown(own, f"{analysis.stored.resolved.folder_name}: {dataset}"),
            folder / f"{dataset}.csv": comma_separated(analysis, dataset),
            **{folder / f"{table.name}.tex": latex(table) for table in own},
        }
        for path, content in contents.items():
            write_text(path, content)
        written += contents
    return written

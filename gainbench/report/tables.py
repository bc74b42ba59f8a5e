"""Tables as data: what stands in which cell, with its interval, n and marks. ``render`` writes them down.

Each data set has one main table (all metrics, all bins pooled) and one table per metric (by bin). Both show the border
classes apart, then pooled. Parameters and multiply-accumulates stand beside every result.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from gainbench.evaluation.metrics.catalogue import METRICS, MetricInfo
from gainbench.report.analysis import ALL, Analysis, Place, Score, Scored, SetScore
from gainbench.report.notes import FLOOR_LABEL, caption, general_notes, opening_notes, problem_notes, state_of
from gainbench.report.numbers import (
    NOTHING,
    bracket,
    count,
    decimals_of_intervals,
    decimals_of_values,
    duration,
    fixed,
    listed,
    percent,
    quantity,
)
from gainbench.report.reversals import FAMILIES, reversals
from gainbench.run.store import StoredCell

BORDER_HEADINGS = {
    "clear": "Holes clear of the border",
    "touching": "Holes that may touch the border",
    ALL: "All holes",
}

COSTS = ("parameters", "MACs", "training", "ms a picture", "process memory (MiB)")

LEGACY = "-definitions"
"""How the file of the table of other papers' definitions ends."""

ARROWS = {"lower": "↓", "higher": "↑"}

N_LABEL = "n"


@dataclass(frozen=True)
class TableCell:
    """One cell as text.

    Attributes:
        text: the value, or what stands in its place.
        interval: ``[low, high]`` or empty.
        best: printed bold.
        tied: printed underlined.
        note: number of the footnote that explains the cell, or None.
        value: the number behind the text, by which the page sorts; None where there is none.
    """

    text: str = ""
    interval: str = ""
    best: bool = False
    tied: bool = False
    note: int | None = None
    value: float | None = None


@dataclass(frozen=True)
class Column:
    """A column's heading, the way that is better, and the metric it shows (empty for costs)."""

    heading: str
    arrow: str = ""
    metric: str = ""


@dataclass(frozen=True)
class Row:
    """A method's row, or (``plain``) a row of counts or floors; ``note`` numbers its footnote."""

    label: str
    cells: tuple[TableCell, ...]
    note: int | None = None
    plain: bool = False


@dataclass(frozen=True)
class Panel:
    """The rows of one border class."""

    heading: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """A table with everything it says about itself.

    Attributes:
        name: file stem, unique in a report.
        dataset: the data set it is about.
        title: one line.
        caption: sentences on scale, budget, photographs, n, holes and metric ids.
        columns: headings, the methods' column not among them.
        panels: rows by border class.
        footnotes: numbered from 1 in the order of the cells' ``note``.
        notes: what else a reader must know.
    """

    name: str
    dataset: str
    title: str
    caption: tuple[str, ...]
    columns: tuple[Column, ...]
    panels: tuple[Panel, ...]
    footnotes: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def pooled(self) -> Panel:
        """The panel of all holes."""
        return self.panels[-1]


@dataclass
class Footnotes:
    """Footnote texts, each numbered when it is first asked for."""

    texts: list[str] = field(default_factory=list)

    def number(self, text: str) -> int:
        """The number of a text, from 1."""
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


PlaceOf = Callable[[str], Sequence[Place]]
"""Border class -> the places of a table's metric columns."""


def main_table(analysis: Analysis, dataset: str) -> Table:
    """All metrics of a data set, bins pooled."""
    infos = [*analysis.metrics(dataset, "picture"), *analysis.metrics(dataset, "set")]
    return _built(
        analysis,
        dataset,
        name=dataset,
        title=f"{dataset}: all hole sizes",
        columns=[metric_column(info) for info in infos],
        places=lambda border: [Place(dataset, info.id, ALL, border) for info in infos],
    )


def bin_table(analysis: Analysis, dataset: str, metric: str) -> Table:
    """One metric by hole-area bin."""
    bins = [*analysis.bins(dataset), ALL]
    info = METRICS[metric]
    arrow = ARROWS[info.direction]
    return _built(
        analysis,
        dataset,
        name=f"{dataset}-{metric}",
        title=f"{dataset}: {info.label} {arrow} by hole area",
        columns=[Column("all" if bin_ == ALL else f"{percent(bin_)} %", "", metric) for bin_ in bins],
        places=lambda border: [Place(dataset, metric, bin_, border) for bin_ in bins],
    )


def legacy_table(analysis: Analysis, dataset: str) -> Table:
    """The same outputs under other papers' definitions, each beside ours of the same name; all holes."""
    others = analysis.legacy_metrics(dataset)
    ours = analysis.metrics(dataset, "picture")
    infos = [info for family in FAMILIES for info in [*ours, *others] if info.id in family]
    table = _built(
        analysis,
        dataset,
        name=f"{dataset}{LEGACY}",
        title=f"{dataset}: the same pictures under other papers' definitions",
        columns=[metric_column(info) for info in infos],
        places=lambda border: [Place(dataset, info.id, ALL, border) for info in infos],
    )
    # Costs stand in the main table; here the last two columns would part what is to be compared.
    rows = tuple(replace(row, cells=row.cells[: len(infos)]) for row in table.pooled.rows)
    return replace(
        table,
        columns=table.columns[: len(infos)],
        panels=(replace(table.pooled, rows=rows),),
        notes=(*reversals(analysis, dataset, infos), *table.notes),
    )


def cost_table(analysis: Analysis, dataset: str) -> Table:
    """What each method costs: size, work, training, time and memory."""
    footnotes = Footnotes()
    rows = []
    for method in analysis.methods:
        cells = analysis.cells(dataset, method)
        results = [cell.result for cell in cells if cell.result is not None]
        problems = problem_notes(analysis, dataset, method)
        if cells:
            note = footnotes.number(" ".join(problems)) if problems else None
            rows.append(
                Row(method, _all_costs(results[0].cost), note) if results else _hole(cells[0], len(COSTS), note)
            )
    return Table(
        name=f"{dataset}-cost",
        dataset=dataset,
        title=f"{dataset}: what a method costs",
        caption=tuple(caption(analysis, dataset, [])[:3]),
        columns=tuple(map(Column, COSTS)),
        panels=(Panel(BORDER_HEADINGS[ALL], tuple(rows)),),
        footnotes=tuple(footnotes.texts),
        notes=(
            *opening_notes(analysis, dataset),
            "Parameters and multiply-accumulates (MACs): of completing one picture, without what only training uses.",
            "ms a picture: median and quartiles over batches, without loading and metrics.",
            "Process memory: the most the whole process held in evaluation, metrics included; on a GPU, by tensors.",
            *_device_notes(analysis, dataset),
        ),
    )


def _device_notes(analysis: Analysis, dataset: str) -> list[str]:
    """Where the first finished cell of each method ran: the rows' times are those cells'."""
    where: dict[str, list[str]] = {}
    for method in analysis.methods:
        finished = [cell.result for cell in analysis.cells(dataset, method) if cell.result is not None]
        if finished:
            found = finished[0].environment
            device = f"{found.get('device', 'unknown device')} ({found.get('processor', '?')})"
            where.setdefault(device, []).append(method)
    if len(where) < 2:
        return [f"Measured on {device}, beside whatever else ran there." for device in where]
    listing = "; ".join(f"{listed(methods)} on {device}" for device, methods in where.items())
    return [f"Measured on several machines, whose times must not be compared: {listing}."]


def _hole(cell: StoredCell, columns: int, note: int | None) -> Row:
    """The row of a method without numbers: what became of it, and gaps."""
    gaps = [TableCell(NOTHING)] * (columns - 1)
    return Row(cell.spec.method.label, (TableCell(state_of(cell)), *gaps), note)


def _all_costs(cost: dict[str, float]) -> tuple[TableCell, ...]:
    quartiles = [cost.get(f"ms_per_image_{name}_quartile") for name in ("lower", "upper")]
    between = f"[{', '.join(quantity(one) for one in quartiles if one is not None)}]" if None not in quartiles else ""
    return (
        _cost_cell(cost, "parameters", quantity),
        _cost_cell(cost, "macs", quantity),
        _cost_cell(cost, "training_seconds", duration),
        replace(_cost_cell(cost, "ms_per_image_median", quantity), interval=between),
        _cost_cell(cost, "peak_memory_mb", count),
    )


def _cost_cell(cost: dict[str, float], name: str, write: Callable[[float], str]) -> TableCell:
    return TableCell(write(cost[name]), value=cost[name]) if name in cost else TableCell(NOTHING)


def dataset_tables(analysis: Analysis, dataset: str) -> list[Table]:
    """The main table, one table per metric, other papers' definitions, and what the methods cost."""
    infos = [*analysis.metrics(dataset, "picture"), *analysis.metrics(dataset, "set")]
    by_bin = [bin_table(analysis, dataset, info.id) for info in infos]
    finished = any(cell.result is not None for cell in analysis.cells(dataset))
    return [
        main_table(analysis, dataset),
        *by_bin,
        *([legacy_table(analysis, dataset)] if analysis.legacy_metrics(dataset) else []),
        *([cost_table(analysis, dataset)] if finished else []),
    ]


def all_tables(analysis: Analysis) -> list[Table]:
    """Every table of a report."""
    return [table for dataset in analysis.datasets for table in dataset_tables(analysis, dataset)]


def metric_column(info: MetricInfo) -> Column:
    """The column of a metric."""
    return Column(info.label, ARROWS[info.direction], info.id)


def _built(analysis: Analysis, dataset: str, *, name: str, title: str, columns: list[Column], places: PlaceOf) -> Table:
    footnotes = Footnotes()
    metrics = list(dict.fromkeys(column.metric for column in columns))
    panels = []
    for border in analysis.borders(dataset):
        here = places(border)
        # A set metric may be known for all holes only; a panel without a number would say nothing.
        if border == ALL or any(place in analysis.scores or place in analysis.set_scores for place in here):
            panels.append(_panel(analysis, dataset, border, here, footnotes))
    return Table(
        name=name,
        dataset=dataset,
        title=title,
        caption=tuple(caption(analysis, dataset, metrics)),
        columns=(*columns, Column("parameters"), Column("MACs")),
        panels=tuple(panels),
        footnotes=tuple(footnotes.texts),
        notes=tuple(general_notes(analysis, dataset, metrics, of_all_metrics=name == dataset)),
    )


def _panel(analysis: Analysis, dataset: str, border: str, places: Sequence[Place], footnotes: Footnotes) -> Panel:
    digits = [decimals_at(analysis, place) for place in places]
    rows = []
    for method in analysis.methods:
        cells = analysis.cells(dataset, method)
        if not cells:
            continue
        problems = problem_notes(analysis, dataset, method)
        note = footnotes.number(" ".join(problems)) if problems else None
        if len(problems) == len(cells):
            rows.append(_hole(cells[0], len(places) + 2, note))
            continue
        numbers = [
            value_cell(analysis, place, method, digits[column], footnotes) for column, place in enumerate(places)
        ]
        rows.append(Row(method, (*numbers, *_costs(analysis, dataset, method)), note))
    rows += _floor_row(analysis, places, digits)
    counts = [TableCell(count(n) if (n := most_pairs(analysis, place)) else NOTHING) for place in places]
    rows.append(Row(N_LABEL, (*counts, TableCell(), TableCell()), plain=True))
    return Panel(BORDER_HEADINGS[border], tuple(rows))


def decimals_at(analysis: Scored, place: Place) -> int:
    """Decimals of a metric on a data set: those of the mean over all holes, so that all its tables agree."""
    pooled = Place(place.dataset, place.metric, ALL, ALL)
    if pooled in analysis.scores:
        return decimals_of_intervals(score.interval for score in analysis.scores[pooled].values())
    return decimals_of_values(score.value for score in analysis.set_scores.get(pooled, {}).values())


def value_cell(analysis: Scored, place: Place, method: str, digits: int, footnotes: Footnotes) -> TableCell:
    """A method's number in a place, with interval, marks, and a footnote if it has fewer pairs than others."""
    score: Score | SetScore | None = analysis.scores.get(place, {}).get(method)
    if score is None:
        score = analysis.set_scores.get(place, {}).get(method)
    if score is None:
        return TableCell(NOTHING)
    n, most, note = score.interval.n if isinstance(score, Score) else score.n, most_pairs(analysis, place), None
    if n != most:
        note = footnotes.number(f"{method}: {count(n)} of {count(most)} pairs have a value of {place.metric}.")
    if isinstance(score, SetScore):
        return TableCell(fixed(score.value, digits), note=note, value=score.value)
    interval = score.interval
    text = fixed(interval.value, digits)
    return TableCell(text, bracket(interval, digits), score.best, score.tied, note, interval.value)


def most_pairs(analysis: Scored, place: Place) -> int:
    """Pairs behind the number of the method that has most of them."""
    return max(
        [score.interval.n for score in analysis.scores.get(place, {}).values()]
        + [score.n for score in analysis.set_scores.get(place, {}).values()],
        default=0,
    )


def _costs(analysis: Analysis, dataset: str, method: str) -> tuple[TableCell, TableCell]:
    results = [cell.result for cell in analysis.cells(dataset, method) if cell.result is not None]
    cost = results[0].cost if results else {}
    parameters, macs = (_cost_cell(cost, name, quantity) for name in ("parameters", "macs"))
    return parameters, macs


def _floor_row(analysis: Analysis, places: Sequence[Place], digits: Sequence[int]) -> list[Row]:
    if not any(place in analysis.set_scores for place in places):
        return []
    cells = []
    for place, places_ in zip(places, digits, strict=True):
        floors = [score.floor for score in analysis.set_scores.get(place, {}).values() if score.floor is not None]
        text = fixed(floors[0], places_) if floors else NOTHING if place in analysis.set_scores else ""
        cells.append(TableCell(text))
    return [Row(FLOOR_LABEL, (*cells, TableCell(), TableCell()), plain=True)]

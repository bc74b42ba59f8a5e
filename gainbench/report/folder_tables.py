"""Tables of folders that were scored: as those of a suite, without what only a suite knows."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from gainbench.evaluation.metrics.catalogue import METRICS, MetricInfo
from gainbench.report.alignment import ALL
from gainbench.report.analysis import Place, Score, SetScore
from gainbench.report.notes import marks_notes
from gainbench.report.numbers import NOTHING, count, percent
from gainbench.report.render import number_fields
from gainbench.report.tables import (
    ARROWS,
    BORDER_HEADINGS,
    N_LABEL,
    Column,
    Footnotes,
    Panel,
    Row,
    Table,
    TableCell,
    decimals_at,
    metric_column,
    most_pairs,
    value_cell,
)

CSV_COLUMNS = (
    "dataset", "metric", "better", "bin", "border", "method", "value", "low", "high", "n", "photographs", "seeds",
    "best", "not_separable_from_best", "difference_to_best", "difference_low", "difference_high", "p_holm", "floor",
)  # fmt: skip


@dataclass(frozen=True)
class Board:
    """The numbers of some methods on one folder of originals, and what must be said of them.

    Attributes:
        dataset: the name of the folder of originals.
        methods: in the order given.
        bins: of the holes, smallest first; empty if holes are not known.
        borders: border classes, then ``all``.
        scores: place -> method -> mean with interval and marks.
        set_scores: place -> method -> distance of the whole set.
        caption: what was measured on what.
        notes: what else a reader must know.
    """

    dataset: str
    methods: tuple[str, ...]
    bins: tuple[str, ...]
    borders: tuple[str, ...]
    scores: dict[Place, dict[str, Score]]
    set_scores: dict[Place, dict[str, SetScore]]
    caption: tuple[str, ...]
    notes: tuple[str, ...]

    def tables(self, metrics: Sequence[MetricInfo]) -> tuple[Table, ...]:
        """All metrics over all holes; then, if holes are known, each by hole area."""
        return (self.main_table(metrics), *(self.bin_table(info) for info in metrics if self.bins))

    def main_table(self, metrics: Sequence[MetricInfo]) -> Table:
        """All metrics, hole areas pooled."""
        columns = [(metric_column(info), info.id, ALL) for info in metrics]
        what = "all hole sizes" if self.bins else "whole pictures"
        return self._table(self.dataset, f"{self.dataset}: {what}", columns)

    def bin_table(self, info: MetricInfo) -> Table:
        """One metric by hole area."""
        columns = [(Column(f"{percent(bin_)} %", "", info.id), info.id, bin_) for bin_ in self.bins]
        title = f"{self.dataset}: {info.label} {ARROWS[info.direction]} by hole area"
        return self._table(f"{self.dataset}-{info.id}", title, [*columns, (Column("all", "", info.id), info.id, ALL)])

    def csv(self) -> str:
        """Every number, one line each, at full precision; :data:`CSV_COLUMNS` name the fields."""
        written = io.StringIO()
        writer = csv.DictWriter(written, CSV_COLUMNS, lineterminator="\n")
        writer.writeheader()
        order = list(METRICS)
        places = sorted({*self.scores, *self.set_scores}, key=lambda at: (order.index(at.metric), at.border, at.bin))
        for place in places:
            for method in self.methods:
                numbers = number_fields(
                    self.scores.get(place, {}).get(method), self.set_scores.get(place, {}).get(method)
                )
                named = {"dataset": self.dataset, "metric": place.metric, "better": METRICS[place.metric].direction}
                writer.writerow({**named, "bin": place.bin, "border": place.border, "method": method, **numbers})
        return written.getvalue()

    def _table(self, name: str, title: str, columns: Sequence[tuple[Column, str, str]]) -> Table:
        footnotes = Footnotes()
        metrics = list(dict.fromkeys(metric for _, metric, _ in columns))
        places = {
            border: [Place(self.dataset, metric, bin_, border) for _, metric, bin_ in columns]
            for border in self.borders
        }
        marks = marks_notes(self, self.dataset, metrics, pooled_bins=name == self.dataset, trained=())
        ids = f"Metrics: {', '.join(metrics)}." if metrics else "No metric could be computed."
        return Table(
            name=name,
            dataset=self.dataset,
            title=title,
            caption=(*self.caption, ids),
            columns=tuple(column for column, _, _ in columns),
            panels=tuple(self._panel(border, here, footnotes) for border, here in places.items()),
            footnotes=tuple(footnotes.texts),
            notes=(*marks, *self._set_notes(metrics), *self.notes),
        )

    def _panel(self, border: str, places: Sequence[Place], footnotes: Footnotes) -> Panel:
        rows = [
            Row(method, tuple(value_cell(self, at, method, decimals_at(self, at), footnotes) for at in places))
            for method in self.methods
        ]
        counts = (TableCell(count(n) if (n := most_pairs(self, place)) else NOTHING) for place in places)
        return Panel(BORDER_HEADINGS[border], (*rows, Row(N_LABEL, tuple(counts), plain=True)))

    def _set_notes(self, metrics: Sequence[str]) -> list[str]:
        of_sets = [metric for metric in metrics if METRICS[metric].per == "set"]
        if not of_sets:
            return []
        note = (
            f"{', '.join(of_sets)}: one value for each set of pictures, without interval or test; its bias changes "
            "with n, and no distance between real pictures is known here to set it beside."
        )
        return [note]

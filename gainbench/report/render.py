"""Tables written down: Markdown, LaTeX (booktabs) and CSV. The HTML page has its own template."""

import csv
import io
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from gainbench.evaluation.metrics.catalogue import METRICS
from gainbench.report.analysis import Analysis, Place, Score, SetScore
from gainbench.report.tables import Column, Panel, Row, Table, TableCell

METHOD_HEADING = "method"

CSV_COLUMNS = (
    "dataset", "metric", "better", "bin", "border", "method", "status", "value", "low", "high", "n", "photographs",
    "seeds", "best", "not_separable_from_best", "difference_to_best", "difference_low", "difference_high", "p_holm",
    "floor", "parameters", "macs", "scale", "size", "base", "batch", "iterations", "masks", "mask_seed", "narrowed",
)  # fmt: skip


def markdown(tables: Sequence[Table], heading: str) -> str:
    """A Markdown page of tables; values right-aligned, underlines as ``<ins>``."""
    parts = [f"# {heading}"]
    for table in tables:
        parts += [f"## {table.title}", _markdown_text(" ".join(table.caption))]
        for panel in table.panels:
            if len(table.panels) > 1:
                parts.append(f"**{panel.heading}**")
            parts.append(_markdown_grid(table.columns, panel))
        notes = [f"{number}. {text}" for number, text in enumerate(table.footnotes, 1)]
        parts.append("\n".join(_markdown_text(note) for note in [*notes, *(f"- {note}" for note in table.notes)]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_grid(columns: Sequence[Column], panel: Panel) -> str:
    header = [METHOD_HEADING, *(f"{column.heading} {column.arrow}".strip() for column in columns)]
    lines = [header, *([_markdown_label(row), *map(_markdown_cell, row.cells)] for row in panel.rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(header))]

    def joined(line: Sequence[str]) -> str:
        first, *others = line
        padded = [first.ljust(widths[0]), *(text.rjust(width) for text, width in zip(others, widths[1:], strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([joined(header), joined(rule), *map(joined, lines[1:])])


def _markdown_label(row: Row) -> str:
    label = f"*{row.label}*" if row.plain else _markdown_text(row.label)
    return label + (f" <sup>{row.note}</sup>" if row.note else "")


def _markdown_cell(cell: TableCell) -> str:
    text = f"**{cell.text}**" if cell.best else f"<ins>{cell.text}</ins>" if cell.tied else cell.text
    note = f" <sup>{cell.note}</sup>" if cell.note else ""
    return " ".join(filter(None, (text, cell.interval))) + note


def _markdown_text(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def latex(table: Table) -> str:
    """A LaTeX ``table*`` environment; needs the package booktabs.

    It is for a file in UTF-8, which LaTeX reads since 2018. Letters and digits are kept as they are: ``pdflatex`` sets
    Latin ones, other alphabets take ``xelatex`` or ``lualatex`` and a font. Other signs beyond ASCII become ``?``.
    """
    columns = table.columns
    lines = [
        r"\begin{table*}",
        r"\centering\small\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{_tex(table.title)}. {_tex(' '.join(table.caption))}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"\toprule",
        _tex_line(METHOD_HEADING, *(f"{_tex(column.heading)} {_tex(column.arrow)}".strip() for column in columns)),
    ]
    for panel in table.panels:
        lines.append(r"\midrule")
        if len(table.panels) > 1:
            lines.append(_tex_line(rf"\multicolumn{{{len(columns) + 1}}}{{l}}{{\emph{{{_tex(panel.heading)}}}}}"))
        for row in panel.rows:
            lines += _tex_rows(row)
    lines += [r"\bottomrule", r"\end{tabular}"]
    notes = [rf"$^{{{number}}}$ {_tex(text)}" for number, text in enumerate(table.footnotes, 1)]
    notes += [_tex(note) for note in table.notes]
    if notes:
        lines.append(r"\par\smallskip\begin{minipage}{\linewidth}\footnotesize")
        lines += [rf"{note}\par" for note in notes]
        lines.append(r"\end{minipage}")
    return "\n".join([*lines, r"\end{table*}"]) + "\n"


def _tex_rows(row: Row) -> list[str]:
    """Values on one line, their intervals small on the next: columns stay narrow."""
    label = (rf"\emph{{{_tex(row.label)}}}" if row.plain else _tex(row.label)) + _tex_note(row.note)
    lines = [_tex_line(label, *map(_tex_cell, row.cells))]
    if any(cell.interval for cell in row.cells):
        intervals = (rf"{{\scriptsize {_tex(cell.interval)}}}" if cell.interval else "" for cell in row.cells)
        lines.append(_tex_line("", *intervals) + "[3pt]")
    return lines


def _tex_cell(cell: TableCell) -> str:
    text = _tex(cell.text)
    marked = rf"\textbf{{{text}}}" if cell.best else rf"\underline{{{text}}}" if cell.tied else text
    return marked + _tex_note(cell.note)


def _tex_note(note: int | None) -> str:
    return f"$^{{{note}}}$" if note else ""


def _tex_line(*cells: str) -> str:
    return " & ".join(cells) + r" \\"


_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$", "[": "{[}", "]": "{]}",
    "≥": r"$\geq$", "↓": r"$\downarrow$", "↑": r"$\uparrow$", "–": "--",  # noqa: RUF001 - the dash is what is replaced
}  # fmt: skip


def _tex(text: str) -> str:
    # Composed, as names from macOS come with their accents apart, which pdflatex cannot set.
    letters = unicodedata.normalize("NFC", text)
    escaped = "".join(_TEX.get(letter, letter if letter.isascii() or letter.isalnum() else "?") for letter in letters)
    return re.sub(r"(^|\{\[\}|, )-(?=\d)", r"\1$-$", escaped)


def comma_separated(analysis: Analysis, dataset: str) -> str:
    """Every number of a data set, one line each, at full precision; :data:`CSV_COLUMNS` name the fields."""
    written = io.StringIO()
    writer = csv.DictWriter(written, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for place in _places(analysis, dataset):
        for method in analysis.methods:
            if analysis.cells(dataset, method):
                writer.writerow(_record(analysis, place, method))
    return written.getvalue()


def _places(analysis: Analysis, dataset: str) -> Iterable[Place]:
    known = {place for place in (*analysis.scores, *analysis.set_scores) if place.dataset == dataset}
    order = {metric: number for number, metric in enumerate(METRICS)}
    return sorted(known, key=lambda place: (order[place.metric], place.border, place.bin))


def _record(analysis: Analysis, place: Place, method: str) -> dict[str, Any]:
    cells = analysis.cells(place.dataset, method)
    spec = cells[0].spec
    cost = next((cell.result.cost for cell in cells if cell.result is not None), {})
    states = sorted({cell.status.state for cell in cells})
    return {
        "dataset": place.dataset,
        "metric": place.metric,
        "better": METRICS[place.metric].direction,
        "bin": place.bin,
        "border": place.border,
        "method": method,
        "status": "+".join(states),
        **number_fields(analysis.scores.get(place, {}).get(method), analysis.set_scores.get(place, {}).get(method)),
        "parameters": cost.get("parameters", ""),
        "macs": cost.get("macs", ""),
        **spec.scale.model_dump(include={"size", "base", "batch", "iterations"}),
        "scale": spec.scale.name,
        "masks": spec.masks.protocol,
        "mask_seed": spec.masks.seed,
        "narrowed": "; ".join(analysis.stored.resolved.narrowed),
    }


def number_fields(score: Score | None, of_set: SetScore | None) -> dict[str, Any]:
    """A method's numbers in one place, by the names of :data:`CSV_COLUMNS`; empty if it has none."""
    if of_set is not None:
        floor = "" if of_set.floor is None else of_set.floor
        return {"value": of_set.value, "n": of_set.n, "seeds": of_set.seeds, "floor": floor}
    if score is None:
        return {}
    found, gap = score.interval, score.difference
    numbers: dict[str, Any] = {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "n": found.n,
        "photographs": found.clusters,
        "seeds": found.seeds,
        "best": score.best,
        "not_separable_from_best": score.tied,
    }
    if gap is not None:
        numbers |= {"difference_to_best": gap.value, "difference_low": gap.low, "difference_high": gap.high}
        numbers["p_holm"] = score.p
    return {name: "" if isinstance(value, float) and math.isnan(value) else value for name, value in numbers.items()}

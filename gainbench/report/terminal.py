"""Tables for a terminal: columns that do not fit beside each other stand below each other, none is cut short."""

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table as Grid
from rich.text import Text

from gainbench.report.render import METHOD_HEADING
from gainbench.report.tables import Column, Row, Table, TableCell

GAP = 2
"""Columns of the terminal between two of a table."""


def terminal_tables(tables: Sequence[Table]) -> list[RenderableType]:
    """The pooled panel of each table with its caption and footnotes, then the notes of all, each once."""
    notes = dict.fromkeys(note for table in tables for note in table.notes)
    return [*map(TerminalTable, tables), *(Text(note, style="dim") for note in notes)]


class TerminalTable:
    """A renderable that knows its terminal's width; intervals stand under their values.

    Args:
        table: what to show; its caption and footnotes stand beneath it.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, terminal: Console, options: ConsoleOptions) -> RenderResult:
        """Draw as many grids as the width asks for, the methods in each."""
        table = self._table
        yield Text(table.title, style="bold")
        room = options.max_width - max(len(METHOD_HEADING), *(len(_label(row)) for row in table.pooled.rows))
        for widths in _blocks(table, room):
            yield _grid(table, widths)
        yield Text(" ".join(table.caption))
        for number, text in enumerate(table.footnotes, 1):
            yield Text(f"({number}) {text}")
        yield Text()


def _blocks(table: Table, room: int) -> list[dict[int, int]]:
    """The columns' places and widths, block by block, each block as much as fits into ``room``."""
    blocks: list[dict[int, int]] = [{}]
    for place in range(len(table.columns)):
        width = _least_width(table, place)
        if blocks[-1] and _taken(blocks[-1]) + GAP + width > room:
            blocks.append({})
        blocks[-1][place] = width
    for block in blocks:
        for place in block:
            # What room is left keeps headings on one line.
            whole = block | {place: max(block[place], len(_heading(table.columns[place])))}
            if _taken(whole) <= room:
                block.update(whole)
    return blocks


def _taken(block: dict[int, int]) -> int:
    return sum(block.values()) + GAP * len(block)


def _least_width(table: Table, place: int) -> int:
    """What a column needs: a heading breaks between words, a value or an interval nowhere."""
    lines = [line for row in table.pooled.rows for line in _cell(row.cells[place]).plain.split("\n")]
    return max(map(len, (*_heading(table.columns[place]).split(), *lines)))


def _grid(table: Table, widths: dict[int, int]) -> Grid:
    grid = Grid(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    grid.add_column(METHOD_HEADING, no_wrap=True)
    for place, width in widths.items():
        grid.add_column(Text(_heading(table.columns[place])), justify="right", min_width=width, max_width=width)
    for row in table.pooled.rows:
        cells = (_cell(row.cells[place]) for place in widths)
        grid.add_row(Text(_label(row)), *cells, style="dim" if row.plain else None)
    return grid


def _heading(column: Column) -> str:
    return f"{column.heading} {column.arrow}".strip()


def _label(row: Row) -> str:
    return row.label + _note(row.note)


def _cell(cell: TableCell) -> Text:
    # A style of the whole text would underline the space before it, too.
    text = Text().append(cell.text, "bold" if cell.best else "underline" if cell.tied else "")
    text.append(_note(cell.note))
    return text.append(f"\n{cell.interval}", "dim") if cell.interval else text


def _note(note: int | None) -> str:
    return f" ({note})" if note else ""

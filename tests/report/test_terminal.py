"""The main tables as a terminal shows them: whole at every width."""

import io

import pytest
from rich.console import Console

from gainbench.report.tables import Column, Panel, Row, Table, TableCell
from gainbench.report.terminal import terminal_tables

METRICS = ("PSNR (dB)", "l1 in the hole (%)", "LPIPS (AlexNet)", "KID (MobileNetV2)", "parameters", "MACs")


def table(dataset, labels=("gain[guidance=canny]", "a[bold]|b_c")):
    rows = [
        Row(label, tuple(TableCell(f"{10 + place}.{number}", f"[{place}.8, {place}7.2]") for place in range(6)))
        for number, label in enumerate(labels)
    ]
    first, *others = rows[1].cells
    rows[1] = Row(labels[1], (TableCell(first.text, first.interval, tied=True, note=1), *others), note=2)
    rows[0] = Row(labels[0], (TableCell("99.9", "[1, 2]", best=True), *rows[0].cells[1:]))
    rows.append(Row("n", tuple(TableCell("240") for _ in range(6)), plain=True))
    return Table(
        name=dataset,
        dataset=dataset,
        title=f"{dataset}: all",
        caption=("40 pictures.", "Scale tiny."),
        columns=tuple(Column(name, "↓") for name in METRICS),
        panels=(Panel("Clear holes", ()), Panel("All holes", tuple(rows))),
        footnotes=("seed 1 is missing.", "failed: <here>."),
        notes=("p ≥ .05.",),
    )


def shown(tables, width, **options):
    screen = Console(width=width, file=io.StringIO(), markup=False, highlight=False, **options)
    for part in terminal_tables(tables):
        screen.print(part)
    return screen.file.getvalue()


@pytest.mark.parametrize("width", [50, 80, 120, 10_000])
def test_every_value_and_name_is_whole_at_every_width(width):
    text = shown([table("d")], width)
    lines = text.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    assert "…" not in text
    for place in range(1, 6):
        assert text.count(f"[{place}.8, {place}7.2]") == 2
    blocks = [line for line in lines if line.startswith("gain[guidance=canny]")]
    assert len(blocks) == {50: 3, 80: 2, 120: 1, 10_000: 1}[width]
    assert len([line for line in lines if line.startswith("a[bold]|b_c (2)")]) == len(blocks)
    assert "(1) seed 1 is missing." in text
    assert "(2) failed: <here>." in text


def test_headings_stay_on_one_line_where_there_is_room():
    assert all(name in shown([table("d")], 10_000) for name in METRICS)


def test_intervals_stand_under_their_values():
    lines = shown([table("d")], 120).splitlines()
    value = next(number for number, line in enumerate(lines) if "99.9" in line)
    assert lines[value].index("99.9") + len("99.9") == lines[value + 1].index("[1, 2]") + len("[1, 2]")


def test_the_best_is_bold_and_what_is_tied_is_underlined():
    text = shown([table("d")], 120, force_terminal=True, color_system="standard")
    assert "\x1b[1m99.9" in text
    assert "\x1b[4m10.1" in text


def test_notes_that_tables_share_are_said_once():
    text = shown([table("celeba-999"), table("photos-230")], 120)
    assert text.count("p ≥ .05.") == 1
    assert text.count("40 pictures. Scale tiny.") == 2

import csv
import io
import math
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from gainbench.report.analysis import Analysis
from gainbench.report.render import CSV_COLUMNS, comma_separated, latex, markdown
from gainbench.report.tables import Column, Panel, Row, Table, TableCell, all_tables, main_table
from gainbench.run.store import StoredResults


@pytest.fixture
def small() -> Table:
    rows = (
        Row("gain", (TableCell("26.1", "[24.8, 27.2]", best=True), TableCell("-0.01"))),
        Row("a[x=1]|b_c", (TableCell("26.0", "[-1.5, 27.0]", tied=True, note=1), TableCell("–"))),  # noqa: RUF001
        Row("n", (TableCell("240"), TableCell("")), plain=True),
    )
    return Table(
        name="d",
        dataset="d",
        title="Straßenbilder: all",
        caption=("50 % of $5 & more.",),
        columns=(Column("PSNR (dB)", "↑", "psnr_rgb"), Column("KID", "↓", "kid_mobilenetv2")),
        panels=(Panel("Holes", rows), Panel("All holes", rows)),
        footnotes=("a|b failed <here>.",),
        notes=("p ≥ .05.",),
    )


def test_markdown_columns_line_up_and_marks_are_kept(small: Table) -> None:
    page = markdown([small], "Results")
    grid = [line for line in page.splitlines() if line.startswith("|")]
    assert len({len(line) for line in grid}) == 1
    assert "**26.1** [24.8, 27.2]" in page
    assert "<ins>26.0</ins> [-1.5, 27.0] <sup>1</sup>" in page
    assert r"a[x=1]\|b_c" in page
    assert r"1. a\|b failed &lt;here>." in page
    assert page.count("**Holes**") == 1
    assert grid[1].startswith("| :---")
    assert grid[1].endswith("-: |")


def test_latex_is_booktabs_with_every_special_letter_escaped(small: Table) -> None:
    page = latex(small)
    assert r"\toprule" in page
    assert r"\bottomrule" in page
    assert r"50 \% of \$5 \& more." in page
    assert r"\textbf{26.1}" in page
    assert r"\underline{26.0}$^{1}$" in page
    assert r"a{[}x=1{]}|b\_c" in page
    assert r"$-$0.01" in page
    assert r"{\scriptsize {[}$-$1.5, 27.0{]}}" in page
    assert r"p $\geq$ .05." in page
    assert r"\begin{tabular}{lrr}" in page
    for line in page.splitlines():
        if r" \\" in line and "multicolumn" not in line:
            assert line.replace(r"\&", "").count("&") == 2
    assert all(letter.isascii() or letter.isalnum() for letter in page)


def test_latex_keeps_letters_and_digits_of_any_alphabet_and_no_other_sign(small: Table) -> None:
    assert r"\caption{Straßenbilder: all." in latex(small)
    titles = {"Köln № 5": "Köln ? 5", "Дома·雪²": "Дома?雪²", "Ko\u0308ln": "Köln"}
    for title, written in titles.items():
        assert rf"\caption{{{written}." in latex(replace(small, title=title))


def test_csv_carries_every_number_at_full_precision(three: StoredResults, analysis: Analysis) -> None:
    lines = list(csv.DictReader(io.StringIO(comma_separated(analysis, "photos-230"))))
    assert tuple(lines[0]) == CSV_COLUMNS
    # Four picture metrics in seven bins and three border classes, the set metric in seven bins; three methods.
    assert len(lines) == (4 * 7 * 3 + 7) * 3
    (line,) = [
        line
        for line in lines
        if (line["metric"], line["bin"], line["border"], line["method"]) == ("psnr_rgb", "all", "all", "telea")
    ]
    rows = three.rows[three.rows["method"] == "telea"]
    assert math.isclose(float(line["value"]), rows["psnr_rgb"].mean(), rel_tol=1e-12)
    assert (line["n"], line["photographs"], line["seeds"], line["status"]) == ("240", "20", "1", "done")
    assert (line["scale"], line["size"], line["iterations"], line["batch"]) == ("cpu", "128", "1500", "4")
    assert float(line["difference_low"]) < float(line["difference_to_best"]) < float(line["difference_high"]) < 0
    assert float(line["p_holm"]) < 0.05


def test_real_tables_render_everywhere(analysis: Analysis) -> None:
    table = main_table(analysis, "photos-230")
    assert "gain" in markdown([table], "photos-230")
    assert r"partial\_conv" in latex(table)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex; the letters are tested without it")
def test_latex_with_booktabs_compiles(small: Table, analysis: Analysis, tmp_path: Path) -> None:
    tables = "".join(map(latex, [small, *all_tables(analysis)]))
    page = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{tables}\end{{document}}"
    (tmp_path / "page.tex").write_text(page, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "page.pdf").stat().st_size > 10_000

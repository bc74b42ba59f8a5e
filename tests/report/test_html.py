import base64
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gainbench.gain.readings import READINGS
from gainbench.report.analysis import Analysis
from gainbench.report.html import findings, write_html
from gainbench.report.plots import PlotFiles
from gainbench.report.provenance import command
from gainbench.report.tables import all_tables
from gainbench.spec import load_suite, scales

from .conftest import Bench, make_rows
from .test_gallery import keep_samples

MakeBench = Callable[..., Bench]


def written(analysis: Analysis, folder: Path, plots: Sequence[PlotFiles] = ()) -> str:
    path = write_html(analysis, folder / "report.html", tables=all_tables(analysis), plots=plots)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(analysis: Analysis, drawn: list[PlotFiles], tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(analysis, tmp_path_factory.mktemp("out"), drawn)


def small(place: float, dataset: str = "photos-230") -> object:
    return make_rows(place, 0, metrics=["psnr_rgb"], photographs=4, dataset=dataset)


def test_page_answers_with_question_tables_plots_and_provenance(page: str) -> None:
    for fact in (
        "What should guide a network that fills irregular holes?", "Reduced run: the paper trains 1,000,000 iterations",
        "python -m gainbench run --suite paper --scale cpu", "not separable from it", "1a2b3c4d5e6f", "torch 2.6.0",
        "fid is missing: its Inception weights are not here", "100 * mean absolute difference / 255",
    ):  # fmt: skip
        assert fact in page
    assert page.count('class="best"') >= 4
    assert page.count("data:image/svg+xml;base64,") == 5


def test_page_loads_nothing_from_anywhere(page: str) -> None:
    addresses = re.findall(r'(?:src|href)="([^"]{0,40})', page)
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "<script" not in page
    assert "url(" not in page


def test_embedded_figures_decode(page: str) -> None:
    for encoded in re.findall(r"data:image/svg\+xml;base64,([^\"]+)", page):
        assert b"</svg>" in base64.b64decode(encoded)


def test_the_same_results_give_the_same_page(analysis: Analysis, tmp_path: Path) -> None:
    assert written(analysis, tmp_path / "a") == written(analysis, tmp_path / "b")


def test_what_strangers_wrote_is_escaped(bench: MakeBench, tmp_path: Path) -> None:
    made = bench(question="<script>alert(1)</script>").done("gain", small(0.0))
    made.failed("telea", "failed", "<img src=x onerror=alert(2)>")
    page = written(Analysis(made.stored()), tmp_path)
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;" in page


def test_failed_cells_stand_at_the_top_with_cause_and_log(bench: MakeBench, tmp_path: Path) -> None:
    made = bench().done("gain", small(0.0)).failed("telea", "timeout", "more than 60 s")
    page = written(Analysis(made.stored()), tmp_path)
    assert "No numbers from telea on photos-230, seed 0: timed out, more than 60 s" in page
    assert "step 40\nstep 41" in page


def test_readings_are_shown_where_gain_is_among_the_methods(page: str, bench: MakeBench, tmp_path: Path) -> None:
    assert READINGS[0].unknown in page
    made = bench(methods=("telea",)).done("telea", small(0.0))
    without = written(Analysis(made.stored()), tmp_path)
    assert "Readings of the paper" not in without


def test_only_publishable_pictures_reach_the_page(bench: MakeBench, tmp_path: Path) -> None:
    for dataset, shown in (("celeba-999", 0), ("photos-230", 1)):
        made = bench(datasets=(dataset,)).done("gain", small(0.0, dataset), dataset=dataset)
        keep_samples(made.cells[-1].folder, (9, 9, 9))
        assert written(Analysis(made.stored()), tmp_path).count("data:image/webp") == shown


def test_findings_name_best_tied_and_worse(analysis: Analysis) -> None:
    for finding in findings(analysis, "photos-230"):
        named = {finding.best, *finding.tied, *finding.worse}
        assert named == {"gain", "partial_conv", "telea"}
        assert finding.worse == ("telea",)
        assert len(finding.tied) == 1


def test_command_names_what_was_narrowed(bench: MakeBench) -> None:
    written = load_suite("paper")
    whole = bench(datasets=written.datasets, methods=written.methods, metrics=written.metrics, seeds=written.seeds)
    assert command(whole.failed("gain", "failed", "x").stored().resolved) == (
        "python -m gainbench run --suite paper --scale cpu"
    )
    shorter = scales()["cpu"].model_copy(update={"iterations": 7})
    part = bench(datasets=("photos-230",), methods=("gain[delta=0]",), scale=shorter, seeds=(3,))
    assert command(part.failed("gain[delta=0]", "failed", "x").stored().resolved) == (
        "python -m gainbench run --suite paper --scale cpu --methods 'gain[delta=0]' --datasets photos-230 --seeds 3 "
        "--iterations 7"
    )
    own = bench(name="mine", datasets=written.datasets).failed("gain", "failed", "x")
    assert command(own.stored().resolved) == "python -m gainbench run --suite mine.yaml --scale cpu"

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest

from gainbench.gain.readings import READINGS
from gainbench.report.analysis import Analysis
from gainbench.report.build import build_report
from gainbench.report.figures import PlotFiles, compact, page_address
from gainbench.report.html import PAGE, write_html
from gainbench.report.palette import MARKERS
from gainbench.report.provenance import run_commands
from gainbench.report.tables import all_tables
from gainbench.spec import load_suite, scales

from .conftest import Bench, make_rows, make_samples
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
        "python -m gainbench run --suite paper --scale cpu", "Not separable from it", "1a2b3c4d5e6f", "torch 2.6.0",
        "fid is missing: its Inception weights are not here", "100 * mean absolute difference / 255",
    ):  # fmt: skip
        assert fact in page
    assert page.count('class="best"') >= 4
    assert page.count("data:image/svg+xml;base64,") == 5


def test_page_loads_nothing_from_anywhere(page: str) -> None:
    sources = re.findall(r'src="([^"]{0,40})', page)
    assert sources
    assert all(address.startswith("data:") for address in sources)
    links = re.findall(r'href="([^"]{0,40})', page)
    assert all(re.match(r"data:,|#|((plots|tables|gallery)/)?[\w.%-]+$", address) for address in links), links
    assert "url(" not in page
    assert "@import" not in page


def test_the_page_allows_itself_nothing_but_its_own_script(page: str) -> None:
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'")
    assert f"script-src 'sha256-{digest}'" in policy
    assert page.count("<script") == 1
    assert not re.search(r"\son\w+=", page), "no handlers in attributes"


def test_files_beside_the_page_are_linked_as_they_are_called(analysis: Analysis, tmp_path: Path) -> None:
    paths = build_report(analysis.stored, tmp_path)
    text = paths.html.read_text(encoding="utf-8")
    linked = {unquote(one) for one in re.findall(r'href="([^"#][^":]*)"', text)}
    assert len(linked) > 20
    assert [one for one in sorted(linked) if not (tmp_path / one).is_file()] == []


def test_every_marker_of_the_figures_has_its_shape_on_the_page() -> None:
    style = (PAGE / "report.css").read_text(encoding="utf-8")
    assert [marker for marker in MARKERS if f".mark-{marker.replace('^', chr(92) + '^')} {{" not in style] == []


def test_figures_on_the_page_follow_its_look_and_keep_their_words(drawn: list[PlotFiles]) -> None:
    svg = drawn[0].svg.read_text(encoding="utf-8")
    shown = base64.b64decode(page_address(drawn[0]).partition(",")[2]).decode()
    assert "#7a7a7a" not in shown
    assert "prefers-color-scheme:dark" in shown
    words = [re.findall(r"<text[^>]*>([^<]*)</text>", text) for text in (svg, shown)]
    assert words[0] == words[1]
    assert ET.fromstring(shown).tag.endswith("svg")  # noqa: S314 - our own figure


def test_only_what_nobody_sees_is_left_out_of_a_figure() -> None:
    svg = '<g id="text_1">\n <!-- 0.12345 -->\n <text x="1.23456" transform="rotate(-0 1.2 3.4)">0.12345</text>\n</g>'
    assert compact(svg) == '<g><text x="1.23">0.12345</text></g>'


def test_embedded_figures_decode(page: str) -> None:
    for encoded in re.findall(r"data:image/svg\+xml;base64,([^\"]+)", page):
        assert b"</svg>" in base64.b64decode(encoded)


def test_the_same_results_give_the_same_page(analysis: Analysis, tmp_path: Path) -> None:
    assert written(analysis, tmp_path / "a") == written(analysis, tmp_path / "b")


def test_what_strangers_wrote_is_escaped(bench: MakeBench, tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    made = bench(question=hostile).done("gain", small(0.0))
    made.failed("telea", "failed", "<img src=x onerror=alert(2)>")
    make_samples(made.cells[0].folder, 30)
    index = made.cells[0].folder / "samples" / "samples.json"
    index.write_text(index.read_text().replace("000/0", "a/<script>alert(1)"))
    page = written(Analysis(made.stored()), tmp_path)
    assert page.count("<script") == 1
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert page.count("&lt;script&gt;alert") > 10


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
        # Two pictures under six holes: the original, the input, one fill and its error map.
        assert written(Analysis(made.stored()), tmp_path).count("data:image/webp") == 48 * shown


def test_commands_name_what_was_narrowed(bench: MakeBench) -> None:
    def commands(made: Bench) -> list[str]:
        return run_commands(made.stored().resolved)

    written = load_suite("paper")
    whole = bench(datasets=written.datasets, methods=written.methods, metrics=written.metrics, seeds=written.seeds)
    assert commands(whole.failed("gain", "failed", "x")) == ["python -m gainbench run --suite paper --scale cpu"]
    shorter = scales()["cpu"].model_copy(update={"iterations": 7})
    part = bench(datasets=("photos-230",), methods=("gain[delta=0]",), scale=shorter, seeds=(3,))
    (command,) = commands(part.failed("gain[delta=0]", "failed", "x", seed=3))
    assert command == (
        "python -m gainbench run --suite paper --scale cpu --methods 'gain[delta=0]' --datasets photos-230 --seeds 3 "
        "--iterations 7"
    )
    own = bench(name="mine", datasets=written.datasets).failed("gain", "failed", "x")
    assert commands(own) == ["python -m gainbench run --suite mine.yaml --scale cpu"]
    # Of a narrowed suite of the user's nothing tells what the file has.
    less = bench(name="mine", methods=("gain",), scale=shorter, narrowed=("methods left out: telea",))
    (command,) = commands(less.failed("gain", "failed", "x"))
    assert command == (
        "python -m gainbench run --suite mine.yaml --scale cpu --methods gain --datasets photos-230 --seeds 0 "
        "--iterations 7"
    )


def test_commands_plan_no_cell_that_is_not_there(bench: MakeBench) -> None:
    made = bench(name="seeds", datasets=("celeba-999",), methods=("gain", "partial_conv"), seeds=(0, 1))
    for method, seed in (("gain", 0), ("gain", 1), ("partial_conv", 0)):
        made.done(method, small(0.0, "celeba-999"), seed=seed, dataset="celeba-999")
    assert run_commands(made.stored().resolved) == [
        "python -m gainbench run --suite seeds --scale cpu --methods gain --seeds 0,1",
        "python -m gainbench run --suite seeds --scale cpu --methods partial_conv --seeds 0",
    ]


def test_commands_name_the_plugin(bench: MakeBench, tmp_path: Path) -> None:
    made = bench(methods=("telea", "mine")).done("telea", small(0.0)).done("mine", small(1.0))
    mine = made.cells[1]
    made.cells[1] = replace(mine, spec=mine.spec.model_copy(update={"plugin": tmp_path / "my method.py"}))
    (command,) = run_commands(made.stored().resolved)
    assert command.endswith(f"--plugin '{tmp_path}/my method.py'")


def test_the_gallery_gives_way_where_the_page_would_grow_too_large(
    bench: MakeBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench().done("gain", small(0.0))
    make_samples(made.cells[0].folder, 30, pictures=3)
    whole = written(Analysis(made.stored()), tmp_path)
    assert whole.count('class="group"') == 18
    assert "than fit on this page" not in whole
    monkeypatch.setattr("gainbench.report.html.LARGEST", 0)
    reduced = written(Analysis(made.stored()), tmp_path)
    assert reduced.count('class="group"') == 6
    assert "2 more pictures were kept than fit on this page" in reduced


def test_of_many_methods_all_are_in_tables_and_the_first_in_the_suites_order_in_figures(bench: MakeBench) -> None:
    methods = [f"telea[radius={number}]" for number in range(30)]
    made = bench(methods=methods, metrics=("psnr_rgb",))
    for number, method in enumerate(methods):
        # The best come last: they are not drawn for being good.
        made.done(method, small(9.0 - number * 0.3), trained=False)
    stored = made.write()
    paths = build_report(stored, stored.folder)
    page = paths.html.read_text(encoding="utf-8")
    assert "30 methods: the first table has all of them" in page
    assert 'href="tables/photos-230.csv"' in page
    assert page.count("telea<wbr>[radius=<wbr class='deep'>25]") == 2  # in that table, and among the cells
    assert "show the first 24 in the order of the suite" in page
    assert f"Of {24 * 23 // 2} pairs of methods" in page
    assert "and 5 more" in page  # of the 29 that are worse than the best
    main = (stored.folder / "tables" / "photos-230.csv").read_text()
    drawn = (stored.folder / "plots" / "photos-230-psnr_rgb.csv").read_text()
    pairs = (stored.folder / "plots" / "photos-230-pairs.csv").read_text()
    for number, method in enumerate(methods):
        assert f",{method}," in main
        assert (method in drawn, method in pairs) == (number < 24, number < 24)
    assert "telea[radius=29]" in page
    # The reference of differences is the best of those that are drawn.
    assert ",telea[radius=23]," in drawn

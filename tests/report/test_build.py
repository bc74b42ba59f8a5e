import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gainbench.errors import ReportError
from gainbench.report import build_report

from .conftest import Bench, make_rows
from .test_gallery import keep_samples

MakeBench = Callable[..., Bench]

LARGE = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import Bench, make_rows
from gainbench.report import build_report

methods = tuple(f"gain[delta={number / 10}]" for number in range(10))
bench = Bench(Path(sys.argv[2]), datasets=("celeba-999", "photos-230"), methods=methods)
for dataset in bench.suite.datasets:
    crops = 1 if dataset == "celeba-999" else 5
    for place, method in enumerate(methods):
        rows = make_rows(place / 20, 0, photographs=400 // crops, crops=crops, dataset=dataset)
        bench.done(method, rows, dataset=dataset)
stored = bench.stored()
assert len(stored.cells) == 20 and len(stored.rows) == 20 * 2400
start = time.process_time()
paths = build_report(stored, Path(sys.argv[2]) / "out")
print(time.process_time() - start, paths.html.stat().st_size, "torch" in sys.modules)
"""


def test_report_writes_every_kind_of_file(bench: MakeBench, tmp_path: Path) -> None:
    made = bench()
    for place, method in enumerate(("gain", "telea")):
        made.done(method, make_rows(float(place), 0, metrics=["psnr_rgb"], photographs=4))
        keep_samples(made.cells[-1].folder, (1, 2, 3))
    out = tmp_path / "out"
    for stale in ("tables/orl-400.md", "plots/photos-230-fid.svg", "gallery/celeba-999.png"):
        (out / stale).parent.mkdir(parents=True)
        (out / stale).write_bytes(b"of an earlier report")
    paths = build_report(made.stored(), out)
    written = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert written == {
        "report.html",
        "gallery/photos-230.png",
        "tables/photos-230.md",
        "tables/photos-230.csv",
        *(f"tables/photos-230{table}.tex" for table in ("", "-psnr_rgb", "-fd_mobilenetv2", "-cost")),
        *(
            f"plots/photos-230-{name}.{kind}"
            for name in ("psnr_rgb", "fd_mobilenetv2")
            for kind in ("svg", "png", "csv")
        ),
    }
    listed = {paths.html, *paths.tables, *paths.plots, *paths.gallery}
    assert {str(path.relative_to(out)) for path in listed} == written
    assert [table.name for table in paths.main_tables] == ["photos-230"]


def test_results_without_a_finished_cell_still_make_a_report(bench: MakeBench, tmp_path: Path) -> None:
    made = bench().failed("gain", "failed", "the photographs are gone").failed("telea", "pending", "")
    paths = build_report(made.stored(), tmp_path / "out")
    assert "the photographs are gone" in paths.html.read_text(encoding="utf-8")
    assert paths.plots == ()


def test_a_suite_without_cells_is_refused(bench: MakeBench, tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="paper-cpu has no cells"):
        build_report(bench().stored(), tmp_path)


@pytest.mark.slow
def test_twenty_cells_of_2400_rows_take_less_than_20_seconds_and_no_torch(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LARGE, str(Path(__file__).parent), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seconds, size, torch = done.stdout.split()
    assert float(seconds) < 20
    assert int(size) < 3_000_000
    assert torch == "False"

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gainbench.errors import ReportError
from gainbench.report import build_report

from .conftest import Bench, make_rows, make_training_log
from .test_gallery import keep_samples

MakeBench = Callable[..., Bench]

LARGE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import Bench, make_rows, make_samples, make_training_log

methods = tuple(f"gain[delta={number / 10}]" for number in range(10))
bench = Bench(Path(sys.argv[2]), datasets=("celeba-999", "photos-230"), methods=methods)
for dataset in bench.suite.datasets:
    crops = 1 if dataset == "celeba-999" else 5
    for place, method in enumerate(methods):
        rows = make_rows(place / 20, 0, photographs=400 // crops, crops=crops, dataset=dataset)
        bench.done(method, rows, dataset=dataset)
        make_training_log(bench.cells[-1].folder, 1500)
        make_samples(bench.cells[-1].folder, 10 + 5 * place, side=128, pictures=4)
stored = bench.write()
assert len(stored.cells) == 20 and len(stored.rows) == 20 * 2400
"""

REPORT = """
import sys, time
start = time.process_time()
from gainbench.cli import main
try:
    sys.argv[1:] = ["report", "paper-cpu", "--out", sys.argv[1]]
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print(time.process_time() - start, "torch" in sys.modules)
"""


def test_report_writes_every_kind_of_file(bench: MakeBench, tmp_path: Path) -> None:
    made = bench()
    for place, method in enumerate(("gain", "telea")):
        made.done(method, make_rows(float(place), 0, metrics=["psnr_rgb"], photographs=4))
        keep_samples(made.cells[-1].folder, (1, 2, 3))
    make_training_log(made.cells[0].folder)
    out = tmp_path / "out"
    killed = ("tables/.photos-230.md.k3j2_x9a.md", ".report.html.k3j2_x9a.html")
    for stale in ("tables/orl-400.md", "plots/photos-230-fid.svg", "gallery/celeba-999.png", *killed):
        (out / stale).parent.mkdir(parents=True, exist_ok=True)
        (out / stale).write_bytes(b"of an earlier report")
    paths = build_report(made.stored(), out)
    written = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} - {".report.lock"}
    assert written == {
        "report.html",
        "gallery/photos-230.png",
        "tables/photos-230.md",
        "tables/photos-230.csv",
        *(f"tables/photos-230{table}.tex" for table in ("", "-psnr_rgb", "-fd_mobilenetv2", "-cost")),
        *(
            f"plots/photos-230-{name}.{kind}"
            for name in ("psnr_rgb", "fd_mobilenetv2", "pairs", "quality-against-cost", "training")
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
    for code, words in ((LARGE, [str(Path(__file__).parent), str(tmp_path)]), (REPORT, [str(tmp_path)])):
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    seconds, torch = done.stdout.split()[-2:]
    # Seconds of processor time, so that other work on the machine does not count.
    assert float(seconds) < 20
    assert torch == "False"
    assert (tmp_path / "paper-cpu" / "report.html").stat().st_size < 3_000_000

"""A run as it is followed: the plan first, then a grid that fits the terminal, or lines where there is none."""

import io
import re
from collections import Counter
from types import SimpleNamespace

import pytest
from rich.console import Console

from gainbench import console
from gainbench.run.executors import Execution
from gainbench.run.status import CellProgress, CellStatus
from gainbench.run_display import RunDisplay
from gainbench.spec import CellSpec, MaskSpec, MethodSpec, Scale

SCALE = Scale(name="tiny", size=64, base=8, batch=8, iterations=300, test_pictures=40)


def cell(method, dataset="folder", seed=0):
    return CellSpec(
        dataset=dataset,
        manifest_hash="m" * 32 + dataset,
        method=MethodSpec.parse(method),
        revision=1,
        seed=seed,
        scale=SCALE,
        masks=MaskSpec(),
        mask_hash="h" * 32,
        metrics=("l1_mean",),
    )


def planned(cells, root, done=()):
    resolved = SimpleNamespace(
        folder_name="little-tiny",
        scale=SCALE,
        narrowed=("methods left out: telea",),
        footnotes=(),
        datasets=dict.fromkeys(spec.dataset for spec in cells),
    )
    stages = ["done" if spec in done else "new" for spec in cells]
    return SimpleNamespace(
        root=root,
        resolved=resolved,
        cells=[SimpleNamespace(spec=spec, stage=stage) for spec, stage in zip(cells, stages, strict=True)],
        left_out=[],
        reference_sentences=list,
        counts=lambda: Counter(stages),
    )


def terminal(monkeypatch, *, width=80, height=24, lively=True, encoding="utf-8"):
    written = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace", write_through=True)
    out = Console(
        file=written,
        force_terminal=lively,
        width=width,
        height=height,
        markup=False,
        highlight=False,
        color_system=None,
    )
    monkeypatch.setattr(console, "out", out)
    return out


def text(out):
    return out.file.buffer.getvalue().decode(out.file.encoding)


def drawn(display, out):
    """What the grid looks like now, line by line."""
    with out.capture() as captured:
        out.print(display._grid)
    return captured.get().splitlines()


RUNNING = CellStatus(state="running")


@pytest.mark.parametrize("lively", [True, False], ids=["terminal", "file"])
def test_a_run_is_followed_to_its_end(monkeypatch, tmp_path, lively):
    out = terminal(monkeypatch, width=150, lively=lively)
    specs = [cell("gain[guidance=canny]"), cell("telea")]
    with RunDisplay() as display:
        display.planned(planned(specs, tmp_path), specs, Execution(jobs=2, threads=1))
        for spec in specs:
            display.cell(spec, RUNNING, None)
            display.cell(spec, RUNNING, CellProgress("training", 1, 3))
        display.cell(specs[0], CellStatus(state="done", seconds=2.0), None)
        display.cell(specs[1], CellStatus(state="killed", seconds=1.0, cause="ended by SIGKILL"), None)
    shown = text(out)
    assert "2 cells, 0 done already, 2 to run" in shown
    assert "methods left out: telea" in shown
    assert "folder: to begin: gain[guidance=canny], telea" in shown
    assert shown.count("[1/2] folder gain[guidance=canny] seed 0: done in 2.0 s") == 1
    assert shown.count("[2/2] folder telea seed 0: killed in 1.0 s: ended by SIGKILL") == 1


def test_without_a_terminal_there_are_whole_lines_and_no_control_codes(monkeypatch, tmp_path):
    out = terminal(monkeypatch, lively=False)
    spec = cell("gain")
    with RunDisplay() as display:
        display.planned(planned([spec], tmp_path), [spec], Execution())
        display.cell(spec, RUNNING, None)
        for done in range(100):
            display.cell(spec, RUNNING, CellProgress("training", done, 100))
        display.cell(spec, CellStatus(state="done", seconds=2.0), None)
    shown = text(out)
    assert "\x1b" not in shown
    assert shown.count("folder gain seed 0: started") == 1
    assert shown.count("training") == 1  # of the scale's budget: nothing is repeated within half a minute


def test_when_all_is_done_it_says_so(monkeypatch, tmp_path):
    out = terminal(monkeypatch)
    specs = [cell("telea")]
    with RunDisplay() as display:
        display.planned(planned(specs, tmp_path, done=specs), [], Execution())
    assert "nothing was left to do" in text(out)


def test_failed_cells_that_are_left_alone_are_no_nothing_to_do(monkeypatch, tmp_path):
    out = terminal(monkeypatch)
    specs = [cell("telea"), cell("gain")]
    with RunDisplay() as display:
        display.planned(planned(specs, tmp_path, done=specs[:1]), [], Execution())
    assert "nothing was left to do" not in text(out)


def followed(monkeypatch, tmp_path, specs, *, done=(), **size):
    out = terminal(monkeypatch, **size)
    display = RunDisplay()
    started = [spec for spec in specs if spec not in done]
    display.planned(planned(specs, tmp_path, done=done), started, Execution(jobs=2))
    display._live.stop()
    return out, display


def test_the_grid_has_a_line_a_method_and_a_column_a_data_set(monkeypatch, tmp_path):
    specs = [cell(method, dataset) for dataset in ("celeba-999", "photos-230") for method in ("gain", "telea")]
    out, display = followed(monkeypatch, tmp_path, specs, done=specs[3:])
    display.cell(specs[0], RUNNING, CellProgress("training", 150, 300))
    display.cell(specs[1], CellStatus(state="nan", seconds=9.0, cause="not a number"), None)
    headline, heading, gain, telea, *_ = drawn(display, out)
    assert headline.startswith("little-tiny: 1 of 3 cells")
    assert heading.split() == ["celeba-999", "photos-230"]
    assert gain.split() == ["gain", "▶", "training", "50%", "·"]
    assert telea.split() == ["telea", "✗", "nan", "✓"]


def test_seeds_stand_side_by_side(monkeypatch, tmp_path):
    specs = [cell("gain", seed=seed) for seed in range(4)]
    out, display = followed(monkeypatch, tmp_path, specs)
    display.cell(specs[0], CellStatus(state="done", seconds=61.0), None)
    display.cell(specs[1], RUNNING, CellProgress("training", 30, 300))
    assert drawn(display, out)[2].split() == ["gain", "✓", "▶", "10%", "·", "·"]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 24), (40, 10), (20, 6)])
@pytest.mark.parametrize("count", [2, 60])
def test_nothing_is_wider_or_higher_than_the_terminal(monkeypatch, tmp_path, width, height, count):
    specs = [
        cell(f"gain[delta=0.{number},gradient_discriminator=false]", dataset)
        for number in range(count)
        for dataset in ("celeba-999", "photos-230", "orl-400")
    ]
    out, display = followed(monkeypatch, tmp_path, specs, width=width, height=height)
    for spec in specs[:30]:
        display.cell(spec, RUNNING, CellProgress("training", 30, 300))
    lines = drawn(display, out)
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    assert "waiting" in "".join(lines) or count == 2 or width < 40


def test_a_terminal_without_such_letters_gets_plain_ones(monkeypatch, tmp_path):
    specs = [cell("gain"), cell("telea")]
    out, display = followed(monkeypatch, tmp_path, specs, encoding="latin-1")
    display.cell(specs[0], CellStatus(state="done", seconds=61.0), None)
    display.cell(specs[1], CellStatus(state="failed", seconds=61.0), None)
    lines = drawn(display, out)
    assert lines[2].split() == ["gain", "ok", "1:01"]
    assert lines[3].split() == ["telea", "x", "failed"]


def test_what_is_left_follows_the_pace_that_is_seen(monkeypatch, tmp_path):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr("gainbench.run_display.time.monotonic", lambda: clock.now)
    spec = cell("gain")
    out, display = followed(monkeypatch, tmp_path, [spec])
    assert "left" not in drawn(display, out)[0]  # nothing is known yet
    display.cell(spec, RUNNING, CellProgress("training", 100, 300))
    clock.now += 50.0
    display.cell(spec, RUNNING, CellProgress("training", 200, 300))
    assert re.search(r"0:50, about 50 s left$", drawn(display, out)[0])

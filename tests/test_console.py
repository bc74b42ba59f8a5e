"""What a person sees: labels as they are written, bars on a terminal, lines elsewhere, one line for every end."""

import io
from collections import Counter
from types import SimpleNamespace

import pytest
from rich.console import Console

from gainbench import console
from gainbench.run.executors import Execution
from gainbench.run.status import CellProgress, CellStatus
from gainbench.spec import CellSpec, MaskSpec, MethodSpec, Scale


def cell(method: str) -> CellSpec:
    return CellSpec(
        dataset="folder",
        manifest_hash="m" * 32,
        method=MethodSpec.parse(method),
        revision=1,
        seed=0,
        scale=Scale(name="tiny", size=64, base=8, batch=8, iterations=3, test_pictures=40),
        masks=MaskSpec(),
        mask_hash="h" * 32,
        metrics=("l1_mean",),
    )


def planned(cells: list[CellSpec], done: int) -> SimpleNamespace:
    resolved = SimpleNamespace(folder_name="little-tiny", narrowed=("methods left out: telea",), footnotes=())
    return SimpleNamespace(resolved=resolved, cells=cells, counts=lambda: Counter(done=done, new=len(cells) - done))


@pytest.fixture(params=[True, False], ids=["terminal", "file"])
def shown(request, monkeypatch):
    out = Console(file=io.StringIO(), force_terminal=request.param, width=150, markup=False, highlight=False)
    monkeypatch.setattr(console, "out", out)
    return out


def test_labels_are_not_taken_for_markup(shown):
    console.show_table(("method",), [("gain[guidance=canny]",), ("[red]",)], title="[bold]")
    text = shown.file.getvalue()
    assert all(label in text for label in ("gain[guidance=canny]", "[red]", "[bold]"))


def test_a_run_is_followed_to_its_end(shown):
    specs = [cell("gain[guidance=canny]"), cell("telea")]
    display = console.RunDisplay()
    with display:
        display.planned(planned(specs, done=0), specs, Execution(jobs=2, threads=1))
        for spec in specs:
            display.cell(spec, CellStatus(state="running"), None)
            display.cell(spec, CellStatus(state="running"), CellProgress("training", 1, 3))
        display.cell(specs[0], CellStatus(state="done", seconds=2.0), None)
        display.cell(specs[1], CellStatus(state="killed", seconds=1.0, cause="ended by SIGKILL"), None)
    text = shown.file.getvalue()
    assert "2 cells, 0 done already, 2 to run" in text
    assert "methods left out: telea" in text
    assert text.count("[1/2] folder gain[guidance=canny] seed 0: done in 2.0 s") == 1
    assert text.count("[2/2] folder telea seed 0: killed in 1.0 s: ended by SIGKILL") == 1


def test_when_all_is_done_it_says_so(shown):
    specs = [cell("telea")]
    display = console.RunDisplay()
    with display:
        display.planned(planned(specs, done=1), [], Execution())
    assert "nothing was left to do" in shown.file.getvalue()


def test_failed_cells_that_are_left_alone_are_no_nothing_to_do(shown):
    specs = [cell("telea"), cell("gain")]
    display = console.RunDisplay()
    with display:
        display.planned(planned(specs, done=1), [], Execution())
    assert "nothing was left to do" not in shown.file.getvalue()

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gainbench.errors import RunError
from gainbench.evaluation.shrinkage import Shrinkage, write_shrinkage
from gainbench.report.analysis import Analysis
from gainbench.report.masks import mask_pixels, share_text
from gainbench.report.shrinkage import MOST_COLUMNS, shown_steps, strips, write_shrinkages
from gainbench.spec import BINS, bin_label, scales

from .conftest import Bench, make_rows

MakeBench = Callable[..., Bench]


def shrinking(steps: int, *, more: int = 0, names: str = "layer") -> Shrinkage:
    """A hole of ``steps`` columns for each bin of two pictures; each step fills a column, ``more`` do nothing."""
    holes = [np.arange(20) >= max(steps - done, 0) for done in range(steps + more + 1)]
    return Shrinkage(
        rows=tuple(range(2 * len(BINS))),
        image_ids=tuple(f"{place // len(BINS):03d}/0" for place in range(2 * len(BINS))),
        bins=tuple(bin_label(bounds) for bounds in BINS) * 2,
        steps=("hole", *(f"{names} {number}, conv" for number in range(1, steps + more + 1))),
        known=tuple(np.broadcast_to(hole, (2 * len(BINS), 10, 20)) for hole in holes),
    )


def add(bench: Bench, method: str, kept: Shrinkage | None, *, seed: int = 0, dataset: str = "photos-230") -> None:
    rows = make_rows(0.0, seed, metrics=["psnr_rgb"], photographs=4, dataset=dataset)
    bench.done(method, rows, seed=seed, dataset=dataset)
    if kept is not None:
        bench.cells[-1].folder.mkdir(parents=True)
        write_shrinkage(kept, bench.cells[-1].folder / "shrinkage.npz")


def test_each_method_name_gets_a_figure_whatever_the_data_set(bench: MakeBench, tmp_path: Path) -> None:
    made = bench(datasets=("celeba-999",))
    for method, kept in (("gain", shrinking(3)), ("partial_conv", shrinking(2)), ("telea", None)):
        add(made, method, kept, dataset="celeba-999")
    written = write_shrinkages(Analysis(made.stored()), tmp_path / "plots")
    assert [one.svg.name for one in written] == [
        "celeba-999-shrinkage-gain.svg",
        "celeba-999-shrinkage-partial_conv.svg",
    ]
    for one in written:
        assert b"<svg" in one.svg.read_bytes()[:2000]
        with Image.open(one.png) as opened:
            assert opened.convert("RGBA").getpixel((2, 2))[3] == 0  # type: ignore[index]


def test_csv_has_the_share_after_every_step_of_every_hole(bench: MakeBench, tmp_path: Path) -> None:
    made = bench()
    add(made, "gain", shrinking(3, more=2))
    (one,) = write_shrinkages(Analysis(made.stored()), tmp_path)
    lines = list(csv.DictReader(one.csv.open(encoding="utf-8")))
    assert len(lines) == 12 * 6
    assert [float(line["still_hidden"]) for line in lines[:6]] == pytest.approx([0.15, 0.10, 0.05, 0, 0, 0])
    assert [line["step"] for line in lines[:2]] == ["hole", "layer 1, conv"]
    assert {line["image_id"] for line in lines} == {"000/0", "001/0"}


def test_one_method_shows_a_hole_of_each_bin_and_several_the_same_hole(bench: MakeBench) -> None:
    made = bench()
    add(made, "gain", shrinking(3))
    analysis = Analysis(made.stored())
    rows = strips(analysis, "photos-230", {"gain": shrinking(3)})
    assert [strip.shrinkage.bins[strip.row] for strip in rows] == [bin_label(bounds) for bounds in BINS]
    assert {strip.shrinkage.image_ids[strip.row] for strip in rows} == {"000/0", "001/0"}
    both = strips(analysis, "photos-230", {"gain": shrinking(3), "gain[delta=0]": shrinking(2)})
    assert [strip.method for strip in both] == ["gain", "gain[delta=0]"]
    assert {strip.row for strip in both} == {5}


def test_columns_end_where_every_hole_is_closed_and_are_thinned_out_evenly(bench: MakeBench) -> None:
    made = bench()
    add(made, "gain", None)
    analysis = Analysis(made.stored())

    def steps(**kept: Shrinkage) -> tuple[list[str], int]:
        return shown_steps(strips(analysis, "photos-230", kept))

    assert steps(a=shrinking(2, more=20)) == (["hole", "layer 1, conv", "layer 2, conv"], 3)
    assert steps(a=shrinking(2, more=20), b=shrinking(4))[1] == 5
    shown, until_closed = steps(a=shrinking(18, more=4))
    assert (len(shown), until_closed) == (MOST_COLUMNS, 19)
    assert (shown[0], shown[-1]) == ("hole", "layer 18, conv")


def test_the_smallest_seed_is_shown_and_methods_of_other_steps_share_a_figure(bench: MakeBench, tmp_path: Path) -> None:
    made = bench()
    add(made, "gain", shrinking(9), seed=1)
    add(made, "gain", shrinking(3), seed=0)
    add(made, "gain[branches=content]", shrinking(2, names="other"))
    (one,) = write_shrinkages(Analysis(made.stored()), tmp_path)
    lines = list(csv.DictReader(one.csv.open(encoding="utf-8")))
    assert max(int(line["place"]) for line in lines) == 3
    assert "training seed 0" in one.svg.read_text(encoding="utf-8")


def test_small_pictures_say_nothing_of_the_priority(bench: MakeBench, tmp_path: Path) -> None:
    texts = {}
    for scale in ("tiny", "cpu"):
        made = bench(scale=scales()[scale])
        add(made, "gain", shrinking(2))
        (one,) = write_shrinkages(Analysis(made.stored()), tmp_path / scale)
        texts[scale] = one.svg.read_text(encoding="utf-8")
        made.cells[-1].folder.joinpath("shrinkage.npz").unlink()
        made.cells[-1].folder.rmdir()
    assert "No statement about the mask-shrinkage priority" in texts["tiny"]
    assert "priority" not in texts["cpu"]


def test_the_same_results_give_the_same_bytes(bench: MakeBench, tmp_path: Path) -> None:
    made = bench()
    add(made, "gain", shrinking(2))
    (first,), (second,) = (write_shrinkages(Analysis(made.stored()), tmp_path / name) for name in "ab")
    assert first.svg.read_bytes() == second.svg.read_bytes()
    assert first.png.read_bytes() == second.png.read_bytes()


def test_a_damaged_file_is_named(bench: MakeBench, tmp_path: Path) -> None:
    made = bench()
    add(made, "gain", shrinking(2))
    path = made.cells[-1].folder / "shrinkage.npz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match=r"shrinkage\.npz cannot be read"):
        write_shrinkages(Analysis(made.stored()), tmp_path)


def test_pixels_tell_known_filled_and_hidden_apart_across_resolutions() -> None:
    before = np.array([[1, 1, 0, 0], [1, 1, 0, 0]], bool)
    after = np.array([[1, 0]], bool)
    known, hidden = mask_pixels(after, before)[0]
    assert tuple(hidden[:3]) == (0x2B, 0x6C, 0xF0)
    (_, filled) = mask_pixels(np.array([[1, 1]], bool), before)[0]
    assert tuple(filled[:3]) == (0xD9, 0x73, 0x0D)
    assert known[3] < 255 == filled[3] == hidden[3]


@pytest.mark.parametrize(("hidden", "text"), [(0, "0"), (123, "12.3 %"), (1, "0.1 %")])
def test_shares_never_round_to_nothing(hidden: int, text: str) -> None:
    assert share_text(np.arange(1000) >= hidden) == text
    assert share_text(np.arange(10_000) >= 1) == "0.01 %"

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gainbench.report.explanation import priority_pixels, shown_rows, why_no_priorities, write_explanation
from gainbench.report.masks import striped
from gainbench.run.explain import ExplainedStep, Explanation
from gainbench.spec import scales


def step(name: str, hidden: int, *, priority: bool = False) -> ExplainedStep:
    known = np.arange(64).reshape(8, 8) >= hidden
    return ExplainedStep(name, "dilation 1", known, np.ones((8, 8), np.float32) if priority else None)


def made(**changes: object) -> Explanation:
    hidden = np.zeros((32, 40), bool)
    hidden[4:20, 4:30] = True
    drawn = np.random.default_rng(0)
    steps = [step(f"encoder {number}", 30 - number) for number in (1, 2, 3)]
    for block in (1, 2, 3):
        steps += [step(f"block {block}, conv {n}", max(0, 12 - 4 * block - n), priority=True) for n in (1, 2, 3, 4)]
    explanation = Explanation(
        label="gain[delta=0.2]",
        scale=scales()["cpu"],
        base=8,
        iterations=40,
        guidance="gradient",
        branch="structure",
        delta=0.2,
        name="scene.png",
        mask="hole.png",
        digest="0123abcd",
        picture=drawn.integers(0, 256, (32, 40, 3), dtype=np.uint8),
        hidden=hidden,
        completed=drawn.integers(0, 256, (32, 40, 3), dtype=np.uint8),
        recovered=drawn.normal(size=(32, 40, 2)).astype(np.float32),
        steps=tuple(steps),
    )
    return replace(explanation, **changes)  # type: ignore[arg-type]


def svg_of(explanation: Explanation, folder: Path) -> str:
    return write_explanation(explanation, folder)[0].read_text(encoding="utf-8")


def test_svg_and_png_are_written_with_the_share_under_each_mask(tmp_path: Path) -> None:
    svg, png = write_explanation(made(), tmp_path)
    stem = "scene-hole-gain-delta=0.2-cpu-0123abcd"
    assert (svg.name, png.name) == (f"{stem}.svg", f"{stem}.png")
    text = svg.read_text(encoding="utf-8")
    shares = ("32.5 %", "45.3 %", "43.8 %", "42.2 %", "10.9 %")
    assert all(share in text for share in (*shares, "recovered gradient field", "40 iterations"))
    with Image.open(png) as opened:
        assert opened.convert("RGBA").getpixel((1, 1))[3] == 0  # type: ignore[index]


def test_names_that_are_long_leave_room_for_the_rest(tmp_path: Path) -> None:
    svg, _ = write_explanation(made(name=f"{'ä' * 110}.png", mask=f"{'m' * 240}.png"), tmp_path)
    assert svg.name == f"{'ä' * 30}-{'m' * 60}-gain-delta=0.2-cpu-0123abcd.svg"


def test_rows_end_with_the_block_that_closes_the_hole() -> None:
    rows = shown_rows(made())
    assert [len(row) for row in rows] == [3, 4, 4]
    assert rows[-1][-1].known.all()


def test_networks_for_small_pictures_say_nothing_of_the_priority(tmp_path: Path) -> None:
    silence = "No statement about the mask-shrinkage priority"
    assert silence not in svg_of(made(), tmp_path / "cpu")
    assert silence in svg_of(made(scale=scales()["tiny"]), tmp_path / "tiny")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"guidance": "none", "recovered": np.zeros((32, 40, 0), np.float32)}, "no gradient field"),
        ({"guidance": "canny", "recovered": np.ones((32, 40, 1), np.float32)}, "recovered Canny edges"),
        ({"delta": 0.0}, "delta = 0: every block fills"),
        ({"branch": "content"}, "Only branch 1 has priorities"),
        ({"steps": (*(step(f"encoder {n}", 3 - n) for n in (1, 2, 3)),)}, "The encoder alone closed the hole"),
    ],
)
def test_what_there_is_not_the_figure_says(changes: dict[str, object], words: str, tmp_path: Path) -> None:
    assert words in svg_of(made(**changes), tmp_path)


def test_priorities_are_shown_as_shares_of_the_largest_over_masks() -> None:
    before = np.array([[True, False, False, False]])
    pixels = priority_pixels(np.array([[0.0, 0.0, 2.0, 4.0]], np.float32), before)[0].astype(int)
    assert pixels[0, 3] < 255
    assert pixels[1, :3].tolist() == [0x2B, 0x6C, 0xF0]
    assert pixels[3, :3].sum() < pixels[2, :3].sum()
    assert why_no_priorities(made()) == ""


def test_stripes_show_nothing_of_what_is_hidden() -> None:
    hidden = made().hidden
    one, other = striped(made().picture, hidden), striped(255 - made().picture, hidden)
    assert np.array_equal(one[hidden], other[hidden])
    assert np.array_equal(one[~hidden], made().picture[~hidden])


def test_the_same_explanation_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (write_explanation(made(), tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_drawing_needs_no_torch() -> None:
    code = "import sys, gainbench.report.explanation; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

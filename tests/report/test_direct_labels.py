import numpy as np
import pytest
from matplotlib.figure import Figure

from gainbench.report.direct_labels import LABEL_GAP, label_ends, spread
from gainbench.report.palette import method_styles


def test_labels_are_moved_apart_no_further_than_needed() -> None:
    assert spread([0.1, 0.5, 0.9], 0.1) == pytest.approx([0.1, 0.5, 0.9])
    assert spread([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.4, 0.5, 0.6])
    assert spread([0.50, 0.52, 0.90], 0.1) == pytest.approx([0.46, 0.56, 0.90])
    assert spread([0.95, 0.96, 0.97], 0.1) == pytest.approx([0.8, 0.9, 1.0])
    assert spread([0.0, 0.01], 0.1) == pytest.approx([0.0, 0.1])
    assert spread([], 0.1) == []
    moved = spread(sorted(np.random.default_rng(1).random(12)), 0.06)
    assert np.diff(moved).min() >= 0.06 - 1e-12


def test_names_stand_beside_their_ends_on_any_axis() -> None:
    figure = Figure(figsize=(5, 4))
    axes = figure.add_axes((0.1, 0.1, 0.6, 0.8))
    axes.set_yscale("log")
    axes.set_ylim(1, 100)
    styles = method_styles(["low", "middle", "high"])
    label_ends(axes, {"high": 100.0, "low": 1.0, "middle": 10.0, "absent": float("nan")}, styles, width=3.0, height=3.2)
    heights = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert heights == pytest.approx({"low": 0.0, "middle": 0.5, "high": 1.0}, abs=LABEL_GAP / 3.2)
    assert [text.get_color() for text in axes.texts] == [styles[name].colour for name in ("low", "middle", "high")]

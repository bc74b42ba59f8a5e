"""irregular-v1: areas, borders and difficulty are those of the published test set."""

import numpy as np
import pytest

from gainbench.errors import MaskError
from gainbench.masks import hole_statistics, open_protocol, statistics_table
from gainbench.masks.statistics import border_class
from gainbench.spec import BINS, BORDERS, MaskSpec

# Measures of NVIDIA's irregular test set: hole area mean, largest hole radius at 256 (median px), share that touches
# the border; clear and touching, by bin.
PUBLISHED = {
    "0.01-0.1": ((0.058, 8.9, 0.0), (0.059, 8.1, 0.97)),
    "0.1-0.2": ((0.145, 14.1, 0.0), (0.147, 12.6, 0.99)),
    "0.2-0.3": ((0.244, 18.3, 0.0), (0.248, 16.6, 1.0)),
    "0.3-0.4": ((0.339, 23.7, 0.0), (0.344, 20.4, 1.0)),
    "0.4-0.5": ((0.435, 28.6, 0.0), (0.443, 23.7, 1.0)),
    "0.5-0.6": ((0.538, 46.1, 0.0), (0.547, 34.9, 1.0)),
}
PUBLISHED_COMPONENTS = {"0.2-0.3": (8, 11), "0.5-0.6": (1, 4)}


def assert_matches_the_published_set(masks_per_cell: int, share_tolerance: float) -> None:
    table = statistics_table(open_protocol(MaskSpec()), masks_per_cell).set_index(["bin", "border"])
    for label, cells in PUBLISHED.items():
        for index, (border, (area, radius, touching)) in enumerate(zip(BORDERS, cells, strict=True)):
            cell = table.loc[(label, border)]
            assert cell["holes"] == masks_per_cell
            assert cell["area_mean"] == pytest.approx(area, abs=0.01), (label, border)
            assert cell["radius_median"] == pytest.approx(radius, rel=0.2), (label, border)
            if border == "clear":
                assert cell["touches_border"] == 0
                assert cell["clear"] == 1
            else:
                assert cell["touches_border"] == pytest.approx(touching, abs=share_tolerance), label
                assert cell["clear"] == 0
            if label in PUBLISHED_COMPONENTS:
                assert abs(cell["components_median"] - PUBLISHED_COMPONENTS[label][index]) <= 1.5, (label, border)


def test_holes_are_as_hard_as_the_published_ones() -> None:
    assert_matches_the_published_set(60, 0.04)


@pytest.mark.slow
def test_a_thousand_holes_a_cell_are_as_hard_as_the_published_ones() -> None:
    assert_matches_the_published_set(1000, 0.015)


@pytest.mark.parametrize("bounds", BINS)
@pytest.mark.parametrize("border", BORDERS)
def test_every_area_is_in_its_bin_and_every_border_is_of_its_class(bounds: tuple[float, float], border: str) -> None:
    protocol = open_protocol(MaskSpec(seed=5))
    for index in range(20):
        mask = protocol.hole(f"picture {index}", bounds, border).mask
        assert mask.shape == (512, 512)
        assert mask.dtype == np.bool_
        assert bounds[0] < np.count_nonzero(mask) / 512**2 <= bounds[1]
        assert border_class(mask) == border


def test_areas_fill_their_bin() -> None:
    protocol = open_protocol(MaskSpec())
    areas = [hole_statistics(protocol.hole(f"{index}", (0.3, 0.4), "clear").mask).area for index in range(120)]
    assert min(areas) < 0.31
    assert max(areas) > 0.39


def test_training_holes_come_from_every_bin_and_both_border_classes() -> None:
    protocol = open_protocol(MaskSpec())
    found = set()
    for sample in range(160):
        hole = ~protocol.training_known(0, sample, 512)
        area = hole.mean()
        found.add((next(bounds for bounds in BINS if bounds[0] < area <= bounds[1]), border_class(hole)))
    assert found == {(bounds, border) for bounds in BINS for border in BORDERS}


def test_bins_that_it_does_not_draw_are_refused_by_name() -> None:
    with pytest.raises(MaskError, match=r"0\.15-0\.25"):
        open_protocol(MaskSpec(bins=((0.15, 0.25),)))
    with pytest.raises(MaskError, match=r"0\.15-0\.25"):
        open_protocol(MaskSpec()).hole("image", (0.15, 0.25), "clear")

"""A protocol in numbers."""

from gainbench.masks import open_protocol, statistics_table
from gainbench.spec import BINS, BORDERS, MaskSpec, bin_label


def test_binned_protocols_have_a_row_a_bin_and_border_class_and_one_for_all() -> None:
    table = statistics_table(open_protocol(MaskSpec()), 2)
    cells = [(bin_label(bounds), border) for bounds in BINS for border in BORDERS]
    assert list(zip(table["bin"], table["border"], strict=True)) == [*cells, ("all", "all")]
    assert table["holes"].tolist() == [2] * 12 + [24]


def test_other_protocols_are_sorted_by_where_their_holes_fall() -> None:
    table = statistics_table(open_protocol(MaskSpec(protocol="center")), 5)
    assert table.to_dict("records")[0] == {
        "bin": "0.2-0.3",
        "border": "clear",
        "holes": 5,
        "area_mean": 0.25,
        "radius_median": 64.0,
        "components_median": 1.0,
        "touches_border": 0.0,
        "clear": 1.0,
    }
    assert table["bin"].tolist() == ["0.2-0.3", "all"]

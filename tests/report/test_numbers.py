import pytest

from gainbench.evaluation.stats import Interval
from gainbench.report.numbers import (
    bracket,
    count,
    counted,
    decimals_of_intervals,
    decimals_of_values,
    fixed,
    listed,
    quantity,
)


def interval(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, 10, 5, 1)


@pytest.mark.parametrize(
    ("half_width", "decimals"), [(12.0, 0), (1.2, 1), (0.31, 2), (0.031, 3), (0.0031, 4), (1e-9, 5)]
)
def test_decimals_show_two_digits_of_the_half_width(half_width: float, decimals: int) -> None:
    assert decimals_of_intervals([interval(20 - half_width, 20 + half_width)]) == decimals


def test_decimals_follow_the_typical_interval_and_ignore_absent_ones() -> None:
    nan = float("nan")
    assert decimals_of_intervals([interval(0, 0.62), interval(0, 0.6), interval(0, 90), interval(nan, nan)]) == 2
    assert decimals_of_intervals([interval(nan, nan)]) == 2


def test_decimals_of_set_metrics_show_three_digits() -> None:
    assert decimals_of_values([0.0123, 0.0456]) == 4
    assert decimals_of_values([23.4, 160.0, 31.0]) == 1
    assert decimals_of_values([]) == 2


def test_no_negative_zero() -> None:
    assert fixed(-0.004, 2) == "0.00"
    assert fixed(-0.006, 2) == "-0.01"


def test_bracket_is_empty_without_interval() -> None:
    assert bracket(interval(1.0, 2.5), 1) == "[1.0, 2.5]"
    assert bracket(interval(float("nan"), float("nan")), 1) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (940, "940"), (14_600_000, "14.6 M"), (68.2e9, "68.2 G"), (999_600, "1 M"), (1.075e12, "1.07 T")],
)
def test_quantities_have_three_digits_and_a_prefix(value: float, text: str) -> None:
    assert quantity(value) == text


def test_counts_and_lists_read_as_english() -> None:
    assert count(1_000_000) == "1,000,000"
    assert counted(1, "seed") == "1 seed"
    assert counted(2400, "row") == "2,400 rows"
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"

import numpy as np
import pandas as pd
import pytest

from gainbench.evaluation.sets import set_records


def mean_gap(first, second):
    return float(np.abs(first.mean(0) - second.mean(0)).sum() + 1000 * len(first) + len(second))


@pytest.fixture
def setting():
    generator = np.random.default_rng(0)
    # Four originals, each completed in two bins, border classes alternating.
    table = pd.DataFrame({"bin": ["a", "b"] * 4, "border": ["clear", "touching", "touching", "clear"] * 2})
    original_of_row = np.repeat(np.arange(4), 2)
    draw = lambda count: generator.normal(size=(count, 3)).astype(np.float32)  # noqa: E731
    return table, original_of_row, draw(8), draw(4), draw(6)


def records(setting, reference):
    table, original_of_row, completed, originals, others = setting
    found = set_records(
        table,
        original_of_row,
        {"gap": mean_gap},
        completed=completed,
        originals=originals,
        reference=others if reference else None,
    )
    return {(record["bin"], record["border"]): record for record in found}


def test_every_bin_border_and_pool_has_its_record_from_its_own_rows(setting):
    _, _, completed, originals, _ = setting
    found = records(setting, reference=False)
    assert set(found) == {(b, e) for b in ("a", "b", "all") for e in ("clear", "touching", "all")}
    a_clear = found["a", "clear"]
    assert (a_clear["n"], a_clear["n_real"]) == (2, 2)
    assert a_clear["value"] == mean_gap(completed[[0, 4]], originals[[0, 2]])
    b_all = found["b", "all"]
    assert b_all["value"] == mean_gap(completed[1::2], originals)
    assert b_all["floor"] is None


def test_a_pool_of_bins_holds_each_original_once(setting):
    _, _, completed, originals, _ = setting
    pool = records(setting, reference=False)["all", "all"]
    assert (pool["n"], pool["n_real"]) == (8, 4)
    assert pool["value"] == mean_gap(completed, originals)


def test_the_floor_compares_originals_with_as_many_other_real_pictures(setting):
    _, _, _, originals, others = setting
    found = records(setting, reference=True)
    assert found["all", "all"]["floor"] == mean_gap(others[:4], originals)
    assert found["b", "clear"]["floor"] == mean_gap(others[:2], originals[[1, 3]])


def test_a_single_picture_gives_no_value_rather_than_a_number(setting):
    table, original_of_row, completed, originals, _ = setting
    found = set_records(
        table[:1], original_of_row[:1], {"gap": mean_gap}, completed=completed[:1], originals=originals, reference=None
    )
    assert {record["value"] for record in found} == {None}
    assert {record["n"] for record in found} == {1}

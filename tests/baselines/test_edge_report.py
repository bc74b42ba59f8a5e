from dataclasses import replace

import pytest
import torch
from gainbench_baselines.edge_report import beats_all, edge_counts, edge_scores, f1, nearest_edges
from torch import Tensor


def plane(*rows: str) -> Tensor:
    """(1, 1, H, W) from rows of digits."""
    return torch.tensor([[float(digit) for digit in row] for row in rows])[None, None]


def test_the_copy_takes_the_nearest_valid_value() -> None:
    observed = plane("10000", "10000", "10010")
    valid = plane("10001", "10001", "11011")
    # Row 0: columns 1 and 2 are nearest to column 0 (two ways for 2: columns 0 and 4 are equally far), 3 to column 4.
    found = nearest_edges(observed, valid)
    assert found[0, 0, :, 0].tolist() == [1, 1, 1]
    assert found[0, 0, 0, 1].item() == 1
    assert found[0, 0, 0, 3].item() == 0
    # Row 1, column 3: below it is the valid edge of row 2, one pixel away as column 4 is; row 2, column 2 lies between
    # the valid 0 of column 1 and the valid 1 of column 3.
    assert found[0, 0, 2, 1].item() == 0
    assert found[0, 0, 2, 3].item() == 1


def test_soft_values_are_copied_as_they_are_and_each_picture_is_its_own() -> None:
    observed = torch.cat([plane("300", "000"), plane("007", "000")]) / 10
    valid = torch.cat([plane("100", "100"), plane("001", "000")])
    found = nearest_edges(observed, valid)
    torch.testing.assert_close(found[0, 0], torch.tensor([[0.3, 0.3, 0.3], [0, 0, 0]]))
    torch.testing.assert_close(found[1, 0], torch.full((2, 3), 0.7))


def test_without_a_valid_pixel_the_copy_is_empty() -> None:
    assert not nearest_edges(plane("11", "11"), plane("00", "00")).any()


def test_counts_and_f1_of_a_worked_example() -> None:
    hidden = plane("01111", "01111") > 0
    goal = plane("11010", "00000") > 0
    found = plane("11001", "00100") > 0
    # Hidden goal: columns 1 and 3. Found: columns 1 and 4 above, column 2 below. The edge in column 0 is known.
    exact = edge_counts(found, goal, hidden, 0)
    assert exact.tolist() == [[1, 3, 1, 2]]
    assert f1(exact.double().numpy())[0] == pytest.approx(2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2))
    # A pixel aside: (0, 4) meets (0, 3), (1, 2) meets both by its corners.
    assert edge_counts(found, goal, hidden, 1).tolist() == [[3, 3, 2, 2]]


def test_edges_outside_of_the_hole_match_nothing() -> None:
    hidden = plane("0011") > 0
    assert edge_counts(plane("0100") > 0, plane("0010") > 0, hidden, 1).tolist() == [[0, 0, 0, 1]]


def test_no_edges_on_either_side_give_zero() -> None:
    assert f1(torch.zeros(2, 4).double().numpy()).tolist() == [0, 0]


def batches():
    """Two photographs, one of them with two holes; the first stage is right, the copy half right."""
    known = plane("1000", "1000")
    goal = plane("0101", "0000")
    right = plane("0808", "1111") / 10
    half = plane("0101", "0101")
    maps = {"nearest visible edges": half, "first stage": right, "empty": 0 * goal, "full": 0 * goal + 1}
    yield (
        ["a", "b"],
        {name: torch.cat([m, m]) for name, m in maps.items()},
        torch.cat([goal, goal]),
        known.repeat(2, 1, 1, 1),
    )
    yield ["b"], maps, goal, known


def test_scores_are_pooled_over_all_pairs_at_a_fixed_and_at_the_best_threshold() -> None:
    scores = {(s.candidate, s.tolerance, s.best): s for s in edge_scores(batches())}
    first, copy = scores["first stage", 0, False], scores["nearest visible edges", 0, False]
    assert (first.precision, first.recall, first.f1) == (1, 1, 1)
    assert (copy.precision, copy.recall) == (0.5, 1)
    assert copy.f1 == pytest.approx(2 / 3)
    assert first.over_copy[0] == pytest.approx(1 / 3)
    assert copy.over_copy == (0, 0, 0)
    assert scores["empty", 0, True].f1 == 0
    # Everywhere an edge: 2 of 6 hidden pixels are one.
    assert scores["full", 0, True].f1 == pytest.approx(2 * (1 / 3) / (1 / 3 + 1))
    assert scores["first stage", 0, True].threshold == pytest.approx(0.15)  # under it, the .1 of row 2 are edges too
    # Both photographs agree, so resampling them changes nothing.
    assert first.interval == (1, 1)


def test_intervals_are_wider_where_photographs_differ() -> None:
    def two():
        maps = {"nearest visible edges": plane("01", "00"), "first stage": plane("01", "00")}
        yield ["good"], maps, plane("01", "00"), plane("00", "00")
        yield ["bad"], maps, plane("00", "01"), plane("00", "00")

    (score,) = (s for s in edge_scores(two()) if s.candidate == "first stage" and s.tolerance == 0 and not s.best)
    assert score.f1 == pytest.approx(0.5)
    assert score.interval == (0, 1)
    assert score.over_copy == (0, 0, 0)


def test_the_first_stage_must_beat_every_other_map() -> None:
    scores = [score for score in edge_scores(batches()) if score.tolerance == 0]
    assert beats_all(scores)
    copy = next(score for score in scores if score.candidate == "nearest visible edges")
    assert not beats_all([*scores, replace(copy, candidate="first stage")])

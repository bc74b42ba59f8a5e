import numpy as np
import pytest

from gainbench.errors import EvaluationError
from gainbench.evaluation.pairwise import pairwise_differences
from gainbench.evaluation.stats import paired_differences


def made(seeds: list[int], *, photographs: int = 30, crops: int = 3, columns: int = 2) -> tuple[list, np.ndarray]:
    rng = np.random.default_rng(5)
    clusters = np.repeat(np.arange(photographs), crops)
    shared = rng.normal(25, 3, (photographs * crops, columns))
    values = [
        shared + place * 0.2 + rng.normal(0, 0.6, (runs, photographs * crops, columns))
        for place, runs in enumerate(seeds)
    ]
    return values, clusters


@pytest.mark.parametrize("photographs", [8, 30], ids=["every sign pattern", "random sign patterns"])
def test_every_pair_is_what_it_is_alone(photographs: int) -> None:
    values, clusters = made([1, 1, 1], photographs=photographs)
    found = pairwise_differences(values, clusters, flips=2000)
    assert set(found) == {(0, 1), (0, 2), (1, 2)}
    for (i, j), several in found.items():
        alone = paired_differences(values[i], values[j], clusters, flips=2000)
        for one, other in zip(several, alone, strict=True):
            numbers = (one.value, one.low, one.high)
            assert numbers == pytest.approx((other.value, other.low, other.high), rel=1e-9, abs=1e-12)
            assert one.p == other.p
            assert (one.n, one.clusters) == (other.n, other.clusters)


def test_several_seeds_widen_a_difference_as_they_do_alone() -> None:
    values, clusters = made([3, 2, 1])
    for (i, j), several in pairwise_differences(values, clusters).items():
        alone = paired_differences(values[i], values[j], clusters)
        for one, other in zip(several, alone, strict=True):
            assert one.value == pytest.approx(other.value, rel=1e-9)
            # Each method's seeds are drawn on their own: the same law, other draws.
            assert one.high - one.low == pytest.approx(other.high - other.low, rel=0.1)


def test_a_method_without_some_rows_is_compared_on_those_that_both_have() -> None:
    values, clusters = made([1, 1, 1])
    values[2][0, :20, 1] = np.nan
    values[1][0, :, 0] = np.nan
    found = pairwise_differences(values, clusters, flips=1000)
    for (i, j), several in found.items():
        for one, other in zip(several, paired_differences(values[i], values[j], clusters, flips=1000), strict=True):
            assert one.n == other.n
            assert one.p == pytest.approx(other.p, nan_ok=True)
            assert one.value == pytest.approx(other.value, rel=1e-9, nan_ok=True)
    assert found[0, 1][0].n == 0
    assert found[0, 2][1].n == 70


def test_identical_methods_differ_by_nothing() -> None:
    (one, _), clusters = made([1, 1])
    ((same, _),) = pairwise_differences([one, one.copy()], clusters).values()
    assert (same.value, same.low, same.high, same.p) == (0.0, 0.0, 0.0, 1.0)


def test_other_rows_are_refused() -> None:
    values, clusters = made([1, 1])
    with pytest.raises(EvaluationError, match="the same rows and columns"):
        pairwise_differences([values[0], values[1][:, 1:]], clusters)


def test_a_single_method_has_no_pairs() -> None:
    values, clusters = made([1])
    assert pairwise_differences(values, clusters) == {}

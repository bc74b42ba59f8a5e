import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from scipy import stats as scipy_stats

from gainbench.errors import EvaluationError
from gainbench.evaluation import resampling, stats
from gainbench.evaluation.stats import (
    Difference,
    SetDistance,
    flips_for,
    holm,
    interval_of_mean,
    intervals_of_means,
    paired_differences,
    separable,
    set_metric_difference,
    sign_flip_p,
)


def skewed(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.exponential(3.0, size) ** 1.5


def test_unclustered_interval_is_scipys_bca() -> None:
    values = skewed(np.random.default_rng(1), 60)
    ours = interval_of_mean(values, resamples=60_000)
    theirs = scipy_stats.bootstrap(
        (values,), np.mean, n_resamples=60_000, method="BCa", rng=np.random.default_rng(2)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.value == pytest.approx(values.mean(), rel=1e-12)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03 * width)
    # The tolerance must be able to tell BCa from the plain percentile interval.
    percentile = scipy_stats.bootstrap(
        (values,), np.mean, n_resamples=60_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert abs(percentile.high - theirs.high) > 0.04 * width


def test_rows_of_one_photograph_count_as_one_observation() -> None:
    rng = np.random.default_rng(3)
    photographs = skewed(rng, 40)
    once = interval_of_mean(photographs)
    fivefold = interval_of_mean(np.repeat(photographs, 5), np.repeat(np.arange(40), 5))
    assert (fivefold.low, fivefold.value, fivefold.high) == pytest.approx((once.low, once.value, once.high), rel=1e-9)
    assert (fivefold.n, fivefold.clusters) == (200, 40)
    unclustered = interval_of_mean(np.repeat(photographs, 5))
    assert unclustered.high - unclustered.low < 0.6 * (once.high - once.low)


def test_unequal_clusters_follow_the_sandwich_variance_of_a_ratio() -> None:
    rng = np.random.default_rng(4)
    sizes = rng.integers(1, 9, 300)
    clusters = np.repeat(np.arange(300), sizes)
    values = rng.normal(0, 1, 300)[clusters] + rng.normal(0, 0.3, len(clusters)) + 10
    found = interval_of_mean(values, clusters)
    residual_sums = np.bincount(clusters, values - values.mean())
    standard_error = np.sqrt((residual_sums**2).sum()) / len(values)
    assert found.high - found.low == pytest.approx(2 * 1.96 * standard_error, rel=0.06)


def test_nan_rows_are_left_out_column_by_column() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=(1, 30, 2))
    values[0, :10, 1] = np.nan
    clusters = np.arange(30)
    whole, part = intervals_of_means(values, clusters)
    alone = interval_of_mean(values[0, 10:, 1], clusters[10:])
    assert (whole.n, part.n) == (30, 20)
    assert part == alone


def test_no_rows_and_a_single_photograph_have_no_interval() -> None:
    empty = interval_of_mean(np.full(3, np.nan))
    assert np.isnan([empty.value, empty.low, empty.high]).all()
    assert empty.n == 0
    single = interval_of_mean(np.array([1.0, 2.0]), np.array(["a", "a"]))
    assert single.value == 1.5
    assert np.isnan([single.low, single.high]).all()


def test_constant_values_have_an_interval_of_no_width() -> None:
    found = interval_of_mean(np.full(37, 0.1))
    assert found.low == found.high == pytest.approx(0.1, rel=1e-12)


def test_seeds_widen_the_interval_by_their_own_variance() -> None:
    rng = np.random.default_rng(6)
    photographs, seeds = rng.normal(0, 1, 400), rng.normal(0, 0.5, 30)
    values = photographs + seeds[:, None]
    found = interval_of_mean(values)
    expected = np.sqrt(photographs.var() / 400 + seeds.var() / 30)
    assert found.high - found.low == pytest.approx(2 * 1.96 * expected, rel=0.08)
    assert found.seeds == 30


def test_results_do_not_depend_on_row_order_or_on_the_other_columns() -> None:
    rng = np.random.default_rng(7)
    values, clusters = rng.normal(size=(2, 60, 3)), rng.integers(0, 15, 60)
    together = intervals_of_means(values, clusters)
    shuffled = rng.permutation(60)
    alone = interval_of_mean(values[:, shuffled, 2], clusters[shuffled])
    assert (alone.low, alone.value, alone.high) == pytest.approx(
        (together[2].low, together[2].value, together[2].high), rel=1e-9
    )


def test_many_columns_are_worked_on_a_few_at_a_time_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(11)
    a, b = rng.normal(0, 1, (2, 2, 120, 9))
    b[:, 100:, 4] = np.nan
    clusters = np.repeat(np.arange(40), 3)
    whole = intervals_of_means(a, clusters), paired_differences(a, b, clusters, flips=3000)
    monkeypatch.setattr(stats, "MOST_COLUMNS", 2)
    monkeypatch.setattr(resampling, "_CHUNK", 5000)
    slices = list(resampling.few_rows(np.ones((40, 3)), 1000))
    assert [len(rows) for rows in slices] == [5] * 8
    monkeypatch.setattr(resampling, "_CHUNK", 4_000_000)
    parted = intervals_of_means(a, clusters), paired_differences(a, b, clusters, flips=3000)
    for one, other in zip((*whole[0], *whole[1]), (*parted[0], *parted[1]), strict=True):
        assert vars(one) == pytest.approx(vars(other), rel=1e-12, abs=1e-14)


def test_paired_difference_sees_what_unpaired_means_cannot() -> None:
    rng = np.random.default_rng(8)
    difficulty = rng.normal(0, 5, 100)
    a = (difficulty + 0.2 + rng.normal(0, 0.3, 100))[None, :, None]
    b = difficulty[None, :, None]
    (found,) = paired_differences(a, b, np.arange(100))
    reference = scipy_stats.bootstrap(
        ((a - b).ravel(),), np.mean, n_resamples=10_000, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=0.01)
    assert found.excludes_zero
    assert found.p < 0.001
    apart = interval_of_mean(a.ravel())
    assert apart.low < interval_of_mean(b.ravel()).value < apart.high


def test_paired_difference_takes_only_rows_that_both_have() -> None:
    a = np.array([1.0, 2.0, np.nan, 4.0])[None, :, None]
    b = np.array([0.0, np.nan, 7.0, 1.0])[None, :, None]
    (found,) = paired_differences(a, b, np.arange(4))
    assert found.value == pytest.approx((4 + 1) / 2 - (1 + 0) / 2)
    assert found.n == 2


def test_difference_resamples_the_seeds_of_both_methods() -> None:
    rng = np.random.default_rng(9)
    seeds_a, seeds_b, photographs = rng.normal(0, 1, 20), rng.normal(0, 1, 25), rng.normal(0, 9, 50)
    a = (photographs + seeds_a[:, None])[:, :, None]
    b = (photographs + seeds_b[:, None])[:, :, None]
    (found,) = paired_differences(a, b, np.arange(50))
    expected = np.sqrt(seeds_a.var() / 20 + seeds_b.var() / 25)
    assert found.high - found.low == pytest.approx(2 * 1.96 * expected, rel=0.1)


@pytest.mark.parametrize("clusters", [4, 9, 13])
def test_exact_sign_flip_p_is_scipys(clusters: int) -> None:
    differences = np.random.default_rng(clusters).normal(0.4, 1, clusters)
    # Exchanging the members of a pair flips the sign of its difference.
    expected = scipy_stats.permutation_test(
        (differences, np.zeros(clusters)),
        lambda x, y, axis: (x - y).sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
        alternative="two-sided",
    ).pvalue
    assert sign_flip_p(differences[:, None])[0] == pytest.approx(expected, rel=1e-12)


def test_random_sign_flip_p_agrees_with_scipy_and_is_never_zero() -> None:
    differences = np.random.default_rng(10).normal(0.25, 1, 60) + 0.15
    expected = scipy_stats.permutation_test(
        (differences, np.zeros(60)),
        lambda x, y, axis: (x - y).sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    ).pvalue
    assert 0.005 < expected < 0.5
    assert sign_flip_p(differences[:, None], flips=20_000)[0] == pytest.approx(expected, abs=0.012)
    assert sign_flip_p(np.ones((60, 1)), flips=999)[0] == pytest.approx(1 / 1000)


def test_tied_sign_patterns_count_although_rounding_differs() -> None:
    differences = np.array([0.1, 0.2, 0.3])
    reached = sum(
        abs(sum(s * d for s, d in zip(signs, (1, 2, 3), strict=True))) >= 6 for signs in product((1, -1), repeat=3)
    )
    assert sign_flip_p(differences[:, None])[0] == reached / 8


def test_crops_of_one_photograph_do_not_make_a_difference_significant() -> None:
    rng = np.random.default_rng(11)
    shift = np.array([0.9, 1.1, 1.0, 0.8])
    clusters = np.repeat(np.arange(4), 50)
    a = (shift[clusters] + rng.normal(0, 0.1, 200))[None, :, None]
    (found,) = paired_differences(a, np.zeros_like(a), clusters)
    assert found.p == pytest.approx(2 / 16)


def test_holm_by_hand() -> None:
    # Sorted .005 .011 .02 .04 times 4 3 2 1 gives .02 .033 .04 .04, each at least its predecessor.
    assert holm([0.02, 0.005, 0.04, 0.011]) == pytest.approx([0.04, 0.02, 0.04, 0.033])
    # .03 * 2 = .06 carries over to .04, whose own product is smaller.
    assert holm([0.04, 0.03]) == pytest.approx([0.06, 0.06])
    assert holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    partly = holm([0.01, np.nan, 0.03])
    assert partly[[0, 2]] == pytest.approx([0.02, 0.03])
    assert np.isnan(partly[1])


def test_enough_flips_for_holm_to_reject_the_smallest_p() -> None:
    assert flips_for(1) == 10_000
    smallest = 1 / (flips_for(400) + 1)
    assert smallest * 400 < 0.05 / 4


def test_separable_asks_for_adjusted_p_and_interval() -> None:
    def difference(low: float, high: float) -> Difference:
        return Difference((low + high) / 2, low, high, 0.001, 10, 10)

    cases = [difference(0.1, 0.3), difference(-0.1, 0.3), difference(-0.4, -0.2), difference(0.1, 0.2)]
    assert separable(cases, [0.01, 0.01, 0.04, 0.06]) == [True, False, True, False]
    assert separable([difference(np.nan, np.nan)], [np.nan]) == [False]


def squared_mean_distance(features: np.ndarray) -> SetDistance:
    return lambda rows: float((features[rows].mean(axis=0) ** 2).sum())


def test_set_metric_difference_is_centred_on_the_observed_one_despite_resampling_bias() -> None:
    rng = np.random.default_rng(12)
    a, b = rng.normal(0.5, 1, (60, 8)), rng.normal(0.0, 2, (60, 8))
    observed = (a.mean(axis=0) ** 2).sum() - (b.mean(axis=0) ** 2).sum()
    found = set_metric_difference(squared_mean_distance(a), squared_mean_distance(b), np.arange(60))
    assert found.value == pytest.approx(observed)
    assert found.low < observed < found.high
    assert found.excludes_zero
    same = set_metric_difference(squared_mean_distance(a), squared_mean_distance(a), np.arange(60))
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_set_metric_resamples_whole_photographs() -> None:
    seen: set[int] = set()

    def watch(rows: np.ndarray) -> float:
        counts = np.bincount(rows, minlength=30).reshape(6, 5)
        seen.update(int(spread) for spread in np.ptp(counts, axis=1))
        return 0.0

    set_metric_difference(watch, watch, np.repeat(np.arange(6), 5), resamples=5)
    assert seen == {0}


def test_both_methods_are_given_the_same_rows() -> None:
    given: list[list[np.ndarray]] = [[], []]

    def watched(place: int) -> SetDistance:
        return lambda rows: float(len(given[place].append(rows) or rows))

    set_metric_difference(watched(0), watched(1), np.arange(9), resamples=3)
    assert len(given[0]) == 1 + 3
    assert all((one == other).all() for one, other in zip(*given, strict=True))


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(EvaluationError, match=r"\(1, 3, 1\).*2 clusters"):
        intervals_of_means(np.zeros((1, 3, 1)), ["a", "b"])
    with pytest.raises(EvaluationError, match="must agree"):
        paired_differences(np.zeros((1, 3, 1)), np.zeros((1, 3, 2)), ["a", "b", "c"])
    with pytest.raises(EvaluationError, match="found 1"):
        set_metric_difference(
            squared_mean_distance(np.zeros((3, 2))), squared_mean_distance(np.ones((3, 2))), ["a"] * 3
        )


def test_statistics_load_no_torch() -> None:
    program = "import sys, gainbench.evaluation.stats; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def clusters_of_crops(rng: np.random.Generator, photographs: int) -> np.ndarray:
    return np.repeat(np.arange(photographs), rng.integers(1, 6, photographs))


def test_intervals_of_a_few_clustered_draws_cover_the_truth_where_ignorant_ones_do_not() -> None:
    rng = np.random.default_rng(13)
    clusters = clusters_of_crops(rng, 60)
    values = (rng.gamma(2.0, 1.0, (60, 200))[clusters] + rng.normal(0, 0.5, (len(clusters), 200)))[None]
    found, ignorant = (intervals_of_means(values, names, resamples=2000) for names in (clusters, range(len(clusters))))
    assert np.mean([one.low <= 2.0 <= one.high for one in found]) >= 0.9
    assert np.mean([one.low <= 2.0 <= one.high for one in ignorant]) < 0.9


@pytest.mark.slow
def test_intervals_cover_the_truth_in_95_of_100_clustered_draws() -> None:
    rng = np.random.default_rng(13)
    draws, photographs = 1000, 60
    clusters = clusters_of_crops(rng, photographs)
    effects = rng.gamma(2.0, 1.0, (photographs, draws))
    values = effects[clusters] + rng.normal(0, 0.5, (len(clusters), draws))
    found = intervals_of_means(values[None], clusters)
    covered = np.mean([one.low <= 2.0 <= one.high for one in found])
    assert 0.93 <= covered <= 0.97
    # Ignoring the photographs must fail the same check, or it would prove nothing.
    ignorant = intervals_of_means(values[None], np.arange(len(clusters)))
    assert np.mean([one.low <= 2.0 <= one.high for one in ignorant]) < 0.9


@pytest.mark.slow
def test_intervals_of_paired_differences_cover_the_truth_in_95_of_100_clustered_draws() -> None:
    rng = np.random.default_rng(15)
    draws, photographs = 1000, 100
    clusters = clusters_of_crops(rng, photographs)
    difficulty = rng.normal(0, 5, (photographs, draws))[clusters]
    effect = rng.gamma(2.0, 0.5, (photographs, draws))[clusters]
    a, b = ((part + rng.normal(0, 0.3, (len(clusters), draws)))[None] for part in (difficulty + effect, difficulty))
    found = paired_differences(a, b, clusters, flips=2)
    assert 0.93 <= np.mean([one.low <= 1.0 <= one.high for one in found]) <= 0.97


@pytest.mark.slow
def test_intervals_over_seeds_cover_the_truth_in_95_of_100_draws_where_seeds_are_many() -> None:
    rng = np.random.default_rng(16)
    draws, photographs, seeds = 1000, 60, 20
    clusters = clusters_of_crops(rng, photographs)
    values = rng.gamma(2.0, 0.5, (photographs, draws))[clusters] + rng.normal(0, 0.3, (seeds, 1, draws))
    values = values + rng.normal(0, 0.3, values.shape)
    found = intervals_of_means(values, clusters)
    assert 0.93 <= np.mean([one.low <= 1.0 <= one.high for one in found]) <= 0.97
    # One seed alone speaks of its own networks: it misses what training again would give.
    one_seed = intervals_of_means(values[:1], clusters)
    assert np.mean([one.low <= 1.0 <= one.high for one in one_seed]) < 0.9


@pytest.mark.slow
def test_intervals_over_two_and_three_seeds_are_too_narrow_as_the_tables_note_says() -> None:
    rng = np.random.default_rng(18)
    draws, photographs = 1000, 60
    clusters = clusters_of_crops(rng, photographs)
    of_photographs = rng.gamma(2.0, 0.5, (photographs, draws))[clusters]
    covered = {}
    # Seeds vary so many times as much as the mean of the photographs.
    for much, seeds in ((1, 3), (3, 3), (3, 2)):
        of_seeds = rng.normal(0, much * 0.5 * 2**0.5 / photographs**0.5, (seeds, 1, draws))
        values = of_photographs + of_seeds + rng.normal(0, 0.3, (seeds, *of_photographs.shape))
        covered[much, seeds] = np.mean([one.low <= 1.0 <= one.high for one in intervals_of_means(values, clusters)])
    assert covered[1, 3] >= 0.91
    assert 0.86 <= covered[3, 3] <= 0.91
    assert 0.75 <= covered[3, 2] <= 0.82


@pytest.mark.slow
def test_holm_keeps_the_error_rate_of_a_family_of_equal_methods() -> None:
    rng = np.random.default_rng(17)
    families, comparisons = 400, 6
    clusters = np.repeat(np.arange(30), 3)
    shape = (len(clusters), families * comparisons)
    differences = (rng.normal(0, 1, (30, shape[1]))[clusters] + rng.normal(0, 0.5, shape))[None]
    found = paired_differences(differences, np.zeros_like(differences), clusters, flips=2000, resamples=10)
    p = np.array([one.p for one in found]).reshape(families, comparisons)
    any_rejected, any_naive = np.mean([(holm(row) < 0.05).any() for row in p]), np.mean((p < 0.05).any(axis=1))
    # Three standard errors of a share of .05 among 400 above it.
    assert any_rejected <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / families)
    assert any_naive > 0.15


@pytest.mark.slow
def test_p_is_uniform_where_methods_are_equal() -> None:
    rng = np.random.default_rng(14)
    clusters = np.repeat(np.arange(40), 5)
    effects = rng.normal(0, 1, (40, 1000))
    a = (effects[clusters] + rng.normal(0, 0.5, (200, 1000)))[None]
    p = np.array([one.p for one in paired_differences(a, np.zeros_like(a), clusters, flips=2000)])
    assert 0.035 <= (p < 0.05).mean() <= 0.065
    assert scipy_stats.kstest(p, "uniform").pvalue > 0.01

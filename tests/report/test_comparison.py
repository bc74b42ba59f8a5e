import numpy as np
import pandas as pd
import pytest

from gainbench.errors import EvaluationError
from gainbench.evaluation.metrics.frechet import kernel_distance
from gainbench.report.comparison import compare, comparison_listing

from .conftest import make_rows


def rows_of(
    place: float, *, method: str = "gain", seed: int = 0, scale: str = "cpu", dataset: str = "photos-230"
) -> pd.DataFrame:
    rows = make_rows(place, seed, metrics=["psnr_rgb", "l1_mean"], dataset=dataset)
    return rows.assign(key=f"{method}{seed}{dataset}", dataset=dataset, method=method, seed=seed, scale=scale)


def test_a_worse_second_side_is_a_regression_in_every_metric() -> None:
    found = compare(rows_of(0.0), rows_of(1.0))
    assert {entry.verdict for entry in found.entries} == {"worse"}
    assert {(entry.metric, entry.bin) for entry in found.regressions} >= {("psnr_rgb", "all"), ("l1_mean", "0.5-0.6")}
    (psnr,) = [entry for entry in found.entries if (entry.metric, entry.bin) == ("psnr_rgb", "all")]
    expected = rows_of(1.0)["psnr_rgb"].mean() - rows_of(0.0)["psnr_rgb"].mean()
    assert psnr.difference.value == pytest.approx(expected, rel=1e-9)
    assert psnr.mean_b - psnr.mean_a == pytest.approx(expected, rel=1e-9)
    assert psnr.difference.high < 0


def test_the_other_way_round_is_better_not_worse() -> None:
    found = compare(rows_of(1.0), rows_of(0.0))
    assert {entry.verdict for entry in found.entries} == {"better"}
    assert found.regressions == []


def test_results_against_themselves_show_no_difference() -> None:
    found = compare(rows_of(0.0), rows_of(0.0))
    assert {entry.verdict for entry in found.entries} == {"not separable"}
    assert all(entry.difference.value == 0 and entry.p == 1 for entry in found.entries)


def test_p_is_adjusted_over_everything_compared() -> None:
    found = compare(rows_of(0.0), rows_of(0.03))
    assert len(found.entries) == 2 * 7
    assert all(entry.p >= entry.difference.p for entry in found.entries)
    smallest = min(found.entries, key=lambda entry: entry.difference.p)
    assert smallest.p == pytest.approx(min(1, 14 * smallest.difference.p))


def test_two_lone_methods_are_compared_whatever_their_names() -> None:
    (entry, *_) = compare(rows_of(0.0), rows_of(1.0, method="telea")).entries
    assert (entry.method_a, entry.method_b) == ("gain", "telea")


def test_methods_of_one_name_are_paired() -> None:
    a = pd.concat([rows_of(0.0), rows_of(1.0, method="telea")])
    b = pd.concat([rows_of(1.0), rows_of(1.0, method="telea"), rows_of(0.5, method="new")])
    found = compare(a, b)
    assert {(entry.method_a, entry.method_b) for entry in found.entries} == {("gain", "gain"), ("telea", "telea")}
    assert {entry.method_a for entry in found.regressions} == {"gain"}


def test_only_common_rows_count() -> None:
    b = rows_of(1.0)
    found = compare(rows_of(0.0), b[b["bin"] != "0.5-0.6"], metrics=["psnr_rgb"])
    assert {entry.bin for entry in found.entries} == {"all", "0.01-0.1", "0.1-0.2", "0.2-0.3", "0.3-0.4", "0.4-0.5"}
    (whole,) = [entry for entry in found.entries if entry.bin == "all"]
    assert whole.difference.n == 200


def test_seeds_of_both_sides_are_averaged() -> None:
    a = pd.concat([rows_of(0.0, seed=0), rows_of(0.0, seed=1)])
    (entry, *_) = compare(a, rows_of(1.0), metrics=["psnr_rgb"]).entries
    assert entry.mean_a == pytest.approx(a["psnr_rgb"].mean(), rel=1e-12)


def test_other_holes_are_refused() -> None:
    b = rows_of(0.0).assign(mask_id="irregular-v1/other")
    with pytest.raises(EvaluationError, match=r"240 of 240 pictures of photos-230 were given other holes"):
        compare(rows_of(0.0), b)


def test_other_scales_are_refused() -> None:
    with pytest.raises(EvaluationError, match=r"scales differ \(cpu and gpu\)"):
        compare(rows_of(0.0), rows_of(0.0, scale="gpu"))


def test_nothing_in_common_says_what_there_is() -> None:
    with pytest.raises(EvaluationError, match=r"gain on photos-230 on one side, gain on orl-400 on the other"):
        compare(rows_of(0.0), rows_of(0.0, dataset="orl-400"))
    with pytest.raises(EvaluationError, match=r"ssim_rgb_g11 is not on both sides; both have l1_mean and psnr_rgb"):
        compare(rows_of(0.0), rows_of(0.0), metrics=["ssim_rgb_g11"])
    with pytest.raises(EvaluationError, match=r"share no metric"):
        compare(rows_of(0.0).drop(columns=["psnr_rgb"]), rows_of(0.0).drop(columns=["l1_mean"]))


def test_listing_shows_all_holes_first_with_interval_and_verdict() -> None:
    heading, lines = comparison_listing(compare(rows_of(0.0), rows_of(1.0), metrics=["psnr_rgb"]))
    first = dict(zip(heading, lines[0], strict=True))
    assert (first["holes"], first["b is"]) == ("all", "worse")
    assert first["95 % interval"].startswith("[-")
    assert float(first["b"]) - float(first["a"]) == pytest.approx(float(first["b - a"]), abs=0.011)
    assert np.isfinite(float(first["p"]))


def features_of(rows: pd.DataFrame, shift: float, *, keep: int = 6) -> dict[str, np.ndarray]:
    """Features of a cell in its rows' order: those of a picture and hole are the same wherever they stand."""
    images = sorted(rows["image_id"].unique())
    original_of_row = rows["image_id"].map(images.index).to_numpy()
    originals = np.random.default_rng(1).normal(0, 1, (len(images), keep)).astype(np.float32)
    places = original_of_row * 10 + (rows["bin_lo"].to_numpy() * 10).astype(int)
    noise = np.random.default_rng(2).normal(0, 0.3, (10 * len(images), keep)).astype(np.float32)
    return {
        "mobilenetv2": originals[original_of_row] + noise[places] + np.float32(shift),
        "mobilenetv2_originals": originals,
        "original_of_row": original_of_row,
    }


def test_set_metrics_are_compared_over_all_holes_by_their_plain_definition() -> None:
    a, b = rows_of(0.0), rows_of(0.0, method="telea")
    kept = features_of(a, 0.0), features_of(b, 0.6)
    (entry,) = compare(a, b, metrics=["kid_mobilenetv2"], features=(lambda _: kept[0], lambda _: kept[1])).entries
    plain = [kernel_distance(own["mobilenetv2"], own["mobilenetv2_originals"]) for own in kept]
    assert (entry.mean_a, entry.mean_b) == pytest.approx(tuple(plain), rel=1e-9)
    assert entry.difference.value == pytest.approx(plain[1] - plain[0], rel=1e-9)
    assert (entry.bin, entry.verdict) == ("all", "worse")
    assert entry.difference.clusters == 20


def test_set_metrics_pair_rows_that_cells_keep_in_another_order() -> None:
    a = rows_of(0.0)
    b = a.sample(frac=1.0, random_state=0).iloc[:-1]
    kept = features_of(a, 0.0), features_of(b, 0.0)
    both = (lambda _: kept[0], lambda _: kept[1])
    found = compare(a, b, metrics=["fd_mobilenetv2", "psnr_rgb"], features=both)
    (entry,) = [entry for entry in found.entries if entry.metric == "fd_mobilenetv2"]
    assert entry.difference.n == len(a) - 1
    assert entry.difference.value == pytest.approx(0.0, abs=1e-6)
    assert entry.verdict == "not separable"
    assert {entry.bin for entry in found.entries if entry.metric == "psnr_rgb"} > {"all"}


def test_seeds_of_a_side_are_averaged_in_set_metrics() -> None:
    one, two = rows_of(0.0), rows_of(0.0, seed=1)
    kept = {key: features_of(rows, shift) for rows, shift in ((one, 0.0), (two, 0.9)) for key in rows["key"].unique()}
    found = compare(
        pd.concat([one, two]), one, metrics=["kid_mobilenetv2"], features=(kept.__getitem__, kept.__getitem__)
    )
    each = [kernel_distance(own["mobilenetv2"], own["mobilenetv2_originals"]) for own in kept.values()]
    assert found.entries[0].mean_a == pytest.approx(np.mean(each), rel=1e-9)


def test_set_metrics_that_cannot_be_compared_say_why() -> None:
    rows = rows_of(0.0)
    with pytest.raises(EvaluationError, match="features alone"):
        compare(rows, rows, metrics=["fid"])
    kept = features_of(rows, 0.0)
    with pytest.raises(EvaluationError, match="fid compares features 'inception', and gain on photos-230 kept none"):
        compare(rows, rows, metrics=["fid"], features=(lambda _: kept, lambda _: kept))
    short = {name: values[:-1] for name, values in kept.items()}
    with pytest.raises(EvaluationError, match="240 rows and features of 239"):
        compare(rows, rows, metrics=["kid_mobilenetv2"], features=(lambda _: kept, lambda _: short))

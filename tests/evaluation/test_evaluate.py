import json
import time
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from gainbench.errors import EvaluationError
from gainbench.evaluation import evaluate as module
from gainbench.evaluation import evaluate_method
from gainbench.evaluation.metrics.pixel import l1_hole, l1_mean, psnr_rgb
from gainbench.evaluation.metrics.ssim import ssim_rgb_g11
from gainbench.methods import Inpainter, TrainableInpainter
from gainbench.spec import Scale

from .conftest import SIZE, Pictures, pairing

CPU = torch.device("cpu")
SCALE = Scale(name="t", size=SIZE, base=4, batch=1, iterations=0, test_pictures=None)
PIXELS = ("l1_mean", "l1_hole", "l1_rel", "psnr_rgb", "ssim_rgb_g11")


class Gray(Inpainter):
    name = "gray"
    level = 0.5

    def inpaint(self, image, known):
        return torch.full_like(image, self.level)


def evaluate(method, pictures, pairs, **options):
    return evaluate_method(method, pictures, pairs, **({"metrics": PIXELS, "batch": 3, "device": CPU} | options))


@pytest.fixture
def pictures():
    return Pictures(0, 5)


def test_rows_are_the_metrics_of_the_composited_8_bit_pictures(pictures):
    pairs = pairing(pictures)
    rows = evaluate(Gray(None, SCALE), pictures, pairs).rows
    assert len(rows) == 10
    for row in range(10):
        original, known = pictures[row // 2], pairs.known(row)
        completed = np.where(known[..., None], original, np.uint8(128))  # round(.5 * 255), half to even
        batch = completed[None], original[None]
        assert rows["l1_mean"][row] == l1_mean(*batch)[0]
        assert rows["l1_hole"][row] == l1_hole(*batch, known[None])[0]
        assert rows["psnr_rgb"][row] == psnr_rgb(*batch)[0]
        assert rows["ssim_rgb_g11"][row] == ssim_rgb_g11(*batch)[0]


def test_rows_carry_the_pairing_in_its_order(pictures):
    pairs = pairing(pictures)
    rows = evaluate(Gray(None, SCALE), pictures, pairs).rows
    assert list(rows.columns) == [
        *("image_id", "photograph", "bin", "bin_lo", "bin_hi", "border", "mask_id"),
        *("hole_area", "hole_radius", "runtime_ms"),
        *PIXELS,
    ]
    for column in ("image_id", "bin", "bin_lo", "bin_hi", "border", "mask_id"):
        assert rows[column].tolist() == pairs.table[column].tolist()
    assert rows["photograph"].tolist() == [pictures.photographs[row // 2] for row in range(10)]
    assert rows["hole_area"].tolist() == pytest.approx([(~pairs.known(row)).mean() for row in range(10)])
    assert rows["hole_radius"].tolist() == [9.5] * 10
    assert (rows["runtime_ms"] > 0).all()


class Spy(Gray):
    def __init__(self):
        super().__init__(None, SCALE)
        self.seen = []

    def inpaint(self, image, known):
        assert torch.is_inference_mode_enabled()
        self.seen.append((image.clone(), known.clone()))
        return super().inpaint(image, known)


def test_the_method_sees_zeros_where_pixels_are_hidden_and_the_picture_elsewhere(pictures):
    pairs, spy = pairing(pictures), Spy()
    evaluate(spy, pictures, pairs)
    assert len(spy.seen) == 1 + 4  # a first call to warm up, then batches of 3, 3, 3 and 1
    images = torch.cat([image for image, _ in spy.seen[1:]])
    knowns = torch.cat([known for _, known in spy.seen[1:]])
    assert images.dtype == knowns.dtype == torch.float32
    for row in range(10):
        known = pairs.known(row)
        assert torch.equal(knowns[row, 0] == 1, torch.from_numpy(known))
        expected = np.where(known[..., None], pictures[row // 2], 0).astype(np.float32) / 255
        assert torch.equal(images[row], torch.from_numpy(expected).permute(2, 0, 1))


def test_an_oracle_alone_is_given_the_whole_picture(pictures):
    pairs, spy = pairing(pictures), Spy()
    spy.oracle = True
    evaluate(spy, pictures, pairs)
    images = torch.cat([image for image, _ in spy.seen[1:]])
    whole = torch.from_numpy(np.stack([pictures[row // 2] for row in range(10)])).permute(0, 3, 1, 2)
    assert torch.equal((images * 255).round().to(torch.uint8), whole)


class InPlace(Gray):
    def inpaint(self, image, known):
        image.zero_()
        known.zero_()
        return image.fill_(self.level)


def test_a_method_that_overwrites_its_inputs_changes_no_known_pixel(pictures):
    pairs = pairing(pictures)
    rows = evaluate(InPlace(None, SCALE), pictures, pairs).rows.drop(columns="runtime_ms")
    expected = evaluate(Gray(None, SCALE), pictures, pairs).rows.drop(columns="runtime_ms")
    pd.testing.assert_frame_equal(rows, expected, check_exact=True)


class PointWise(TrainableInpainter):
    """Its arithmetic does not mix pictures, so that nothing but the harness could make rows depend on a batch."""

    name = "pointwise"

    def __init__(self):
        super().__init__(None, SCALE)
        self.gain = nn.Parameter(torch.tensor(0.25))

    def inpaint(self, image, known):
        return image.mean(dim=1, keepdim=True).expand_as(image) + self.gain * (1 - known)


@pytest.mark.parametrize(("batch", "metric_batch"), [(1, 16), (4, 3), (10, 1), (7, 5)])
def test_rows_do_not_depend_on_any_batch_size(pictures, monkeypatch, batch, metric_batch):
    pairs = pairing(pictures)
    whole = evaluate(PointWise(), pictures, pairs).rows.drop(columns="runtime_ms")
    monkeypatch.setattr(module, "METRIC_BATCH", metric_batch)
    again = evaluate(PointWise(), pictures, pairs, batch=batch).rows.drop(columns="runtime_ms")
    pd.testing.assert_frame_equal(again, whole, check_exact=True)


@pytest.mark.assets
def test_network_metrics_do_not_depend_on_any_batch_size_either(pictures, monkeypatch, tmp_path):
    pairs, metrics = pairing(pictures), ("lpips_alex", "fd_mobilenetv2")
    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path)
    whole = evaluate(PointWise(), pictures, pairs, metrics=metrics)
    monkeypatch.setattr(module, "METRIC_BATCH", 3)
    again = evaluate(PointWise(), pictures, pairs, metrics=metrics, batch=4)
    assert (again.rows["lpips_alex"] == whole.rows["lpips_alex"]).all()
    assert (again.features["mobilenetv2"] == whole.features["mobilenetv2"]).all()
    assert again.set_metrics == whole.set_metrics


def test_the_order_of_the_pairing_changes_no_value_and_each_original_is_read_for_its_rows_only(pictures):
    order = [7, 2, 9, 0, 5, 4, 1, 8, 3, 6]
    straight = evaluate(PointWise(), pictures, pairing(pictures)).rows.drop(columns="runtime_ms")
    shuffled = evaluate(PointWise(), pictures, pairing(pictures, order)).rows.drop(columns="runtime_ms")
    pd.testing.assert_frame_equal(shuffled, straight.iloc[order].reset_index(drop=True), check_exact=True)
    assert pictures.reads[-10:] == sorted(pictures.reads[-10:])


class Spoiled(Gray):
    value = float("nan")

    def inpaint(self, image, known):
        out = super().inpaint(image, known).clone()
        out[(known.mean(dim=(1, 2, 3)) < 0.8), 0, 0, 0] = self.value
        return out


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_method_that_gives_nan_is_an_error_that_names_the_row(pictures, value):
    method = Spoiled(None, SCALE)
    method.value = value
    with pytest.raises(
        EvaluationError, match=r"Spoiled.*not finite.*row 1: image 'p0/0', bin 0.2-0.3, border touching"
    ):
        evaluate(method, pictures, pairing(pictures))


@pytest.mark.parametrize(
    ("output", "found"), [(lambda image: image[:, :1], r"found \(3, 1, 64, 64\)"), (lambda image: None, "NoneType")]
)
def test_a_method_that_gives_another_shape_is_an_error_with_the_shape_seen(pictures, output, found):
    method = Gray(None, SCALE)
    method.inpaint = lambda image, known: output(image)
    with pytest.raises(EvaluationError, match=found):
        evaluate(method, pictures, pairing(pictures))


def test_what_does_not_fit_is_refused_before_anything_runs(pictures):
    pairs, spy = pairing(pictures), Spy()
    with pytest.raises(EvaluationError, match="no metric named 'psnr'"):
        evaluate(spy, pictures, pairs, metrics=["psnr"])
    with pytest.raises(EvaluationError, match="not among the 5 pictures, such as 'p1/0'"):
        evaluate(spy, pictures, pairing(Pictures(1, 2)))
    with pytest.raises(EvaluationError, match="no rows"):
        evaluate(spy, pictures, pairing(pictures, []))
    with pytest.raises(EvaluationError, match="samples_dir"):
        evaluate(spy, pictures, pairs, samples=2)
    with pytest.raises(EvaluationError, match="batch must be at least 1, found 0"):
        evaluate(spy, pictures, pairs, batch=0)
    small = Pictures(0, 5)
    small.size = 32
    with pytest.raises(EvaluationError, match="holes of 64 px do not fit pictures of 32 px"):
        evaluate(spy, small, pairs)
    assert not spy.seen


class Oracle(Gray):
    oracle = True

    def __init__(self, pictures):
        super().__init__(None, SCALE)
        self.answers = [torch.from_numpy(pictures[index]).permute(2, 0, 1) / 255 for index in range(len(pictures))]

    def inpaint(self, image, known):
        errors = [[((a * k - i) ** 2).sum() for a in self.answers] for i, k in zip(image, known, strict=True)]
        return torch.stack([self.answers[int(np.argmin(row))] for row in errors])


def test_a_perfect_method_is_identical_everywhere_and_counted(pictures):
    evaluation = evaluate(Oracle(pictures), pictures, pairing(pictures))
    assert evaluation.identical == 10
    assert (evaluation.rows["psnr_rgb"] == 100).all()
    assert (evaluation.rows[["l1_mean", "l1_hole", "l1_rel"]] == 0).all(axis=None)
    assert evaluate(Gray(None, SCALE), pictures, pairing(pictures)).identical == 0


class Slow(Gray):
    calls = 0

    def inpaint(self, image, known):
        self.calls += 1
        time.sleep(0.2 if self.calls == 1 else 0.01 * len(image))
        return super().inpaint(image, known)


def test_times_leave_the_first_call_out_and_are_per_image(pictures):
    evaluation = evaluate(Slow(None, SCALE), pictures, pairing(pictures))
    times = evaluation.ms_per_image
    assert times["warmup"] > 200 / 3
    assert evaluation.rows["runtime_ms"].min() >= 10
    assert times["median"] == pytest.approx(evaluation.rows["runtime_ms"].median())
    assert times["iqr"] == pytest.approx(times["upper_quartile"] - times["lower_quartile"])
    assert times["median"] < 200 / 3
    assert times["loading"] > 0
    assert times["metrics"] >= sum(times[metric] for metric in PIXELS) > 0
    assert evaluation.peak_memory_mb > 10


def test_samples_are_kept_with_all_their_rows_and_an_index(pictures, tmp_path):
    pairs = pairing(pictures)
    evaluate(Gray(None, SCALE), pictures, pairs, samples=2, samples_dir=tmp_path / "samples")
    index = json.loads((tmp_path / "samples" / "samples.json").read_text())
    assert [(record["row"], record["image_id"]) for record in index] == [
        (0, "p0/0"),
        (1, "p0/0"),
        (8, "p0/4"),
        (9, "p0/4"),
    ]
    folder = tmp_path / "samples"
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        "samples.json",
        "photographs.csv",
        *(f"{kind}/{row:05d}.png" for row in (0, 1, 8, 9) for kind in ("completed", "original", "hole")),
    }
    assert (folder / "photographs.csv").read_text() == (
        "name,photograph\n00000,p0-0\n00001,p0-0\n00008,p0-2\n00009,p0-2\n"
    )
    record = index[3]
    assert (record["bin"], record["border"]) == ("0.2-0.3", pairs.table["border"][9])
    read = {kind: np.array(Image.open(tmp_path / "samples" / name)) for kind, name in record["files"].items()}
    assert (read["original"] == pictures[4]).all()
    assert ((read["known"] == 255) == ~pairs.known(9)).all()  # white is the hole
    assert set(np.unique(read["known"])) == {0, 255}
    assert (read["completed"][pairs.known(9)] == pictures[4][pairs.known(9)]).all()
    assert (read["completed"][~pairs.known(9)] == 128).all()


def test_more_samples_than_images_keeps_them_all(pictures, tmp_path):
    evaluate(Gray(None, SCALE), pictures, pairing(pictures), samples=50, samples_dir=tmp_path)
    assert len(json.loads((tmp_path / "samples.json").read_text())) == 10


class Noisy(Gray):
    def inpaint(self, image, known):
        return torch.rand_like(image)


def test_a_method_that_draws_at_random_gives_the_same_rows_and_leaves_the_random_state_alone(pictures):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = evaluate(Noisy(None, SCALE), pictures, pairing(pictures)).rows
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    second = evaluate(Noisy(None, SCALE), pictures, pairing(pictures)).rows
    assert (first["l1_mean"] == second["l1_mean"]).all()


class Dtype(TrainableInpainter):
    name = "dtype"

    def __init__(self):
        super().__init__(None, SCALE)
        self.conv = nn.Conv2d(3, 3, 1)
        self.found = set()

    def inpaint(self, image, known):
        assert not self.training
        out = self.conv(image)
        self.found.add(out.dtype)
        return out


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_precision_is_the_methods_alone(pictures, precision, dtype):
    method = Dtype().train()
    rows = evaluate(method, pictures, pairing(pictures), precision=precision).rows
    assert method.found == {dtype}
    assert rows[list(PIXELS)].dtypes.unique().tolist() == [np.dtype("float64")]


def test_progress_counts_rows(pictures):
    seen = []
    evaluate(Gray(None, SCALE), pictures, pairing(pictures), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 10), (6, 10), (9, 10), (10, 10)]


def test_memory_does_not_grow_with_the_number_of_pictures():
    def peak(count):
        pictures = Pictures(0, count)
        pairs = pairing(pictures)
        tracemalloc.start()
        evaluate(Gray(None, SCALE), pictures, pairs, metrics=("l1_mean", "psnr_rgb"))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(2)
    few, many = peak(20), peak(200)
    # 360 further rows hold 360 * 64 * 64 * 3 bytes in each of completed, original: none of it may stay.
    assert many - few < 0.1 * 360 * SIZE * SIZE * 3


@pytest.mark.assets
def test_set_metrics_features_and_floor(pictures, monkeypatch, tmp_path):
    from gainbench.evaluation.metrics.frechet import frechet_distance, kernel_distance

    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path)
    monkeypatch.setenv("GAINBENCH_OFFLINE", "1")
    pairs, others = pairing(pictures), Pictures(1, 6)
    evaluation = evaluate(
        Gray(None, SCALE), pictures, pairs, metrics=("fd_mobilenetv2", "kid_mobilenetv2", "l1_mean"), reference=others
    )
    features = evaluation.features
    assert features["mobilenetv2"].shape == (10, 1280)
    assert features["mobilenetv2_originals"].shape == (5, 1280)
    assert features["original_of_row"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    records = {(r["metric"], r["bin"], r["border"]): r for r in evaluation.set_metrics}
    assert len(records) == 2 * 9
    completed, originals = features["mobilenetv2"], features["mobilenetv2_originals"]
    record = records["fd_mobilenetv2", "0.2-0.3", "all"]
    assert record["value"] == frechet_distance(completed[1::2], originals)
    assert record["n"] == 5
    assert record["floor"] > 0
    record = records["kid_mobilenetv2", "all", "all"]
    assert record["value"] == kernel_distance(completed, originals)
    assert (record["n"], record["n_real"]) == (10, 5)
    assert not evaluation.missing
    assert len(list((tmp_path / "features").rglob("*.npy"))) == 2


def test_a_metric_without_weights_is_absent_with_a_reason(pictures, monkeypatch, tmp_path):
    monkeypatch.setenv("GAINBENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("GAINBENCH_OFFLINE", "1")
    for name in ("GAINBENCH_FID_WEIGHTS", "GAINBENCH_ASSETS"):
        monkeypatch.delenv(name, raising=False)
    evaluation = evaluate(Gray(None, SCALE), pictures, pairing(pictures), metrics=("l1_mean", "lpips_alex", "fid"))
    assert set(evaluation.missing) == {"lpips_alex", "fid"}
    assert "--fid-weights" in evaluation.missing["fid"]
    assert list(evaluation.rows.columns)[-1] == "l1_mean"
    assert not evaluation.set_metrics
    assert not evaluation.features

"""Metrics beside the reference libraries on the same data, in one process and one run."""

import time
import warnings
from collections.abc import Callable
from typing import TypeVar

import lpips
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from gainbench.evaluation.evaluate import METRIC_BATCH
from gainbench.evaluation.metrics.frechet import frechet_distance
from gainbench.evaluation.metrics.panel import open_panel
from gainbench.evaluation.metrics.perceptual import load_lpips
from gainbench.masks import open_protocol, resize_nearest
from gainbench.spec import BINS, BORDERS, MaskSpec

pytestmark = pytest.mark.benchmark

CPU = torch.device("cpu")
T = TypeVar("T")


def timed(work: Callable[[], T], repeats: int = 1) -> tuple[float, T]:
    """The quickest of some runs in seconds, and what the last one gave."""
    quickest = float("inf")
    for _ in range(repeats):
        begun = time.perf_counter()
        result = work()
        quickest = min(quickest, time.perf_counter() - begun)
    return quickest, result


def pictures(seed: int, count: int, size: int) -> NDArray[np.uint8]:
    generator = np.random.default_rng(seed)
    coarse = gaussian_filter(generator.random((count, size, size, 3), dtype=np.float32), (0, 1, 1, 0))
    return (coarse * 255).astype(np.uint8)


def test_frechet_distance_is_thirty_times_quicker_than_pytorch_fid_and_equal(
    record_property: Callable[[str, object], None],
) -> None:
    from pytorch_fid.fid_score import calculate_frechet_distance

    generator = np.random.default_rng(0)
    scales = np.exp(-np.arange(2048) / 300)
    first, second = (generator.normal(shift, 1, (1000, 2048)).astype(np.float32) * scales for shift in (0.0, 0.2))
    moments = [(f.astype(float).mean(0), np.cov(f.astype(float), rowvar=False)) for f in (first, second)]
    ours, value = timed(lambda: frechet_distance(first, second), repeats=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pytorch-fid calls sqrtm as older releases of scipy had it
        theirs, reference = timed(lambda: calculate_frechet_distance(*moments[0], *moments[1]))
    assert value == pytest.approx(reference, rel=1e-6)
    record_property("times_as_fast", theirs / ours)
    assert theirs > 30 * ours, f"{theirs:.2f} s against {ours:.2f} s"


def holes(count: int, size: int) -> NDArray[np.bool_]:
    """Known pixels under the default protocol, all hole sizes alike."""
    protocol = open_protocol(MaskSpec())
    drawn = (protocol.hole(f"image {index}", BINS[index % 6], BORDERS[index // 6 % 2]).mask for index in range(count))
    return np.stack([~resize_nearest(hole, size) for hole in drawn])


@pytest.mark.parametrize("differing", ["in the hole", "everywhere"])
def test_pixel_metrics_are_three_times_quicker_than_a_loop_over_scikit_image(
    differing: str,
    record_property: Callable[[str, object], None],
) -> None:
    completed, original = pictures(1, 500, 256), pictures(2, 500, 256)
    known = holes(500, 256)
    if differing == "in the hole":  # as completed pictures do
        completed = np.where(known[..., None], original, completed)
    panel = open_panel(["l1_mean", "psnr_rgb", "ssim_rgb_g11"], CPU, size=256)

    def ours() -> dict[str, float]:
        parts = []
        for start in range(0, 500, METRIC_BATCH):
            part = slice(start, start + METRIC_BATCH)
            images = range(start, min(start + METRIC_BATCH, 500))
            parts.append(panel.measure(completed[part], original[part], known[part], images))
        return {metric: float(np.concatenate([part[metric] for part in parts]).mean()) for metric in panel.pictures}

    def theirs() -> dict[str, float]:
        values = []
        for p, t in zip(completed, original, strict=True):
            ssim = structural_similarity(
                t, p, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
            )
            values.append((np.abs(p / 255 - t / 255).mean() * 100, peak_signal_noise_ratio(t, p), ssim))
        return dict(zip(("l1_mean", "psnr_rgb", "ssim_rgb_g11"), np.mean(values, axis=0), strict=True))

    our_seconds, our_values = timed(ours, repeats=2)
    their_seconds, their_values = timed(theirs)
    for metric, value in our_values.items():
        assert value == pytest.approx(their_values[metric], rel=1e-6)
    record_property("times_as_fast", their_seconds / our_seconds)
    assert their_seconds > 3 * our_seconds, f"{their_seconds:.2f} s against {our_seconds:.2f} s"


@pytest.mark.assets
def test_an_original_under_six_holes_is_embedded_once() -> None:
    originals, completed = pictures(4, 8, 128), pictures(5, 48, 128)
    images = [row // 6 for row in range(48)]
    whole, known = originals[images], np.ones((48, 128, 128), bool)
    panel = open_panel(["lpips_alex"], CPU, size=128)
    network = load_lpips("alex")

    def ours() -> NDArray[np.float64]:
        chunks = [slice(start, start + METRIC_BATCH) for start in range(0, 48, METRIC_BATCH)]
        values = [panel.measure(completed[c], whole[c], known[c], images[c])["lpips_alex"] for c in chunks]
        return np.concatenate(values)

    def theirs() -> NDArray[np.float64]:
        values = []
        with torch.inference_mode():
            for start in range(0, 48, 4):
                pair = [
                    torch.cat([lpips.im2tensor(picture) for picture in batch[start : start + 4]])
                    for batch in (completed, whole)
                ]
                values.append(network(*pair).flatten().numpy())
        return np.concatenate(values)

    our_seconds, our_values = timed(ours, repeats=3)
    their_seconds, their_values = timed(theirs, repeats=3)
    assert our_values == pytest.approx(their_values, abs=1e-6)
    assert their_seconds > 1.4 * our_seconds, f"{their_seconds:.2f} s against {our_seconds:.2f} s"

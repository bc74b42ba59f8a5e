"""Every metric beside its reference; ``python tests/evaluation/metrics/parity.py`` writes the table.

The libraries that serve as references are development tools, so the table is made here and not by the program.
"""

import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unittest import mock

import cv2
import lpips
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchvision.models import Inception3
from torchvision.transforms.functional import normalize

from gainbench.evaluation.metrics import features, legacy, pixel, ssim, structural
from gainbench.evaluation.metrics.catalogue import METRICS
from gainbench.evaluation.metrics.frechet import frechet_distance, kernel_distance
from gainbench.evaluation.metrics.perceptual import Lpips, load_lpips

PAGE = Path(__file__).parents[3] / "docs" / "metrics_parity.md"
CPU = torch.device("cpu")
PAIRS, SIDE = 8, 64
Floats = NDArray[np.float64]
Measured = tuple[Floats, Floats]
"""Our values and the reference's."""


@dataclass(frozen=True)
class Parity:
    """One line of the table.

    Attributes:
        what: a metric's id, or what several metrics share.
        reference: what it is compared with.
        tolerance: largest difference allowed.
        relative: whether differences are relative to the reference's largest value.
        measure: gives both sides.
        slow: whether it takes more than a moment.
    """

    what: str
    reference: str
    tolerance: float
    measure: Callable[[], Measured]
    relative: bool = False
    slow: bool = False

    def difference(self) -> float:
        """The largest difference seen."""
        ours, theirs = (np.asarray(side, np.float64) for side in self.measure())
        if ours.shape != theirs.shape or not np.isfinite(ours).all():
            raise AssertionError(f"{self.what}: {ours.shape} against {theirs.shape}, or not finite")
        return float(np.abs(ours - theirs).max() / (np.abs(theirs).max() if self.relative else 1.0))


@cache
def pictures() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    """Completed pictures from good to bad, originals, and known: smooth, as photographs are, with ragged holes."""
    generator = np.random.default_rng(20)
    original = ndimage.gaussian_filter(generator.random((PAIRS, SIDE, SIDE, 3)), (0, 2, 2, 0))
    original = (255 * (original - original.min()) / np.ptp(original)).astype(np.uint8)
    noise = ndimage.gaussian_filter(generator.normal(0, 1, original.shape), (0, 1, 1, 0))
    strength = np.geomspace(4, 400, PAIRS)[:, None, None, None]
    known = ndimage.gaussian_filter(generator.random((PAIRS, SIDE, SIDE)), (0, 4, 4)) < 0.51
    fill = np.clip(original + strength * noise, 0, 255).astype(np.uint8)
    return np.where(known[..., None], original, fill), original, known


def per_pair(reference: Callable[..., float]) -> Floats:
    """A reference of one picture, over all of them: called with completed, original (float64), known."""
    return np.array([reference(p.astype(float), t.astype(float), m) for p, t, m in zip(*pictures(), strict=True)])


def whole(ours: Callable[..., Floats], reference: Callable[..., float]) -> Callable[[], Measured]:
    """A metric of whole pictures beside its reference."""
    return lambda: (ours(*pictures()[:2]), per_pair(reference))


def in_hole(ours: Callable[..., Floats], reference: Callable[..., float]) -> Callable[[], Measured]:
    """A metric of the hole beside its reference."""
    return lambda: (ours(*pictures()), per_pair(reference))


def similarity(p: Floats, t: Floats, **options: object) -> float:
    """scikit-image's SSIM."""
    return float(structural_similarity(t, p, **({"data_range": 255, "channel_axis": -1} | options)))


def gray(picture: Floats, weights: tuple[float, float, float]) -> Floats:
    """The weighted sum of R, G and B."""
    return picture @ np.array(weights)


BT601, SKIMAGE = (0.299, 0.587, 0.114), (0.2125, 0.7154, 0.0721)


def gradient(picture: Floats) -> Floats:
    """The gray gradient as complex numbers, x + iy."""
    plane = gray(picture, BT601)
    x, y = (ndimage.correlate1d(plane, [-0.5, 0, 0.5], axis=axis, mode="nearest") for axis in (1, 0))
    return x + 1j * y


def literal_seam(p: Floats, t: Floats, m: NDArray[np.bool_]) -> float:
    """A walk along the rim."""
    found = [
        np.abs((p[v, u] - p[y, x]) - (t[v, u] - t[y, x]))
        for y in range(SIDE)
        for x in range(SIDE)
        for v, u in ((y, x + 1), (y + 1, x))
        if v < SIDE and u < SIDE and m[y, x] != m[v, u]
    ]
    return float(100 / 255 * np.mean(found))


def literal_gradient_l1(p: Floats, t: Floats, m: NDArray[np.bool_]) -> float:
    gap = (gradient(p) - gradient(t))[~m]
    return float(100 / 255 * np.mean([np.abs(gap.real), np.abs(gap.imag)]))


def literal_gradient_angle(p: Floats, t: Floats, m: NDArray[np.bool_]) -> float:
    ours, theirs = gradient(p)[~m], gradient(t)[~m]
    angle = np.where(np.abs(ours) > 1e-9, np.abs(np.angle(ours * theirs.conj(), deg=True)), 90)
    return float(np.average(angle, weights=np.abs(theirs)))


def literal_edge_f1(p: Floats, t: Floats, m: NDArray[np.bool_]) -> float:
    """OpenCV's edges, matched one by one."""

    def edges(picture: Floats) -> NDArray[np.bool_]:
        plane = np.rint(gray(picture, BT601)).astype(np.uint8)
        blurred = cv2.GaussianBlur(plane, (7, 7), 1.0, borderType=cv2.BORDER_REPLICATE)
        return cv2.Canny(blurred, 50, 150, L2gradient=True) > 0

    def matched(mine: NDArray[np.bool_], theirs: NDArray[np.bool_]) -> list[bool]:
        places = zip(*np.nonzero(mine & ~m), strict=True)
        return [bool(theirs[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].any()) for y, x in places]

    precision, recall = matched(edges(p), edges(t)), matched(edges(t), edges(p))
    if not precision and not recall:
        return 1.0
    p_, r = (float(np.mean(one)) if one else 0.0 for one in (precision, recall))
    return 2 * p_ * r / (p_ + r) if p_ + r else 0.0


def lama_ssim(p: Floats, t: Floats, _: object) -> float:
    """Convolutions by torch with zero padding."""
    offsets = torch.arange(-5, 6, dtype=torch.float64)
    taps = torch.exp(-(offsets**2) / 4.5)
    window = (torch.outer(taps, taps) / taps.sum() ** 2).expand(3, 1, 11, 11)
    x, y = (torch.from_numpy(one / 255).permute(2, 0, 1)[None] for one in (p, t))
    mx, my, xx, yy, xy = (
        torch.nn.functional.conv2d(one, window, padding=5, groups=3) for one in (x, y, x * x, y * y, x * y)
    )
    upper = (2 * mx * my + 1e-4) * (2 * (xy - mx * my) + 9e-4)
    return float((upper / ((mx**2 + my**2 + 1e-4) * (xx - mx**2 + yy - my**2 + 9e-4))).mean())


def perceptual(trunk: str) -> Callable[[], Measured]:
    """Ours beside the package's own forward pass with the same weights."""

    def measure() -> Measured:
        completed, original, _ = pictures()
        with torch.inference_mode():
            tensors = [torch.cat([lpips.im2tensor(one) for one in batch]) for batch in (completed, original)]
            reference = load_lpips(trunk)(*tensors).flatten().double().numpy()
        return Lpips(trunk, CPU)(completed, original), reference

    return measure


def feature_sets(width: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Two sets of features with a spectrum that falls, as networks' features have: fewer and more than ``width``."""
    generator = np.random.default_rng(21)
    scales = np.exp(-np.arange(width) / (width / 6))
    for count in (width // 2, 3 * width):
        first, second = (generator.normal(shift, 1, (count, width)) * scales for shift in (0.0, 0.3))
        yield first.astype(np.float32), second.astype(np.float32)


def frechet() -> Measured:
    """Both forms of ours beside pytorch-fid's function."""
    from pytorch_fid.fid_score import calculate_frechet_distance

    ours, theirs = [], []
    for first, second in feature_sets(48):
        moments = [part for f in (first, second) for part in (f.astype(float).mean(0), np.cov(f.astype(float).T))]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it calls sqrtm as older releases of scipy had it
            theirs.append(calculate_frechet_distance(*moments))
        ours.append(frechet_distance(first, second))
    return np.array(ours), np.array(theirs)


def kernel() -> Measured:
    """Ours beside a loop over all pairs."""
    ours, theirs = [], []
    for first, second in feature_sets(24):

        def mean(x: Floats, y: Floats, width: int = 24) -> float:
            pairs = [(float(np.dot(a, b)) / width + 1) ** 3 for i, a in enumerate(x) for j, b in enumerate(y)
                     if x is not y or i != j]  # fmt: skip
            return float(np.mean(pairs))

        x, y = first.astype(float), second.astype(float)
        theirs.append(mean(x, x) + mean(y, y) - 2 * mean(x, y))
        ours.append(kernel_distance(first, second))
    return np.array(ours), np.array(theirs)


def mobilenet() -> Measured:
    """What we pool beside what torchvision's classifier reads."""
    batch = pictures()[0]
    read: list[torch.Tensor] = []
    network = features.load_mobilenet_v2()
    network.classifier.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    resized = torch.from_numpy(features.resize_clean(batch, 224)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        network(normalize(resized / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return features.mobilenet_v2_features(CPU)(batch), read[0].numpy()


def random_inception(folder: Path) -> Path:
    """A state dict with the names and shapes of the published one."""
    path = folder / "weights.pth"

    def capture(self: torch.nn.Module, _: object) -> None:
        # PyTorch's default weights let activations die out over fifty layers; these keep their variance.
        torch.save({k: v * 6**0.5 if v.ndim == 4 else v for k, v in self.state_dict().items()}, path)

    torch.save({}, path)
    with torch.random.fork_rng(devices=[]), mock.patch.object(Inception3, "load_state_dict", capture):
        torch.manual_seed(0)
        features.load_inception(path, resize_input=False)
    return path


def inception(weights: Path | None = None) -> Measured:
    """What we compute from arrays beside what pytorch-fid computes from files, with the same weights."""
    from pytorch_fid.fid_score import get_activations

    batch = pictures()[0][:4]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = random_inception(folder) if weights is None else weights
        files = []
        for number, picture in enumerate(batch):
            files.append(str(folder / f"{number}.png"))
            Image.fromarray(picture).save(files[-1])
        graph = features.load_inception(path, resize_input=True)
        reference = get_activations(files, graph, batch_size=4, dims=2048, device="cpu", num_workers=0)
        with mock.patch.object(features, "asset_path", return_value=path):
            ours = features.inception_features(CPU, clean=False)(batch)
    return ours, reference


FRECHET = ("pytorch-fid's calculate_frechet_distance on the same features", 1e-6, frechet)

LINES = (
    Parity("l1_mean", "numpy", 1e-9, whole(pixel.l1_mean, lambda p, t, _: 100 * np.abs(p - t).mean() / 255)),
    Parity("l1_hole", "numpy", 1e-9, in_hole(pixel.l1_hole, lambda p, t, m: 100 * np.abs(p - t)[~m].mean() / 255)),
    Parity("l1_rel", "numpy", 1e-9, whole(pixel.l1_rel, lambda p, t, _: 100 * np.abs(p - t).sum() / t.sum())),
    Parity(
        "psnr_rgb",
        "scikit-image, peak_signal_noise_ratio",
        1e-9,
        whole(pixel.psnr_rgb, lambda p, t, _: peak_signal_noise_ratio(t, p, data_range=255)),
    ),
    Parity(
        "ssim_rgb_g11",
        "scikit-image, structural_similarity (gaussian_weights, sigma 1.5, use_sample_covariance=False)",
        1e-6,
        whole(
            ssim.ssim_rgb_g11,
            lambda p, t, _: similarity(p, t, gaussian_weights=True, sigma=1.5, use_sample_covariance=False),
        ),
    ),
    Parity("lpips_alex", "lpips 0.1.4, its own forward pass, real weights", 1e-6, perceptual("alex")),
    Parity("lpips_vgg", "lpips 0.1.4, its own forward pass, real weights", 1e-6, perceptual("vgg"), slow=True),
    Parity("seam_rgb", "numpy, a walk along the rim", 1e-9, in_hole(structural.seam_rgb, literal_seam)),
    Parity(
        "grad_l1_hole",
        "scipy.ndimage, central differences",
        1e-9,
        in_hole(structural.grad_l1_hole, literal_gradient_l1),
    ),
    Parity(
        "grad_angle_hole",
        "scipy.ndimage and complex numbers",
        1e-6,
        in_hole(structural.grad_angle_hole, literal_gradient_angle),
    ),
    Parity(
        "edge_f1_hole",
        "OpenCV's edges, matched one by one",
        1e-9,
        in_hole(structural.edge_f1_hole, literal_edge_f1),
    ),
    Parity("fid", *FRECHET, relative=True),
    Parity("fid_pytorch", *FRECHET, relative=True),
    Parity("fd_mobilenetv2", *FRECHET, relative=True),
    Parity("kid_mobilenetv2", "a loop over all pairs", 1e-9, kernel, relative=True),
    Parity(
        "legacy_edgeconnect_ssim",
        "scikit-image, structural_similarity (win_size=51) on its gray",
        1e-6,
        whole(
            legacy.legacy_edgeconnect_ssim,
            lambda p, t, _: similarity(
                gray(p, SKIMAGE) / 255, gray(t, SKIMAGE) / 255, win_size=51, data_range=1, channel_axis=None
            ),
        ),
    ),
    Parity(
        "legacy_edgeconnect_mae",
        "numpy",
        1e-9,
        whole(
            legacy.legacy_edgeconnect_mae,
            lambda p, t, _: np.abs(gray(p - t, SKIMAGE)).sum() / gray(p + t, SKIMAGE).sum(),
        ),
    ),
    Parity(
        "legacy_aotgan_ssim",
        "scikit-image, structural_similarity (defaults)",
        1e-6,
        whole(legacy.legacy_aotgan_ssim, lambda p, t, _: similarity(p, t)),
    ),
    Parity(
        "legacy_mmagic_mae",
        "numpy",
        1e-9,
        in_hole(legacy.legacy_mmagic_mae, lambda p, t, m: 100 * np.abs(p / 255 - t / 255)[~m].mean()),
    ),
    Parity("legacy_lama_ssim", "torch convolutions", 1e-6, whole(legacy.legacy_lama_ssim, lama_ssim)),
    Parity(
        "legacy_zits_psnr",
        "numpy",
        1e-9,
        whole(legacy.legacy_zits_psnr, lambda p, t, _: 1 - 10 * np.log10(np.mean((p / 255 - t / 255) ** 2) + 1e-7)),
    ),
    Parity(
        "MobileNetV2 features",
        "torchvision, input of the classifier, real weights",
        1e-4,
        mobilenet,
        relative=True,
    ),
    Parity(
        "Inception features",
        "pytorch-fid's get_activations from PNG files, the same random weights",
        1e-4,
        inception,
        relative=True,
        slow=True,
    ),
)

HEAD = f"""# Every metric beside its reference

Written by `python tests/evaluation/metrics/parity.py`; the tests measure again and hold the page to it. {PAIRS}
pairs of {SIDE} px, fills from good to bad; sets of features of fewer and of more pictures than dimensions. Differences
are absolute, in the metric's unit, except where a tolerance is marked relative (to the largest value of the reference).

The three Frechet distances are one function on three kinds of features; the features have lines of their own. With the
published Inception weights the same comparison is a test of its own, skipped where they are absent.

| metric | reference | largest difference | tolerance |
| --- | --- | ---: | ---: |
"""


def table(differences: dict[str, float]) -> str:
    """The page."""
    rows = [
        f"| {line.what if ' ' in line.what else f'`{line.what}`'} | {line.reference} | "
        f"{differences[line.what]:.1e} | {line.tolerance:.0e}{' relative' if line.relative else ''} |\n"
        for line in LINES
    ]
    return HEAD + "".join(rows)


if __name__ == "__main__":
    assert {line.what for line in LINES} >= METRICS.keys()
    PAGE.write_text(table({line.what: line.difference() for line in LINES}), encoding="utf-8")

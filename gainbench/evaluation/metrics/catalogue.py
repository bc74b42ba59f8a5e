"""Every metric by id: what it means, which way is better, and what its value was checked against.

An id carries its definition: a change of the definition is a new id. This table needs no torch, so that ``gainbench
list metrics`` and the report can read it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gainbench.errors import EvaluationError
from gainbench.spec import nearest


@dataclass(frozen=True)
class MetricInfo:
    """One row of the table.

    Attributes:
        id: what suites, rows and tables call the metric.
        label: how a table's header prints it, with its unit.
        direction: whether ``lower`` or ``higher`` values are better.
        per: ``picture`` metrics give one value a row, ``set`` metrics one value a set of pictures.
        definition: the formula in words, with ranges and conventions.
        reference: what the tests compare the values with.
        asset: name of the weights the metric needs, or None.
        smallest: side in pixels below which a picture does not hold the metric's window.
        hole: whether the metric looks at the hole, and so needs to be told where it is.
    """

    id: str
    label: str
    direction: Literal["lower", "higher"]
    per: Literal["picture", "set"]
    definition: str
    reference: str
    asset: str | None = None
    smallest: int = 1
    hole: bool = False


_TABLE = (
    MetricInfo(
        "l1_mean",
        "l1 (%)",
        "lower",
        "picture",
        "100 * mean absolute difference / 255 over all pixels and channels",
        "numpy",
    ),
    MetricInfo(
        "l1_hole",
        "l1 in the hole (%)",
        "lower",
        "picture",
        "l1_mean over the hole's pixels only; 0 where there is no hole",
        "numpy",
        hole=True,
    ),
    MetricInfo(
        "l1_rel",
        "relative l1 (%)",
        "lower",
        "picture",
        "100 * sum |completed - original| / sum original, RGB; an all-black original counts as all ones",
        "numpy",
    ),
    MetricInfo(
        "psnr_rgb",
        "PSNR (dB)",
        "higher",
        "picture",
        "10 log10(255^2 / mse) per picture over all pixels and channels; capped at 100, which identical pictures get",
        "scikit-image",
    ),
    MetricInfo(
        "ssim_rgb_g11",
        "SSIM",
        "higher",
        "picture",
        "Gaussian 11x11 window, sigma 1.5, K .01 and .03, population covariance, valid region, range 255, mean of R, G "
        "and B",
        "scikit-image (gaussian_weights, sigma 1.5, use_sample_covariance=False)",
        smallest=11,
    ),
    MetricInfo(
        "lpips_alex",
        "LPIPS (AlexNet)",
        "lower",
        "picture",
        "LPIPS v0.1 with the AlexNet trunk, input in [-1, 1] at the pictures' own size",
        "lpips 0.1.4",
        asset="lpips-alexnet",
        smallest=31,
    ),
    MetricInfo(
        "lpips_vgg",
        "LPIPS (VGG16)",
        "lower",
        "picture",
        "LPIPS v0.1 with the VGG16 trunk, input in [-1, 1] at the pictures' own size",
        "lpips 0.1.4",
        asset="lpips-vgg16",
        smallest=16,
    ),
    MetricInfo(
        "seam_rgb",
        "seam (%)",
        "lower",
        "picture",
        "100 / 255 * mean absolute difference, completed against original, of the first differences between each known "
        "pixel and its 4-neighbour in the hole; 0 where there is no rim",
        "numpy",
        hole=True,
    ),
    MetricInfo(
        "grad_l1_hole",
        "gradient l1 in the hole (%)",
        "lower",
        "picture",
        "100 / 255 * mean absolute difference in the hole of the gray picture's central differences in x and y "
        "(gray .299 R + .587 G + .114 B, replicate border); 0 where there is no hole",
        "numpy",
        hole=True,
    ),
    MetricInfo(
        "grad_angle_hole",
        "gradient angle in the hole (degrees)",
        "lower",
        "picture",
        "angle in [0, 180] between the two gray gradients, mean over the hole weighted by the original's magnitude; a "
        "completed gradient of zero counts as 90, an original without any gradient in the hole gives 0",
        "numpy",
        hole=True,
    ),
    MetricInfo(
        "edge_f1_hole",
        "edge F1 in the hole",
        "higher",
        "picture",
        "F1 of the Canny edges (gray, Gaussian sigma 1, thresholds 50 and 150, L2 norm) in the hole; an edge pixel is "
        "found if the other picture has one within 1 px (8 neighbours); 1 where neither picture has an edge there",
        "numpy",
        hole=True,
    ),
    MetricInfo(
        "fid",
        "FID",
        "lower",
        "set",
        "Frechet distance on the 2048 pooled features of pytorch-fid's Inception, pictures resized to 299 px by PIL "
        "bicubic, antialiased, in floating point (clean-fid's preprocessing); only with the real weights",
        "pytorch-fid on the same features",
        asset="inception-fid",
    ),
    MetricInfo(
        "fid_pytorch",
        "FID (pytorch-fid)",
        "lower",
        "set",
        "the same on pytorch-fid's own preprocessing: bilinear to 299 px, no antialias; to compare with its numbers",
        "pytorch-fid on the same features",
        asset="inception-fid",
    ),
    MetricInfo(
        "fd_mobilenetv2",
        "FD (MobileNetV2)",
        "lower",
        "set",
        "Frechet distance on the 1280 pooled features of torchvision's MobileNetV2, pictures resized to 224 px by PIL "
        "bicubic, antialiased, in floating point; not an FID",
        "closed forms; pytorch-fid on the same features",
        asset="mobilenet-v2",
    ),
    MetricInfo(
        "kid_mobilenetv2",
        "KID (MobileNetV2)",
        "lower",
        "set",
        "squared MMD with the kernel (x.y / 1280 + 1)^3, full estimator (unbiased for independent sets), on the "
        "features of fd_mobilenetv2; may be below 0",
        "brute force",
        asset="mobilenet-v2",
    ),
    MetricInfo(
        "legacy_edgeconnect_ssim",
        "SSIM (EdgeConnect)",
        "higher",
        "picture",
        "gray (.2125, .7154, .0721) in [0, 1], uniform 51x51 window, sample covariance, valid region",
        "scikit-image (win_size=51)",
        smallest=51,
    ),
    MetricInfo(
        "legacy_edgeconnect_mae",
        "MAE (EdgeConnect)",
        "lower",
        "picture",
        "gray (.2125, .7154, .0721), sum |a - b| / sum (a + b); 0 if both pictures are black",
        "worked example",
    ),
    MetricInfo(
        "legacy_aotgan_ssim",
        "SSIM (AOT-GAN)",
        "higher",
        "picture",
        "RGB, uniform 7x7 window, sample covariance, valid region, range 255, mean of R, G, B",
        "scikit-image (defaults)",
        smallest=7,
    ),
    MetricInfo(
        "legacy_mmagic_mae",
        "MAE (mmagic, %)",
        "lower",
        "picture",
        "100 * sum |a - b| / (3 * hole pixels + 1e-12), hole only, pictures in [0, 1]",
        "worked example",
        hole=True,
    ),
    MetricInfo(
        "legacy_lama_ssim",
        "SSIM (LaMa)",
        "higher",
        "picture",
        "RGB in [0, 1], Gaussian 11x11 window, sigma 1.5, population covariance, zero padding, mean over all pixels",
        "torch convolutions",
    ),
    MetricInfo(
        "legacy_zits_psnr",
        "PSNR (ZITS, dB)",
        "higher",
        "picture",
        "1 - 10 log10(mse + 1e-7), pictures in [0, 1]: one decibel above the usual definition",
        "worked example",
    ),
)

METRICS: dict[str, MetricInfo] = {info.id: info for info in _TABLE}
"""Every metric that gainbench computes, in the order in which tables list them."""


def selected_metrics(ids: Iterable[str]) -> list[MetricInfo]:
    """The rows of :data:`METRICS` for ``ids``, in the order asked for, each once.

    Raises:
        EvaluationError: an id is unknown; the nearest valid one is named.
    """
    wanted = list(dict.fromkeys(ids))
    for metric in wanted:
        if metric not in METRICS:
            raise EvaluationError(f"no metric named {metric!r}; {nearest(metric, METRICS)}")
    return [METRICS[metric] for metric in wanted]

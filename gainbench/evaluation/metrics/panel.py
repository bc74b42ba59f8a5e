"""Which function answers for which id, what is shared between rows of one original, and what each metric cost."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from gainbench.errors import AssetError
from gainbench.evaluation.metrics import legacy, pixel, ssim, structural
from gainbench.evaluation.metrics.catalogue import selected_metrics
from gainbench.evaluation.metrics.features import FeatureExtractor, inception_features, mobilenet_v2_features
from gainbench.evaluation.metrics.frechet import SET_METRICS
from gainbench.evaluation.metrics.guards import Known, Pictures, Values, check_pair
from gainbench.evaluation.metrics.perceptual import Embedding, Lpips, Trunk

_WHOLE: dict[str, Callable[[Pictures, Pictures], Values]] = {
    "l1_mean": pixel.l1_mean,
    "l1_rel": pixel.l1_rel,
    "psnr_rgb": pixel.psnr_rgb,
    "ssim_rgb_g11": ssim.ssim_rgb_g11,
    "legacy_edgeconnect_ssim": legacy.legacy_edgeconnect_ssim,
    "legacy_edgeconnect_mae": legacy.legacy_edgeconnect_mae,
    "legacy_aotgan_ssim": legacy.legacy_aotgan_ssim,
    "legacy_lama_ssim": legacy.legacy_lama_ssim,
    "legacy_zits_psnr": legacy.legacy_zits_psnr,
}

_HOLE: dict[str, Callable[[Pictures, Pictures, Known], Values]] = {
    "l1_hole": pixel.l1_hole,
    "seam_rgb": structural.seam_rgb,
    "grad_l1_hole": structural.grad_l1_hole,
    "grad_angle_hole": structural.grad_angle_hole,
    "edge_f1_hole": structural.edge_f1_hole,
    "legacy_mmagic_mae": legacy.legacy_mmagic_mae,
}

_LPIPS: dict[str, Trunk] = {"lpips_alex": "alex", "lpips_vgg": "vgg"}

FeatureSet = NDArray[np.float32]

Distance = Callable[[FeatureSet, FeatureSet], float]

_EXTRACTORS: dict[str, Callable[[torch.device], FeatureExtractor]] = {
    "mobilenetv2": mobilenet_v2_features,
    "inception": lambda device: inception_features(device, clean=True),
    "inception_pytorch": lambda device: inception_features(device, clean=False),
}
"""Feature families by the name under which ``features.npz`` keeps them."""


@dataclass
class Panel:
    """The metrics that can be computed here, opened and ready.

    Attributes:
        pictures: ids of per-picture metrics, in the order asked for.
        sets: id of each set metric -> (name of its features, distance).
        lpips: id of each LPIPS -> its network.
        extractors: name of features -> what computes them.
        missing: id of each metric that cannot be computed -> why, and how to get what it needs.
        seconds: what each per-picture metric and each extractor took so far.
    """

    pictures: list[str] = field(default_factory=list)
    sets: dict[str, tuple[str, Distance]] = field(default_factory=dict)
    lpips: dict[str, Lpips] = field(default_factory=dict)
    extractors: dict[str, FeatureExtractor] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    _embedded: dict[str, dict[int, Embedding]] = field(default_factory=dict)

    def measure(
        self, completed: Pictures, original: Pictures, known: Known, images: Sequence[int]
    ) -> dict[str, Values]:
        """Every per-picture metric of some rows.

        What a network sees in an original is kept for the next call: rows of one original that come one after the
        other, in this call or the next, share it. Nothing older is kept, so memory stays flat.

        Args:
            completed: uint8 (N, H, W, 3).
            original: uint8 (N, H, W, 3).
            known: bool (N, H, W), True = known.
            images: N numbers; equal numbers mean the same original.

        Returns:
            id -> float64 (N,).

        Raises:
            EvaluationError: another type or shape.
        """
        values: dict[str, Values] = {}
        for metric in self.pictures:
            started = time.perf_counter()
            if metric in _WHOLE:
                values[metric] = _WHOLE[metric](completed, original)
            elif metric in _HOLE:
                values[metric] = _HOLE[metric](completed, original, known)
            else:
                values[metric] = self._lpips_of(metric, completed, original, images)
            self._spent(metric, started)
        return values

    def extract(self, completed: Pictures) -> dict[str, FeatureSet]:
        """Every feature family of some pictures: name -> float32 (N, d)."""
        found = {}
        for name, extractor in self.extractors.items():
            started = time.perf_counter()
            found[name] = extractor(completed)
            self._spent(f"{name}_features", started)
        return found

    def _lpips_of(self, metric: str, completed: Pictures, original: Pictures, images: Sequence[int]) -> Values:
        # Features of nearly equal sizes have equal shapes: only the pictures tell that they do not belong together.
        check_pair(completed, original)
        network = self.lpips[metric]
        kept = self._embedded.get(metric, {})
        first_row = {image: images.index(image) for image in dict.fromkeys(images) if image not in kept}
        if first_row:
            fresh = network.embed(original[list(first_row.values())])
            kept = kept | dict(zip(first_row, fresh, strict=True))
        self._embedded[metric] = {image: kept[image] for image in images}
        return network.against(completed, [kept[image] for image in images])

    def _spent(self, name: str, started: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def open_panel(metrics: Sequence[str], device: torch.device, *, size: int) -> Panel:
    """Load what the metrics need. A metric whose weights are missing is named, never replaced by another network.

    Args:
        metrics: ids of the catalogue.
        device: where networks run.
        size: the pictures' side in pixels; a metric whose window is larger is missing too.

    Raises:
        EvaluationError: an unknown id.
    """
    panel = Panel()
    absent: dict[str | None, str] = {}
    for info in selected_metrics(metrics):
        if size < info.smallest:
            panel.missing[info.id] = (
                f"needs pictures of at least {info.smallest} px, these have {size}: use a larger scale"
            )
            continue
        # Weights that could not be had once are not tried, and waited for, again.
        if info.asset in absent:
            panel.missing[info.id] = absent[info.asset]
            continue
        try:
            if info.id in _LPIPS:
                panel.lpips[info.id] = Lpips(_LPIPS[info.id], device)
            elif info.id in SET_METRICS and SET_METRICS[info.id].features not in panel.extractors:
                name = SET_METRICS[info.id].features
                panel.extractors[name] = _EXTRACTORS[name](device)
        except AssetError as error:
            panel.missing[info.id] = absent[info.asset] = str(error)
            continue
        if info.id in SET_METRICS:
            panel.sets[info.id] = SET_METRICS[info.id][:2]
        else:
            panel.pictures.append(info.id)
    return panel

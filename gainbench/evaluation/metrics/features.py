"""Pooled features of pictures under a named network and a named preprocessing, and their cache."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pytorch_fid import inception as pytorch_fid_inception
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import MobileNetV2

from gainbench.assets import asset_path
from gainbench.atomic import atomic_path
from gainbench.evaluation.metrics.batches import exact_arithmetic, fixed_batches
from gainbench.evaluation.metrics.guards import Pictures, check_pictures

logger = logging.getLogger(__name__)

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class PictureSource(Protocol):
    """Pictures by index, such as :class:`gainbench.data.PictureSet`: uint8 (size, size, 3) each."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """One picture."""
        ...


@dataclass(frozen=True)
class FeatureExtractor:
    """A network and all that decides its numbers.

    Attributes:
        id: names network, weights, preprocessing and their revision; caches are filed under it.
        width: features a picture.
        network: float32 (B, 3, H, W) in [0, 255] at the size that ``prepare`` gives -> (B, width).
        prepare: uint8 (N, H, W, 3) -> float32 (N, H', W', 3) in [0, 255].
        device: where the network runs.
    """

    id: str
    width: int
    network: Callable[[Tensor], Tensor]
    prepare: Callable[[Pictures], NDArray[np.float32] | Pictures]
    device: torch.device

    def __call__(self, pictures: Pictures) -> NDArray[np.float32]:
        """The features of each picture, float32 (N, width).

        Args:
            pictures: uint8 (N, H, W, 3).

        Raises:
            EvaluationError: another type or shape.
        """
        check_pictures(pictures, "pictures")
        with exact_arithmetic():
            parts = [
                self.network(batch)[:count].cpu().numpy()
                for batch, count in fixed_batches(self.prepare(pictures), self.device)
            ]
        return np.concatenate(parts).astype(np.float32, copy=False)


def resize_clean(pictures: Pictures, side: int) -> NDArray[np.float32]:
    """The preprocessing named ``clean``: PIL's bicubic with antialiasing, in floating point, cut to [0, 255].

    No rounding to 8 bit between resizing and the network, as in Parmar et al. 2022 (CVPR), "On aliased resizing".

    Args:
        pictures: uint8 (N, H, W, 3).
        side: the new height and width.

    Returns:
        float32 (N, side, side, 3).
    """
    resized = np.empty((len(pictures), side, side, 3), np.float32)
    for picture, target in zip(pictures, resized, strict=True):
        for channel in range(3):
            plane = Image.fromarray(picture[..., channel].astype(np.float32))
            target[..., channel] = np.asarray(plane.resize((side, side), Image.Resampling.BICUBIC))
    return np.clip(resized, 0.0, 255.0, out=resized)


def load_mobilenet_v2() -> MobileNetV2:
    """MobileNetV2 of torchvision with its ImageNet weights, in evaluation mode on the CPU.

    Raises:
        AssetError: the weights are missing.
    """
    path = asset_path("mobilenet-v2")
    with torch.random.fork_rng(devices=[]):
        network = MobileNetV2()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    network.eval().requires_grad_(requires_grad=False)
    return network


def mobilenet_v2_features(device: torch.device) -> FeatureExtractor:
    """The 1280 features that MobileNetV2 pools before its classifier, of pictures resized ``clean`` to 224 px.

    Raises:
        AssetError: the weights are missing.
    """
    trunk = _fused(load_mobilenet_v2().features).to(device).to(memory_format=torch.channels_last)
    mean = 255.0 * torch.tensor(_IMAGENET_MEAN, device=device).view(1, 3, 1, 1)
    std = 255.0 * torch.tensor(_IMAGENET_STD, device=device).view(1, 3, 1, 1)
    return FeatureExtractor(
        id="mobilenetv2-b0353104-clean224-1",
        width=1280,
        network=lambda batch: trunk((batch - mean) / std).mean(dim=(2, 3)),
        prepare=lambda pictures: resize_clean(pictures, 224),
        device=device,
    )


def inception_features(device: torch.device, *, clean: bool) -> FeatureExtractor:
    """The 2048 features of the FID's Inception, in pytorch-fid's graph, with the published weights only.

    Args:
        device: where the network runs.
        clean: resize ``clean`` to 299 px; otherwise leave it to the graph (bilinear, no antialias).

    Raises:
        AssetError: the published weights are missing: no other network stands in for them.
    """
    graph = load_inception(asset_path("inception-fid"), resize_input=not clean).to(device)
    return FeatureExtractor(
        id=f"inception-6726825d-{'clean299' if clean else 'pytorchfid'}-1",
        width=2048,
        network=lambda batch: graph(batch / 255.0)[0][:, :, 0, 0],
        prepare=(lambda pictures: resize_clean(pictures, 299)) if clean else (lambda pictures: pictures),
        device=device,
    )


def load_inception(weights: Path, *, resize_input: bool) -> nn.Module:
    """pytorch-fid's ``InceptionV3`` with weights from a file, in evaluation mode on the CPU.

    Args:
        weights: a state dict of pytorch-fid's form.
        resize_input: whether the graph resizes to 299 px itself.
    """

    def from_file(*_: Any, **__: Any) -> Any:
        return torch.load(weights, map_location="cpu", weights_only=True)

    # The class fetches its weights from an address in its constructor and offers no other way to give them.
    with (
        torch.random.fork_rng(devices=[]),
        mock.patch.object(pytorch_fid_inception, "load_state_dict_from_url", from_file),
    ):
        graph: nn.Module = pytorch_fid_inception.InceptionV3(resize_input=resize_input)
    return graph.eval()


def _fused(network: nn.Module) -> nn.Module:
    """Fold every batch normalisation into the convolution before it: the same function in half the passes."""
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            for index in range(len(module) - 1):
                convolution, normalisation = module[index], module[index + 1]
                if isinstance(convolution, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d):
                    module[index] = fuse_conv_bn_eval(convolution, normalisation)
                    module[index + 1] = nn.Identity()
    return network


def cached_features(
    pictures: PictureSource, extractor: FeatureExtractor, folder: Path, *, indices: Sequence[int] | None = None
) -> NDArray[np.float32]:
    """The features of a set of pictures, computed once for the same content, whatever its names and paths.

    Args:
        pictures: where the pictures are.
        extractor: what computes the features.
        folder: of the cache; the file is ``<extractor.id>/<hash of the pictures>.npy``.
        indices: which pictures, in order; all by default.

    Returns:
        float32 (N, width).
    """
    order = range(len(pictures)) if indices is None else indices
    digest = hashlib.blake2b(digest_size=16)
    for index in order:
        picture = pictures[index]
        digest.update(repr(picture.shape).encode())
        digest.update(np.ascontiguousarray(picture).tobytes())
    path = folder / extractor.id / f"{digest.hexdigest()}.npy"
    found = _read_features(path, (len(order), extractor.width))
    if found is not None:
        return found
    computed = np.concatenate(
        [
            extractor(np.stack([pictures[index] for index in order[start : start + _CHUNK]]))
            for start in range(0, len(order), _CHUNK)
        ]
    )
    with atomic_path(path) as temporary, temporary.open("wb") as opened:
        np.save(opened, computed, allow_pickle=False)
    return computed


_CHUNK = 32
"""Pictures held at a time while a set's features are computed."""


def _read_features(path: Path, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    if not path.is_file():
        return None
    try:
        features: NDArray[np.float32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        logger.warning("%s cannot be read and is computed again: %s", path, error)
        return None
    if features.shape != shape or features.dtype != np.float32 or not np.isfinite(features).all():
        logger.warning("%s holds something else than float32 %s and is computed again", path, shape)
        return None
    return features

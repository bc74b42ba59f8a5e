"""Holistically-nested edges (Xie, Tu: HED, ICCV 2015): soft edges of objects, from a network trained on BSDS500.

VGG-16 to conv5_3, a score after each of its five blocks, scores resized to the picture, fused, sigmoid. The weights are
the real ones (asset ``hed-bsds500``), never random; they belong to no method.
"""

from functools import lru_cache
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gainbench.assets import asset_path, load_hed_arrays
from gainbench.errors import AssetError, MethodError
from gainbench.guidance import Guidance
from gainbench.guidance.gradient import eroded

_BLOCKS = (2, 2, 3, 3, 3)
"""Convolutions before each score: conv1_2, 2_2, 3_3, 4_3, 5_3."""

_MEAN_BGR = (104.00699, 116.66877, 122.67892)
"""Subtracted from blue, green, red in 0 ... 255 (the training data's mean, as in the published model)."""

_TELEA_RADIUS = 3
"""Neighbourhood of the fill in pixels: the value of OpenCV's own sample."""


class HEDNetwork:
    """The published network with given weights; frozen, and no module of any method.

    Args:
        arrays: the file's data sets, as ``load_hed_arrays`` gives them: kernels (height, width, in, out) and biases.

    Raises:
        AssetError: an array is missing.
    """

    def __init__(self, arrays: dict[str, Any]) -> None:
        try:
            self._weights = {
                "cpu": {
                    **{f"conv{b}_{j}": _pair(arrays, _conv_name(b, j)) for b in range(1, 6) for j in _convs(b)},
                    **{f"score{b}": _pair(arrays, f"dsn{b}") for b in range(1, 6)},
                    "fuse": _pair(arrays, "fuse"),
                }
            }
        except KeyError as error:
            raise AssetError(f"the HED weights lack the array {error}") from error

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Tensor:
        """Edge probabilities, in float32 also under autocast: a map is a fact about the picture.

        Args:
            image: (B, 3, H, W) in [0, 1], RGB.

        Returns:
            (B, 1, H, W) in [0, 1].
        """
        with torch.autocast(image.device.type, enabled=False):
            weights = self._on(image.device)
            x = image.float().flip(1) * 255.0 - image.new_tensor(_MEAN_BGR, dtype=torch.float32).view(1, 3, 1, 1)
            scores = []
            for block in range(1, 6):
                if block > 1:
                    x = F.max_pool2d(x, 2, ceil_mode=True)
                for convolution in _convs(block):
                    x = F.relu_(F.conv2d(x, *weights[f"conv{block}_{convolution}"], padding=1))
                score = F.conv2d(x, *weights[f"score{block}"])
                scores.append(F.interpolate(score, size=image.shape[2:], mode="bilinear", align_corners=False))
            return torch.sigmoid(F.conv2d(torch.cat(scores, 1), *weights["fuse"]))

    def _on(self, device: torch.device) -> dict[str, tuple[Tensor, Tensor]]:
        if str(device) not in self._weights:
            self._weights[str(device)] = {
                name: (weight.to(device), bias.to(device)) for name, (weight, bias) in self._weights["cpu"].items()
            }
        return self._weights[str(device)]


def _convs(block: int) -> range:
    return range(1, _BLOCKS[block - 1] + 1)


def _conv_name(block: int, convolution: int) -> str:
    suffix = "" if convolution == 1 else f"_{convolution - 1}"
    return f"block{block}/layers/conv2d{suffix}"


def _pair(arrays: dict[str, Any], name: str) -> tuple[Tensor, Tensor]:
    kernel, bias = torch.from_numpy(arrays[f"{name}/vars/0"]), torch.from_numpy(arrays[f"{name}/vars/1"])
    return kernel.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last), bias


@lru_cache(maxsize=1)
def hed_network() -> HEDNetwork:
    """The network with its BSDS500 weights, read once a process; the weights are fetched if they are not cached.

    Raises:
        AssetError: the weights are missing and cannot be fetched, or are not what the catalogue says.
    """
    return HEDNetwork(load_hed_arrays(asset_path("hed-bsds500")))


class HEDGuidance(Guidance):
    """Soft edges, in [0, 1].

    Args:
        margin: pixels around the hole whose responses are dropped; nearer, HED draws the hole's outline.

    Raises:
        MethodError: a negative margin.
    """

    name: ClassVar[str] = "hed"
    channels = 1
    rms = 0.43

    def __init__(self, margin: int = 5) -> None:
        if margin < 0:
            raise MethodError(f"hed needs margin >= 0; found {margin}")
        self.margin = margin

    def target(self, image: Tensor) -> Tensor:
        """HED of the whole picture: (B, 1, H, W)."""
        return hed_network()(image).to(image.dtype)

    @torch.no_grad()
    def observed(self, image: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """HED of the picture with its hole filled by diffusion, dropped near the hole; see ``Guidance.observed``."""
        valid = eroded(known, self.margin)
        return self.target(diffused(image, known)) * valid, valid


def diffused(image: Tensor, known: Tensor) -> Tensor:
    """The picture with its hole filled from the rim inwards (A. Telea 2004, by OpenCV).

    Args:
        image: (B, 3, H, W) in [0, 1]; values where ``known`` is 0 are ignored, whatever they are.
        known: (B, 1, H, W), 1 = known.

    Returns:
        (B, 3, H, W); known pixels unchanged. A picture without a known pixel becomes middle gray.
    """
    visible = image.masked_fill(known == 0, 0.0)
    pictures = (visible.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    holes = (known[:, 0] == 0).cpu().numpy()
    filled = [
        cv2.inpaint(np.ascontiguousarray(picture), hole.astype(np.uint8) * 255, _TELEA_RADIUS, cv2.INPAINT_TELEA)
        if hole.any() and not hole.all()
        else np.full_like(picture, 128)
        for picture, hole in zip(pictures, holes, strict=True)
    ]
    fill = torch.from_numpy(np.stack(filled)).permute(0, 3, 1, 2).to(image.device, image.dtype) / 255.0
    return torch.where(known == 0, fill, visible)

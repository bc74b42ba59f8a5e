"""What a frozen VGG-16 sees: features, perceptual loss and style loss.

The weights are torchvision's ImageNet VGG-16 (asset ``lpips-vgg16``). They belong to no method: they are held outside
module registration, so that they are neither trained nor written into a method's weights.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gainbench.assets import asset_path, load_jax_checkpoint
from gainbench.errors import AssetError

_BLOCKS = (2, 2, 3, 3, 3)
"""Convolutions between the poolings of VGG-16 (Simonyan, Zisserman 2015, table 1, configuration D)."""

_LAYERS = tuple(
    layer
    for block, convolutions in enumerate(_BLOCKS, start=1)
    for layer in (*(f"relu{block}_{conv}" for conv in range(1, convolutions + 1)), f"pool{block}")
)
"""Every layer that can be asked for, in the order of the forward pass: relu1_1, relu1_2, pool1, relu2_1, ..."""

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
"""The ImageNet statistics that torchvision's VGG-16 was trained with (RGB in [0, 1])."""


def imagenet_normalised(image: Tensor) -> Tensor:
    """(image - mean) / std with ImageNet's statistics per channel: (B, 3, H, W), from RGB in [0, 1]."""
    return (image - image.new_tensor(_MEAN).view(1, 3, 1, 1)) / image.new_tensor(_STD).view(1, 3, 1, 1)


def imagenet_denormalised(normalised: Tensor) -> Tensor:
    """The inverse of ``imagenet_normalised``: (B, 3, H, W), to RGB in [0, 1] (not clamped)."""
    return normalised * normalised.new_tensor(_STD).view(1, 3, 1, 1) + normalised.new_tensor(_MEAN).view(1, 3, 1, 1)


class VGG16Features:
    """A frozen VGG-16, from RGB in [0, 1] to the activations of named layers.

    Gradients flow to the picture, never to the weights. The weights follow the picture's device.

    Args:
        convolutions: 13 pairs (weight (O, I, 3, 3), bias (O,)) in the order of the network.

    Raises:
        AssetError: another number of convolutions than VGG-16 has.
    """

    def __init__(self, convolutions: Sequence[tuple[Tensor, Tensor]]) -> None:
        if len(convolutions) != sum(_BLOCKS):
            raise AssetError(f"VGG-16 has {sum(_BLOCKS)} convolutions; found {len(convolutions)}")
        self._convolutions = {
            "cpu": [
                (weight.detach().contiguous(memory_format=torch.channels_last), bias.detach())
                for weight, bias in convolutions
            ]
        }

    def __call__(self, image: Tensor, layers: Sequence[str], *, normalise: bool = True) -> dict[str, Tensor]:
        """The activations of ``layers``; nothing behind the last of them is computed.

        Args:
            image: (B, 3, H, W), RGB in [0, 1].
            layers: names such as ``relu1_2`` (after the second convolution of the first block) or ``pool1``.
            normalise: to ImageNet's statistics first. Without, features are about a quarter as large; it is for losses
                whose published weights belong to such features.

        Returns:
            layer -> (B, C, H', W'), H' = H / 2**(poolings before the layer), rounded down.

        Raises:
            ValueError: a layer that VGG-16 does not have.
        """
        if unknown := [layer for layer in layers if layer not in _LAYERS]:
            raise ValueError(f"VGG-16 has no layer {unknown[0]!r}; its layers are {', '.join(_LAYERS)}")
        last = max(map(_LAYERS.index, layers), default=-1)
        convolutions = iter(self._on(image.device))
        x = imagenet_normalised(image) if normalise else image
        found = {}
        for layer in _LAYERS[: last + 1]:
            if layer.startswith("pool"):
                x = F.max_pool2d(x, 2)
            else:
                weight, bias = next(convolutions)
                x = F.relu_(F.conv2d(x, weight, bias, padding=1))
            if layer in layers:
                found[layer] = x
        return found

    def _on(self, device: torch.device) -> list[tuple[Tensor, Tensor]]:
        if str(device) not in self._convolutions:
            self._convolutions[str(device)] = [
                (weight.to(device), bias.to(device)) for weight, bias in self._convolutions["cpu"]
            ]
        return self._convolutions[str(device)]


@lru_cache(maxsize=1)
def vgg16() -> VGG16Features:
    """The ImageNet VGG-16, read once a process; the weights are fetched if they are not cached.

    Raises:
        AssetError: the weights are missing and cannot be fetched, or are not what the catalogue says.
    """
    layers: Any = load_jax_checkpoint(asset_path("lpips-vgg16"))["VGG16_0"]
    return VGG16Features(
        [
            (
                torch.from_numpy(layers[f"Conv_{index}"]["kernel"]).permute(3, 2, 0, 1),
                torch.from_numpy(layers[f"Conv_{index}"]["bias"]),
            )
            for index in range(sum(_BLOCKS))
        ]
    )


def perceptual_loss(prediction: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
    """Sum over the target's layers of the mean absolute difference of features.

    Liu et al., ECCV 2018, equation 3 (one of its two terms); Nazeri et al. 2019, equation 6.

    Args:
        prediction: layer -> (k B, C, H, W): the features of k predictions of the same B pictures, one batch after the
            other. Their losses are added, so that raw and completed outputs can share a forward pass.
        target: layer -> (B, C, H, W).

    Returns:
        A scalar in float32.
    """
    return _sum_over_layers(prediction, target)


def gram_matrix(features: Tensor) -> Tensor:
    """Products of channels summed over positions, divided by C H W.

    Liu et al., ECCV 2018, equation 4: the autocorrelation with its normalisation 1 / (C H W). Computed in float32, as
    sums over thousands of positions lose too much in half precision.

    Args:
        features: (B, C, H, W).

    Returns:
        (B, C, C).
    """
    count, channels, height, width = features.shape
    with torch.autocast(features.device.type, enabled=False):
        flat = features.float().reshape(count, channels, height * width)
        return flat @ flat.transpose(1, 2) / (channels * height * width)


def style_loss(prediction: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
    """Sum over the target's layers of the mean absolute difference of Gram matrices.

    Liu et al., ECCV 2018, equations 4 and 5 (one of them a term); Nazeri et al. 2019, equation 7.

    Args:
        prediction: layer -> (k B, C, H, W); see ``perceptual_loss``.
        target: layer -> (B, C, H, W).

    Returns:
        A scalar in float32.
    """
    return _sum_over_layers(
        {layer: gram_matrix(prediction[layer]) for layer in target},
        {layer: gram_matrix(features) for layer, features in target.items()},
    )


def _sum_over_layers(prediction: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
    total = next(iter(target.values())).new_zeros((), dtype=torch.float32)
    for layer, goal in target.items():
        found = prediction[layer]
        bounds = range(0, found.shape[0] + 1, goal.shape[0])
        for first, behind in pairwise(bounds):
            total = total + F.l1_loss(found[first:behind].float(), goal.float())
    return total

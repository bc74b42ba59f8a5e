"""LPIPS v0.1 (Zhang et al. 2018, CVPR): distance of deep features, weighted as people judged."""

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import lpips
import numpy as np
import torch
from torch import Tensor, nn

from gainbench.assets import asset_path, load_jax_checkpoint
from gainbench.errors import AssetError
from gainbench.evaluation.metrics.batches import NETWORK_BATCH, exact_arithmetic, fixed_batches
from gainbench.evaluation.metrics.guards import Pictures, Values, check_pair, check_pictures

Trunk = Literal["alex", "vgg"]

Embedding = tuple[Tensor, ...]
"""One picture's unit-length features, a float32 (C, H', W') tensor a layer."""

_TRUNKS: dict[Trunk, tuple[str, str]] = {"alex": ("lpips-alexnet", "AlexNet_0"), "vgg": ("lpips-vgg16", "VGG16_0")}


def load_lpips(trunk: Trunk) -> "lpips.LPIPS":
    """The lpips package's network with its own calibrated heads and the ImageNet trunk from gainbench's assets.

    Args:
        trunk: ``alex`` or ``vgg``.

    Returns:
        The network in evaluation mode on the CPU; nothing is downloaded by it.

    Raises:
        AssetError: the trunk's weights are missing or do not fit.
    """
    asset, key = _TRUNKS[trunk]
    weights: Any = load_jax_checkpoint(asset_path(asset))[key]
    # The class insists on drawing a trunk before it can be given one: neither the caller's random state nor
    # torchvision's changed names of arguments are its concern.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = lpips.LPIPS(net=trunk, pnet_rand=True, verbose=False)
    convolutions = [module for module in network.net.modules() if isinstance(module, nn.Conv2d)]
    if len(convolutions) != len(weights):
        raise AssetError(f"asset {asset} has {len(weights)} convolutions, the trunk {trunk} has {len(convolutions)}")
    with torch.no_grad():
        for index, convolution in enumerate(convolutions):
            layer = weights[f"Conv_{index}"]
            kernel = torch.from_numpy(layer["kernel"].transpose(3, 2, 0, 1))
            if kernel.shape != convolution.weight.shape or convolution.bias is None:
                raise AssetError(f"asset {asset}: convolution {index} has the shape {tuple(kernel.shape)}")
            convolution.weight.copy_(kernel)
            convolution.bias.copy_(torch.from_numpy(layer["bias"]))
    return network.eval().requires_grad_(requires_grad=False)


class Lpips:
    """LPIPS between 8-bit pictures, with the original's features computed apart so that they can be used again.

    Args:
        trunk: ``alex`` or ``vgg``.
        device: where the network runs.

    Raises:
        AssetError: the trunk's weights are missing or do not fit.
    """

    def __init__(self, trunk: Trunk, device: torch.device) -> None:
        self.device = device
        self._network = load_lpips(trunk).to(device).to(memory_format=torch.channels_last)

    def embed(self, pictures: Pictures) -> list[Embedding]:
        """Each picture's features at every layer, of unit length over channels.

        Args:
            pictures: uint8 (N, H, W, 3).

        Raises:
            EvaluationError: another type or shape.
        """
        check_pictures(pictures, "pictures")
        embeddings: list[Embedding] = []
        with exact_arithmetic():
            for batch, count in fixed_batches(pictures, self.device):
                layers = self._features(batch)
                embeddings.extend(tuple(layer[index] for layer in layers) for index in range(count))
        return embeddings

    def against(self, completed: Pictures, originals: Sequence[Embedding]) -> Values:
        """LPIPS of each picture against an embedded original.

        Args:
            completed: uint8 (N, H, W, 3).
            originals: N embeddings of pictures of the same size.

        Returns:
            float64 (N,), at least 0.

        Raises:
            EvaluationError: another type or shape.
        """
        check_pictures(completed, "completed")
        values: list[float] = []
        with exact_arithmetic():
            for batch, count in fixed_batches(completed, self.device):
                wanted = originals[len(values) : len(values) + count]
                padded = [*wanted, *[wanted[-1]] * (NETWORK_BATCH - count)]
                total = torch.zeros(NETWORK_BATCH, device=self.device)
                for layer, features in enumerate(self._features(batch)):
                    difference = (features - torch.stack([original[layer] for original in padded])) ** 2
                    total += lpips.spatial_average(self._network.lins[layer](difference), keepdim=False)[:, 0]
                values.extend(total[:count].tolist())
        return np.array(values)

    def __call__(self, completed: Pictures, original: Pictures) -> Values:
        """LPIPS of each pair, float64 (N,).

        Args:
            completed: uint8 (N, H, W, 3).
            original: uint8 (N, H, W, 3).

        Raises:
            EvaluationError: another type or shape.
        """
        check_pair(completed, original)
        return self.against(completed, self.embed(original))

    def _features(self, batch: Tensor) -> list[Tensor]:
        # [0, 255] to the [-1, 1] that LPIPS is defined on.
        scaled = self._network.scaling_layer(batch / 127.5 - 1.0)
        return [lpips.normalize_tensor(layer) for layer in self._network.net.forward(scaled)]

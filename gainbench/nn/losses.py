"""Losses that several methods share; each a pure function of tensors.

``known`` is (B, 1, H, W), 1 = known, 0 = hole. Every function returns a scalar in float32.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def valid_l1(prediction: Tensor, image: Tensor, known: Tensor) -> Tensor:
    """Absolute error of the known pixels, divided by the number of all values C H W (Liu et al., ECCV 2018, eq. 2).

    Args:
        prediction: (B, C, H, W).
        image: (B, C, H, W).
        known: (B, 1, H, W).
    """
    return (known * (prediction - image)).abs().float().mean()


def hole_l1(prediction: Tensor, image: Tensor, known: Tensor) -> Tensor:
    """Absolute error of the hidden pixels, divided by the number of all values C H W (Liu et al., ECCV 2018, eq. 2).

    Args:
        prediction: (B, C, H, W).
        image: (B, C, H, W).
        known: (B, 1, H, W).
    """
    return ((1 - known) * (prediction - image)).abs().float().mean()


def total_variation(completed: Tensor, known: Tensor) -> Tensor:
    """Absolute differences of neighbours in the hole dilated by one pixel, divided by C H W (Liu et al., 2018, eq. 6).

    A pair counts where both pixels are in the dilated hole (3x3 window), so it smooths the seam and never a known
    texture.

    Args:
        completed: (B, C, H, W), known pixels from the picture and hidden ones from the prediction.
        known: (B, 1, H, W).
    """
    region = F.max_pool2d((1 - known).float(), kernel_size=3, stride=1, padding=1)
    x = completed.float()
    across = (x[..., :, 1:] - x[..., :, :-1]).abs() * region[..., :, 1:] * region[..., :, :-1]
    down = (x[..., 1:, :] - x[..., :-1, :]).abs() * region[..., 1:, :] * region[..., :-1, :]
    return (across.sum() + down.sum()) / x.numel()


def hinge_discriminator_loss(real: Tensor, generated: Tensor) -> Tensor:
    """Mean max(0, 1 - D(real)) + mean max(0, 1 + D(generated)) (Miyato et al., ICLR 2018, eq. 16).

    Args:
        real: scores of pictures, any shape.
        generated: scores of completed pictures, any shape; made without the generator's graph.
    """
    return F.relu(1 - real.float()).mean() + F.relu(1 + generated.float()).mean()


def hinge_generator_loss(generated: Tensor) -> Tensor:
    """-mean D(generated) (Miyato et al., ICLR 2018, eq. 17).

    Args:
        generated: scores of completed pictures, any shape.
    """
    return -generated.float().mean()


def non_saturating_discriminator_loss(real: Tensor, generated: Tensor) -> Tensor:
    """Half the sum of -log sigmoid(D(real)) and -log(1 - sigmoid(D(generated))), means (Goodfellow et al. 2014).

    The half keeps the pace of the discriminator at that of a loss over one batch of both kinds.

    Args:
        real: scores (logits) of pictures, any shape.
        generated: scores (logits) of completed pictures, any shape; made without the generator's graph.
    """
    return (F.softplus(-real.float()).mean() + F.softplus(generated.float()).mean()) / 2


def non_saturating_generator_loss(generated: Tensor) -> Tensor:
    """Mean -log sigmoid(D(generated)) (Goodfellow et al. 2014, section 3).

    Args:
        generated: scores (logits) of completed pictures, any shape.
    """
    return F.softplus(-generated.float()).mean()


def feature_matching_loss(generated: list[Tensor], real: list[Tensor]) -> Tensor:
    """Sum over a discriminator's layers of the mean absolute difference of activations (Wang et al., CVPR 2018).

    Args:
        generated: activations of completed pictures, layer by layer.
        real: activations of the true pictures; no gradient flows into them.
    """
    terms = [F.l1_loss(found.float(), goal.detach().float()) for found, goal in zip(generated, real, strict=True)]
    return torch.stack(terms).sum()

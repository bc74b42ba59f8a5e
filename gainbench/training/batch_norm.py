"""Batch norm over the whole batch, also where several devices hold a part of it each.

torch's own ``SyncBatchNorm`` needs GPUs and is no ``BatchNorm2d``, so a method that looks for its batch norms, as
partial convolution does to freeze them, would miss it. Here the modules stay what they are and compute as follows.
"""

import contextlib
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gainbench.training.devices import Devices


@contextlib.contextmanager
def whole_batch_statistics(method: nn.Module, devices: Devices) -> Iterator[None]:
    """Let every batch norm of ``method`` take mean and variance over all devices' parts; nothing changes on one."""
    norms = [module for module in method.modules() if isinstance(module, _BatchNorm)] if devices.count > 1 else []
    for norm in norms:
        # An attribute of the object comes before its class's method; state, place and type of the module stay.
        norm.forward = partial(_forward, norm, devices)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward


def _forward(norm: _BatchNorm, devices: Devices, x: Tensor) -> Tensor:
    """Batch norm (Ioffe, Szegedy 2015) of x (B, C, ...), the statistics those of all devices' equal parts, in float32.

    Running statistics move as ``torch.nn.BatchNorm2d``'s: towards the batch's mean and unbiased variance, by
    ``momentum``, or as their cumulative average where that is None.
    """
    if not norm.training and norm.running_mean is not None:
        normalised: Tensor = type(norm).forward(norm, x)
        return normalised
    with torch.autocast(x.device.type, enabled=False):
        values = x.float()
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1, *[1] * (x.dim() - 2)]
        mean = devices.mean(values.mean(axes))
        centred = values - mean.view(shape)
        variance = devices.mean(centred.square().mean(axes))
        if norm.training and norm.track_running_stats:
            count = devices.count * x.numel() // x.shape[1]
            _move_running(norm, mean.detach(), variance.detach() * (count / max(1, count - 1)))
        out = centred * (variance + norm.eps).rsqrt().view(shape)
        if norm.affine:
            out = out * norm.weight.view(shape) + norm.bias.view(shape)
        return out.to(x.dtype)


def _move_running(norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(1)
    share = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), share)
    norm.running_var.lerp_(variance.to(norm.running_var.dtype), share)

"""One visible training loop for every method, and the files it leaves behind.

The names below are imported on first use: reading a training log needs no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gainbench.training.checkpoint import load_weights, save_weights
    from gainbench.training.loop import TrainingSummary, train
    from gainbench.training.precision import resolve_precision

__all__ = ["TrainingSummary", "load_weights", "resolve_precision", "save_weights", "train"]

_HOMES = {
    "TrainingSummary": "gainbench.training.loop",
    "load_weights": "gainbench.training.checkpoint",
    "resolve_precision": "gainbench.training.precision",
    "save_weights": "gainbench.training.checkpoint",
    "train": "gainbench.training.loop",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)

"""One visible training loop for every method, and the files it leaves behind."""

from gainbench.training.checkpoint import load_weights, save_weights
from gainbench.training.loop import TrainingSummary, train
from gainbench.training.precision import resolve_precision

__all__ = ["TrainingSummary", "load_weights", "resolve_precision", "save_weights", "train"]

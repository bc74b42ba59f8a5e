"""Photographs: data sets by name, their splits and pictures, and the batches that methods train on.

All but ``training_batches`` is torch-free; it is imported on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

from gainbench.data.datasets import DATASETS, Dataset, DatasetInfo, open_dataset
from gainbench.data.manifest import Entry, Manifest
from gainbench.data.pictures import PictureSet
from gainbench.data.reading import read_picture

if TYPE_CHECKING:
    from gainbench.data.loader import training_batches

__all__ = [
    "DATASETS",
    "Dataset",
    "DatasetInfo",
    "Entry",
    "Manifest",
    "PictureSet",
    "open_dataset",
    "read_picture",
    "training_batches",
]


def __getattr__(name: str) -> Any:
    if name == "training_batches":
        return importlib.import_module("gainbench.data.loader").training_batches
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

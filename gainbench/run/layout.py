"""The files of a results root, and how a damaged one is reported.

::

    cells/<dataset>/<method>-s<seed>-<key8>/   spec.json status.json progress.json log.txt training.jsonl checkpoint/
                                               weights.safetensors training.json rows.parquet timings.parquet
                                               features.npz shrinkage.npz samples/ result.json
                                               taken.json, if it is of the reference results
    pairings/<sha12>.parquet                   which hole every picture got
    manifests/<hash12>.json                    which photographs a data set held
    <suite>-<scale>/                           suite.json and what the report makes of it
"""

import json
import shutil
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from gainbench.atomic import remove_leftovers
from gainbench.errors import RunError
from gainbench.spec import CellSpec, explain

SUITE = "suite.json"
SPEC = "spec.json"
STATUS = "status.json"
PROGRESS = "progress.json"
LOG = "log.txt"
CHECKPOINT = "checkpoint"
WEIGHTS = "weights.safetensors"
TRAINING = "training.json"
TRAINING_LOG = "training.jsonl"
ROWS = "rows.parquet"
TIMINGS = "timings.parquet"
FEATURES = "features.npz"
SHRINKAGE = "shrinkage.npz"
SAMPLES = "samples"
PARTIAL_SAMPLES = "samples.partial"
RESULT = "result.json"
TAKEN = "taken.json"

Model = TypeVar("Model", bound=BaseModel)


def cell_folder(root: Path, spec: CellSpec) -> Path:
    """Where a cell lies under a results root."""
    return root / "cells" / spec.folder_name


def half_trained(folder: Path) -> bool:
    """Whether a cell's folder has a checkpoint; its ``.pt`` is written last, without it there is none."""
    return any((folder / CHECKPOINT).glob("*.pt"))


def remove_partial(folder: Path) -> None:
    """Delete what a killed process left half-written in a cell's folder; nobody may be writing into it."""
    for place in (folder, folder / CHECKPOINT):
        remove_leftovers(place)
    if (folder / WEIGHTS).is_file():
        shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
    shutil.rmtree(folder / PARTIAL_SAMPLES, ignore_errors=True)


def read_model(path: Path, model: type[Model]) -> Model:
    """Read a JSON file into a model.

    Raises:
        RunError: the file is missing, cut short or of another shape; the message names it.
    """
    try:
        return model.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise damaged(path, explain(error, model)) from error
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, reason: Exception | str) -> RunError:
    """The error for a file that cannot be used: names it, says why and what to do."""
    what = "is missing" if isinstance(reason, FileNotFoundError) else f"cannot be read ({_first_line(reason)})"
    return RunError(f"{path} {what}; delete {path.parent} and run again to compute it anew")


def _first_line(reason: Exception | str) -> str:
    lines = str(reason).splitlines()
    return lines[0] if lines else type(reason).__name__

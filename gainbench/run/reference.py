"""Reference results: cells that were trained and committed once, and are used instead of a training where keys match.

A reference is a results root (see :mod:`gainbench.run.layout`) without checkpoints, features and pictures. Beside a
cell's result lies ``reference.json``, which says what is there of it: weights, to be evaluated on this machine; rows
alone, to be taken as they are; or rows of a method that is not trained, which every machine computes for itself. What
is taken into another results root is noted there in ``taken.json``.
"""

import hashlib
import shutil
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from gainbench.atomic import write_bytes, write_json
from gainbench.errors import RunError
from gainbench.run.layout import (
    RESULT,
    ROWS,
    SHRINKAGE,
    SPEC,
    STATUS,
    TAKEN,
    TIMINGS,
    TRAINING,
    TRAINING_LOG,
    WEIGHTS,
    cell_folder,
    read_model,
)
from gainbench.run.status import CellStatus, write_status
from gainbench.spec import CellResult, CellSpec, Precision, StrictModel

ENTRY = "reference.json"

Use = Literal["use", "only", "none"]
"""``use``: what a reference has is not trained. ``only``: nothing else is run. ``none``: as if there were none."""

Kind = Literal["weights", "rows", "untrained"]

ALWAYS = (ENTRY, SPEC, RESULT, ROWS, TIMINGS)
"""What every cell of a reference has."""

IF_ANY = (TRAINING, TRAINING_LOG, SHRINKAGE)
"""What it has beside that and its weights, if the cell it was made of had it."""


class ReferenceCell(StrictModel):
    """``reference.json``: what a reference holds of a cell."""

    key: str
    kind: Kind
    weights_sha256: str | None = Field(default=None, description="of the committed weights")
    weights_type: Literal["float16", "float32"] | None = None
    weights_bytes: int = 0
    remark: str = Field(default="", description="why weights are not at half precision, or not there")
    trained_sha256: str | None = Field(default=None, description="of the weights as they were trained, in float32")
    rows_sha256: str
    precision: Literal["fp32", "bf16"] = Field(description="arithmetic of the rows; a reuse evaluates in the same")
    evaluation_seconds: float = Field(default=0.0, description="what evaluating took where the reference was made")
    trained_in: dict[str, Any] = Field(default_factory=dict, description="the environment of the training")


def find_reference(folder: Path | None = None) -> Path | None:
    """The folder of reference results.

    Args:
        folder: where the user says it is; None looks into the clone that this package lies in. A package that was
            installed without its repository has none.

    Raises:
        RunError: ``folder`` holds no reference results.
    """
    if folder is not None:
        given = folder.expanduser().resolve()
        if not (given / "cells").is_dir():
            raise RunError(f"no reference results in {given}: expected a folder such as a clone's results/reference")
        return given
    clone = Path(__file__).resolve().parents[2]
    found = clone / "results" / "reference"
    return found if (clone / "pyproject.toml").is_file() and (found / "cells").is_dir() else None


def reference_cell(reference: Path | None, spec: CellSpec) -> ReferenceCell | None:
    """What a reference holds of a cell; None if nothing.

    Raises:
        RunError: what it holds is damaged, or another cell's.
    """
    if reference is None:
        return None
    folder = cell_folder(reference, spec)
    if not folder.is_dir():
        return None
    try:
        entry = read_model(folder / ENTRY, ReferenceCell)
    except RunError as error:
        raise unusable(folder / ENTRY, str(error).partition(";")[0]) from error
    if entry.key != spec.key:
        raise unusable(folder / ENTRY, f"it is of cell {entry.key}, expected {spec.key}")
    return entry


def take(reference: Path, spec: CellSpec, root: Path, *, precision: Precision = "auto") -> None:
    """Put what a reference holds of a cell into a results root, each file checked against its sha256.

    Weights are left to be evaluated in the arithmetic of the reference's own rows, unless another was asked for; rows
    are taken as they are. Of methods that are not trained there is nothing to take.

    Raises:
        RunError: a file is missing or is not what ``reference.json`` and ``result.json`` vouch for. Nothing was
            written then.
    """
    entry = reference_cell(reference, spec)
    if entry is None or entry.kind == "untrained":
        return
    source, folder = cell_folder(reference, spec), cell_folder(root, spec)
    files = {name: (source / name).read_bytes() for name in IF_ANY if (source / name).is_file()}
    if entry.kind == "weights":
        last = {WEIGHTS: _vouched(source / WEIGHTS, entry.weights_sha256)}
        status = CellStatus(
            state="interrupted",
            cause="weights were taken from the reference results; run again to evaluate them",
            precision=entry.precision if precision == "auto" else precision,
        )
        files.pop(SHRINKAGE, None)
    else:
        _checked_result(source / RESULT, spec, entry)
        files |= {ROWS: _vouched(source / ROWS, entry.rows_sha256), TIMINGS: _content(source / TIMINGS)}
        last = {RESULT: _content(source / RESULT)}
        status = CellStatus(state="done")
    discard(folder)
    # The note comes first, so that nothing taken is ever mistaken for what was computed here; what makes the cell
    # count as trained or done comes last.
    write_json(folder / TAKEN, entry.model_dump(mode="json"))
    write_json(folder / SPEC, spec.model_dump(mode="json"))
    for name, content in files.items():
        write_bytes(folder / name, content)
    write_status(folder, status)
    for name, content in last.items():
        write_bytes(folder / name, content)


def discard(folder: Path) -> None:
    """Delete a cell's folder, what makes it count first: a process that is killed here leaves nothing that misleads."""
    for name in (RESULT, WEIGHTS, STATUS):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def taken_cell(folder: Path) -> ReferenceCell | None:
    """What of a cell in a results root was taken from a reference; None if it was all computed there.

    Raises:
        RunError: the note is damaged.
    """
    return read_model(folder / TAKEN, ReferenceCell) if (folder / TAKEN).is_file() else None


def _checked_result(path: Path, spec: CellSpec, entry: ReferenceCell) -> None:
    try:
        result = read_model(path, CellResult)
    except RunError as error:
        raise unusable(path, str(error).partition(";")[0]) from error
    if result.key != spec.key or result.rows_sha256 != entry.rows_sha256:
        raise unusable(path, "it belongs to other rows")


def _vouched(path: Path, sha256: str | None) -> bytes:
    content = _content(path)
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise unusable(path, f"its sha256 is {found}, {ENTRY} says {sha256}")
    return content


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise unusable(path, f"it cannot be read ({error.strerror})") from error


def unusable(path: Path, reason: str) -> RunError:
    """The error for a file of reference results that cannot be used: names it, says why and what to do."""
    return RunError(
        f"reference results are damaged: {path}: {reason}. Restore them (git checkout -- results/reference), or run "
        "with --reference none; nothing is lost"
    )

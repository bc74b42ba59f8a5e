"""The files of reference results: what is copied of a cell, what is written of a suite, and what never is.

Nothing names a place of the machine they were made on. Pictures are those of contact sheets and reports, of data sets
that may be passed on; samples serve to lay them out and are dropped before anything is kept.
"""

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from gainbench.atomic import write_bytes, write_json, write_text
from gainbench.data import DATASETS
from gainbench.errors import RunError
from gainbench.methods import TrainableInpainter
from gainbench.reference.evaluated import PRECISION, Weighed
from gainbench.registry import find_method
from gainbench.report import build_report
from gainbench.report.curves import NORM
from gainbench.run.environment import describe_environment
from gainbench.run.layout import (
    RESULT,
    ROWS,
    SAMPLES,
    SHRINKAGE,
    SPEC,
    SUITE,
    TIMINGS,
    TRAINING,
    TRAINING_LOG,
    WEIGHTS,
    cell_folder,
    damaged,
)
from gainbench.run.reference import ENTRY, Kind, ReferenceCell
from gainbench.run.store import ResolvedSuite, StoredCell, read_results
from gainbench.spec import CellResult, CellSpec
from gainbench.training.loop import TrainingSummary

LIMIT = 200_000_000
"""Bytes of all reference results together: what one may ask everybody who clones the repository to carry."""

ENVIRONMENT = "environment.json"
TRAININGS = "trainings.csv"

COLUMNS = (
    "data set", "method", "seed", "key", "revision", "iterations", "hours", "final losses", "weights", "weights sha256",
    "rows sha256", "trained at commit", "remark",
)  # fmt: skip


def stage_cell(staging: Path, cell: StoredCell, chosen: Weighed, *, weights: bool, remark: str) -> ReferenceCell:
    """Put what is committed of a cell into a folder.

    Args:
        staging: a results root in the making.
        cell: as it was run.
        chosen: with the rows, and the weights they are of.
        weights: whether the weights are committed.
        remark: why not, or why not at half precision.

    Returns:
        What ``reference.json`` says.
    """
    result = chosen.cell.result
    if result is None or cell.result is None:
        raise damaged(chosen.cell.folder / RESULT, "there is none")
    folder = cell_folder(staging, cell.spec)
    for name in (ROWS, TIMINGS):
        _copy(chosen.cell.folder / name, folder / name)
    for source, name in ((chosen.cell.folder, SHRINKAGE), (cell.folder, TRAINING), (cell.folder, TRAINING_LOG)):
        if (source / name).is_file():
            _copy(source / name, folder / name)
    _stage_samples(chosen.cell.folder / SAMPLES, folder, cell.spec)
    content = chosen.weights.read_bytes() if weights and chosen.weights is not None else None
    if content is not None:
        write_bytes(folder / WEIGHTS, content)
    sha256 = hashlib.sha256(content).hexdigest() if content is not None else None
    kind: Kind = "weights" if weights else "rows" if _trained(cell.spec) else "untrained"
    entry = ReferenceCell(
        key=cell.spec.key,
        kind=kind,
        weights_sha256=sha256,
        weights_type=None if sha256 is None else "float32" if sha256 == chosen.trained_sha256 else "float16",
        weights_bytes=len(content or b""),
        remark=remark,
        trained_sha256=chosen.trained_sha256,
        rows_sha256=result.rows_sha256,
        precision="bf16" if result.environment.get("precision") == "bf16" else PRECISION,
        evaluation_seconds=chosen.seconds,
        trained_in=cell.result.environment if kind != "untrained" else {},
    )
    spec = placeless(result.spec)
    missing = {metric: reason.replace(str(Path.home()), "~") for metric, reason in result.missing.items()}
    write_json(folder / SPEC, spec.model_dump(mode="json"))
    placed: CellResult = result.model_copy(update={"spec": spec, "missing": missing})
    write_json(folder / RESULT, placed.model_dump(mode="json"))
    write_json(folder / ENTRY, entry.model_dump(mode="json"))
    return entry


def stage_kept(staging: Path, cell: StoredCell, samples: Path | None) -> None:
    """Copy a cell that the reference has already.

    Args:
        staging: the results root in the making.
        cell: of the reference.
        samples: pictures of it that another run has, for contact sheets; they are used if they may be passed on.
    """
    folder = cell_folder(staging, cell.spec)
    shutil.copytree(cell.folder, folder)
    if samples is not None:
        _stage_samples(samples, folder, cell.spec)


def _stage_samples(samples: Path, folder: Path, spec: CellSpec) -> None:
    """Copy a cell's pictures, if there are any and they may be passed on."""
    known = DATASETS.get(spec.dataset)
    if known is not None and known.publishable and samples.is_dir():
        shutil.copytree(samples, folder / SAMPLES)


def placeless(spec: CellSpec) -> CellSpec:
    """A cell without the folders of the machine it was run on; its key does not depend on them."""
    masks = spec.masks.model_copy(update={"path": None, "training_path": None})
    return spec.model_copy(update={"data_path": None, "plugin": None, "masks": masks})


def _trained(spec: CellSpec) -> bool:
    return issubclass(find_method(spec.method.name, spec.plugin), TrainableInpainter)


def stage_suite(staging: Path, resolved: ResolvedSuite, entries: Mapping[str, ReferenceCell]) -> None:
    """Write what a suite's staged cells say: ``suite.json``, tables, plots, contact sheets, report and trainings.

    Args:
        staging: the results root in the making.
        resolved: the suite.
        entries: by key, what is committed of the cells that are done.
    """
    folder = staging / resolved.folder_name
    plain = resolved.model_copy(
        update={
            "cells": tuple(map(placeless, resolved.cells)),
            "datasets": {name: record.model_copy(update={"path": None}) for name, record in resolved.datasets.items()},
            "suite": resolved.suite.model_copy(
                update={"masks": resolved.suite.masks.model_copy(update={"path": None, "training_path": None})}
            ),
        }
    )
    write_json(folder / SUITE, plain.model_dump(mode="json"))
    stored = read_results(staging, plain)
    build_report(stored, folder)
    for path in folder.glob(".*"):
        path.unlink()
    write_json(folder / ENVIRONMENT, {"evaluated in": describe_environment(precision=PRECISION)})
    write_text(folder / TRAININGS, _trainings(stored.cells, entries))


def _trainings(cells: list[StoredCell], entries: Mapping[str, ReferenceCell]) -> str:
    """Every cell as a line of CSV: how long it was trained, how its losses ended, what is committed of it."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(COLUMNS)
    for cell in cells:
        entry, spec = entries.get(cell.spec.key), cell.spec
        if entry is None:
            continue
        summary = _summary(cell.folder / TRAINING)
        losses = "; ".join(f"{name} {value:.4g}" for name, value in summary.losses.items() if not name.endswith(NORM))
        writer.writerow(
            [
                spec.dataset, spec.method.label, spec.seed, spec.key, spec.revision, summary.iterations or "",
                f"{summary.seconds / 3600:.3f}" if summary.iterations else "", losses, entry.weights_type or "",
                entry.weights_sha256 or "", entry.rows_sha256, entry.trained_in.get("commit") or "", entry.remark,
            ]
        )  # fmt: skip
    return written.getvalue()


def _summary(path: Path) -> TrainingSummary:
    if not path.is_file():
        return TrainingSummary(0, 0.0, {})
    try:
        return TrainingSummary(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise damaged(path, error) from error


def drop_pictures(staging: Path) -> None:
    """Delete the samples that contact sheets and reports were laid out from."""
    for folder in (staging / "cells").glob(f"*/*/{SAMPLES}"):
        shutil.rmtree(folder)


def check_size(staging: Path, entries: Mapping[str, ReferenceCell]) -> int:
    """How many bytes there are without samples.

    Args:
        staging: the results root in the making.
        entries: what is committed of every cell, by the name of its folder.

    Raises:
        RunError: more than :data:`LIMIT`; the message names what takes most.
    """
    size = sum(path.stat().st_size for path in staging.rglob("*") if path.is_file() and SAMPLES not in path.parts)
    if size > LIMIT:
        largest = sorted(entries, key=lambda name: -entries[name].weights_bytes)[:8]
        shown = ", ".join(
            f"{name} {entries[name].weights_bytes / 1e6:.1f} MB ({entries[name].weights_type})"
            for name in largest
            if entries[name].weights_bytes
        )
        raise RunError(
            f"reference results would take {size / 1e6:.1f} MB, at most {LIMIT / 1e6:.0f} are wanted in a repository; "
            f"leave weights out with --rows-only METHOD, DATASET or DATASET/METHOD. Largest: {shown}. Nothing changed"
        )
    return size


def replace_files(staging: Path, out: Path) -> None:
    """Make ``out`` hold what ``staging`` holds, what differs alone; what people wrote at its top stays.

    A cell's ``reference.json`` comes last of its files, so that one that is half replaced vouches for none of them.
    """
    wanted = {path.relative_to(staging) for path in staging.rglob("*") if path.is_file()}
    for path in sorted(wanted, key=lambda path: path.name == ENTRY):
        content = (staging / path).read_bytes()
        if not (out / path).is_file() or (out / path).read_bytes() != content:
            write_bytes(out / path, content)
    for found in sorted(out.rglob("*"), reverse=True):
        relative = found.relative_to(out)
        if found.is_file() and relative not in wanted and len(relative.parts) > 1:
            found.unlink()
        elif found.is_dir() and not any(found.iterdir()):
            found.rmdir()


def _copy(source: Path, destination: Path) -> None:
    try:
        content = source.read_bytes()
    except OSError as error:
        raise damaged(source, error) from error
    write_bytes(destination, content)

"""What a results root holds and how it is read back; the only way for tables, plots and notebooks to get at numbers.

This module imports no torch: it works where only the results are.
"""

import hashlib
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pydantic import Field

from gainbench.errors import EvaluationError, RunError
from gainbench.evaluation.shrinkage import Shrinkage, read_shrinkage
from gainbench.run.layout import FEATURES, RESULT, ROWS, SHRINKAGE, SUITE, TIMINGS, cell_folder, damaged, read_model
from gainbench.run.reference import ReferenceCell, taken_cell
from gainbench.run.status import CellStatus, read_status
from gainbench.spec import CellResult, CellSpec, Scale, StrictModel, Suite, nearest

CELL_COLUMNS = ("key", "dataset", "method", "seed", "scale")
"""The columns by which every row and every set metric names its cell."""

SET_METRIC_COLUMNS = (*CELL_COLUMNS, "metric", "bin", "border", "value", "n", "floor")


class DatasetRecord(StrictModel):
    """What a data set was when the suite was planned."""

    manifest_hash: str
    photographs: int = Field(description="photographs that can be used, over all splits")
    skipped: int = Field(description="files that cannot; the manifest lists them with reasons")
    publishable: bool = Field(description="whether its pictures may be shown in a published report")
    path: Path | None = None


class ResolvedSuite(StrictModel):
    """``suite.json``: a suite as it was run, nothing left to defaults. Its cells decide which rows a table reads."""

    suite: Suite
    scale: Scale
    narrowed: tuple[str, ...] = Field(description="one sentence for every way in which less than the suite was run")
    footnotes: tuple[str, ...] = Field(default=(), description="what a reader must know of the holes")
    datasets: dict[str, DatasetRecord]
    cells: tuple[CellSpec, ...]

    @property
    def folder_name(self) -> str:
        """``<suite>-<scale>``."""
        return f"{self.suite.name}-{self.scale.name}"


@dataclass(frozen=True)
class StoredCell:
    """A cell as the results root knows it.

    Attributes:
        spec: what was asked for.
        folder: where it lies.
        status: how the last attempt went; ``interrupted`` if the process that ran it is gone.
        result: ``result.json``, or None if the cell was never whole.
        taken: what of it was taken from reference results; None if it was all computed here.
    """

    spec: CellSpec
    folder: Path
    status: CellStatus
    result: CellResult | None
    taken: ReferenceCell | None = None

    def features(self) -> dict[str, npt.NDArray[Any]]:
        """The raw features behind the set metrics, by name.

        Raises:
            RunError: the file is missing or cut short.
        """
        path = self.folder / FEATURES
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
            raise damaged(path, error) from error
        if foreign := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
            raise damaged(path, f"{foreign[0]} in it is no array")
        return arrays

    def shrinkage(self) -> Shrinkage | None:
        """How holes close inside of the method; None if its masks do not shrink or the cell kept none.

        Raises:
            RunError: the file is cut short or of another shape.
        """
        path = self.folder / SHRINKAGE
        try:
            return read_shrinkage(path) if path.is_file() else None
        except EvaluationError as error:
            raise damaged(path, error) from error


@dataclass(frozen=True)
class StoredResults:
    """All that a report may read.

    Attributes:
        root: the results root.
        resolved: the suite as it was run.
        cells: every cell of the suite, finished or not, in the suite's order.
        rows: one row per (cell, image, hole): ``key, dataset, method, seed, scale``, then the evaluation's columns
            (``image_id, photograph, bin, bin_lo, bin_hi, border, mask_id, hole_area, hole_radius``, the metrics,
            ``runtime_ms``). Empty if no cell is finished.
        set_metrics: one row per (cell, metric, bin, border): the same five columns, then ``metric, bin, border, value,
            n, floor``.
    """

    root: Path
    resolved: ResolvedSuite
    cells: list[StoredCell]
    rows: pd.DataFrame
    set_metrics: pd.DataFrame

    @property
    def folder(self) -> Path:
        """Where the suite's tables, plots and report belong."""
        return self.root / self.resolved.folder_name

    def features_of(self, key: str) -> dict[str, npt.NDArray[Any]]:
        """The raw features of the cell that rows name by ``key``; see :meth:`StoredCell.features`."""
        (cell,) = [cell for cell in self.cells if cell.spec.key == key]
        return cell.features()

    @property
    def unfinished(self) -> list[StoredCell]:
        """The cells without a result: the holes in the tables."""
        return [cell for cell in self.cells if cell.result is None]


def stored_suites(root: Path) -> list[str]:
    """The names (``<suite>-<scale>``) of the suites planned in a results root."""
    return sorted(path.parent.name for path in root.glob(f"*/{SUITE}"))


def read_suite(root: Path, name: str | None = None) -> ResolvedSuite:
    """Read a resolved suite.

    Args:
        root: the results root.
        name: ``<suite>-<scale>``, or ``<suite>`` if it was run at one scale only; None if the root holds one suite.

    Raises:
        RunError: no such suite, several that fit, or a file that is cut short.
    """
    names = stored_suites(root)
    if not names:
        raise RunError(f"{root} holds no suite yet; run one with `gainbench run --suite NAME --out {root}`")
    fitting = names if name is None else [stored for stored in names if name in {stored, stored.rpartition("-")[0]}]
    if name is not None and name in fitting:
        fitting = [name]
    if not fitting:
        raise RunError(f"{root} holds no suite {name!r}; {nearest(name or '', names)}")
    if len(fitting) > 1:
        raise RunError(f"{root} holds several suites, name one: {', '.join(fitting)}")
    return read_model(root / fitting[0] / SUITE, ResolvedSuite)


def read_results(root: Path, suite: ResolvedSuite | str | None = None) -> StoredResults:
    """Read everything a suite's finished cells left; unfinished ones are listed with their status.

    Args:
        root: the results root.
        suite: a resolved suite, or its name as :func:`read_suite` takes it.

    Raises:
        RunError: no such suite, or a file that is missing, cut short or altered; the message names it.
    """
    resolved = suite if isinstance(suite, ResolvedSuite) else read_suite(root, suite)
    return results_of(read_cells(root, resolved), root, resolved)


def results_of(cells: list[StoredCell], root: Path, resolved: ResolvedSuite) -> StoredResults:
    """The results of some cells, wherever they lie.

    Args:
        cells: those to read, in the order that reports shall have.
        root: what :attr:`StoredResults.root` will say.
        resolved: the suite that they belong to.

    Raises:
        RunError: as of :func:`read_results`.
    """
    _refuse_mixed_pairings(cells)
    finished = [(cell, cell.result) for cell in cells if cell.result is not None]
    rows = [_named(read_rows(cell.folder, result), cell.spec) for cell, result in finished]
    records = [_named(_set_metrics(cell.folder, result), cell.spec) for cell, result in finished if result.set_metrics]
    return StoredResults(root, resolved, cells, _stacked(rows, CELL_COLUMNS), _stacked(records, SET_METRIC_COLUMNS))


def named_results(name: str, root: Path, suite: str | None = None) -> StoredResults:
    """Results as a person names them: the folder of a suite, or one method of a suite in a results root.

    Args:
        name: a folder that holds ``suite.json``, such as ``results/runs/smoke-tiny``; or a method's label.
        root: the results root that a label belongs to.
        suite: the suite that a label belongs to, as :func:`read_suite` takes it.

    Raises:
        RunError: neither a folder nor a label, or stored files that are damaged.
    """
    folder = Path(name).expanduser()
    if (folder / SUITE).is_file():
        return read_results(folder.resolve().parent, folder.resolve().name)
    results = read_results(root, suite)
    labels = set(results.rows["method"])
    if name not in labels:
        raise RunError(
            f"{name!r} is neither a suite's folder nor a method with results in {root}; {nearest(name, labels)}"
        )
    rows, records = (table[table["method"] == name] for table in (results.rows, results.set_metrics))
    return replace(results, rows=rows, set_metrics=records)


def read_cells(root: Path, resolved: ResolvedSuite) -> list[StoredCell]:
    """Every cell of a suite, without its rows; see :func:`read_cell`."""
    return [read_cell(root, spec) for spec in resolved.cells]


def read_cell(root: Path, spec: CellSpec) -> StoredCell:
    """What the results root knows of one cell.

    Raises:
        RunError: ``result.json`` or ``status.json`` is damaged, or belongs to another cell.
    """
    folder = cell_folder(root, spec)
    result = read_model(folder / RESULT, CellResult) if (folder / RESULT).is_file() else None
    if result is not None and result.key != spec.key:
        raise RunError(f"{folder / RESULT} belongs to cell {result.key}, expected {spec.key}; move the folder away")
    status = read_status(folder)
    if result is not None and status.state != "running" and _covers(result, spec):
        # result.json is the commit: nothing that happened after it can undo it.
        status = status.model_copy(update={"state": "done", "cause": "", "log_tail": ()})
    return StoredCell(spec, folder, status, result, taken_cell(folder))


def _covers(result: CellResult, spec: CellSpec) -> bool:
    return {*spec.metrics} <= {*result.metrics, *result.missing}


def rows_sha256(folder: Path) -> str:
    """sha256 of a cell's ``rows.parquet``: the identity of its numbers (run times lie in another file)."""
    return hashlib.sha256((folder / ROWS).read_bytes()).hexdigest()


def read_rows(folder: Path, result: CellResult) -> pd.DataFrame:
    """The rows of a finished cell, run times joined on.

    Raises:
        RunError: a file that is missing, cut short, or not the one that ``result.json`` vouches for.
    """
    try:
        content = (folder / ROWS).read_bytes()
    except OSError as error:
        raise damaged(folder / ROWS, error) from error
    if (found := hashlib.sha256(content).hexdigest()) != result.rows_sha256:
        raise damaged(folder / ROWS, f"its sha256 is {found}, result.json says {result.rows_sha256}")
    rows, timings = _read_parquet(BytesIO(content), folder / ROWS), _read_parquet(folder / TIMINGS, folder / TIMINGS)
    if len(rows) != len(timings):
        raise damaged(folder / TIMINGS, f"{len(timings)} run times for {len(rows)} rows")
    return pd.concat([rows, timings], axis=1)


def _set_metrics(folder: Path, result: CellResult) -> pd.DataFrame:
    try:
        return pd.DataFrame.from_records(list(result.set_metrics)).astype({"value": float, "floor": float})
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(folder / RESULT, f"set_metrics: {error}") from error


def _read_parquet(source: Path | BytesIO, path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(source)
    except (OSError, ValueError, KeyError, TypeError, MemoryError, pa.ArrowException) as error:
        raise damaged(path, error) from error


def _named(table: pd.DataFrame, spec: CellSpec) -> pd.DataFrame:
    names: tuple[str | int, ...] = (spec.key, spec.dataset, spec.method.label, spec.seed, spec.scale.name)
    for place, (column, value) in enumerate(zip(CELL_COLUMNS, names, strict=True)):
        table.insert(place, column, value)
    return table


def _stacked(tables: Iterable[pd.DataFrame], columns: tuple[str, ...]) -> pd.DataFrame:
    present = [table for table in tables if len(table)]
    return pd.concat(present, ignore_index=True) if present else pd.DataFrame(columns=list(columns))


def _refuse_mixed_pairings(cells: list[StoredCell]) -> None:
    pairings: dict[str, dict[str, str]] = {}
    for cell in cells:
        if cell.result is not None:
            pairings.setdefault(cell.spec.dataset, {})[cell.result.pairing_sha256] = str(cell.folder)
    for dataset, found in pairings.items():
        if len(found) > 1:
            places = "; ".join(f"{sha[:12]} in {folder}" for sha, folder in sorted(found.items()))
            raise RunError(f"cells of {dataset} were evaluated on different holes ({places}); rows cannot be compared")

"""From finished runs to ``results/reference``: cells, tables, plots and report that a repository can carry."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from gainbench.errors import RunError
from gainbench.reference.contents import check_size, drop_pictures, replace_files, stage_cell, stage_kept, stage_suite
from gainbench.reference.digits import Rounding, roundings
from gainbench.reference.evaluated import Telling, Weighed, halved, whole
from gainbench.reference.sources import Sources, find_sources
from gainbench.report.analysis import Analysis
from gainbench.run.layout import SUITE
from gainbench.run.reference import ReferenceCell, reference_cell
from gainbench.run.store import ResolvedSuite, StoredCell, StoredResults, read_cell, results_of
from gainbench.spec import nearest

SEED = 0
"""The training seed whose weights are committed; of others the rows are."""


@dataclass(frozen=True)
class Built:
    """What reference results hold now.

    Attributes:
        folder: where they lie.
        entries: every cell by its folder's name under ``cells/``.
        unfinished: cells that the suites list and nothing is known of.
        left_out: finished cells that could not be used, one sentence each.
        size: bytes of all files.
    """

    folder: Path
    entries: dict[str, ReferenceCell]
    unfinished: tuple[str, ...]
    left_out: tuple[str, ...]
    size: int


def build_reference(
    runs: Sequence[Path],
    out: Path,
    *,
    work: Path | None = None,
    rows_only: Sequence[str] = (),
    every_digit: bool = False,
    telling: Telling = lambda _: None,
) -> Built:
    """Make or renew reference results from whatever cells of finished or unfinished runs are done.

    Rows, and so all tables, are those of the very weights that are committed, evaluated here in float32 arithmetic.
    Weights are committed at half precision where no mean in any table moves by more than a quarter of what is allowed
    between machines (:mod:`gainbench.reference.tolerance`); else a method keeps float32 on that data set. Seeds other
    than 0 keep their rows alone. Pictures of data sets that may not be passed on are never copied.

    Args:
        runs: results roots of ``gainbench run``, or folders of suites in them.
        out: the folder of reference results; what it has of other runs is kept.
        work: folder for what is evaluated here, so that a later call need not do it again; default ``.reference`` in
            the first run's root.
        rows_only: cells whose weights are left out, as ``LABEL``, ``DATASET`` or ``DATASET/LABEL``.
        every_digit: half precision only where no printed digit changes, of intervals neither. Tables have hundreds of
            numbers for each method, and some end close to a rounding: expect float32 throughout.
        telling: told what takes long.

    Contact sheets show what the runs have samples of; those of cells that a run took from the reference count as well.

    Returns:
        What is there now.

    Raises:
        RunError: no cell is done, everything together is too large, another process is building, or files that are
            damaged. ``out`` is as it was then.
        GainbenchError: whatever evaluation refuses.
    """
    out = out.expanduser().resolve()
    first = runs[0].expanduser().resolve()
    work = (work or (first.parent if (first / SUITE).is_file() else first) / ".reference").expanduser().resolve()
    work.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(work / ".lock", timeout=0):
            return _build(runs, out, work, tuple(rows_only), telling, every_digit=every_digit)
    except Timeout as error:
        raise RunError(
            f"another process is building reference results in {work}; wait for it, or give --work"
        ) from error


def _build(
    runs: Sequence[Path], out: Path, work: Path, rows_only: tuple[str, ...], telling: Telling, *, every_digit: bool
) -> Built:
    sources = find_sources(runs, out)
    specs = {spec.key: spec for resolved in sources.suites.values() for spec in resolved.cells}
    names = {
        key: (spec.method.label, spec.dataset, f"{spec.dataset}/{spec.method.label}") for key, spec in specs.items()
    }
    for asked in rows_only:
        if asked not in (known := {name for each in names.values() for name in each}):
            raise RunError(f"no method or data set {asked!r} among the cells; {nearest(asked, known)}")
    kept = {key: read_cell(out, spec) for key, spec in specs.items() if key not in sources.cells}
    wholes = {key: whole(cell, work, telling) for key, cell in sources.cells.items()}
    committed = {
        key
        for key, one in wholes.items()
        if one.weights is not None and one.cell.spec.seed == SEED and not {*names[key]} & {*rows_only}
    }
    tried = {key: halved(sources.cells[key], work, telling) for key in committed}
    halves = {key: one for key, one in tried.items() if one is not None}
    rounded = _rounded(sources, kept, wholes, halves)
    halves = {key: half for key, half in halves.items() if rounded[key].fits(every_digit=every_digit)}
    remarks = {key: "float32, as a weight is too large for float16" for key, one in tried.items() if one is None}
    remarks |= {
        key: f"{'at half precision' if key in halves else 'float32, as at half precision'} {one}"
        for key, one in rounded.items()
    }
    staging = work / "staged"
    shutil.rmtree(staging, ignore_errors=True)
    entries = {}
    for key, one in wholes.items():
        chosen = halves.get(key, one)
        remark = remarks[key] if key in committed else _why_rows_alone(one)
        entries[key] = stage_cell(staging, sources.cells[key], chosen, weights=key in committed, remark=remark)
    for key, cell in kept.items():
        if cell.result is not None and (entry := reference_cell(out, cell.spec)) is not None:
            stage_kept(staging, cell, sources.pictures.get(key))
            entries[key] = entry
    folders = {key: spec.folder_name for key, spec in specs.items()}
    if not entries:
        raise RunError("\n  ".join(["no cell is finished that a reference could be made of", *sources.left_out]))
    check_size(staging, {folders[key]: entry for key, entry in entries.items()})
    for resolved in sources.suites.values():
        telling(f"tables, plots and report of {resolved.folder_name}")
        stage_suite(staging, resolved, entries)
    drop_pictures(staging)
    size = check_size(staging, {folders[key]: entry for key, entry in entries.items()})
    replace_files(staging, out)
    shutil.rmtree(staging)
    return Built(
        folder=out,
        entries={folders[key]: entries[key] for key in specs if key in entries},
        unfinished=tuple(folders[key] for key in specs if key not in entries),
        left_out=tuple(sources.left_out),
        size=size,
    )


def _why_rows_alone(one: Weighed) -> str:
    if one.weights is None:
        return ""
    seed = one.cell.spec.seed
    return f"rows alone: weights are those of seed {SEED}" if seed != SEED else "rows alone: its weights are left out"


def _rounded(
    sources: Sources, kept: dict[str, StoredCell], wholes: dict[str, Weighed], halves: dict[str, Weighed]
) -> dict[str, Rounding]:
    """What half precision changes of every cell; of several suites that have it, what it changes most.

    Of cells that only the reference has, nothing but the committed rows is known: they stand on both sides.
    """
    before = kept | {key: one.cell for key, one in wholes.items()}
    after = before | {key: one.cell for key, one in halves.items()}
    found: dict[str, Rounding] = {}
    for resolved in sources.suites.values():
        keys = {(spec.dataset, spec.method.label): spec.key for spec in resolved.cells if spec.key in halves}
        if not keys:
            continue
        changed = roundings(*(Analysis(_results(resolved, cells)) for cells in (before, after)))
        for of, key in keys.items():
            found[key] = max(filter(None, (found.get(key), changed[of])), key=lambda one: (one.digits > 0, one.share))
    return found


def _results(resolved: ResolvedSuite, cells: dict[str, StoredCell]) -> StoredResults:
    return results_of([cells[spec.key] for spec in resolved.cells], Path(), resolved)

"""``gainbench evaluate``: folders of anybody's pictures, scored and compared as the methods of a suite are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gainbench.atomic import atomic_path, write_text
from gainbench.errors import EvaluationError
from gainbench.evaluation.folders import NO_MASKS, Cases, Kept, Unpaired, find_cases
from gainbench.evaluation.metrics.catalogue import METRICS, selected_metrics
from gainbench.report.alignment import aligned
from gainbench.report.analysis import Place, Score, SetScore, bins_of, borders_of, scores_in, set_scores_in
from gainbench.report.folder_tables import Board
from gainbench.report.notes import capped_notes
from gainbench.report.numbers import count, counted
from gainbench.report.render import latex, markdown
from gainbench.report.tables import Table
from gainbench.run.store import CELL_COLUMNS
from gainbench.spec import load_suite

ONE_FOLDER = "pictures"
"""What a single folder without a name is called in tables."""

ROWS, UNPAIRED, TABLES = "rows.parquet", "unpaired.csv", "tables"


@dataclass(frozen=True)
class FolderReport:
    """What was scored, and how it compares.

    Attributes:
        rows: one row per (method, picture), in the form of a suite's rows (see ``gainbench.run.StoredResults``), so
            that ``gainbench.compare`` takes them.
        scores: place -> method -> mean with interval and marks.
        set_scores: place -> method -> distance of the whole set.
        tables: all metrics first, then, with masks, each metric by hole area.
        unpaired: names that were left out.
        missing: id of each metric that is not there -> why.
        files: what was written.
    """

    rows: pd.DataFrame
    scores: dict[Place, dict[str, Score]]
    set_scores: dict[Place, dict[str, SetScore]]
    tables: tuple[Table, ...]
    unpaired: tuple[Unpaired, ...]
    missing: dict[str, str]
    files: tuple[Path, ...]


def evaluate(
    pred: Path | str | Mapping[str, Path | str],
    target: Path | str,
    mask: Path | str | None = None,
    *,
    out: Path | str | None = None,
    metrics: Sequence[str] | None = None,
    photographs: Path | str | None = None,
    invert_masks: bool | None = None,
    partial: bool = False,
    batch: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FolderReport:
    """Score pictures that any tool completed, with the metrics, bins and statistics of the suites.

    Files are paired by path and name without ending. Known pixels are taken from the originals before anything is
    measured, as from every method of a suite. Without masks nobody can tell them: the pictures are measured as they
    are, by metrics of whole pictures only.

    Args:
        pred: folder of completed pictures (8 bit, RGB or gray); or method -> folder, which are then compared.
        target: folder of the originals, at the same size.
        mask: folder of the holes: 8 bit, 0 and 255 only, white = hole, as large as the pictures or larger in
            proportion (then reduced by nearest neighbour).
        out: folder that gets ``rows.parquet``, ``tables/`` (Markdown, CSV, LaTeX) and, with ``partial``,
            ``unpaired.csv``; None writes nothing.
        metrics: ids of the catalogue; None takes those of the suite ``paper`` without other papers' definitions.
        photographs: a CSV file with the columns ``name`` and ``photograph``, for pictures cut from one photograph.
        invert_masks: True reads black as hole; False white, whatever speaks against it; None refuses what does.
        partial: score what every folder has instead of refusing folders that do not match.
        batch: pictures measured at a time; no number depends on it.
        progress: called with pictures done and pictures in all.

    Raises:
        EvaluationError: folders that cannot be paired, pictures of other sizes or value ranges, an unknown metric.
        MaskError: masks of other sizes or values, without a hole, or inverted.
        DataError: a folder is missing.
    """
    # The statistics and tables are read without torch; only scoring needs it.
    from gainbench.evaluation.scoring import SCORE_BATCH, score_cases  # noqa: PLC0415 - see above

    named = pred if isinstance(pred, Mapping) else {ONE_FOLDER: pred}
    folders = {method: Path(folder).expanduser() for method, folder in named.items()}
    if not folders:
        raise EvaluationError("no folder of completed pictures was given")
    originals = Path(target).expanduser()
    asked = tuple(metrics) if metrics is not None else _default_metrics()
    selected_metrics(asked)
    found = find_cases(
        folders,
        originals,
        Path(mask).expanduser() if mask is not None else None,
        photographs=Path(photographs).expanduser() if photographs is not None else None,
        partial=partial,
    )
    scored = score_cases(
        found.cases,
        metrics=asked,
        invert_masks=invert_masks,
        batch=SCORE_BATCH if batch is None else batch,
        progress=progress,
    )
    dataset = originals.resolve().name
    rows = _suite_rows(scored.rows, dataset, found)
    computed = [METRICS[metric] for metric in dict.fromkeys(asked) if metric not in scored.missing]
    block = aligned(rows, [info.id for info in computed if info.per == "picture"], list(folders))
    board = Board(
        dataset=dataset,
        methods=tuple(folders),
        bins=tuple(bins_of(rows)) if mask is not None else (),
        borders=tuple(borders_of(rows)),
        scores=scores_in(dataset, block, bins_of(rows), borders_of(rows), {}),
        set_scores=dict(set_scores_in(_set_table(dataset, scored.set_metrics))),
        caption=_caption(rows, found, mask),
        notes=(*capped_notes(rows, asked), *_notes(found, scored.kept, scored.reduced, scored.missing)),
    )
    tables = board.tables(computed)
    written = _write(Path(out).expanduser(), board, tables, rows, found.unpaired) if out is not None else []
    return FolderReport(
        rows=rows,
        scores=board.scores,
        set_scores=board.set_scores,
        tables=tables,
        unpaired=found.unpaired,
        missing=scored.missing,
        files=tuple(written),
    )


def _write(
    out: Path, board: Board, tables: Sequence[Table], rows: pd.DataFrame, unpaired: Sequence[Unpaired]
) -> list[Path]:
    with atomic_path(out / ROWS) as temporary:
        rows.to_parquet(temporary, index=False)
    contents = {
        out / TABLES / f"{board.dataset}.md": markdown(tables, board.dataset),
        out / TABLES / f"{board.dataset}.csv": board.csv(),
        **{out / TABLES / f"{table.name}.tex": latex(table) for table in tables},
    }
    if unpaired:
        listed = pd.DataFrame([(one.name, one.reason) for one in unpaired], columns=["name", "reason"])
        contents[out / UNPAIRED] = listed.to_csv(index=False)
    else:
        (out / UNPAIRED).unlink(missing_ok=True)
    for path, content in contents.items():
        write_text(path, content)
    # What an earlier evaluation of other metrics left must not stand among these. Any other file is not ours.
    for metric in METRICS:
        if (path := out / TABLES / f"{board.dataset}-{metric}.tex") not in contents:
            path.unlink(missing_ok=True)
    return [out / ROWS, *contents]


def _default_metrics() -> tuple[str, ...]:
    return tuple(metric for metric in load_suite("paper").metrics if not metric.startswith("legacy_"))


def _suite_rows(rows: pd.DataFrame, dataset: str, found: Cases) -> pd.DataFrame:
    """Rows with the columns by which a suite's rows name their cell."""
    sizes = sorted({case.size for case in found.cases})
    scale = " ".join(f"{width}x{height}" for height, width in sizes[:3]) + (" ..." if len(sizes) > 3 else "")
    named = rows.assign(key=rows["method"], dataset=dataset, seed=0, scale=scale)
    return named[[*CELL_COLUMNS, *(column for column in rows if column != "method")]]


def _set_table(dataset: str, records: Mapping[str, Sequence[Mapping[str, object]]]) -> pd.DataFrame:
    columns = ["dataset", "method", "metric", "bin", "border", "value", "n", "floor"]
    named = [
        {"dataset": dataset, "method": method, **record} for method, several in records.items() for record in several
    ]
    return pd.DataFrame(named, columns=columns).astype({"value": float, "floor": float})


def _caption(rows: pd.DataFrame, found: Cases, mask: Path | str | None) -> tuple[str, ...]:
    sizes = sorted({case.size for case in found.cases})
    shown = " to ".join(f"{width} x {height}" for height, width in dict.fromkeys((sizes[0], sizes[-1])))
    one = rows[rows["method"] == rows["method"].iloc[0]]
    pictures = (
        f"{counted(len(one), 'completed picture')} of {counted(one['photograph'].nunique(), 'photograph')}, "
        f"{shown} px; n = {count(len(one))} (picture, hole) pairs."
    )
    return pictures, f"Holes: masks in {Path(mask).name}." if mask is not None else "Holes: not told."


def _notes(found: Cases, kept: Mapping[str, Kept], reduced: int, missing: Mapping[str, str]) -> list[str]:
    if kept:
        notes = ["Known pixels were taken from the originals before measuring."]
    else:
        left_out = ", ".join(metric for metric, reason in missing.items() if reason == NO_MASKS) or "none"
        unknown = (
            "No masks were given: pictures are measured whole and as they are, known pixels included, and not by hole "
            f"area. Metrics of the hole are left out: {left_out}. How much was hidden decides such numbers."
        )
        notes = [unknown]
    notes += [
        f"{method}: {count(one.pictures)} of {counted(len(found.cases), 'picture')} had other known pixels than the "
        f"original, {one.known_sum / max(one.known_values, 1):.2f} of 255 apart in the mean over all known pixels."
        for method, one in kept.items()
        if one.pictures
    ]
    if reduced:
        notes.append(f"{counted(reduced, 'mask')} larger than the picture: reduced by nearest neighbour.")
    if found.unused_masks:
        notes.append(f"{counted(found.unused_masks, 'mask')} of no picture: not used.")
    if found.unpaired:
        notes.append(f"{counted(len(found.unpaired), 'name')} left out: not in every folder, or not readable.")
    notes += [
        f"{metric} is missing: {'; '.join(part.strip() for part in reason.splitlines())}"
        for metric, reason in missing.items()
        if reason != NO_MASKS
    ]
    return notes

"""Pictures that any tool completed, measured as the suite's own: the same metrics, bins and rows.

Known pixels are taken from the original before anything is measured, as from every method of a suite, and it is counted
where that changed something. Without masks nobody can tell what was known: the pictures are measured as they are, by
metrics of whole pictures only.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from gainbench.assets import cache_folder
from gainbench.data import read_picture
from gainbench.errors import EvaluationError, MaskError
from gainbench.evaluation.folders import NO_MASKS, Case, Kept
from gainbench.evaluation.metrics.catalogue import METRICS
from gainbench.evaluation.metrics.features import cached_features
from gainbench.evaluation.metrics.guards import Known, Pictures
from gainbench.evaluation.metrics.panel import FeatureSet, Panel, open_panel
from gainbench.evaluation.sets import set_records
from gainbench.masks import hole_statistics, resize_nearest
from gainbench.masks.reading import FLIP, KEEP, check_polarity, decode_mask
from gainbench.masks.statistics import BoolArray, border_class, in_bin
from gainbench.spec import BINS, bin_label

SCORE_BATCH = 16
"""Pictures measured at a time. No value depends on it; it bounds the memory that metrics take."""

ANY_HOLE, ANY_BORDER = "0-1", "any"
"""Bin and border class of rows whose hole is not known."""

BLACK = 1
"""A folder whose largest 8-bit value is no larger was written from values in [0, 1]."""


@dataclass(frozen=True)
class FolderScores:
    """What was measured.

    Attributes:
        rows: one row per (method, picture): method, image_id, photograph, bin, bin_lo, bin_hi, border, mask_id (the
            mask file's name), hole_area (share of the evaluated picture; NaN without masks), hole_radius (of the
            largest disc inside the hole, px at 256), then a column per per-picture metric.
        set_metrics: method -> records as :func:`gainbench.evaluation.sets.set_records` gives them, without floor.
        missing: id of each metric that could not be computed -> why.
        kept: method -> how it treated known pixels; empty without masks.
        reduced: masks that were larger than their picture and were reduced by nearest neighbour.
    """

    rows: pd.DataFrame
    set_metrics: dict[str, list[dict[str, Any]]]
    missing: dict[str, str]
    kept: dict[str, Kept]
    reduced: int


def score_cases(
    cases: Sequence[Case],
    *,
    metrics: Sequence[str],
    invert_masks: bool | None = None,
    batch: int = SCORE_BATCH,
    device: torch.device | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FolderScores:
    """Measure every method's picture of every case, holding a few pictures at a time.

    A mask is as large as its picture, or larger in proportion: then it is reduced by nearest neighbour, and the bin is
    that of its own size, as everywhere in gainbench. Shares of .01 and less, and above .6, get a bin of their own.

    Args:
        cases: see :func:`gainbench.evaluation.folders.find_cases`; all with a mask or none.
        metrics: ids of the catalogue.
        invert_masks: None reads white as hole and refuses what speaks against it; True reads black as hole; False reads
            white as hole whatever speaks against it.
        batch: pictures measured at a time.
        device: where the metrics' networks run; None takes the CPU.
        progress: called with cases done and cases in all.

    Raises:
        EvaluationError: an unknown metric, completed pictures whose values were never scaled to 0 ... 255.
        MaskError: a mask of another size, not of two values, without a hole, or masks that are inverted.
    """
    if batch < 1:
        raise EvaluationError(f"batch must be at least 1, found {batch}")
    masked = cases[0].mask is not None
    wanted = [
        metric for metric in dict.fromkeys(metrics) if masked or metric not in METRICS or not METRICS[metric].hole
    ]
    panel = open_panel(wanted, device or torch.device("cpu"), size=min(min(case.size) for case in cases))
    missing = {metric: NO_MASKS for metric in metrics if metric not in wanted} | panel.missing
    # Pictures of one size and rows of one original come together, whatever their names.
    order = sorted(range(len(cases)), key=lambda place: (cases[place].size, cases[place].original, place))
    found = _Found(cases, panel)
    done = 0
    for _, group in groupby(order, key=lambda place: cases[place].size):
        alike = list(group)
        for start in range(0, len(alike), batch):
            places = alike[start : start + batch]
            found.measure(
                places, _Holes.read([cases[place] for place in places], invert=invert_masks) if masked else None
            )
            done += len(places)
            if progress is not None:
                progress(done, len(cases))
    found.refuse_floats()
    if masked and invert_masks is None:
        found.refuse_inverted()
    return FolderScores(found.rows(), found.set_metrics(order), missing, found.kept if masked else {}, found.reduced)


@dataclass(frozen=True)
class _Holes:
    """The holes of some pictures of one size."""

    known: Known
    records: list[dict[str, Any]]
    reduced: int

    @staticmethod
    def read(cases: Sequence[Case], *, invert: bool | None) -> "_Holes":
        known, records, reduced = [], [], 0
        for case in cases:
            native = _read_hole(case, invert=invert)
            hole = native if native.shape == case.size else _reduced(native, case)
            reduced += native.shape != case.size
            records.append(_hole_record(native, hole, case))
            known.append(~hole)
        return _Holes(np.stack(known), records, reduced)


def _read_hole(case: Case, *, invert: bool | None) -> BoolArray:
    path = case.mask
    if path is None:
        raise EvaluationError(f"{case.name} has no mask, but others have")
    return decode_mask(path.read_bytes(), path, invert=bool(invert))


def _reduced(native: BoolArray, case: Case) -> BoolArray:
    (tall, wide), (height, width) = native.shape, case.size
    if tall * width != wide * height or tall < height:
        raise MaskError(
            f"{case.mask} is {wide} x {tall} px, its picture {case.target} is {width} x {height}: expected a mask of "
            "that size, or a larger one of the same proportions"
        )
    if height == width:
        return resize_nearest(native, height)
    rows, columns = ((2 * np.arange(side) + 1) * full // (2 * side) for side, full in ((height, tall), (width, wide)))
    reduced: BoolArray = native[np.ix_(rows, columns)]
    return reduced


def _hole_record(native: BoolArray, hole: BoolArray, case: Case) -> dict[str, Any]:
    measured = hole_statistics(native)
    inside = [bounds for bounds in BINS if in_bin(measured.area, bounds)]
    low, high = inside[0] if inside else (0.0, BINS[0][0]) if measured.area <= BINS[0][0] else (BINS[-1][1], 1.0)
    return {
        "bin": bin_label((low, high)),
        "bin_lo": low,
        "bin_hi": high,
        "border": border_class(native),
        "mask_id": case.mask.name if case.mask is not None else "",
        "hole_area": np.count_nonzero(hole) / hole.size,
        "hole_radius": measured.radius,
        "native_area": measured.area,
    }


_NO_HOLE: dict[str, Any] = {
    "bin": ANY_HOLE,
    "bin_lo": 0.0,
    "bin_hi": 1.0,
    "border": ANY_BORDER,
    "mask_id": "",
    "hole_area": np.nan,
    "hole_radius": np.nan,
    "native_area": np.nan,
}


@dataclass
class _Found:
    """What is known so far: a few numbers and features a picture; pictures are let go."""

    cases: Sequence[Case]
    panel: Panel
    holes: dict[int, dict[str, Any]] = field(default_factory=dict)
    values: dict[str, dict[str, NDArray[np.float64]]] = field(default_factory=dict)
    features: dict[str, dict[str, FeatureSet]] = field(default_factory=dict)
    kept: dict[str, Kept] = field(default_factory=dict)
    reduced: int = 0
    largest_original: int = 0

    def __post_init__(self) -> None:
        count = len(self.cases)
        for method in self.cases[0].outputs:
            self.kept[method] = Kept()
            self.values[method] = {metric: np.empty(count) for metric in self.panel.pictures}
            self.features[method] = {
                name: np.empty((count, extractor.width), np.float32)
                for name, extractor in self.panel.extractors.items()
            }

    def measure(self, places: Sequence[int], holes: _Holes | None) -> None:
        cases = [self.cases[place] for place in places]
        original = np.stack([_read(case.target) for case in cases])
        self.largest_original = max(self.largest_original, int(original.max()))
        known = holes.known if holes is not None else np.ones(original.shape[:3], np.bool_)
        records = holes.records if holes is not None else [_NO_HOLE] * len(cases)
        self.holes |= dict(zip(places, records, strict=True))
        self.reduced += holes.reduced if holes is not None else 0
        for method, kept in self.kept.items():
            completed = np.stack([_read(case.outputs[method]) for case in cases])
            kept.largest = max(kept.largest, int(completed.max()))
            if holes is not None:
                _count_changes(kept, completed, original, known, [case.name for case in cases])
                completed = np.where(known[..., None], original, completed)
            measured = self.panel.measure(completed, original, known, [case.original for case in cases])
            for metric, values in measured.items():
                self.values[method][metric][places] = values
            for name, features in self.panel.extract(completed).items():
                self.features[method][name][places] = features

    def refuse_floats(self) -> None:
        for method, kept in self.kept.items():
            if kept.largest <= BLACK < self.largest_original:
                raise EvaluationError(
                    f"the pictures of {method}, such as {self.cases[0].outputs[method]}, hold no value above "
                    f"{kept.largest}, their originals reach {self.largest_original}: written from numbers in [0, 1]? "
                    "Multiply by 255 and round before saving"
                )

    def refuse_inverted(self) -> None:
        shares = [record["native_area"] for record in self.holes.values()]
        check_polarity(float(np.median(shares)), f"the median hole share of {len(shares)} masks")
        for method, kept in self.kept.items():
            known, hole = (
                total / max(values, 1)
                for total, values in ((kept.known_sum, kept.known_values), (kept.hole_sum, kept.hole_values))
            )
            if known > hole:
                raise MaskError(
                    f"the pictures of {method} differ from their originals by {known:.2f} of 255 where the masks say "
                    f"known and by {hole:.2f} in the holes: the masks are inverted, or belong to other pictures. If "
                    f"black is the hole, set {FLIP}; if white really is, set {KEEP}"
                )
            # A method that repaints known pixels may well hit some hole by chance; one that keeps them cannot.
            if kept.reversed and 2 * kept.pictures <= len(self.cases):
                raise MaskError(
                    f"{len(kept.reversed)} pictures of {method} differ from their originals where the mask says known, "
                    f"and nowhere in the hole; the others do not. First: {kept.reversed[0]}. Is its mask inverted, or "
                    f"that of another picture? If all masks are right, set {KEEP}"
                )

    def rows(self) -> pd.DataFrame:
        table = self._table().drop(columns="native_area")
        return pd.concat(
            [table.assign(**values).pipe(_with_method, method) for method, values in self.values.items()],
            ignore_index=True,
        )

    def set_metrics(self, order: Sequence[int]) -> dict[str, list[dict[str, Any]]]:
        """Records by method; each original is read and embedded once, in the order in which it came up."""
        table = self._table()
        first = {self.cases[place].original: place for place in reversed(order)}
        used = sorted(first)
        place_of = {original: place for place, original in enumerate(used)}
        original_of_row = np.array([place_of[case.original] for case in self.cases], np.int64)
        records: dict[str, list[dict[str, Any]]] = {method: [] for method in self.kept}
        for name, extractor in self.panel.extractors.items():
            source = _Originals([self.cases[first[original]].target for original in used])
            originals = np.empty((len(used), extractor.width), np.float32)
            for indices in _by_size([self.cases[first[original]].size for original in used]):
                folder = cache_folder() / "features"
                originals[indices] = cached_features(source, extractor, folder, indices=indices)
            distances = {metric: distance for metric, (family, distance) in self.panel.sets.items() if family == name}
            for method in self.kept:
                records[method] += set_records(
                    table,
                    original_of_row,
                    distances,
                    completed=self.features[method][name],
                    originals=originals,
                    reference=None,
                )
        return records

    def _table(self) -> pd.DataFrame:
        table = pd.DataFrame([self.holes[place] for place in range(len(self.cases))])
        table.insert(0, "image_id", [case.name for case in self.cases])
        table.insert(1, "photograph", [case.photograph for case in self.cases])
        return table


def _with_method(table: pd.DataFrame, method: str) -> pd.DataFrame:
    table.insert(0, "method", method)
    return table


def _count_changes(kept: Kept, completed: Pictures, original: Pictures, known: Known, names: Sequence[str]) -> None:
    difference = np.abs(completed.astype(np.int16) - original).sum(axis=3, dtype=np.int64)
    at_known = (difference * known).sum(axis=(1, 2))
    in_hole = difference.sum(axis=(1, 2)) - at_known
    kept.pictures += int((at_known > 0).sum())
    kept.known_sum += int(at_known.sum())
    kept.known_values += 3 * int(known.sum())
    kept.hole_sum += int(in_hole.sum())
    kept.hole_values += 3 * int((~known).sum())
    kept.reversed += [name for name, k, h in zip(names, at_known, in_hole, strict=True) if k > 0 and h == 0]


def _read(path: Path) -> NDArray[np.uint8]:
    return read_picture(path, admit_gray=True)


@dataclass(frozen=True)
class _Originals:
    paths: Sequence[Path]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return _read(self.paths[index])


def _by_size(sizes: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    for size in dict.fromkeys(sizes):
        yield [index for index, one in enumerate(sizes) if one == size]

"""One pass over a method's outputs: every row of the pairing, every metric, the samples and the times."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import psutil
import torch
from numpy.typing import NDArray
from torch import nn

from gainbench.assets import cache_folder
from gainbench.data import PictureSet
from gainbench.errors import EvaluationError, NotFiniteError
from gainbench.evaluation.metrics.features import cached_features
from gainbench.evaluation.metrics.guards import Known, Pictures, Values
from gainbench.evaluation.metrics.panel import FeatureSet, Panel, open_panel
from gainbench.evaluation.metrics.pixel import identical
from gainbench.evaluation.samples import SampleWriter
from gainbench.evaluation.sets import set_records
from gainbench.masks import Pairing
from gainbench.methods import Inpainter, composite, to_uint8

logger = logging.getLogger(__name__)

METRIC_BATCH = 16
"""Rows measured at a time. No value depends on it; it bounds the memory that metrics take."""


@dataclass(frozen=True)
class Evaluation:
    """What one pass found.

    Attributes:
        rows: one row per row of the pairing, in its order: image_id, photograph, bin, bin_lo, bin_hi, border, mask_id,
            hole_area (share of the evaluated picture), hole_radius (of the largest disc inside the hole, px at 256),
            runtime_ms (the batch's time over its rows), then a column per per-picture metric.
        set_metrics: records of metric, bin, border, value, n, floor; see :func:`gainbench.evaluation.sets.set_records`.
        features: raw float32 features: per family ``NAME`` (rows, d) of the completed pictures in the rows' order,
            ``NAME_originals`` (originals, d), and ``original_of_row`` (rows,), which original each row completes.
        missing: id of each metric that could not be computed -> why, and how to get what it needs.
        ms_per_image: median, iqr, lower and upper quartile of the method's time per image; ``warmup``: its first call,
            not counted in them; ``loading``: reading a picture and its hole; ``metrics``: all metrics together, and
            each one under its id, per row.
        identical: how many completed pictures equal their original bit for bit; their PSNR is the cap.
        peak_memory_mb: MiB; on a GPU what the tensors of this pass took at most, else the process's largest resident
            memory seen after any batch of metrics.
    """

    rows: pd.DataFrame
    set_metrics: list[dict[str, Any]]
    features: dict[str, NDArray[Any]]
    missing: dict[str, str]
    ms_per_image: dict[str, float]
    identical: int
    peak_memory_mb: float


@dataclass(frozen=True)
class _Completed:
    row: int
    image: int
    original: NDArray[np.uint8]
    known: NDArray[np.bool_]
    completed: NDArray[np.uint8]
    runtime_ms: float


def evaluate_method(
    method: Inpainter,
    pictures: PictureSet,
    pairing: Pairing,
    *,
    metrics: Sequence[str],
    batch: int,
    device: torch.device,
    precision: Literal["fp32", "bf16"] = "fp32",
    reference: PictureSet | None = None,
    samples: int = 0,
    samples_dir: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Complete every row of a pairing and measure it, holding a few pictures at a time.

    Hidden pixels are zero before the method sees them, unless it is an oracle. Its output is composited with the known
    pixels, rounded to 8 bit, and that is what every metric reads. Metrics always run in float32 on batches of a fixed
    size of their own, so that ``batch`` changes a row no more than it changes the method's own arithmetic. A method
    that draws random numbers gets them seeded by row; the global random state is left as it was.

    Args:
        method: moved to ``device`` and into evaluation mode if it is a module.
        pictures: the originals; every image of the pairing must be among them.
        pairing: which hole each image gets.
        metrics: ids of the catalogue.
        batch: rows per call of the method.
        device: where the method and the metrics' networks run.
        precision: ``bf16`` runs the method under autocast.
        reference: other real pictures, for the real-vs-real floor of set metrics.
        samples: how many images to keep as PNG, with all their rows.
        samples_dir: where to; needed if ``samples`` is not 0.
        progress: called with rows done and rows in all after every batch.

    Raises:
        EvaluationError: an unknown metric, pictures and pairing that do not fit, or a method whose output is of
            another shape.
        NotFiniteError: a method whose output is not finite; the message names the row.
    """
    if samples and samples_dir is None:
        raise EvaluationError(f"{samples} samples are wanted but no folder for them is given (samples_dir)")
    if batch < 1:
        raise EvaluationError(f"batch must be at least 1, found {batch}")
    images = _images_of_rows(pictures, pairing)
    panel = open_panel(metrics, device, size=pictures.size)
    stream = _Stream(method, pictures, pairing, images, batch=batch, device=device, precision=precision)
    photographs = [pictures.photographs[image] for image in images]
    writer = SampleWriter(pairing.table, photographs, samples, samples_dir) if samples and samples_dir else None
    collected = _Collected(len(images), panel, device)
    for chunk in _chunks(stream.completed(progress), METRIC_BATCH):
        collected.add(chunk)
        if writer is not None:
            for done in chunk:
                writer.keep(done.row, completed=done.completed, original=done.original, known=done.known)
    if writer is not None:
        writer.close()
    features, sets = _set_metrics(
        panel, collected=collected, pictures=pictures, pairing=pairing, images=images, reference=reference
    )
    return Evaluation(
        rows=_rows(pictures, pairing, images, collected),
        set_metrics=sets,
        features=features,
        missing=panel.missing,
        ms_per_image=_times(stream, collected, panel),
        identical=collected.identical,
        peak_memory_mb=collected.peak_memory_mb,
    )


def _images_of_rows(pictures: PictureSet, pairing: Pairing) -> list[int]:
    if len(pairing.table) == 0:
        raise EvaluationError("the pairing has no rows: there is nothing to evaluate")
    if pairing.size != pictures.size:
        raise EvaluationError(f"holes of {pairing.size} px do not fit pictures of {pictures.size} px")
    index = {image_id: place for place, image_id in enumerate(pictures.ids)}
    unknown = sorted(set(pairing.table["image_id"]) - set(index))
    if unknown:
        raise EvaluationError(
            f"{len(unknown)} images of the pairing are not among the {len(index)} pictures, such as {unknown[0]!r}"
        )
    return [index[image_id] for image_id in pairing.table["image_id"]]


class _Stream:
    """The method's side of the pass: completed rows one after the other, and what they took.

    Rows of one image come together, whatever the pairing's order, so that an original is read and embedded once.
    """

    def __init__(
        self,
        method: Inpainter,
        pictures: PictureSet,
        pairing: Pairing,
        images: list[int],
        *,
        batch: int,
        device: torch.device,
        precision: Literal["fp32", "bf16"],
    ) -> None:
        self.method = method.to(device).eval() if isinstance(method, nn.Module) else method
        self.pictures, self.pairing, self.images = pictures, pairing, images
        self.batch, self.device, self.precision = batch, device, precision
        self.order = sorted(range(len(images)), key=lambda row: images[row])
        self.loading_seconds = 0.0
        self.warmup_ms = 0.0

    def completed(self, progress: Callable[[int, int], None] | None) -> Iterator[_Completed]:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        for start in range(0, len(self.order), self.batch):
            rows = self.order[start : start + self.batch]
            began = time.perf_counter()
            originals = np.stack([self.pictures[self.images[row]] for row in rows])
            known = np.stack([self.pairing.known(row) for row in rows])
            self.loading_seconds += time.perf_counter() - began
            if start == 0:
                _, self.warmup_ms = self._complete(originals, known, rows)
            outputs, milliseconds = self._complete(originals, known, rows)
            for place, row in enumerate(rows):
                yield _Completed(
                    row, self.images[row], originals[place], known[place], outputs[place], milliseconds / len(rows)
                )
            if progress is not None:
                progress(start + len(rows), len(self.order))

    def _complete(self, originals: Pictures, known: Known, rows: list[int]) -> tuple[Pictures, float]:
        whole = torch.from_numpy(originals).to(self.device).permute(0, 3, 1, 2).float() / 255.0
        seen = torch.from_numpy(known).to(self.device)[:, None].float()
        # The method gets tensors of its own: one that works in place changes nothing that is composited or measured.
        visible, given = whole.clone() if self.method.oracle else whole * seen, seen.clone()
        devices = [self.device] if self.device.type == "cuda" else []
        with (
            torch.inference_mode(),
            torch.random.fork_rng(devices=devices),
            torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"),
        ):
            torch.manual_seed(rows[0])
            self._synchronise()
            began = time.perf_counter()
            prediction = self.method.inpaint(visible, given)
            self._synchronise()
            milliseconds = 1000.0 * (time.perf_counter() - began)
        self._check(prediction, whole, rows)
        outputs = to_uint8(composite(whole, seen, prediction.float()))
        return outputs.permute(0, 2, 3, 1).contiguous().cpu().numpy(), milliseconds

    def _synchronise(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _check(self, prediction: Any, whole: torch.Tensor, rows: list[int]) -> None:
        name = type(self.method).__name__
        if not isinstance(prediction, torch.Tensor) or prediction.shape != whole.shape:
            found = tuple(prediction.shape) if isinstance(prediction, torch.Tensor) else type(prediction).__name__
            raise EvaluationError(f"{name}.inpaint must return a tensor {tuple(whole.shape)}, found {found}")
        finite = torch.isfinite(prediction).flatten(1).all(dim=1)
        if not bool(finite.all()):
            row = rows[int(finite.logical_not().nonzero()[0])]
            record = self.pairing.table.iloc[row]
            raise NotFiniteError(
                f"{name}.inpaint gave values that are not finite (NaN or infinite) for row {row}: image "
                f"{record['image_id']!r}, bin {record['bin']}, border {record['border']}"
            )


def _chunks(stream: Iterator[_Completed], size: int) -> Iterator[list[_Completed]]:
    chunk: list[_Completed] = []
    for item in stream:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class _Collected:
    """The metrics' side of the pass: a few numbers and features a row; pictures are let go."""

    def __init__(self, count: int, panel: Panel, device: torch.device) -> None:
        self.panel = panel
        self.device = device
        self.peak_memory_mb = 0.0
        self.runtime_ms: Values = np.empty(count)
        self.values: dict[str, Values] = {metric: np.empty(count) for metric in panel.pictures}
        self.features: dict[str, FeatureSet] = {
            name: np.empty((count, extractor.width), np.float32) for name, extractor in panel.extractors.items()
        }
        self.identical = 0
        self.seconds = 0.0

    def add(self, chunk: list[_Completed]) -> None:
        rows = [done.row for done in chunk]
        self.runtime_ms[rows] = [done.runtime_ms for done in chunk]
        completed = np.stack([done.completed for done in chunk])
        original = np.stack([done.original for done in chunk])
        known = np.stack([done.known for done in chunk])
        began = time.perf_counter()
        for metric, values in self.panel.measure(completed, original, known, [done.image for done in chunk]).items():
            self._check(metric, values, rows)
            self.values[metric][rows] = values
        for name, features in self.panel.extract(completed).items():
            self.features[name][rows] = features
        self.seconds += time.perf_counter() - began
        self.identical += int(identical(completed, original).sum())
        self.peak_memory_mb = max(self.peak_memory_mb, self._memory_mb())

    def _memory_mb(self) -> float:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        return float(psutil.Process().memory_info().rss) / 2**20

    @staticmethod
    def _check(metric: str, values: Values, rows: list[int]) -> None:
        wrong = ~np.isfinite(values)
        if wrong.any():
            raise EvaluationError(f"{metric} is {values[wrong][0]} for row {rows[int(wrong.argmax())]}")


def _set_metrics(
    panel: Panel,
    *,
    collected: _Collected,
    pictures: PictureSet,
    pairing: Pairing,
    images: list[int],
    reference: PictureSet | None,
) -> tuple[dict[str, NDArray[Any]], list[dict[str, Any]]]:
    used = sorted(set(images))
    place = {image: index for index, image in enumerate(used)}
    original_of_row = np.array([place[image] for image in images], np.int64)
    folder = cache_folder() / "features"
    features: dict[str, NDArray[Any]] = {"original_of_row": original_of_row} if panel.extractors else {}
    records: list[dict[str, Any]] = []
    for name, extractor in panel.extractors.items():
        originals = cached_features(pictures, extractor, folder, indices=used)
        others = cached_features(reference, extractor, folder) if reference is not None else None
        features |= {name: collected.features[name], f"{name}_originals": originals}
        distances = {metric: distance for metric, (family, distance) in panel.sets.items() if family == name}
        records += set_records(
            pairing.table,
            original_of_row,
            distances,
            completed=collected.features[name],
            originals=originals,
            reference=others,
        )
    return features, records


def _rows(pictures: PictureSet, pairing: Pairing, images: list[int], collected: _Collected) -> pd.DataFrame:
    table = pairing.table
    rows = table[["image_id", "bin", "bin_lo", "bin_hi", "border", "mask_id"]].reset_index(drop=True)
    rows.insert(1, "photograph", [pictures.photographs[image] for image in images])
    rows["hole_area"] = table["effective_area"].to_numpy()
    rows["hole_radius"] = table["radius"].to_numpy()
    rows["runtime_ms"] = collected.runtime_ms
    return rows.assign(**collected.values)


def _times(stream: _Stream, collected: _Collected, panel: Panel) -> dict[str, float]:
    count = len(stream.order)
    lower, median, upper = np.percentile(collected.runtime_ms, [25, 50, 75])
    return {
        "median": float(median),
        "lower_quartile": float(lower),
        "upper_quartile": float(upper),
        "iqr": float(upper - lower),
        "warmup": stream.warmup_ms / min(stream.batch, count),
        "loading": 1000.0 * stream.loading_seconds / count,
        "metrics": 1000.0 * collected.seconds / count,
        **{metric: 1000.0 * seconds / count for metric, seconds in panel.seconds.items()},
    }

"""Stored results made from known numbers, in the classes that the real store returns."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gainbench.atomic import write_json
from gainbench.report.analysis import Analysis
from gainbench.report.plots import PlotFiles, write_plots
from gainbench.run.status import CellStatus
from gainbench.run.store import (
    CELL_COLUMNS,
    SET_METRIC_COLUMNS,
    DatasetRecord,
    ResolvedSuite,
    StoredCell,
    StoredResults,
)
from gainbench.spec import BINS, BORDERS, CellResult, CellSpec, MaskSpec, MethodSpec, Scale, Suite, bin_label, scales

BASE = {"l1_mean": (0.4, 1.1), "psnr_rgb": (34.0, -2.6), "ssim_rgb_g11": (0.97, -0.06), "lpips_alex": (0.02, 0.055)}
"""Metric -> (value in the first bin, change from bin to bin) of the best imagined method."""

WORSE = {"l1_mean": 0.35, "psnr_rgb": -0.9, "ssim_rgb_g11": -0.02, "lpips_alex": 0.03}
"""What each step down the list of methods costs."""

SPREAD = {"l1_mean": 0.5, "psnr_rgb": 2.5, "ssim_rgb_g11": 0.03, "lpips_alex": 0.03}


def make_rows(
    method_place: float,
    seed: int,
    *,
    metrics: Sequence[str] = tuple(BASE),
    photographs: int = 20,
    crops: int = 2,
    dataset: str = "photos-230",
    noise: float = 0.2,
) -> pd.DataFrame:
    """Rows of one cell; photographs differ alike for every method, ``method_place`` shifts the means."""
    shared = np.random.default_rng(sum(map(ord, dataset)))
    effect = shared.normal(0, 1, (photographs, len(BASE)))
    own = np.random.default_rng([int((method_place + 10) * 1000), seed])
    records: list[dict[str, Any]] = []
    for number in range(photographs * crops):
        photograph = number // crops
        for place, bounds in enumerate(BINS):
            border = BORDERS[(number + place) % 2]
            record: dict[str, Any] = {
                "image_id": f"{photograph:03d}/{number % crops}",
                "photograph": f"{photograph:03d}",
                "bin": bin_label(bounds),
                "bin_lo": bounds[0],
                "bin_hi": bounds[1],
                "border": border,
                "mask_id": f"irregular-v1/{number}/{place}",
                "hole_area": sum(bounds) / 2,
                "hole_radius": 9.0 + 7 * place,
                "runtime_ms": 5.0,
            }
            for column, metric in enumerate(BASE):
                start, step = BASE[metric]
                harder = 0.3 * step * (border == "touching")
                deviation = SPREAD[metric] * (effect[photograph, column] + noise * own.normal())
                record[metric] = start + step * place + WORSE[metric] * method_place + harder + deviation
            records.append(record)
    rows = pd.DataFrame.from_records(records)
    return rows.drop(columns=[metric for metric in BASE if metric not in metrics])


def make_training_log(folder: Path, iterations: int = 500) -> None:
    """A ``training.jsonl`` with a falling loss, an adversarial one around zero, and a gradient norm."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(str(folder.name)))
    with (folder / "training.jsonl").open("w") as log:
        for step in range(10, iterations + 1, 10):
            record = {
                "step": step,
                "seconds": step / 2,
                "discriminator/hinge": 2 - step / iterations + 0.1 * rng.normal(),
                "generator/l1": float(0.3 * np.exp(-step / 150) + 0.05 + 0.005 * rng.normal()),
                "generator/adversarial": 0.02 * rng.normal(),
                "generator/gradient_norm": 3.0,
            }
            log.write(json.dumps(record) + "\n")


def make_samples(folder: Path, level: float, *, side: int = 64, pictures: int = 2) -> None:
    """Outputs that are wrong by ``level`` of 255 in the hole: a disc that grows with the bin."""
    samples = folder / "samples"
    samples.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[:side, :side] / side - 0.5
    records = []
    for row in range(pictures * len(BINS)):
        number, place = divmod(row, len(BINS))
        hole = x**2 + y**2 < sum(BINS[place]) / 2 / np.pi
        shade = 128 + 90 * np.stack([np.sin(9 * x + number), np.cos(7 * y), np.sin(8 * (x + y))], axis=2)
        wrong = np.where(hole[..., None], shade + level * np.cos(20 * x)[..., None], shade)
        pictured = {
            "original": shade.clip(0, 255).astype(np.uint8),
            "known": np.where(hole, 255, 0).astype(np.uint8),
            "completed": wrong.clip(0, 255).astype(np.uint8),
        }
        files = {what: f"{row:05d}-{what}.png" for what in pictured}
        for what, pixels in pictured.items():
            Image.fromarray(pixels).save(samples / files[what])
        border = BORDERS[(2 * number + place) % 2]
        record = {"row": row, "image_id": f"{number:03d}/0", "bin": bin_label(BINS[place]), "border": border}
        records.append(record | {"files": files})
    (samples / "samples.json").write_text(json.dumps(records))


class Bench:
    """A suite in the making: add cells, then ask for the stored results."""

    def __init__(self, root: Path, **changes: Any) -> None:
        self.root = root
        options: dict[str, Any] = {
            "name": "paper",
            "question": "What should guide a network that fills irregular holes?",
            "datasets": ("photos-230",),
            "methods": ("gain", "partial_conv", "telea"),
            "metrics": (*BASE, "fd_mobilenetv2", "fid"),
        }
        options |= changes
        self.narrowed: tuple[str, ...] = options.pop("narrowed", ())
        self.footnotes: tuple[str, ...] = options.pop("footnotes", ())
        self.scale: Scale = options.pop("scale", scales()["cpu"])
        self.suite = Suite(**options)
        self.cells: list[StoredCell] = []
        self.rows: list[pd.DataFrame] = []
        self.sets: list[dict[str, Any]] = []

    def spec(self, method: str, seed: int = 0, dataset: str = "photos-230") -> CellSpec:
        return CellSpec(
            dataset=dataset,
            manifest_hash=dataset.encode().hex().ljust(32, "0")[:32],
            method=MethodSpec.parse(method),
            revision=1,
            seed=seed,
            scale=self.scale,
            masks=MaskSpec(),
            mask_hash="a5" * 16,
            metrics=self.suite.metrics,
        )

    def done(
        self,
        method: str,
        rows: pd.DataFrame,
        *,
        seed: int = 0,
        dataset: str = "photos-230",
        trained: bool = True,
        missing: dict[str, str] | None = None,
        fd: float = 21.5,
        environment: dict[str, str] | None = None,
    ) -> "Bench":
        spec = self.spec(method, seed, dataset)
        names = (spec.key, dataset, spec.method.label, seed, spec.scale.name)
        named = rows.copy()
        for place, (column, value) in enumerate(zip(CELL_COLUMNS, names, strict=True)):
            named.insert(place, column, value)
        self.rows.append(named)
        pictures = rows["image_id"].nunique()
        for label, n in (("all", len(rows)), *((bin_label(bounds), pictures) for bounds in BINS)):
            record = {"metric": "fd_mobilenetv2", "bin": label, "border": "all", "value": fd, "n": n, "floor": 9.25}
            self.sets.append(dict(zip(CELL_COLUMNS, names, strict=True)) | record)
        cost = {"parameters": 14_600_000.0, "macs": 68.2e9} if trained else {"parameters": 0.0, "macs": 0.0}
        cost |= {"ms_per_image_median": 5.25, "ms_per_image_lower_quartile": 5.1, "ms_per_image_upper_quartile": 6.0}
        cost["peak_memory_mb"] = 1300.2
        if trained:
            cost |= {"training_iterations": float(self.scale.iterations), "training_seconds": 812.0}
        result = CellResult(
            key=spec.key,
            spec=spec,
            metrics=tuple(metric for metric in self.suite.metrics if metric != "fid"),
            missing={"fid": "its Inception weights are not here; give --fid-weights PATH"}
            if missing is None
            else missing,
            set_metrics=(),
            pairing_sha256="1a2b3c4d5e6f" + "0" * 52,
            rows_sha256="b" * 64,
            cost=cost,
            environment={"python": "3.11.7", "packages": {"torch": "2.6.0"}, "device": "cpu", "commit": "abc1234"}
            | (environment or {}),
        )
        self.cells.append(StoredCell(spec, self.folder(spec), CellStatus(state="done"), result))
        return self

    def failed(self, method: str, state: Any, cause: str, *, seed: int = 0, dataset: str = "photos-230") -> "Bench":
        spec = self.spec(method, seed, dataset)
        status = CellStatus(state=state, cause=cause, log_tail=("step 40", "step 41"))
        self.cells.append(StoredCell(spec, self.folder(spec), status, None))
        return self

    def folder(self, spec: CellSpec) -> Path:
        return self.root / "cells" / spec.folder_name

    def write(self) -> StoredResults:
        """Lay everything down as a run does, so that a process of its own can read it."""
        stored = self.stored()
        finished = iter(self.rows)
        for cell in stored.cells:
            if cell.result is not None:
                rows = next(finished).drop(columns=list(CELL_COLUMNS))
                cell.folder.mkdir(parents=True, exist_ok=True)
                rows.drop(columns="runtime_ms").to_parquet(cell.folder / "rows.parquet", index=False)
                rows[["runtime_ms"]].to_parquet(cell.folder / "timings.parquet", index=False)
                own = [one for one in self.sets if one["key"] == cell.spec.key]
                sets = tuple({k: v for k, v in one.items() if k not in CELL_COLUMNS} for one in own)
                sha = hashlib.sha256((cell.folder / "rows.parquet").read_bytes()).hexdigest()
                result = cell.result.model_copy(update={"rows_sha256": sha, "set_metrics": sets})
                write_json(cell.folder / "result.json", result.model_dump(mode="json"))
        write_json(stored.folder / "suite.json", stored.resolved.model_dump(mode="json"))
        return stored

    def stored(self) -> StoredResults:
        datasets = {
            name: DatasetRecord(manifest_hash="0f" * 16, photographs=230, skipped=0, publishable=name == "photos-230")
            for name in self.suite.datasets
        }
        resolved = ResolvedSuite(
            suite=self.suite,
            scale=self.scale,
            narrowed=self.narrowed,
            footnotes=self.footnotes,
            datasets=datasets,
            cells=tuple(cell.spec for cell in self.cells),
        )
        rows = pd.concat(self.rows, ignore_index=True) if self.rows else pd.DataFrame(columns=list(CELL_COLUMNS))
        return StoredResults(
            self.root, resolved, self.cells, rows, pd.DataFrame(self.sets, columns=list(SET_METRIC_COLUMNS))
        )


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    return lambda **changes: Bench(tmp_path, **changes)


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> StoredResults:
    """gain best, partial_conv close behind it, telea far behind."""
    made = Bench(tmp_path_factory.mktemp("three"))
    made.done("gain", make_rows(0.0, 0))
    made.done("partial_conv", make_rows(0.01, 0), fd=24.0)
    made.done("telea", make_rows(2.0, 0), trained=False, fd=60.0)
    return made.stored()


@pytest.fixture(scope="session")
def analysis(three: StoredResults) -> Analysis:
    return Analysis(three)


@pytest.fixture(scope="session")
def drawn(analysis: Analysis, tmp_path_factory: pytest.TempPathFactory) -> list[PlotFiles]:
    return write_plots(analysis, tmp_path_factory.mktemp("plots"))

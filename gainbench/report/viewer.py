"""The gallery of the page: every kept picture under every hole, each method's fill and where it is wrong.

Tiles are small and compressed, so that the page stays one small file; contact sheets beside it have every pixel. Only
pictures that may be passed on are shown.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image

from gainbench.errors import ReportError
from gainbench.evaluation.metrics.catalogue import MetricInfo
from gainbench.report.analysis import Analysis
from gainbench.report.cost_plots import shown_metrics
from gainbench.report.figures import data_uri
from gainbench.report.gallery import INDEX, Pixels, first_cells, hide, publishable
from gainbench.report.numbers import decimals, fixed, percent
from gainbench.report.tables import BORDER_HEADINGS
from gainbench.run.layout import SAMPLES
from gainbench.run.store import StoredCell

TILE = 160
"""Pixels of a tile's side at most; smaller pictures keep their own."""

ERROR_RANGE = 64
"""Mean absolute difference over R, G and B, of 255, at which the error map is brightest."""

ERROR_COLOURS = "inferno"

QUALITY, ERROR_QUALITY = 82, 60
"""Of the lossy compression; error maps are computed from the pictures as stored, then compressed."""

BUDGET = 1_200_000
"""Characters of all tiles of a page at most; where there are more pictures than fit, fewer are shown."""

MOST_PICTURES = 8


@dataclass(frozen=True)
class Fill:
    """A method's tile: the fill, its error map, and this picture's numbers."""

    method: str
    result: str
    error: str
    numbers: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """One picture under one hole.

    Attributes:
        picture: the picture's place among those shown, from 0.
        name: its file.
        bin: the hole's bin.
        holes: the bin and border class in words.
        original: address of the picture.
        given: address of what a method is given, its hole striped.
        fills: in the suite's order.
    """

    picture: int
    name: str
    bin: str
    holes: str
    original: str
    given: str
    fills: tuple[Fill, ...]

    @property
    def size(self) -> int:
        """Characters of its tiles."""
        return len(self.original) + len(self.given) + sum(len(fill.result) + len(fill.error) for fill in self.fills)


@dataclass(frozen=True)
class Viewer:
    """The gallery of one data set.

    Attributes:
        groups: every picture under every hole.
        pictures: names of the pictures, by ``Group.picture``.
        bins: bins in order, with their words.
        methods: in the suite's order.
        seed: training seed of the fills.
        left_out: kept pictures that are not on the page.
    """

    groups: tuple[Group, ...]
    pictures: tuple[str, ...]
    bins: tuple[tuple[str, str], ...]
    methods: tuple[str, ...]
    seed: int
    left_out: int


@dataclass(frozen=True, order=True)
class _Hole:
    image_id: str
    bin: str
    border: str


_Files = Mapping[str, str]
"""What is shown -> file, relative to a cell's folder of samples."""


def viewer(analysis: Analysis, dataset: str, *, budget: int = BUDGET) -> Viewer | None:
    """The gallery of a data set; None if its pictures may not be shown or no cell kept any.

    Args:
        analysis: the suite's results.
        dataset: whose pictures.
        budget: characters that its tiles may take; one picture is shown whatever it takes.

    Raises:
        ReportError: a listed file is missing or damaged.
    """
    if not publishable(analysis, dataset):
        return None
    cells = first_cells(analysis, dataset)
    kept = {method: files for method in analysis.drawn if method in cells and (files := _kept(cells[method]))}
    common = set.intersection(*map(set, kept.values())) if kept else set()
    if not common:
        return None
    order = analysis.bins(dataset)
    pictures = sorted({hole.image_id for hole in common})
    numbers = _numbers(analysis, dataset, {cells[method].spec.key: method for method in kept}, pictures)
    groups: list[Group] = []
    shown: list[str] = []
    for picture in _spread(pictures):
        holes = sorted((hole for hole in common if hole.image_id == picture), key=lambda hole: order.index(hole.bin))
        fills = [{method: (cells[method], kept[method][hole]) for method in kept} for hole in holes]
        drawn = [_group(len(shown), hole, own, numbers) for hole, own in zip(holes, fills, strict=True)]
        if shown and sum(group.size for group in (*groups, *drawn)) > budget:
            break
        groups += drawn
        shown.append(_name(picture))
    return Viewer(
        groups=tuple(groups),
        pictures=tuple(shown),
        bins=tuple((bin_, f"{percent(bin_)} %") for bin_ in order if any(group.bin == bin_ for group in groups)),
        methods=tuple(kept),
        seed=cells[next(iter(kept))].spec.seed,
        left_out=len(pictures) - len(shown),
    )


def _kept(cell: StoredCell) -> dict[_Hole, _Files]:
    path = cell.folder / SAMPLES / INDEX
    if not path.is_file():
        return {}
    try:
        records: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return {_Hole(one["image_id"], one["bin"], one["border"]): one["files"] for one in records}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ReportError(f"{path} cannot be read ({error}); run the cell again") from error


def _spread(pictures: Sequence[str]) -> list[str]:
    """At most MOST_PICTURES of them, evenly spread."""
    places = np.linspace(0, len(pictures) - 1, min(MOST_PICTURES, len(pictures))).round().astype(int)
    return [pictures[place] for place in places]


def _numbers(
    analysis: Analysis, dataset: str, methods: Mapping[str, str], pictures: Sequence[str]
) -> dict[tuple[str, _Hole], tuple[str, ...]]:
    """(method, hole) -> this very picture's numbers, by the metrics that stand for fidelity and perception."""
    infos = shown_metrics(analysis, dataset)
    rows = analysis.stored.rows
    own = rows[rows["key"].isin(list(methods)) & rows["image_id"].isin(pictures)]
    return {
        (methods[str(row["key"])], _Hole(str(row["image_id"]), str(row["bin"]), str(row["border"]))): tuple(
            _number(info, float(row[info.id])) for info in infos
        )
        for row in own[["key", "image_id", "bin", "border", *(info.id for info in infos)]].to_dict("records")
    }


def _number(info: MetricInfo, value: float) -> str:
    return f"{info.label} {fixed(value, decimals(abs(value), 3)) if value else '0'}"


def _group(
    picture: int,
    hole: _Hole,
    fills: Mapping[str, tuple[StoredCell, _Files]],
    numbers: Mapping[tuple[str, _Hole], tuple[str, ...]],
) -> Group:
    cell, files = next(iter(fills.values()))
    original, mask = _opened(cell, files, "original", "RGB"), _opened(cell, files, "known", "L")
    given = _tile(original)
    hide(given, np.asarray(mask))
    shown = []
    for method, (own, its) in fills.items():
        result = _opened(own, its, "completed", "RGB")
        error = _address(_error_map(original, result, mask), ERROR_QUALITY)
        shown.append(Fill(method, _address(_tile(result), QUALITY), error, numbers.get((method, hole), ())))
    return Group(
        picture=picture,
        name=_name(hole.image_id),
        bin=hole.bin,
        holes=f"{percent(hole.bin)} %, {BORDER_HEADINGS[hole.border].lower()}",
        original=_address(_tile(original), QUALITY),
        given=_address(given, QUALITY),
        fills=tuple(shown),
    )


def _opened(cell: StoredCell, files: _Files, what: str, mode: str) -> Image.Image:
    path = cell.folder / SAMPLES / files.get(what, f"no {what}")
    try:
        with Image.open(path) as opened:
            return opened.convert(mode)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ReportError(f"{path} is missing or damaged ({error}); run the cell again") from error


def _tile(picture: Image.Image) -> Image.Image:
    if max(picture.size) <= TILE:
        return picture.copy()
    return picture.resize((TILE, TILE), Image.Resampling.LANCZOS)


def _error_map(original: Image.Image, result: Image.Image, mask: Image.Image) -> Image.Image:
    """RGBA: mean absolute difference over R, G and B as a colour in the hole, nothing where the picture is known."""
    gap = np.abs(np.asarray(result, np.int16) - np.asarray(original, np.int16)).mean(axis=2)
    coloured: Pixels = mpl.colormaps[ERROR_COLOURS](np.clip(gap / ERROR_RANGE, 0, 1), bytes=True)
    coloured[..., 3] = np.where(np.asarray(mask) > 0, 255, 0)
    tile = _tile(Image.fromarray(coloured[..., :3]))
    tile.putalpha(Image.fromarray(coloured[..., 3]).resize(tile.size, Image.Resampling.NEAREST))
    return tile


def _address(picture: Image.Image, quality: int) -> str:
    written = io.BytesIO()
    picture.save(written, format="WEBP", quality=quality, method=2)
    return data_uri(written.getvalue(), "image/webp")


def _name(image_id: str) -> str:
    return image_id.rpartition("/")[2]

"""Contact sheets: the input with its hole shown, every method's result, and the original, side by side.

Only data sets whose licence allows their pictures to be passed on are shown. One sheet a data set, one row for each
(picture, hole), smallest holes first.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gainbench.atomic import atomic_path
from gainbench.data import DATASETS
from gainbench.errors import ReportError
from gainbench.report.analysis import Analysis
from gainbench.report.numbers import percent
from gainbench.report.palette import INK
from gainbench.run.layout import SAMPLES
from gainbench.run.store import StoredCell

LEAST_SIDE = 128
"""Smaller pictures are enlarged by a whole factor, each pixel a square: nothing is invented between pixels."""

GAP, HEADER, MARGIN, FONT_SIZE = 6, 40, 92, 12
"""Pixels between pictures, above them, left of them; height of the letters."""

HATCH = ((150, 150, 150), (200, 200, 200))
"""The two grays of the stripes that stand for a hole: no photograph looks like that."""

STRIPE = 6
"""Width of a stripe in pixels of the sheet."""

SHEET_PICTURES = 8
"""Pictures on one sheet, each under all its holes."""

INDEX = "samples.json"

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, order=True)
class Sample:
    """One (picture, hole) of which cells kept their outputs; ``row`` is its place in the pairing."""

    bin: str
    row: int
    image_id: str
    border: str


@dataclass(frozen=True)
class Sheet:
    """A contact sheet in memory.

    Attributes:
        dataset: whose pictures.
        methods: the columns between input and original.
        samples: the rows.
        seed: training seed of the outputs.
        image: RGBA.
    """

    dataset: str
    methods: tuple[str, ...]
    samples: tuple[Sample, ...]
    seed: int
    image: Image.Image


def publishable(analysis: Analysis, dataset: str) -> bool:
    """Whether a data set's pictures may be shown; the record made at planning and the catalogue must both allow it."""
    record = analysis.stored.resolved.datasets.get(dataset)
    known = DATASETS.get(dataset)
    return record is not None and record.publishable and known is not None and known.publishable


def contact_sheet(
    analysis: Analysis,
    dataset: str,
    *,
    methods: Sequence[str] | None = None,
    side: int | None = None,
    one_a_bin: bool = False,
) -> Sheet | None:
    """Lay out the kept outputs of a data set.

    Args:
        analysis: the suite's results.
        dataset: whose outputs.
        methods: the columns; None takes every method with outputs.
        side: pixels of a picture's side on the sheet; None keeps the pictures' own (enlarged if small).
        one_a_bin: one row for each bin, each of another picture where there are enough.

    Returns:
        None if the data set may not be shown or no cell kept an output.

    Raises:
        ReportError: a listed file is missing or damaged.
    """
    if not publishable(analysis, dataset):
        return None
    cells = first_cells(analysis, dataset)
    listed = {method: _files(cell) for method, cell in cells.items()}
    kept = [method for method in (analysis.drawn if methods is None else analysis.methods) if listed.get(method)]
    shown = [method for method in kept if methods is None or method in methods]
    if not shown:
        return None
    # What all of them kept, whichever are asked for: sheets of some methods show the same pictures.
    common = set.intersection(*(set(listed[method]) for method in kept))
    order = {bin_: place for place, bin_ in enumerate(analysis.bins(dataset))}
    samples = _of_few_pictures(sorted(common, key=lambda sample: (order.get(sample.bin, len(order)), sample)))
    if one_a_bin:
        samples = _one_a_bin(samples)
    rows = [_pictures([(cells[method], listed[method][sample]) for method in shown]) for sample in samples]
    image = _laid_out(rows, ["input", *shown, "original"], [_row_label(sample) for sample in samples], side)
    return Sheet(dataset, tuple(shown), tuple(samples), next(iter(cells.values())).spec.seed, image)


def write_gallery(analysis: Analysis, folder: Path) -> list[Path]:
    """Write one PNG for each data set that may be shown and has kept outputs."""
    written = []
    for dataset in analysis.datasets:
        path = folder / f"{dataset}.png"
        sheet = contact_sheet(analysis, dataset)
        if sheet is not None:
            with atomic_path(path) as temporary:
                sheet.image.save(temporary, format="PNG")
            written.append(path)
    return written


def first_cells(analysis: Analysis, dataset: str) -> dict[str, StoredCell]:
    """Each method's finished cell with the smallest seed."""
    finished = [cell for cell in analysis.cells(dataset) if cell.result is not None]
    cells: dict[str, StoredCell] = {}
    for cell in sorted(finished, key=lambda cell: cell.spec.seed):
        cells.setdefault(cell.spec.method.label, cell)
    return cells


def _files(cell: StoredCell) -> dict[Sample, dict[str, str]]:
    """What a cell kept: each row's files, relative to its folder of samples, by what they show."""
    path = cell.folder / SAMPLES / INDEX
    if not path.is_file():
        return {}
    try:
        records: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return {Sample(one["bin"], one["row"], one["image_id"], one["border"]): one["files"] for one in records}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ReportError(f"{path} cannot be read ({error}); run the cell again") from error


def _of_few_pictures(samples: Sequence[Sample]) -> list[Sample]:
    """Those of a few pictures, spread evenly: a suite may have kept all of them."""
    pictures = sorted({sample.image_id for sample in samples})
    places = np.linspace(0, len(pictures) - 1, min(SHEET_PICTURES, len(pictures))).round().astype(int)
    shown = {pictures[place] for place in places}
    return [sample for sample in samples if sample.image_id in shown]


def _one_a_bin(samples: Sequence[Sample]) -> list[Sample]:
    chosen: dict[str, Sample] = {}
    for bin_ in dict.fromkeys(sample.bin for sample in samples):
        used = {sample.image_id for sample in chosen.values()}
        here = [sample for sample in samples if sample.bin == bin_]
        chosen[bin_] = next((sample for sample in here if sample.image_id not in used), here[len(chosen) % len(here)])
    return list(chosen.values())


def _pictures(kept: Sequence[tuple[StoredCell, dict[str, str]]]) -> tuple[Pixels, list[Pixels]]:
    """The hole, and what stands in the row: the original for the input, the outputs, the original."""
    first, files = kept[0]
    original = _read(first, files["original"], "RGB")
    outputs = [_read(cell, files["completed"], "RGB") for cell, files in kept]
    return _read(first, files["known"], "L"), [original, *outputs, original]


def _read(cell: StoredCell, name: str, mode: str) -> Pixels:
    path = cell.folder / SAMPLES / name
    try:
        with Image.open(path) as opened:
            return np.asarray(opened.convert(mode))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ReportError(f"{path} is missing or damaged ({error}); run the cell again") from error


def hide(picture: Image.Image, hole: Pixels) -> None:
    """Draw diagonal stripes over the pixels that are hidden (white in ``hole``)."""
    rows, columns = np.indices((picture.height, picture.width))
    stripes = np.array(HATCH, dtype=np.uint8)[(rows + columns) // STRIPE % 2]
    hidden = Image.fromarray(hole).resize(picture.size, Image.Resampling.NEAREST)
    picture.paste(Image.fromarray(stripes), (0, 0), hidden)


def _laid_out(
    rows: Sequence[tuple[Pixels, list[Pixels]]], columns: Sequence[str], labels: Sequence[str], side: int | None
) -> Image.Image:
    native = rows[0][0].shape[0]
    if side is None:
        side = native * max(1, -(-LEAST_SIDE // native))
    size = (MARGIN + len(columns) * (side + GAP), HEADER + len(rows) * (side + GAP))
    sheet = Image.new("RGBA", size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(sheet)
    headings = [name.replace("[", "\n[", 1) for name in columns]
    font, label_font = _font(headings, side), _font(labels, MARGIN - 8)
    for place, heading in enumerate(headings):
        middle = MARGIN + place * (side + GAP) + side // 2
        draw.multiline_text((middle, HEADER - 6), heading, INK, font, anchor="md", align="center")
    enlarged = Image.Resampling.NEAREST if side % native == 0 else Image.Resampling.LANCZOS
    for line, ((hole, pictures), label) in enumerate(zip(rows, labels, strict=True)):
        top = HEADER + line * (side + GAP)
        draw.multiline_text((0, top + side // 2), label, INK, label_font, anchor="lm", spacing=3)
        for place, pixels in enumerate(pictures):
            picture = Image.fromarray(pixels)
            if picture.size != (side, side):
                picture = picture.resize((side, side), enlarged)
            if place == 0:
                hide(picture, hole)
            sheet.paste(picture, (MARGIN + place * (side + GAP), top))
    return sheet


def _font(texts: Sequence[str], width: int) -> ImageFont.FreeTypeFont:
    """The sheet's letters, smaller for all texts where the longest line would not fit."""
    path = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    lines = [line for text in texts for line in text.split("\n")]
    for size in range(FONT_SIZE, 6, -1):
        font = ImageFont.truetype(path, size)
        if max(map(font.getlength, lines)) <= width:
            break
    return font


def _row_label(sample: Sample) -> str:
    return f"{percent(sample.bin)} %\n{sample.border}\n{sample.image_id.rpartition('/')[2][-16:]}"

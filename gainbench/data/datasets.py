"""Data sets by name: what they are, and how one is opened."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gainbench.assets import asset_path
from gainbench.data.listing import list_pictures
from gainbench.data.manifest import Entry, Manifest
from gainbench.data.pictures import Part, PictureSet
from gainbench.data.reading import use_of
from gainbench.data.recipes import RECIPES, Recipe
from gainbench.data.remembered import inspect_files
from gainbench.data.splits import SPLITS
from gainbench.errors import DataError
from gainbench.keyed import keyed_fraction
from gainbench.raster import SUFFIXES
from gainbench.spec import Split, nearest

logger = logging.getLogger(__name__)

MIN_SIDE = 32
"""Pixels; a file with a shorter side is skipped: no scale is smaller."""

TILES_A_PHOTOGRAPH = 5
"""How many pictures of one file a limited selection takes, unless that leaves it short."""


@dataclass(frozen=True)
class DatasetInfo:
    """What a person chooses a data set by.

    Attributes:
        name: what suites call it.
        description: what it shows and how it is prepared.
        licence: under which terms its photographs may be used.
        needs_path: whether the user must say where it is.
        publishable: whether its photographs may appear in figures that are passed on.
    """

    name: str
    description: str
    licence: str
    needs_path: bool = False
    publishable: bool = False


DATASETS: dict[str, DatasetInfo] = {
    info.name: info
    for info in (
        DatasetInfo(
            "celeba-999",
            "999 aligned faces of CelebA; rows 20 to 198 of 178x218, resampled; split by picture",
            "CelebA agreement: non-commercial research only, no redistribution",
        ),
        DatasetInfo(
            "photos-230",
            "230 photographs of scenes and things; disjoint tiles of max(size, 128) px; split by photograph",
            "Apache-2.0 (ai-benchmark)",
            publishable=True,
        ),
        DatasetInfo(
            "orl-400",
            "40 persons, 10 gray faces each, as RGB; the middle 92x92, resampled; split by person",
            "AT&T Laboratories Cambridge: research, credit required, not redistributed",
        ),
        DatasetInfo(
            "celeba-hq",
            "your folder of CelebA-HQ's 30,000 faces; 27,000 train, 1,000 val, 2,000 test, by train.txt and test.txt "
            "if the folder has them, else by name",
            "CelebA agreement: non-commercial research only, no redistribution",
            needs_path=True,
        ),
        DatasetInfo(
            "places2",
            "your copy of Places365-Standard, as torchvision lays it out (its val tests) or any folder (split by name)",
            "Places terms of use: non-commercial research and education",
            needs_path=True,
        ),
        DatasetInfo(
            "folder",
            "any folder of 8-bit RGB photographs; the middle square; split 70/10/20 by name, or by train.txt and "
            "test.txt",
            "yours to know",
            needs_path=True,
        ),
    )
}
"""Every data set by name."""


class Dataset:
    """An opened data set: its files are listed, inspected and split.

    Attributes:
        name: its name in ``DATASETS``.
        manifest: the usable files with hashes and splits, and the others with reasons.
        publishable: whether its pictures may be shown in a report that is passed on.
    """

    def __init__(self, info: DatasetInfo, root: Path, manifest: Manifest, *, strict: bool = False) -> None:
        self.name = info.name
        self.publishable = info.publishable
        self.manifest = manifest
        self._root = root
        self._strict = strict

    def pictures(self, split: Split, size: int, limit: int | None = None) -> PictureSet:
        """The pictures of one split, in an order fixed by their ids alone.

        A limited selection is the beginning of that order, with at most five tiles of one photograph as long as the
        others suffice; so a smaller one is part of a larger one. Pictures of the user's that are smaller than ``size``
        are left out, never enlarged.

        Args:
            split: ``train``, ``val`` or ``test``.
            size: side in pixels.
            limit: at most so many; None means all.

        Raises:
            DataError: no such split, a size or limit under 1, no picture is left, or, in a data set opened with
                ``strict``, one is too small.
        """
        if split not in SPLITS:
            raise DataError(f"no split {split!r}; {nearest(str(split), SPLITS)}")
        if size < 1 or (limit is not None and limit < 1):
            raise DataError(f"size and limit must be at least 1, found {size} and {limit}")
        parts, small = self._parts(split, size)
        if small and self._strict:
            raise DataError(_strict_message(self.name, [(name, f"shorter side under {size} px") for name in small]))
        if small:
            logger.warning(
                "%s: %d of the %s files are smaller than %d px: left out", self.name, len(small), split, size
            )
        if not parts:
            raise DataError(
                f"data set {self.name} has no {split} picture of {size} px: all {len(small)} files are smaller; "
                "choose a smaller scale or larger photographs"
            )
        return PictureSet(self._root, _selected(self.name, parts, limit), size)

    def _parts(self, split: Split, size: int) -> tuple[list[Part], list[str]]:
        recipe = RECIPES[self.name]
        parts, small = [], []
        for entry in self.manifest.entries:
            if entry.split != split:
                continue
            boxes = recipe.boxes(entry.width, entry.height, size)
            if not boxes or (not recipe.enlarge and any(box[2] - box[0] < size for _, box in boxes)):
                small.append(entry.name)
                continue
            parts += [Part(f"{entry.name}{suffix}", entry.unit, entry.name, box) for suffix, box in boxes]
        return parts, small


def _selected(key: str, parts: Sequence[Part], limit: int | None) -> list[Part]:
    ordered = sorted(parts, key=lambda part: (keyed_fraction("picture-order", key, part.id), part.id))
    if limit is None or limit >= len(ordered):
        return ordered
    counts = Counter(part.file for part in ordered)
    most = TILES_A_PHOTOGRAPH
    while sum(min(most, count) for count in counts.values()) < limit:
        most += 1
    taken: Counter[str] = Counter()
    selected: list[Part] = []
    for part in ordered:
        if len(selected) < limit and taken[part.file] < most:
            taken[part.file] += 1
            selected.append(part)
    return selected


def open_dataset(name: str, path: Path | None = None, *, strict: bool = False) -> Dataset:
    """Open a data set: fetch it if need be, list its files, inspect those that are new, and split it.

    Files that are damaged, truncated, gray (unless the data set is gray by nature), CMYK, of a palette, of more than 8
    bits a channel, with alpha, animated, smaller than 32 px or a decompression bomb are skipped, counted and listed in
    the manifest. Files of equal bytes are kept on the same side of a split by name.

    Args:
        name: a name of ``DATASETS``.
        path: the user's folder, for data sets that need one.
        strict: raise instead of skipping.

    Raises:
        DataError: unknown name, a path that is missing or not wanted, too few usable files, or, if ``strict``, any
            file that would be skipped.
        AssetError: the photographs cannot be fetched.
    """
    if name not in DATASETS:
        raise DataError(f"no data set named {name!r}; {nearest(name, DATASETS)}")
    info, recipe = DATASETS[name], RECIPES[name]
    root = _root(info, path)
    names, skipped = list_pictures(root, recipe.below(root))
    manifest = _manifest(info.name, recipe, root, names, skipped)
    if manifest.skipped and strict:
        raise DataError(_strict_message(name, manifest.skipped))
    if manifest.skipped:
        counts = ", ".join(f"{count} {reason}" for reason, count in manifest.skip_counts.items())
        logger.warning("%s: %d of %d files skipped: %s", name, len(manifest.skipped), len(names), counts)
    return Dataset(info, root, manifest, strict=strict)


def _root(info: DatasetInfo, path: Path | None) -> Path:
    if info.needs_path:
        if path is None:
            raise DataError(f"data set {info.name} is yours to provide: give the path of its folder")
        return path.expanduser()
    if path is not None:
        raise DataError(
            f"data set {info.name} takes no path; your own copy goes into FOLDER/{info.name}/ with --assets-dir "
            "FOLDER, and other photographs are opened as data set 'folder'"
        )
    return asset_path(info.name)


def _manifest(
    name: str, recipe: Recipe, root: Path, names: Sequence[str], unlisted: Sequence[tuple[str, str]]
) -> Manifest:
    skipped = list(unlisted)
    usable, units = {}, {}
    first_of_bytes: dict[str, str] = {}
    for file, found in inspect_files(root, names).items():
        reason = use_of(found, admit_gray=recipe.admit_gray)
        if not reason and min(found.width, found.height) < MIN_SIDE:
            reason = f"too small: {found.width}x{found.height} px, expected {MIN_SIDE} or more"
        if reason:
            skipped.append((file, reason))
            continue
        usable[file] = found
        # A copy under another name would test on what was trained on; it belongs to the first of its kind.
        units[file] = first_of_bytes.setdefault(found.sha256, recipe.unit(file))
    if not usable:
        raise DataError(_nothing_message(name, root, skipped))
    splits = recipe.splitter(root, list(usable), units)
    skipped += [(file, "named in no list of a split") for file in usable if file not in splits]
    entries = tuple(
        Entry(file, usable[file].sha256, splits[file], units[file], usable[file].width, usable[file].height)
        for file in usable
        if file in splits
    )
    return Manifest(name, recipe.preparation, entries, tuple(sorted(skipped)))


def _nothing_message(name: str, root: Path, skipped: Sequence[tuple[str, str]]) -> str:
    if not skipped:
        return f"data set {name}: {root} holds no picture files ({', '.join(sorted(SUFFIXES))})"
    return f"data set {name}: none of the {len(skipped)} picture files in {root} can be used: {_examples(skipped)}"


def _strict_message(name: str, skipped: Sequence[tuple[str, str]]) -> str:
    return (
        f"data set {name}: {len(skipped)} files cannot be used, and strict reading skips none: {_examples(skipped)}. "
        "Remove or convert them, or read without strict"
    )


def _examples(skipped: Sequence[tuple[str, str]]) -> str:
    shown = "; ".join(f"{file}: {reason}" for file, reason in skipped[:5])
    return shown if len(skipped) <= 5 else f"{shown}; and {len(skipped) - 5} more"

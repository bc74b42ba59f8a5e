"""Protocols that read the user's files: ``nvidia`` (the test set of Liu et al. 2018) and ``folder``."""

import logging
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from gainbench.errors import MaskError
from gainbench.keyed import content_hash
from gainbench.masks.draws import Draws
from gainbench.masks.folders import MaskFile, MaskFolder, open_folder
from gainbench.masks.protocols import ANY_AREA, BinnedProtocol, Bounds, Hole, PlannedHole
from gainbench.masks.statistics import in_bin
from gainbench.masks.training_files import FileProtocol, FileTraining, NvidiaTraining
from gainbench.raster import SUFFIXES
from gainbench.spec import BINS, BORDERS, Border, MaskSpec, bin_label

logger = logging.getLogger(__name__)

BLOCK_LENGTH = 1000
BLOCK_SHA256 = (
    "bf4d19c02f06c5c4",
    "96ee8ca329c385d3",
    "969e8c653a787a1c",
    "d7ea52c02bc48966",
    "fb0ec8b11e528ee0",
    "50264d4965455395",
    "e69185d170917e84",
    "f1a1f3075c707cb8",
    "c7691e2ff0c3515e",
    "7747d0c41fac3387",
    "ca2eb544ae73b892",
    "5775820c43d077bf",
)
"""First 16 hexadecimal digits of each block's sha256 over its masks in name order, packed to bits."""

SHA256 = "2bf6835d787dd11ed7b738b4918d1dd7d884663f9b678449a149a117af40f9fb"
"""sha256 over all 12,000 masks in name order, packed to bits."""


class NvidiaProtocol(BinnedProtocol, FileProtocol):
    """NVIDIA's irregular test masks: 12,000 PNG files 00000 to 11999 in 12 blocks of 1000, from the user's folder.

    Block b holds area bin b // 2; even blocks keep 50 pixels clear of the border, odd blocks do not. A folder that is
    not bit for bit the published set is used, and every table says which block differs. An image's mask is a keyed
    choice among the files of its block whose area lies in the block's bin.
    """

    name = "nvidia"
    version = 1

    def __init__(self, spec: MaskSpec) -> None:
        _only_published_bins(self.name, spec)
        folder = open_folder(spec.path, self.name, invert=spec.invert, group=lambda name: str(_block(name)))
        super().__init__(spec, folder, NvidiaTraining)
        self._blocks: dict[int, list[str]] = defaultdict(list)
        for file in folder.files:
            block = _block(file.name)
            if in_bin(file.area, BINS[block // 2]):
                self._blocks[block].append(file.name)
        differences = tuple(_differences(folder))
        self.footnotes = differences + self.footnotes
        for difference in differences:
            logger.warning("%s", difference)

    def hole(self, image_id: str, bounds: Bounds, border: Border) -> Hole:
        """A keyed choice among the masks of the bin's block; see `MaskProtocol.hole`."""
        names = self._names(bounds, border)
        draws = Draws(self.name, self.version, "test", self.spec.seed, image_id, list(bounds), border)
        return self._read(names[draws.integer(0, len(names) - 1)])

    def examples(self, count: int) -> Iterator[PlannedHole]:
        """The first ``count`` masks of each block of the suite's bins and border classes."""
        for bounds in self.spec.bins:
            for border in self.spec.borders:
                for name in self._names(bounds, border)[:count]:
                    yield PlannedHole(bounds, border, self._read(name))

    def _names(self, bounds: Bounds, border: Border) -> list[str]:
        block = 2 * BINS.index(bounds) + BORDERS.index(border)
        names = self._blocks[block]
        if not names:
            raise MaskError(
                f"{self.folder.path} has no mask of block {block} ({_block_text(block)}): expected "
                f"{block * BLOCK_LENGTH:05d}.png to {block * BLOCK_LENGTH + BLOCK_LENGTH - 1:05d}.png"
            )
        return names

    def _read(self, name: str) -> Hole:
        return Hole(self.folder.read(name), f"nvidia-{PurePosixPath(name).stem}")


def _only_published_bins(name: str, spec: MaskSpec) -> None:
    unknown = [bin_label(bounds) for bounds in spec.bins if bounds not in BINS]
    if unknown:
        raise MaskError(f"{name} has the bins {', '.join(map(bin_label, BINS))}; asked for {', '.join(unknown)}")


def _block(name: str) -> int:
    stem = PurePosixPath(name).stem
    if not (stem.isdecimal() and int(stem) < BLOCK_LENGTH * len(BLOCK_SHA256)):
        raise MaskError(f"{name} is not one of NVIDIA's test masks: expected 00000.png to 11999.png and nothing else")
    return int(stem) // BLOCK_LENGTH


def _block_text(block: int) -> str:
    return f"bin {bin_label(BINS[block // 2])}, {BORDERS[block % 2]}"


def _differences(folder: MaskFolder) -> list[str]:
    """One sentence a block that is not as published; one more if all blocks are but their order is not."""
    counts: dict[int, int] = defaultdict(int)
    for file in folder.files:
        counts[_block(file.name)] += 1
    sentences = []
    for block, expected in enumerate(BLOCK_SHA256):
        found = folder.groups.get(str(block), "nothing")[: len(expected)]
        if found != expected:
            sentences.append(
                f"nvidia: block {block} ({_block_text(block)}) is not as published: {counts[block]} masks with sha256 "
                f"{found}, expected {BLOCK_LENGTH} with {expected}."
            )
    if not sentences and folder.sha256 != SHA256:
        sentences.append(f"nvidia: the masks are as published but not their order: sha256 {folder.sha256}.")
    return sentences


class FolderProtocol(FileProtocol):
    """The user's masks: an image gets the mask of its name, or a keyed choice among those of the suite's bins.

    Paired by name, a mask whose area lies in none of the suite's bins is reported under the bin 0-1.

    Raises:
        MaskError: the suite does not say how to pair, the folder is no folder of masks (see `open_folder`), or, paired
            by name, two masks have the same name.
    """

    name = "folder"
    version = 1
    binned = False

    def __init__(self, spec: MaskSpec) -> None:
        if spec.pairing is None:
            raise MaskError(
                "folder pairs images with masks by name or by hash: set `pairing: name` or `pairing: hash` in the "
                "suite's `masks`"
            )
        super().__init__(spec, open_folder(spec.path, self.name, invert=spec.invert, group=lambda _: ""), FileTraining)
        self._by_name = _files_by_name(self.folder) if spec.pairing == "name" else {}

    def _content(self) -> dict[str, object]:
        # By name and by hash alike, which image gets which file depends on the files' names.
        return {**super()._content(), "names": content_hash([file.name for file in self.folder.files])}

    def hole(self, image_id: str, bounds: Bounds, border: Border) -> Hole:
        """The image's mask if it lies in the bin and border class (by name), or a keyed choice (by hash).

        Raises:
            MaskError: there is none.
        """
        if self.spec.pairing == "name":
            file = self._named(image_id)
            if not (in_bin(file.area, bounds) and file.border == border):
                raise MaskError(
                    f"the mask of image {image_id!r} hides {file.area:.3f} of the picture and is {file.border}; asked "
                    f"for bin {bin_label(bounds)}, {border}"
                )
            return self._read(file)
        return self._read(self._chosen(image_id, (bounds,), (border,)))

    def image_holes(self, image_id: str) -> list[PlannedHole]:
        """The image's one mask with the bin and border class it falls in."""
        if self.spec.pairing == "name":
            return [self._labelled(self._named(image_id))]
        return [self._labelled(self._chosen(image_id, self.spec.bins, self.spec.borders))]

    def examples(self, count: int) -> Iterator[PlannedHole]:
        """The first ``count`` files."""
        for file in self.folder.files[:count]:
            yield self._labelled(file)

    def _named(self, image_id: str) -> MaskFile:
        file = self._by_name.get(image_id) or self._by_name.get(_stem(image_id))
        if file is None:
            raise MaskError(f"no mask named {_stem(image_id)}.png in {self.folder.path} for image {image_id!r}")
        return file

    def _chosen(self, image_id: str, bins: tuple[Bounds, ...], borders: tuple[Border, ...]) -> MaskFile:
        fitting = [
            file
            for file in self.folder.files
            if file.border in borders and any(in_bin(file.area, bounds) for bounds in bins)
        ]
        if not fitting:
            raise MaskError(
                f"{self.folder.path} has no mask with an area share in {', '.join(map(bin_label, bins))} and border "
                f"class {' or '.join(borders)}"
            )
        draws = Draws(self.name, self.version, "test", self.spec.seed, image_id)
        return fitting[draws.integer(0, len(fitting) - 1)]

    def _labelled(self, file: MaskFile) -> PlannedHole:
        bounds = next((bounds for bounds in self.spec.bins if in_bin(file.area, bounds)), ANY_AREA)
        return PlannedHole(bounds, file.border, self._read(file))

    def _read(self, file: MaskFile) -> Hole:
        return Hole(self.folder.read(file.name), file.name)


def _files_by_name(folder: MaskFolder) -> dict[str, MaskFile]:
    found: dict[str, MaskFile] = {}
    for file in folder.files:
        stem = _stem(file.name)
        if stem in found:
            raise MaskError(
                f"{folder.path / found[stem].name} and {folder.path / file.name} have the same name; which of them is "
                "meant? Move one away"
            )
        found[stem] = file
    return found


def _stem(name: str) -> str:
    """A name without its picture suffix; image ids may have dots of their own."""
    path = Path(name)
    return str(path.with_suffix("")) if path.suffix.lower() in SUFFIXES else name

"""How each data set's files become square pictures: where they lie, what belongs together, which boxes are cut."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gainbench.data.reading import Box
from gainbench.data.splits import TEST_SHARE, VAL_SHARE, carve_val, read_lists, split_by_lists, split_by_rank
from gainbench.spec import Split

TILE_SIDE = 128
"""Pixels; the smallest tile that is cut from a photograph, reduced where smaller pictures are asked for."""

PLACES_VAL_SHARE = 0.01
"""Of Places365's 1.8 million training photographs; its own validation set is what inpainting papers test on."""

Boxes = Callable[[int, int, int], list[tuple[str, Box]]]
Splitter = Callable[[Path, Sequence[str], Mapping[str, str]], dict[str, Split]]


@dataclass(frozen=True)
class Recipe:
    """One data set's rules.

    Attributes:
        preparation: names the rules; enters the manifest's hash, so it must change when they do.
        boxes: (width, height, size) of an upright file -> (suffix of the picture's id, box to cut).
        splitter: (folder, names of the usable files, name -> unit) -> name -> split; names left out are not used.
        unit: a file's name -> what it belongs to: itself, or the person it shows.
        below: sub-folders to look in.
        admit_gray: whether the pictures are gray by nature.
        enlarge: whether a picture may be resampled to a larger size than it has.
    """

    preparation: str
    boxes: Boxes
    splitter: Splitter
    unit: Callable[[str], str] = str
    below: Callable[[Path], tuple[str, ...]] = lambda _: ("",)
    admit_gray: bool = False
    enlarge: bool = False


def centre_square(width: int, height: int, _: int) -> list[tuple[str, Box]]:
    """The largest square in the middle."""
    side = min(width, height)
    left, upper = (width - side) // 2, (height - side) // 2
    return [("", (left, upper, left + side, upper + side))]


def celeba_square(*_: int) -> list[tuple[str, Box]]:
    """Rows 20 to 198 of CelebA's aligned 178x218 faces: the head without the upper and lower margin."""
    return [("", (0, 20, 178, 198))]


def tiles(width: int, height: int, size: int) -> list[tuple[str, Box]]:
    """Disjoint tiles of side max(size, 128), the grid in the middle; ``#side-row-column`` tells them apart."""
    side = max(size, TILE_SIDE)
    columns, rows = width // side, height // side
    left, upper = (width - columns * side) // 2, (height - rows * side) // 2
    return [
        (
            f"#{side}-{row}-{column}",
            (left + column * side, upper + row * side, left + (column + 1) * side, upper + (row + 1) * side),
        )
        for row in range(rows)
        for column in range(columns)
    ]


def person_of(name: str) -> str:
    """ORL's folder of one person, ``s7`` of ``s7/3.pgm``."""
    return name.partition("/")[0]


def by_rank(key: str, val: float = VAL_SHARE, test: float = TEST_SHARE) -> Splitter:
    """Split the units by the rank of their keyed hashes; all files of a unit go together."""

    def split(_: Path, names: Sequence[str], units: Mapping[str, str]) -> dict[str, Split]:
        splits = split_by_rank(key, sorted({units[name] for name in names}), val=val, test=test)
        return {name: splits[units[name]] for name in names}

    return split


def by_lists_or_rank(key: str, val: float = VAL_SHARE, test: float = TEST_SHARE) -> Splitter:
    """Split as ``train.txt`` and ``test.txt`` in the folder say, or by rank where there are none."""
    ranked = by_rank(key, val, test)

    def split(root: Path, names: Sequence[str], units: Mapping[str, str]) -> dict[str, Split]:
        lists = read_lists(root)
        return ranked(root, names, units) if lists is None else split_by_lists(lists, names, key)

    return split


def places_folders(root: Path) -> tuple[str, ...]:
    """The training and the validation folder of torchvision's ``Places365``, or the whole folder if it is another."""
    for size in ("256", "large"):
        for train in (f"data_{size}_standard", f"data_{size}"):
            if (root / train).is_dir() and (root / f"val_{size}").is_dir():
                return (train, f"val_{size}")
    return ("",)


def split_places(root: Path, names: Sequence[str], units: Mapping[str, str]) -> dict[str, Split]:
    """Places365's own validation set tests, one in a hundred of its training photographs validates.

    A folder of another layout is split by rank.
    """
    folders = places_folders(root)
    if len(folders) == 1:
        return by_rank("places2")(root, names, units)
    trained = [name for name in names if name.startswith(f"{folders[0]}/")]
    validating = carve_val("places2", trained, PLACES_VAL_SHARE)
    return {
        name: "test" if name.startswith(f"{folders[1]}/") else "val" if name in validating else "train"
        for name in names
    }


RECIPES: dict[str, Recipe] = {
    "celeba-999": Recipe("celeba-rows-20-198 bicubic v1", celeba_square, by_rank("celeba-999"), enlarge=True),
    "photos-230": Recipe("tiles-128 bicubic v1", tiles, by_rank("photos-230")),
    "orl-400": Recipe(
        "orl-centre-square bicubic v1",
        centre_square,
        by_rank("orl-400"),
        unit=person_of,
        admit_gray=True,
        enlarge=True,
    ),
    # 30,000 faces: 2,000 test, as published, and 1,000 of the other 28,000 validate.
    "celeba-hq": Recipe("centre-square bicubic v1", centre_square, by_lists_or_rank("celeba-hq", 1 / 30, 1 / 15)),
    "places2": Recipe("centre-square bicubic v1", centre_square, split_places, below=places_folders),
    "folder": Recipe("centre-square bicubic v1", centre_square, by_lists_or_rank("folder")),
}

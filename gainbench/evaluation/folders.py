"""Pictures that any tool completed, in folders: paired by name and looked at before anything is measured.

A file's name is its path below the folder without its ending: ``faces/012.png`` completes ``faces/012.jpg``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from gainbench.data.inspection import Inspection, inspect_file
from gainbench.data.listing import list_pictures
from gainbench.errors import EvaluationError

SHOWN = 5
"""Names that a message lists before it says how many more there are."""


NO_MASKS = "needs the holes: give --mask"
"""Why a metric is missing that looks at the hole."""


@dataclass(frozen=True)
class Case:
    """One name with everything that is scored under it.

    Attributes:
        name: the files' common name.
        photograph: what statistics resample; equal for pictures that belong together.
        original: number of the original: equal for files of equal bytes.
        size: height and width in pixels.
        target: the original picture.
        mask: the hole, or None.
        outputs: the completed picture of each method.
    """

    name: str
    photograph: str
    original: int
    size: tuple[int, int]
    target: Path
    mask: Path | None
    outputs: Mapping[str, Path]


@dataclass(frozen=True)
class Unpaired:
    """A name that is not scored.

    Attributes:
        name: of the files.
        reason: what is missing, and where; or what cannot be read, and why.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class Cases:
    """What can be scored, in name order, and what cannot.

    Attributes:
        cases: names that every folder has.
        unpaired: names that some folder lacks or that cannot be read.
        unused_masks: masks that belong to no picture.
    """

    cases: tuple[Case, ...]
    unpaired: tuple[Unpaired, ...]
    unused_masks: int = 0


@dataclass
class Kept:
    """How a method treated known pixels, over all its pictures.

    Attributes:
        pictures: in how many some known pixel differed from the original.
        known_sum: sum of absolute differences at known pixels, in 8-bit units.
        known_values: how many values that were.
        hole_sum: the same in the holes.
        hole_values: how many values that were.
        largest: the largest 8-bit value of any picture as it was read.
        reversed: names whose picture differs at known pixels and nowhere in the hole.
    """

    pictures: int = 0
    known_sum: int = 0
    known_values: int = 0
    hole_sum: int = 0
    hole_values: int = 0
    largest: int = 0
    reversed: list[str] = field(default_factory=list)


def find_cases(
    outputs: Mapping[str, Path],
    target: Path,
    mask: Path | None = None,
    *,
    photographs: Path | None = None,
    partial: bool = False,
) -> Cases:
    """Pair the files of some folders by name, and look at each picture: does it decode, is it as large as the other?

    Args:
        outputs: method -> folder of the pictures it completed.
        target: folder of the originals.
        mask: folder of the holes, or None. Masks beyond those needed do no harm.
        photographs: a CSV file with the columns ``name`` and ``photograph``, for pictures that were cut from the same
            photograph or show the same person. Without it, originals that are the same file byte for byte are one
            photograph, and every other original stands alone.
        partial: leave out names that are not in every folder, or not readable in one, instead of refusing.

    Raises:
        EvaluationError: no name in common; names that are missing or unreadable somewhere, unless ``partial``; a
            completed picture of another size or number of colours than its original; photographs not told for a name.
        DataError: a folder is missing.
    """
    folders = {f"--pred {method}": folder for method, folder in outputs.items()}
    files = {what: _files_by_name(folder, what) for what, folder in {**folders, "--target": target}.items()}
    masks = _files_by_name(mask, "--mask") if mask is not None else None
    wanted = sorted({name for found in files.values() for name in found})
    if masks is not None:
        files["--mask"] = masks
    unpaired = [*_lacking(wanted, files)]
    lacking = {one.name for one in unpaired}
    common = [name for name in wanted if name not in lacking]
    if not common:
        examples = "; ".join(f"{what} holds {_listed(sorted(found))}" for what, found in files.items())
        raise EvaluationError(f"no name is in every folder, so there is nothing to score: {examples}")
    looked_at = {
        name: {what: inspect_file(found[name]) for what, found in files.items() if what != "--mask"} for name in common
    }
    unpaired += [
        Unpaired(name, f"{files[what][name]}: {found.reason}")
        for name, inspections in looked_at.items()
        for what, found in inspections.items()
        if found.reason
    ]
    if unpaired and not partial:
        raise EvaluationError(_refusal(unpaired, len(wanted)))
    unreadable = {one.name for one in unpaired}
    named = _photographs(photographs, common) if photographs is not None else {}
    cases, originals = [], dict[str, int]()
    for name in (name for name in common if name not in unreadable):
        _refuse_unlike(files, name, looked_at[name])
        original = looked_at[name]["--target"]
        number = originals.setdefault(original.sha256, len(originals))
        cases.append(
            Case(
                name=name,
                photograph=named.get(name, f"original {number}"),
                original=number,
                size=(original.height, original.width),
                target=files["--target"][name],
                mask=masks[name] if masks is not None else None,
                outputs={method: files[f"--pred {method}"][name] for method in outputs},
            )
        )
    if not cases:
        raise EvaluationError(_refusal(unpaired, len(wanted)))
    return Cases(tuple(cases), tuple(unpaired), len(masks.keys() - set(wanted)) if masks is not None else 0)


def _files_by_name(folder: Path, what: str) -> dict[str, Path]:
    names, _ = list_pictures(folder)
    if not names:
        raise EvaluationError(f"{what}: no picture in {folder}")
    found: dict[str, Path] = {}
    for name in names:
        stem = name.rpartition(".")[0]
        if stem in found:
            raise EvaluationError(
                f"{what}: {found[stem]} and {folder / name} have the same name; which of them is meant? Move one away"
            )
        found[stem] = folder / name
    return found


def _lacking(wanted: Sequence[str], files: Mapping[str, Mapping[str, Path]]) -> list[Unpaired]:
    lacking = []
    for name in wanted:
        where = [what for what, found in files.items() if name not in found]
        if where:
            there = next(found[name] for found in files.values() if name in found)
            lacking.append(Unpaired(name, f"{there} has no counterpart in {' and '.join(where)}"))
    return lacking


def _refusal(unpaired: Sequence[Unpaired], names: int) -> str:
    shown = "\n".join(f"- {one.reason}" for one in unpaired[:SHOWN])
    more = f"\n- and {len(unpaired) - SHOWN} more" if len(unpaired) > SHOWN else ""
    return (
        f"{len({one.name for one in unpaired})} of {names} names cannot be scored:\n{shown}{more}\n"
        "Files are paired by path and name without ending. Mend the folders, or leave these names out with --partial"
    )


def _refuse_unlike(files: Mapping[str, Mapping[str, Path]], name: str, inspections: Mapping[str, Inspection]) -> None:
    original = inspections["--target"]
    for what, found in inspections.items():
        if (found.width, found.height) != (original.width, original.height):
            raise EvaluationError(
                f"{files[what][name]} is {found.width} x {found.height} px, its original {files['--target'][name]} is "
                f"{original.width} x {original.height}: only pictures of one size can be compared; give the originals "
                "at the size at which the holes were filled"
            )
        if found.kind != original.kind:
            raise EvaluationError(
                f"{files[what][name]} is {found.kind}, its original {files['--target'][name]} is {original.kind}: "
                "both must be RGB, or both gray"
            )


def _photographs(path: Path, names: Sequence[str]) -> dict[str, str]:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise EvaluationError(f"--photographs {path} cannot be read: {error}") from error
    if not {"name", "photograph"} <= set(table.columns):
        found_columns = _listed([str(column) for column in table.columns])
        raise EvaluationError(f"--photographs {path} has the columns {found_columns}; expected name, photograph")
    found = dict(zip(table["name"], table["photograph"], strict=True))
    untold = [name for name in names if not found.get(name)]
    if untold:
        raise EvaluationError(f"--photographs {path} does not tell the photograph of {_listed(untold)}")
    return found


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:SHOWN]))
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown

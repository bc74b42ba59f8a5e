"""Who trains and who tests: fixed by names alone, so that every method and every run agrees."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from gainbench.errors import DataError
from gainbench.keyed import keyed_fraction
from gainbench.spec import Split

SPLITS: tuple[Split, ...] = get_args(Split)

VAL_SHARE, TEST_SHARE = 0.1, 0.2
"""Of the units (photographs, persons); the other 70 % train."""


def split_by_rank(
    key: str, units: Sequence[str], *, val: float = VAL_SHARE, test: float = TEST_SHARE
) -> dict[str, Split]:
    """Rank units by a keyed hash of their names; the first ones test, the next ones validate, the rest trains.

    Ranking, unlike comparing each hash with a threshold, gives the shares to the nearest whole unit in data sets of any
    size, and never an empty split.

    Args:
        key: keeps data sets apart that have the same names.
        units: distinct names; their order does not matter.
        val: share of the validation units; at least one.
        test: share of the test units; at least one.

    Raises:
        DataError: fewer than three units.
    """
    if len(units) < len(SPLITS):
        raise DataError(
            f"data set {key} has {len(units)} usable photograph{'' if len(units) == 1 else 's'}; train, val and test "
            f"need at least one each, so three in all, and more for anything but a trial"
        )
    tested = _at_least_one(test * len(units))
    validated = _at_least_one(val * len(units))
    ranked = sorted(units, key=lambda unit: (keyed_fraction("split", key, unit), unit))
    return {
        unit: "test" if rank < tested else "val" if rank < tested + validated else "train"
        for rank, unit in enumerate(ranked)
    }


def _at_least_one(share: float) -> int:
    return max(1, int(share + 0.5))


def carve_val(key: str, trained: Sequence[str], share: float) -> set[str]:
    """The first units of the same ranking, for data sets whose publisher splits into train and test only.

    Raises:
        DataError: fewer than two units.
    """
    if len(trained) < 2:
        raise DataError(f"data set {key} has {len(trained)} usable training photographs; two are needed at least")
    ranked = sorted(trained, key=lambda unit: (keyed_fraction("split", key, unit), unit))
    return set(ranked[: _at_least_one(share * len(ranked))])


def read_lists(root: Path) -> dict[Split, list[str]] | None:
    """The lists ``train.txt``, ``test.txt`` and, if it is there, ``val.txt`` of a data set's folder.

    Each line names one picture relative to the folder; empty lines are passed over. None if there is no ``train.txt``
    or no ``test.txt``.

    Raises:
        DataError: a list cannot be read, is empty, or names a picture that another one names too.
    """
    paths: dict[Split, Path] = {split: root / f"{split}.txt" for split in SPLITS}
    if not (paths["train"].is_file() and paths["test"].is_file()):
        return None
    lists: dict[Split, list[str]] = {}
    owners: dict[str, Split] = {}
    for split, path in paths.items():
        if not path.is_file():
            continue
        lists[split] = _read_list(path)
        for name in lists[split]:
            owner = owners.setdefault(name, split)
            if owner != split:
                raise DataError(f"{path} names {name}, and so does {paths[owner].name}: a picture belongs to one split")
    return lists


def _read_list(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a list of names: {error}") from error
    names = [line.strip().removeprefix("./") for line in text.splitlines() if line.strip()]
    if not names:
        raise DataError(f"{path} names no picture")
    return names


def split_by_lists(lists: Mapping[Split, Sequence[str]], names: Sequence[str], key: str) -> dict[str, Split]:
    """The split of each listed picture that is there; pictures in no list are left out.

    Without a validation list, 1/28 of the training pictures validate, 1,000 of CelebA-HQ's 28,000.

    Raises:
        DataError: a split has none of its pictures.
    """
    present = set(names)
    splits: dict[str, Split] = {}
    for split, listed in lists.items():
        found = {name: split for name in listed if name in present}
        if not found:
            raise DataError(
                f"data set {key}: none of the {len(listed)} pictures of {split}.txt, such as {listed[0]}, "
                "is a usable file of the folder; names are relative to it"
            )
        splits |= found
    if "val" not in lists:
        trained = [name for name, split in splits.items() if split == "train"]
        splits |= dict.fromkeys(carve_val(key, trained, 1 / 28), "val")
    return splits

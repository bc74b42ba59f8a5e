"""The options that verbs share, and how their text is read."""

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gainbench import completion
from gainbench.errors import AssetError, SpecError
from gainbench.spec import nearest

ROOT = Path("results/runs")


class Arithmetic(StrEnum):
    """Arithmetic of forward passes."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


class Retry(StrEnum):
    """Which unfinished cells are run again."""

    interrupted = "interrupted"
    failed = "failed"


class Reuse(StrEnum):
    """What reference results are used for."""

    use = "use"
    only = "only"
    none = "none"


class Listed(StrEnum):
    """What can be listed."""

    methods = "methods"
    suites = "suites"
    datasets = "datasets"
    masks = "masks"
    metrics = "metrics"
    readings = "readings"


def one_of(choices: type[StrEnum], option: str) -> dict[str, Any]:
    """The arguments of an option or argument that takes one of a few words; a wrong one is met with the nearest.

    Args:
        choices: the words.
        option: what messages call it.
    """
    words = [str(choice) for choice in choices]

    def parsed(text: str) -> StrEnum:
        if text not in words:
            raise SpecError(f"{option} {text!r}: no such choice; {nearest(text, words)}")
        return choices(text)

    return {
        "parser": parsed,
        "metavar": f"[{'|'.join(words)}]",
        "autocompletion": lambda incomplete: [word for word in words if word.startswith(incomplete)],
    }


def at_home(path: Path | list[Path] | None) -> Path | list[Path] | None:
    """The callback of every option and argument that is a path: ``~`` is the user's home.

    A shell does not see to it after an equals sign, as in ``--out=~/results``.
    """
    if isinstance(path, list):
        return [one.expanduser() for one in path]
    return None if path is None else path.expanduser()


SuiteOption = Annotated[
    str,
    typer.Option(
        "--suite", autocompletion=completion.suites, help="a shipped suite (see `list suites`) or a .yaml file"
    ),
]
ScaleOption = Annotated[
    str | None,
    typer.Option(autocompletion=completion.scale_names, help="tiny, cpu, gpu, full, or auto: gpu with CUDA, else cpu"),
]
IterationsOption = Annotated[int | None, typer.Option(min=0, help="training budget instead of the scale's")]
MethodsOption = Annotated[
    list[str] | None,
    typer.Option(
        autocompletion=completion.methods, help="these only, as in gain,gated_conv; one that the suite lacks joins it"
    ),
]
DatasetsOption = Annotated[
    list[str] | None, typer.Option(autocompletion=completion.datasets, help="only these, separated by commas")
]
SeedsOption = Annotated[str | None, typer.Option(help="instead of the suite's, separated by commas")]
DataOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=PATH", autocompletion=completion.dataset_paths, help="where a data set of yours lies"),
]
PluginOption = Annotated[
    Path | None, typer.Option(metavar="FILE", callback=at_home, help="a Python file with methods of your own")
]
RootOption = Annotated[Path, typer.Option("--out", metavar="ROOT", callback=at_home, help="the results root")]
StrictOption = Annotated[bool, typer.Option("--strict", help="refuse data sets with files that cannot be used")]
ArithmeticOption = Annotated[
    Arithmetic, typer.Option(help="arithmetic of forward passes", **one_of(Arithmetic, "--precision"))
]
DevicesOption = Annotated[
    int,
    typer.Option(min=1, help="processes that share each training, a GPU each, or the cores; a batch must divide by it"),
]
CheckpointOption = Annotated[float, typer.Option(min=0.0, help="wall time between training checkpoints")]
FidOption = Annotated[
    Path | None, typer.Option(metavar="FILE", callback=at_home, help="pytorch-fid's Inception weights")
]
AssetsOption = Annotated[
    Path | None, typer.Option(metavar="FOLDER", callback=at_home, help="your own weights and photographs")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="say only what is wrong")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="one JSON value on standard output, for a program; all else on standard error")
]
ReferenceOption = Annotated[
    Reuse | None,
    typer.Option(
        help="use: evaluate committed weights instead of training them (default); only: nothing else; none",
        **one_of(Reuse, "--reference"),
    ),
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="train everything here: --reference none")]
ReferenceDirOption = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", callback=at_home, help="reference results; default the clone's results/reference"),
]
PlannedArgument = Annotated[
    str | None,
    typer.Argument(
        autocompletion=completion.planned_suites, help="as in smoke-tiny; may be left out if ROOT holds one suite"
    ),
]


def selection(  # noqa: PLR0917 - the verbs' options, in the verbs' order
    scale: str | None,
    iterations: int | None,
    methods: list[str] | None,
    datasets: list[str] | None,
    seeds: str | None,
    data: list[str] | None,
    plugin: Path | None,
    *,
    strict: bool,
) -> dict[str, Any]:
    """The options that ``run`` and ``plan`` share, as the arguments of ``run_suite`` and ``plan_suite``."""
    return {
        "scale": scale,
        "iterations": iterations,
        "methods": split_labels(methods),
        "datasets": split_labels(datasets),
        "seeds": seed_numbers(seeds),
        "data_paths": named_paths(data),
        "plugin": plugin,
        "strict": strict,
    }


def reuse(reference: Reuse | None, reference_dir: Path | None, *, fresh: bool) -> dict[str, Any]:
    """The options of reference results, as the arguments of ``run_suite`` and ``plan_suite``.

    Raises:
        SpecError: options that contradict each other.
    """
    if fresh and reference not in {None, Reuse.none}:
        raise SpecError(f"--fresh trains everything, --reference {reference} does not: give one of them")
    chosen = Reuse.none if fresh else reference or Reuse.use
    if reference_dir is not None and chosen is Reuse.none:
        raise SpecError("--reference-dir names results that --fresh or --reference none would not use")
    return {"reference": chosen.value, "reference_dir": reference_dir}


def split_labels(texts: list[str] | None) -> list[str] | None:
    """Methods or data sets: split at commas outside of square brackets, which belong to a method's options."""
    parts = [part.strip() for text in texts or () for part in re.split(r",(?![^\[]*\])", text)]
    return [part for part in parts if part] or None


def split_names(text: str | None) -> list[str] | None:
    """Names as in ``psnr_rgb,l1_hole``; None for none at all."""
    return [part.strip() for part in text.split(",") if part.strip()] or None if text is not None else None


def seed_numbers(text: str | None) -> list[int] | None:
    """Seeds as in ``0,1,2``.

    Raises:
        SpecError: anything but whole numbers.
    """
    try:
        return [int(part) for part in text.split(",")] if text is not None else None
    except ValueError as error:
        raise SpecError(f"--seeds {text!r} is not a list of whole numbers such as 0,1,2") from error


def named_paths(pairs: list[str] | None) -> dict[str, Path]:
    """Data sets' folders as in ``celeba-hq=/data/celeba_hq``.

    Raises:
        SpecError: a text of another form.
    """
    paths = {}
    for pair in pairs or ():
        name, equals, path = pair.partition("=")
        if not (name and equals and path):
            raise SpecError(f"--data {pair!r} is not NAME=PATH, as in --data celeba-hq=/data/celeba_hq")
        paths[name] = Path(path)
    return paths


def method_folders(texts: list[str]) -> dict[str, Path]:
    """Folders of completed pictures, as in ``mine=/out/mine``; a folder without a name is called by its own.

    Raises:
        SpecError: two folders under one name.
    """
    folders: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        # A folder may have an equals sign in its own path.
        named = bool(equals) and "/" not in name and not Path(text).is_dir()
        folder = Path(path if named else text).expanduser()
        name = name if named else folder.resolve().name
        if name in folders:
            raise SpecError(f"--pred {text!r}: a folder named {name} was given before; write NAME=FOLDER")
        folders[name] = folder
    return folders


def job_count(text: str) -> int | None:
    """``auto`` (None) or how many cells run at a time.

    Raises:
        SpecError: neither ``auto`` nor a number from 1.
    """
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise SpecError(f"--jobs {text!r} is neither auto nor a number from 1")
    return int(text)


def provide(fid_weights: Path | None, assets_dir: Path | None) -> None:
    """Tell this process and the cells it starts where the user's own weights and photographs are.

    Raises:
        AssetError: there is nothing at a path, or the weights are others than the catalogue's.
    """
    for given, variable in ((fid_weights, "GAINBENCH_FID_WEIGHTS"), (assets_dir, "GAINBENCH_ASSETS")):
        if given is not None:
            path = given.expanduser()
            if not path.exists():
                raise AssetError(f"there is nothing at {path}")
            if given is fid_weights:
                # Cells name a metric without its weights and go on: after all trainings that would be too late.
                from gainbench.assets import check_own_file  # noqa: PLC0415 - for this option alone: --help stays fast

                check_own_file("inception-fid", path, option="--fid-weights")
            os.environ[variable] = str(path.resolve())

"""What a run is made of, as strict models: an unknown key is an error that names the nearest valid one."""

import difflib
import math
import re
from collections import Counter
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gainbench.errors import SpecError
from gainbench.keyed import content_hash
from gainbench.method_text import read_method, write_method
from gainbench.plain_yaml import DEPTH_LIMIT, TEXT_LIMIT, read_yaml

SCHEMA_VERSION = 2
"""Part of every cell key; raised when the meaning of a stored result changes.

2: trainings in bfloat16 on a CPU compute in the contiguous layout, as those before had wrong gradients of dilated
convolutions (``gainbench.training.loop``); their cells must not be taken for new ones.
"""

BINS: tuple[tuple[float, float], ...] = ((0.01, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.4), (0.4, 0.5), (0.5, 0.6))
"""Hole-area shares, half-open (lo, hi]: the bins of Liu et al. 2018's test set."""

BORDERS: tuple[Literal["clear"], Literal["touching"]] = ("clear", "touching")
"""Border classes: ``clear`` holes keep a margin to the picture's border, ``touching`` holes may reach it."""

Border = Literal["clear", "touching"]
Split = Literal["train", "val", "test"]
Precision = Literal["auto", "fp32", "bf16"]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]


PROBLEMS_SHOWN = 8
"""Sentences of one error message about a suite, each about one thing that is wrong."""

SHOWN = 120
"""Characters of what was found that a message repeats."""


def bin_label(bounds: tuple[float, float]) -> str:
    """The name of a hole-area bin in rows and tables, such as ``0.1-0.2``."""
    return f"{bounds[0]:g}-{bounds[1]:g}"


def named_twice(what: str, names: Iterable[str]) -> str:
    """Why a list is refused that names something more than once, and what to do; empty if it does not."""
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    return f"{what} named twice: {', '.join(twice)}; name each once" if twice else ""


def nearest(name: str, valid: Iterable[str]) -> str:
    """A half sentence for error messages: the closest valid name if there is one, then all of them."""
    names = sorted(valid)
    name = name[:SHOWN]  # what was meant is not as long, and the comparison takes the square of the length
    hint = f"did you mean {close!r}? " if (close := _closest(name, names)) else ""
    return f"{hint}Valid: {', '.join(names) if names else 'none'}."


def _closest(name: str, names: list[str]) -> str | None:
    """The name that was probably meant: written almost so, or the only one whose first word is or begins so."""
    letters = {candidate.casefold(): candidate for candidate in names}
    if close := difflib.get_close_matches(name.casefold(), letters, n=1, cutoff=0.5):
        return letters[close[0]]
    first_words = {folded: re.split(r"[^a-z0-9]", folded)[0] for folded in letters}
    near = difflib.get_close_matches(name.casefold(), first_words.values(), n=1)
    begun = [
        candidate
        for folded, candidate in letters.items()
        if first_words[folded] in near or (name and folded.startswith(name.casefold()))
    ]
    return begun[0] if len(begun) == 1 else None


class StrictModel(BaseModel):
    """Immutable, and refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MethodSpec(StrictModel):
    """A method's name and the options that differ from its defaults, written ``gain[guidance=canny,base=16]``."""

    name: str
    params: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return dict(zip(("name", "params"), read_method(value), strict=True)) if isinstance(value, str) else value

    @field_validator("params")
    @classmethod
    def _plain_params(cls, params: dict[str, Any]) -> dict[str, Any]:
        for option, value in params.items():
            if not option.isidentifier():
                raise ValueError(f"{option!r} is no name of an option")
            if problem := _not_plain(value):
                raise ValueError(
                    f"option {option} {problem}; expected text, a finite number, true, false, null or a list"
                )
        return params

    @classmethod
    def parse(cls, text: str) -> "MethodSpec":
        """Read ``NAME`` or ``NAME[option=value,...]``; values are YAML, quoted where they hold commas or brackets.

        Raises:
            SpecError: if the text has another form.
        """
        try:
            name, params = read_method(text)
            return cls(name=name, params=params)
        except ValidationError as error:
            raise SpecError(f"{text!r}: {explain(error, cls)}") from error
        except ValueError as error:
            raise SpecError(str(error)) from error

    @property
    def label(self) -> str:
        """The method as rows, tables and plots print it, options in name order; :meth:`parse` reads it back."""
        return write_method(self.name, self.params)


def _not_plain(value: Any, depth: int = 0) -> str:
    """Why a cell's key could not be made of an option's value; empty if it can."""
    if depth > DEPTH_LIMIT:
        return "is a list inside of lists without end"
    if isinstance(value, list | tuple | dict):
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        return next(filter(None, (_not_plain(part, depth + 1) for part in parts)), "")
    if value is None or isinstance(value, bool | int | str):
        return ""
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"is {value}"
    return f"is {type(value).__name__}"


class Scale(StrictModel):
    """A budget: how large, how wide, how long. See ``suites/scales.yaml``."""

    name: str
    size: int = Field(ge=32, multiple_of=16, description="picture side in pixels")
    base: int = Field(ge=1, description="width of gain's image flow after its first block; other methods derive theirs")
    batch: int = Field(ge=1, description="training pictures per iteration")
    iterations: int = Field(ge=0, description="training iterations of every trained method")
    test_pictures: int | None = Field(ge=1, description="test pictures per data set; null means all")
    schedule: Literal["constant", "linear"] = Field(
        default="constant",
        description="learning rates: as published, or falling to zero over each phase, for budgets below the papers'",
    )


class MaskSpec(StrictModel):
    """Which holes: a protocol, its seed, its bins, and a folder where the protocol reads the user's files."""

    protocol: str = "irregular-v1"
    seed: Seed = 0
    bins: tuple[tuple[float, float], ...] = Field(default=BINS, min_length=1)
    borders: tuple[Border, ...] = Field(default=BORDERS, min_length=1)
    path: Path | None = Field(default=None, description="folder of the user's test masks, where the protocol reads any")
    training_path: Path | None = Field(default=None, description="folder of training masks; null draws irregular-v1")
    pairing: Literal["name", "hash"] | None = Field(default=None, description="how `folder` finds an image's mask")
    invert: bool | None = Field(
        default=None, description="true: black is the hole; false: white is, even where most of a mask is white"
    )

    @field_validator("bins")
    @classmethod
    def _shares(cls, bins: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        for low, high in bins:
            if not 0 <= low < high <= 1:
                raise ValueError(f"[{low:g}, {high:g}] is no bin: expected shares of the picture, 0 <= low < high <= 1")
        # By their labels, under which rows and tables keep them: more digits than those tell no two bins apart.
        if problem := named_twice("bins", map(bin_label, bins)):
            raise ValueError(problem)
        return bins

    @field_validator("borders")
    @classmethod
    def _no_twins(cls, borders: tuple[Border, ...]) -> tuple[Border, ...]:
        if problem := named_twice("borders", borders):
            raise ValueError(problem)
        return borders


class Suite(StrictModel):
    """A benchmark as written in YAML: what to run and what to print."""

    name: str
    question: str = ""
    datasets: tuple[str, ...] = Field(min_length=1)
    methods: tuple[MethodSpec, ...] = Field(min_length=1)
    masks: MaskSpec = MaskSpec()
    metrics: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[Seed, ...] = Field(default=(0,), min_length=1)
    scale: str = "auto"
    iterations: int | None = Field(default=None, ge=0, le=10**12, description="overrides the scale's training budget")
    samples: Annotated[int, Field(ge=0)] | Literal["all"] = Field(
        default=4, description="test pictures whose outputs are kept as PNG, per cell; or all"
    )

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not re.fullmatch(r"(?!\.)[^/\\\x00-\x1f\x7f]{1,80}", name):
            raise ValueError(
                "results lie in a folder of this name: expected 1 to 80 letters, no slash, no control character, no "
                "dot at the beginning"
            )
        return name

    @field_validator("methods")
    @classmethod
    def _no_twins(cls, methods: tuple[MethodSpec, ...]) -> tuple[MethodSpec, ...]:
        if problem := named_twice("methods", (method.label for method in methods)):
            raise ValueError(problem)
        return methods

    @field_validator("seeds")
    @classmethod
    def _no_twin_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if problem := named_twice("seeds", map(str, seeds)):
            raise ValueError(problem)
        return seeds


class CellSpec(StrictModel):
    """Everything one process needs to train and evaluate one method on one data set with one seed."""

    dataset: str
    data_path: Path | None = None
    manifest_hash: str
    method: MethodSpec
    revision: int
    plugin: Path | None = None
    plugin_hash: str | None = None
    seed: int
    scale: Scale
    masks: MaskSpec
    mask_hash: str
    metrics: tuple[str, ...]
    samples: int = 4

    @property
    def key(self) -> str:
        """blake2b over all that decides the cell's rows; paths and the list of metrics do not."""
        return content_hash(
            {
                "schema": SCHEMA_VERSION,
                "manifest": self.manifest_hash,
                "split": "test",
                "masks": self.mask_hash,
                "scale": self.scale.model_dump(mode="json"),
                "method": self.method.name,
                "params": self.method.params,
                "revision": self.revision,
                "plugin": self.plugin_hash,
                "seed": self.seed,
            }
        )

    @property
    def folder_name(self) -> str:
        """``<dataset>/<method>-s<seed>-<key8>``, the cell's place under ``cells/``."""
        method = re.sub(r"[^A-Za-z0-9_.=-]+", "_", self.method.label).strip("_")
        return f"{self.dataset}/{method[:80]}-s{self.seed}-{self.key[:8]}"


class CellResult(StrictModel):
    """``result.json``: written last, its presence means that the cell is whole."""

    key: str
    spec: CellSpec
    metrics: tuple[str, ...] = Field(description="metric ids that were computed")
    missing: dict[str, str] = Field(description="metric id -> why it could not be computed and how to get it")
    set_metrics: tuple[dict[str, Any], ...] = Field(
        description="one record per (metric, bin, border): value, n, floor; bin and border may be 'all'"
    )
    pairing_sha256: str
    rows_sha256: str
    cost: dict[str, float] = Field(description="parameters, macs, training_seconds, ms_per_image, ...")
    environment: dict[str, Any] = Field(description="versions, hardware, precision, threads")
    oracle: bool | None = Field(
        default=None, description="the method is given hidden pixels on purpose; None: from before it was recorded"
    )


SUITES = resources.files("gainbench") / "suites"


def suite_names() -> list[str]:
    """Names of the shipped suites."""
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in SUITES.iterdir()
        if entry.name.endswith(".yaml") and entry.name != "scales.yaml"
    )


def scales() -> dict[str, Scale]:
    """The shipped scales by name, smallest first."""
    written = read_yaml((SUITES / "scales.yaml").read_text(encoding="utf-8"))
    return {name: Scale(name=name, **fields) for name, fields in written.items()}


def load_suite(name_or_path: str | Path) -> Suite:
    """Read a shipped suite by name, or a suite file by path.

    Raises:
        SpecError: no such suite or file, text that is not YAML, an unknown key, a value of the wrong type.
    """
    path = Path(name_or_path).expanduser()
    if path.suffix in {".yaml", ".yml"}:
        text, source = _text(path), str(path)
    elif str(name_or_path) in suite_names():
        text, source = (SUITES / f"{name_or_path}.yaml").read_text(encoding="utf-8"), f"suite {name_or_path}"
    else:
        raise SpecError(f"no suite named {_shown(str(name_or_path))}; {nearest(str(name_or_path), suite_names())}")
    return suite_from(text, source)


def suite_from(text: str, source: str) -> Suite:
    """Read a suite's YAML; ``source`` is what messages call it.

    Raises:
        SpecError: text that is not YAML, an unknown key, a value of the wrong type.
    """
    try:
        written = read_yaml(text)
    except ValueError as error:
        raise SpecError(f"{source} is not YAML as suites are written: {error}") from error
    if not isinstance(written, dict):
        raise SpecError(f"{source} holds {type(written).__name__}, expected keys such as datasets, methods, metrics")
    try:
        return Suite.model_validate(written)
    except ValidationError as error:
        raise SpecError(f"{source}: {explain(error, Suite)}") from error


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise SpecError(f"no suite file at {path}")
        if (size := path.stat().st_size) > 4 * TEXT_LIMIT:
            raise SpecError(f"{path} has {size:,} bytes: no suite is as long")
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SpecError(f"{path} cannot be read as UTF-8 text: {error}") from error


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """A validation error as sentences a person can act on; the first few, and how many more there are."""
    problems = error.errors(include_url=False)
    sentences = []
    for problem in problems[:PROBLEMS_SHOWN]:
        place = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            valid = _fields_at(model, problem["loc"][:-1])
            sentences.append(f"unknown key {_shown(place)}; {nearest(str(problem['loc'][-1]), valid)}")
        elif problem["type"] == "literal_error":
            choices = re.findall(r"'([^']*)'", problem["ctx"]["expected"])
            found = _shown(problem["input"])
            sentences.append(f"{place}: no such value {found}; {nearest(str(problem['input']), choices)}")
        else:
            sentences.append(
                f"{place or 'value'}: {problem['msg'].removeprefix('Value error, ')} (found {_shown(problem['input'])})"
            )
    more = len(problems) - PROBLEMS_SHOWN
    return "; ".join(sentences) + (f"; and {more} more" if more > 0 else "")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        field = model.model_fields.get(str(part))
        if field is None:
            continue
        inner = [kind for kind in _model_types(field.annotation) if issubclass(kind, BaseModel)]
        if inner:
            model = inner[0]
    return list(model.model_fields)


def _model_types(annotation: Any) -> list[type]:
    if isinstance(annotation, type):
        return [annotation]
    return [found for part in getattr(annotation, "__args__", ()) for found in _model_types(part)]

"""What a run is made of, as strict models: an unknown key is an error that names the nearest valid one."""

import difflib
import json
import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gainbench.errors import SpecError
from gainbench.keyed import content_hash

SCHEMA_VERSION = 1
"""Part of every cell key; raised when the meaning of a stored result changes."""

BINS: tuple[tuple[float, float], ...] = ((0.01, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.4), (0.4, 0.5), (0.5, 0.6))
"""Hole-area shares, half-open (lo, hi]: the bins of Liu et al. 2018's test set."""

BORDERS: tuple[Literal["clear"], Literal["touching"]] = ("clear", "touching")
"""Border classes: ``clear`` holes keep a margin to the picture's border, ``touching`` holes may reach it."""

Border = Literal["clear", "touching"]
Split = Literal["train", "val", "test"]
Precision = Literal["auto", "fp32", "bf16"]


def bin_label(bounds: tuple[float, float]) -> str:
    """The name of a hole-area bin in rows and tables, such as ``0.1-0.2``."""
    return f"{bounds[0]:g}-{bounds[1]:g}"


def nearest(name: str, valid: Iterable[str]) -> str:
    """A half sentence for error messages: the closest valid name if there is one, then all of them."""
    names = sorted(valid)
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
        return cls._parse_text(value) if isinstance(value, str) else value

    @staticmethod
    def _parse_text(text: str) -> dict[str, Any]:
        match = re.fullmatch(r"\s*([A-Za-z_][\w-]*)\s*(?:\[(.*)\])?\s*", text)
        if match is None:
            raise ValueError(f"{text!r} is not a method: expected NAME or NAME[option=value,...]")
        name, options = match.groups()
        params: dict[str, Any] = {}
        for option in filter(None, (part.strip() for part in (options or "").split(","))):
            key, equals, value = option.partition("=")
            if not equals:
                raise ValueError(f"option {option!r} of {text!r} has no value: expected option=value")
            params[key.strip()] = yaml.safe_load(value)
        return {"name": name, "params": params}

    @classmethod
    def parse(cls, text: str) -> "MethodSpec":
        """Read ``NAME`` or ``NAME[option=value,...]``; values are YAML scalars.

        Raises:
            SpecError: if the text has another form.
        """
        try:
            return cls(**cls._parse_text(text))
        except (ValueError, yaml.YAMLError) as error:
            raise SpecError(str(error)) from error

    @property
    def label(self) -> str:
        """The method as rows, tables and plots print it, options in name order."""
        if not self.params:
            return self.name
        options = ",".join(f"{key}={_scalar_text(value)}" for key, value in sorted(self.params.items()))
        return f"{self.name}[{options}]"


def _scalar_text(value: Any) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


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
    seed: int = 0
    bins: tuple[tuple[float, float], ...] = Field(default=BINS, min_length=1)
    borders: tuple[Border, ...] = Field(default=BORDERS, min_length=1)
    path: Path | None = Field(default=None, description="folder of the user's test masks, where the protocol reads any")
    training_path: Path | None = Field(default=None, description="folder of training masks; null draws irregular-v1")
    pairing: Literal["name", "hash"] | None = Field(default=None, description="how `folder` finds an image's mask")
    invert: bool | None = Field(
        default=None, description="true: black is the hole; false: white is, even where most of a mask is white"
    )


class Suite(StrictModel):
    """A benchmark as written in YAML: what to run and what to print."""

    name: str
    question: str = ""
    datasets: tuple[str, ...] = Field(min_length=1)
    methods: tuple[MethodSpec, ...] = Field(min_length=1)
    masks: MaskSpec = MaskSpec()
    metrics: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = (0,)
    scale: str = "auto"
    iterations: int | None = Field(default=None, ge=0, description="overrides the scale's training budget")
    samples: Annotated[int, Field(ge=0)] | Literal["all"] = Field(
        default=4, description="test pictures whose outputs are kept as PNG, per cell; or all"
    )

    @field_validator("methods")
    @classmethod
    def _no_twins(cls, methods: tuple[MethodSpec, ...]) -> tuple[MethodSpec, ...]:
        labels = [method.label for method in methods]
        twins = sorted({label for label in labels if labels.count(label) > 1})
        if twins:
            raise ValueError(f"methods named twice: {', '.join(twins)}")
        return methods


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
    written = yaml.safe_load((SUITES / "scales.yaml").read_text(encoding="utf-8"))
    return {name: Scale(name=name, **fields) for name, fields in written.items()}


def load_suite(name_or_path: str | Path) -> Suite:
    """Read a shipped suite by name, or a suite file by path.

    Raises:
        SpecError: no such suite or file, text that is not YAML, an unknown key, a value of the wrong type.
    """
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise SpecError(f"no suite file at {path}")
        text, source = _text(path), str(path)
    elif str(name_or_path) in suite_names():
        text, source = (SUITES / f"{name_or_path}.yaml").read_text(encoding="utf-8"), f"suite {name_or_path}"
    else:
        raise SpecError(f"no suite named {str(name_or_path)!r}; {nearest(str(name_or_path), suite_names())}")
    try:
        written = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecError(f"{source} is not YAML: {error}") from error
    if not isinstance(written, dict):
        raise SpecError(f"{source} holds {type(written).__name__}, expected keys such as datasets, methods, metrics")
    try:
        return Suite(**written)
    except ValidationError as error:
        raise SpecError(f"{source}: {explain(error, Suite)}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} cannot be read as UTF-8 text: {error}") from error


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """A validation error as sentences a person can act on."""
    sentences = []
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            valid = _fields_at(model, problem["loc"][:-1])
            sentences.append(f"unknown key {place!r}; {nearest(str(problem['loc'][-1]), valid)}")
        elif problem["type"] == "literal_error":
            choices = re.findall(r"'([^']*)'", problem["ctx"]["expected"])
            sentences.append(f"{place}: no such value {problem['input']!r}; {nearest(str(problem['input']), choices)}")
        else:
            sentences.append(f"{place or 'value'}: {problem['msg']} (found {problem['input']!r})")
    return "; ".join(sentences)


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

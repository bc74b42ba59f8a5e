"""From a suite to cells: names checked, data opened, keys computed, and what is already there found again."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import BaseModel, ValidationError

from gainbench.data import DATASETS, Dataset, open_dataset
from gainbench.errors import MethodError, SpecError
from gainbench.evaluation.metrics.catalogue import METRICS
from gainbench.masks import open_protocol
from gainbench.methods import Inpainter
from gainbench.registry import find_method, installed_names, plugin_hash, plugin_methods, validated_params
from gainbench.run.planned import Plan, planned_cell
from gainbench.run.reference import Use, find_reference, reference_cell
from gainbench.run.store import DatasetRecord, ResolvedSuite, read_cell, read_suite, stored_suites
from gainbench.spec import CellSpec, MethodSpec, Scale, Suite, explain, load_suite, named_twice, nearest, scales


def plan_suite(
    suite: Suite | str | Path,
    *,
    root: Path,
    scale: str | None = None,
    iterations: int | None = None,
    methods: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    data_paths: dict[str, Path] | None = None,
    plugin: Path | None = None,
    strict: bool = False,
    reference: Use = "use",
    reference_dir: Path | None = None,
) -> Plan:
    """Resolve a suite into cells and look up what the results root already has of them. Writes nothing.

    Args:
        suite: a suite, the name of a shipped one, or the path of a suite file.
        root: the results root.
        scale: a scale's name, or ``auto``: ``gpu`` where CUDA is present, else ``cpu``. Default: the suite's.
        iterations: overrides the suite's and the scale's training budget.
        methods: run these of the suite's methods only, by label; a ``NAME`` that the suite has with options only takes
            every variant of it. A method that the suite lacks joins it, with any options, if it is installed or the
            plugin's; the resolved suite says so.
        datasets: run these of the suite's data sets only; default all of them, and those of ``data_paths`` beside them.
        seeds: run these instead of the suite's seeds.
        data_paths: where the user's data sets lie, by data set.
        plugin: a Python file whose methods join the suite's.
        strict: photographs that cannot be used are an error instead of being skipped.
        reference: whether reference results are used instead of trainings; ``only`` also plans what the reference of
            this suite and scale has beside it: other seeds and methods, where none were named.
        reference_dir: where they lie; default the clone's ``results/reference``, if there is one.

    Raises:
        SpecError: an unknown suite, scale, data set or metric; the nearest valid name is given. Seeds given twice, or
            seeds or a training budget beyond what a suite may have.
        MethodError: an unknown or broken method, or options it does not have.
        DataError: a data set that cannot be opened.
        MaskError: a hole protocol that cannot be opened.
        RunError: results in the root, or reference results, that are damaged.
    """
    if problem := named_twice("seeds", map(str, seeds or ())):
        raise SpecError(problem)
    folder = find_reference(reference_dir) if reference != "none" else None
    suite = suite if isinstance(suite, Suite) else load_suite(suite)
    paths = {name: path.expanduser().resolve() for name, path in (data_paths or {}).items()}
    plugin = plugin.expanduser().resolve() if plugin is not None else None
    own = [MethodSpec(name=name) for name in plugin_methods(plugin)] if plugin is not None else []
    budget = _resolved_scale(scale or suite.scale, iterations if iterations is not None else suite.iterations)
    asked_methods = _chosen_methods(suite, own, methods)
    asked_seeds = tuple(seeds) if seeds else suite.seeds
    wider = _beside(folder, suite, budget) if reference == "only" and folder is not None else None
    narrowed, notes = _narrowed(
        suite,
        methods=_joined(asked_methods, wider.methods) if wider and not methods else asked_methods,
        datasets=_chosen_datasets(suite, paths, datasets),
        seeds=_joined(asked_seeds, wider.seeds) if wider and not seeds else asked_seeds,
        scale=budget,
    )
    if iterations is not None:
        notes.append(f"training budget set to {iterations} iterations on the command line")
    for metric in narrowed.metrics:
        if metric not in METRICS:
            raise SpecError(f"suite {suite.name}: no metric named {metric!r}; {nearest(metric, METRICS)}")
    protocol = open_protocol(narrowed.masks)
    opened = {name: open_dataset(name, paths.get(name), strict=strict) for name in narrowed.datasets}
    found = _found_methods(narrowed.methods, plugin, own)
    cells = [
        CellSpec(
            dataset=dataset,
            data_path=paths.get(dataset),
            manifest_hash=opened[dataset].manifest.hash,
            method=method,
            revision=found[method.name].revision,
            plugin=found[method.name].plugin,
            plugin_hash=found[method.name].plugin_hash,
            seed=seed,
            scale=budget,
            masks=narrowed.masks,
            mask_hash=protocol.hash,
            metrics=narrowed.metrics,
            samples=_kept_pictures(narrowed, opened[dataset], budget),
        )
        for dataset in narrowed.datasets
        for method in narrowed.methods
        for seed in narrowed.seeds
    ]
    # What was not asked for is there only as far as the reference has it.
    cells = [
        spec
        for spec in cells
        if (spec.method in asked_methods and spec.seed in asked_seeds) or reference_cell(folder, spec) is not None
    ]
    resolved = ResolvedSuite(
        suite=narrowed,
        scale=budget,
        narrowed=tuple(notes),
        footnotes=protocol.footnotes,
        datasets={name: _record(dataset, paths.get(name)) for name, dataset in opened.items()},
        cells=tuple(cells),
    )
    stored = [read_cell(root, spec) for spec in cells]
    planned = [planned_cell(cell, folder, reference) for cell in stored]
    return Plan(root, resolved, planned, opened, folder, reference)


def _beside(folder: Path, suite: Suite, scale: Scale) -> Suite | None:
    """The suite as the reference has it at this scale, methods that do not exist here any more left out."""
    name = f"{suite.name}-{scale.name}"
    if name not in stored_suites(folder):
        return None
    found = read_suite(folder, name).suite
    return found.model_copy(update={"methods": tuple(method for method in found.methods if _exists(method))})


def _exists(method: MethodSpec) -> bool:
    try:
        validated_params(find_method(method.name), method)
    except MethodError:
        return False
    return True


Item = TypeVar("Item")


def _joined(first: tuple[Item, ...], second: tuple[Item, ...]) -> tuple[Item, ...]:
    return (*first, *(item for item in second if item not in first))


def _resolved_scale(name: str, iterations: int | None) -> Scale:
    known = scales()
    if name == "auto":
        name = "gpu" if torch.cuda.is_available() else "cpu"
    if name not in known:
        raise SpecError(f"no scale named {name!r}; {nearest(name, [*known, 'auto'])}")
    return known[name] if iterations is None else _revised(known[name], f"scale {name}", iterations=iterations)


Written = TypeVar("Written", bound=BaseModel)


def _revised(model: Written, what: str, **changes: object) -> Written:
    """The model with other values, held to its bounds: beyond them it would be written and never be read again."""
    try:
        return type(model).model_validate(dict(model) | changes)
    except ValidationError as error:
        raise SpecError(f"{what}: {explain(error, type(model))}") from error


def _chosen_methods(suite: Suite, own: list[MethodSpec], wanted: Sequence[str] | None) -> tuple[MethodSpec, ...]:
    names = {method.name for method in suite.methods}
    valid = [*suite.methods, *(method for method in own if method.name not in names)]
    if not wanted:
        return tuple(valid)
    chosen: list[MethodSpec] = []
    for text in wanted:
        asked = MethodSpec.parse(text)
        exact = [method for method in valid if method == asked]
        named = [method for method in valid if method.name == asked.name]
        of_plugin = any(method.name == asked.name for method in own)
        joins = not named or (of_plugin and bool(asked.params))
        fitting = exact or ([asked] if joins else [] if asked.params else named)
        if not fitting:
            validated_params(find_method(asked.name), asked)  # says which of its options there are
            raise SpecError(
                f"suite {suite.name} has {', '.join(method.label for method in named)}, not {asked.label}; "
                "other options go into a suite file"
            )
        if not named and asked.name not in installed_names():
            labels = {method.label for method in valid} | installed_names()
            raise SpecError(f"no method {text!r} in suite {suite.name} or installed; {nearest(text, labels)}")
        chosen += [method for method in fitting if method not in chosen]
    return tuple(chosen)


def _chosen_datasets(suite: Suite, paths: dict[str, Path], wanted: Sequence[str] | None) -> tuple[str, ...]:
    for name in (*suite.datasets, *paths):
        if name not in DATASETS:
            raise SpecError(f"no data set named {name!r}; {nearest(name, DATASETS)}")
    valid = [*suite.datasets, *(name for name in paths if name not in suite.datasets)]
    for name in wanted or ():
        if name not in valid:
            hint = f"give its folder with --data {name}=PATH" if name in DATASETS else nearest(name, valid)
            raise SpecError(f"suite {suite.name} has no data set {name!r}; {hint}")
    chosen = tuple(dict.fromkeys(wanted or valid))
    if idle := sorted(set(paths) - set(chosen)):
        raise SpecError(
            f"--data names {', '.join(idle)}, which would not be used; "
            f"choose data sets with --datasets {','.join((*chosen, *idle))}"
        )
    return chosen


def _narrowed(
    suite: Suite, *, methods: tuple[MethodSpec, ...], datasets: tuple[str, ...], seeds: tuple[int, ...], scale: Scale
) -> tuple[Suite, list[str]]:
    chosen = _revised(
        suite,
        f"suite {suite.name}",
        methods=methods,
        datasets=datasets,
        seeds=seeds,
        scale=scale.name,
        iterations=scale.iterations,
    )
    compared = (
        ("methods", [method.label for method in suite.methods], [method.label for method in methods]),
        ("data sets", list(suite.datasets), list(datasets)),
        ("seeds", [str(seed) for seed in suite.seeds], [str(seed) for seed in seeds]),
    )
    notes = []
    for what, whole, part in compared:
        if left_out := [item for item in whole if item not in part]:
            notes.append(f"{what} left out: {', '.join(left_out)}")
        if added := [item for item in part if item not in whole]:
            notes.append(f"{what} added: {', '.join(added)}")
    return chosen, notes


@dataclass(frozen=True)
class _Found:
    """What cells keep of a method's class."""

    revision: int
    plugin: Path | None
    plugin_hash: str | None


def _found_methods(methods: Sequence[MethodSpec], plugin: Path | None, own: list[MethodSpec]) -> dict[str, _Found]:
    """Look every method up once, whatever the number of its cells, and validate its options."""
    of_plugin = {method.name for method in own}
    classes: dict[str, type[Inpainter]] = {}
    found: dict[str, _Found] = {}
    for spec in methods:
        if spec.name not in classes:
            source = plugin if spec.name in of_plugin else None
            classes[spec.name] = find_method(spec.name, source)
            found[spec.name] = _Found(
                classes[spec.name].revision, source, plugin_hash(source) if source is not None else None
            )
        validated_params(classes[spec.name], spec)
    return found


def _kept_pictures(suite: Suite, dataset: Dataset, scale: Scale) -> int:
    if suite.samples == "all":
        return len(dataset.pictures("test", scale.size, scale.test_pictures))
    return suite.samples


def _record(dataset: Dataset, path: Path | None) -> DatasetRecord:
    return DatasetRecord(
        manifest_hash=dataset.manifest.hash,
        photographs=len(dataset.manifest.entries),
        skipped=len(dataset.manifest.skipped),
        publishable=dataset.publishable,
        path=path,
    )

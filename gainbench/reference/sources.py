"""Which cells reference results are made of: those of finished runs, and those that were there before."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gainbench.errors import MethodError, RunError
from gainbench.registry import find_method
from gainbench.run.layout import RESULT, SAMPLES, SPEC, SUITE, read_model
from gainbench.run.plan import plan_suite
from gainbench.run.store import ResolvedSuite, StoredCell, read_cell, read_suite, stored_suites
from gainbench.spec import CellSpec, Suite, load_suite, suite_names


@dataclass
class Sources:
    """Everything that goes into reference results.

    Attributes:
        suites: by ``<suite>-<scale>``, with all the cells they will list, finished or not.
        cells: the finished cells of the runs by key; others of the suites are those that the reference has already.
        pictures: by key, the samples of cells that the runs took from a reference, to lay out contact sheets anew.
        left_out: what cannot be used, one sentence each.
    """

    suites: dict[str, ResolvedSuite] = field(default_factory=dict)
    cells: dict[str, StoredCell] = field(default_factory=dict)
    pictures: dict[str, Path] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def find_sources(runs: Sequence[Path], reference: Path) -> Sources:
    """Collect what finished runs hold, and the suites that a reference has already.

    The last run in a folder may have been narrowed, as to further seeds of some methods: what earlier ones finished
    there is found all the same, and adds to it.

    Args:
        runs: results roots, or folders of suites in them.
        reference: the folder of reference results; need not be there.

    Raises:
        RunError: a folder that holds no run, or files that are damaged.
        GainbenchError: whatever planning a shipped suite refuses.
    """
    found = Sources(suites={name: read_suite(reference, name) for name in stored_suites(reference)})
    for run in runs:
        root, names = _suites_of(run.expanduser().resolve())
        stored = {name: read_suite(root, name) for name in stored_suites(root)}
        shipped = {name: [*_shipped(root, resolved)] for name, resolved in stored.items()}
        done = _done(root)
        for name in names:
            resolved = stored[name]
            parts = [found.suites[name]] if name in found.suites else []
            # A cell belongs to every suite that lists it, wherever it was computed.
            parts += [
                _with_cells(planned, [*_finished(reference, planned), *_finished(root, planned)])
                for planned in shipped[name]
            ]
            parts.append(resolved)
            others = [part for other in stored if other != name for part in (stored[other], *shipped[other])]
            further = _further_seeds(done, parts, others)
            merged = _merged([*parts, _with_cells(resolved, further)])
            for spec in merged.cells:
                cell = read_cell(root, spec)
                if cell.result is not None and cell.taken is None:
                    found.cells[spec.key] = cell
                elif cell.taken is not None and (samples := cell.folder / SAMPLES).is_dir():
                    found.pictures[spec.key] = samples
            found.suites[name] = merged
            found.left_out += _replaced(done, merged, others)
    for name, resolved in found.suites.items():
        usable = [spec for spec in resolved.cells if not _outdated(spec, found)]
        found.suites[name] = _merged([_with_cells(resolved, usable)])
    return found


def _suites_of(run: Path) -> tuple[Path, list[str]]:
    if (run / SUITE).is_file():
        return run.parent, [run.name]
    names = stored_suites(run) if run.is_dir() else []
    if not names:
        raise RunError(f"{run} holds no run: expected a results root such as results/runs, or a suite's folder in it")
    return run, names


def _shipped(root: Path, resolved: ResolvedSuite) -> Iterator[ResolvedSuite]:
    """The whole suite as it is shipped, at the scale of a run that may have been narrowed."""
    if resolved.suite.name in suite_names():
        budget = resolved.scale
        yield plan_suite(
            resolved.suite.name,
            root=root,
            scale=budget.name,
            iterations=budget.iterations,
            data_paths={name: record.path for name, record in resolved.datasets.items() if record.path is not None},
            plugin=next((spec.plugin for spec in resolved.cells if spec.plugin is not None), None),
            reference="none",
        ).resolved


def _finished(root: Path, resolved: ResolvedSuite) -> list[CellSpec]:
    return [spec for spec in resolved.cells if read_cell(root, spec).result is not None]


def _done(root: Path) -> dict[str, CellSpec]:
    """Every finished cell of a results root, of whatever suite, by its folder's name."""
    folders = [path.parent for path in sorted((root / "cells").glob(f"*/*/{RESULT}"))]
    return {folder.relative_to(root / "cells").as_posix(): read_model(folder / SPEC, CellSpec) for folder in folders}


def _further_seeds(
    done: dict[str, CellSpec], parts: Sequence[ResolvedSuite], others: Sequence[ResolvedSuite]
) -> list[CellSpec]:
    """Finished cells that differ from listed ones in their seeds alone; those that other suites list are theirs."""
    listed = {spec.key for part in (*parts, *others) for spec in part.cells}
    alike = {_but_for_the_seed(spec) for part in parts for spec in part.cells}
    return [
        spec
        for name, spec in done.items()
        if spec.folder_name == name and spec.key not in listed and _but_for_the_seed(spec) in alike
    ]


def _replaced(done: dict[str, CellSpec], resolved: ResolvedSuite, others: Sequence[ResolvedSuite]) -> Iterator[str]:
    """Finished cells that a suite would have at this scale, were something that their key hashes not another by now.

    What other suites list is theirs, and not left out.
    """
    shipped = load_suite(resolved.suite.name) if resolved.suite.name in suite_names() else resolved.suite
    methods = {method.label for suite in (shipped, resolved.suite) for method in suite.methods}
    datasets = {*shipped.datasets, *resolved.suite.datasets}
    listed = {spec.folder_name for part in (resolved, *others) for spec in part.cells}
    for name, spec in done.items():
        known = spec.method.label in methods and spec.dataset in datasets and spec.scale == resolved.scale
        if known and name not in listed:
            yield (
                f"{name}: finished with revision {spec.revision}; its key is of another revision, data set, hole "
                "protocol or release than there are now"
            )


def _but_for_the_seed(spec: CellSpec) -> str:
    return spec.model_copy(update={"seed": 0}).key


def _outdated(spec: CellSpec, found: Sources) -> bool:
    """Whether a cell's method is another one by now; says so if the cell was finished."""
    if spec.plugin is None and spec.plugin_hash is not None:
        return False  # made of a file that only its author has: nothing here can tell
    try:
        here = find_method(spec.method.name, spec.plugin).revision
    except MethodError:
        here = None
    if here == spec.revision:
        return False
    found.cells.pop(spec.key, None)
    now = f"it is at revision {here} now" if here is not None else "there is no such method now"
    found.left_out.append(
        f"{spec.dataset} {spec.method.label} seed {spec.seed}: computed with revision {spec.revision}, {now}"
    )
    return True


def _with_cells(resolved: ResolvedSuite, cells: Iterable[CellSpec]) -> ResolvedSuite:
    return resolved.model_copy(update={"cells": tuple(cells)})


def _merged(parts: Sequence[ResolvedSuite]) -> ResolvedSuite:
    """Suites of one name and scale as one that lists the cells of all; of two in one place the later part's counts."""
    last = parts[-1]
    places = {(spec.dataset, spec.method.label, spec.seed): spec for part in parts for spec in part.cells}
    shipped = load_suite(last.suite.name) if last.suite.name in suite_names() else parts[0].suite
    suites = [shipped, *(part.suite for part in parts)]
    present = {spec.dataset for spec in places.values()}, {spec.method.label for spec in places.values()}
    datasets = tuple(name for name in dict.fromkeys(_each(suites, "datasets")) if name in present[0])
    methods = {method.label: method for method in _each(suites, "methods") if method.label in present[1]}
    order = list(methods)
    cells = sorted(
        places.values(),
        key=lambda spec: (datasets.index(spec.dataset), order.index(spec.method.label), spec.seed),
    )
    records = {name: record for part in parts for name, record in part.datasets.items()}
    suite = last.suite.model_copy(
        update={
            "datasets": datasets,
            "methods": tuple(methods.values()),
            "seeds": tuple(sorted({spec.seed for spec in cells})) or last.suite.seeds,
        }
    )
    return ResolvedSuite(
        suite=suite,
        scale=last.scale,
        narrowed=tuple(_narrowed(shipped, suite, cells)),
        footnotes=last.footnotes,
        datasets={name: records[name] for name in datasets},
        cells=tuple(cells),
    )


def _each(suites: Sequence[Suite], what: str) -> list[Any]:
    return [item for suite in suites for item in getattr(suite, what)]


def _narrowed(shipped: Suite, suite: Suite, cells: Sequence[CellSpec]) -> Iterator[str]:
    """In what ways the cells are not those of the shipped suite, one sentence each."""
    for what, whole, part in (
        ("methods", [method.label for method in shipped.methods], [method.label for method in suite.methods]),
        ("data sets", [*shipped.datasets], [*suite.datasets]),
    ):
        if left_out := [item for item in whole if item not in part]:
            yield f"{what} left out: {', '.join(left_out)}"
        if added := [item for item in part if item not in whole]:
            yield f"{what} added: {', '.join(added)}"
    for seed in suite.seeds:
        if seed not in shipped.seeds:
            of = dict.fromkeys(f"{spec.method.label} on {spec.dataset}" for spec in cells if spec.seed == seed)
            yield f"seed {seed} added for {', '.join(of)}"

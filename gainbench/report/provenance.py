"""Where numbers come from: the command that makes them again, hashes, environments, and every cell with its status."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from gainbench.report.analysis import Analysis
from gainbench.report.notes import state_of
from gainbench.report.numbers import NOTHING, duration
from gainbench.run.store import ResolvedSuite, StoredCell
from gainbench.spec import Suite, load_suite, scales, suite_names

SHORT = 12
"""Hexadecimal digits of a hash that tables show; files hold all of them."""


@dataclass(frozen=True)
class DatasetOrigin:
    """What a data set and its holes were; no ``pairing`` is known while no cell is finished."""

    name: str
    manifest: str
    photographs: int
    skipped: int
    masks: str
    mask_hash: str
    pairing: str


@dataclass(frozen=True)
class CellOrigin:
    """One cell's identity and fate."""

    dataset: str
    method: str
    seed: int
    state: str
    key: str
    rows: str
    training: str
    cause: str
    log_tail: tuple[str, ...]


@dataclass(frozen=True)
class Environment:
    """What computed some of the cells, as (name, value) pairs."""

    cells: int
    facts: tuple[tuple[str, str], ...]


def run_commands(resolved: ResolvedSuite) -> list[str]:
    """The command lines that together plan the same cells: one, unless methods have other data sets or seeds."""
    return [_run_command(resolved, part) for part in _products(resolved)]


def _products(resolved: ResolvedSuite) -> list[Suite]:
    """The suite, or parts of it whose every method has every data set and seed."""
    suite = resolved.suite
    seeds: dict[tuple[str, str], list[int]] = {}
    for spec in resolved.cells:
        seeds.setdefault((spec.method.label, spec.dataset), []).append(spec.seed)
    datasets: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for (label, dataset), numbers in seeds.items():
        datasets.setdefault((label, tuple(sorted(numbers))), []).append(dataset)
    methods: dict[tuple[tuple[str, ...], tuple[int, ...]], list[str]] = {}
    for (label, those), names in datasets.items():
        methods.setdefault((tuple(names), those), []).append(label)
    if len(methods) < 2:
        return [suite]
    return [
        suite.model_copy(
            update={
                "datasets": together,
                "seeds": those,
                "methods": tuple(method for method in suite.methods if method.label in labels),
            }
        )
        for (together, those), labels in methods.items()
    ]


def _run_command(resolved: ResolvedSuite, suite: Suite) -> str:
    scale = resolved.scale
    shipped = suite.name in suite_names()
    words = ["python", "-m", "gainbench", "run", "--suite", suite.name if shipped else f"{suite.name}.yaml"]
    words += ["--scale", scale.name]
    # A suite file of the user's may be out of reach; it is as it was run, unless something was narrowed.
    narrowed = bool(resolved.narrowed) or suite is not resolved.suite
    written = load_suite(suite.name) if shipped else None if narrowed else suite
    words += _differences(suite, written)
    usual = scales().get(scale.name)
    budget = written.iterations if written is not None else None
    if budget is None and (shipped or not narrowed):
        budget = usual.iterations if usual else scale.iterations
    if scale.iterations != budget:
        words += ["--iterations", str(scale.iterations)]
    for name, record in resolved.datasets.items():
        if record.path is not None and name in suite.datasets:
            words += ["--data", f"{name}={record.path}"]
    for plugin in dict.fromkeys(spec.plugin for spec in resolved.cells if spec.method in suite.methods):
        if plugin is not None:
            words += ["--plugin", str(plugin)]
    return shlex.join(words)


def commands(resolved: ResolvedSuite) -> tuple[tuple[str, str], ...]:
    """(what it does, command line) for whoever wants these results again."""
    return (
        *(("Train, evaluate and report; what is done is not done again", line) for line in run_commands(resolved)),
        (
            "Only the report, from stored rows",
            shlex.join(["python", "-m", "gainbench", "report", resolved.folder_name]),
        ),
        ("The options of every method, with their sources", "python -m gainbench list methods"),
    )


def _differences(suite: Suite, written: Suite | None) -> list[str]:
    """Options that make of the suite as it is written what it is now; all where that is not known."""
    now, before = ({} if one is None else _chosen(one) for one in (suite, written))
    return [word for option, chosen in now.items() if chosen != before.get(option) for word in (option, chosen)]


def _chosen(suite: Suite) -> dict[str, str]:
    return {
        "--methods": ",".join(method.label for method in suite.methods),
        "--datasets": ",".join(suite.datasets),
        "--seeds": ",".join(map(str, suite.seeds)),
    }


def dataset_origins(analysis: Analysis) -> list[DatasetOrigin]:
    """One line a data set."""
    origins = []
    for dataset in analysis.datasets:
        cells = analysis.cells(dataset)
        record = analysis.stored.resolved.datasets[dataset]
        spec = cells[0].spec
        pairing = next((cell.result.pairing_sha256[:SHORT] for cell in cells if cell.result is not None), NOTHING)
        masks = f"{spec.masks.protocol}, seed {spec.masks.seed}"
        origins.append(
            DatasetOrigin(
                name=dataset,
                manifest=record.manifest_hash[:SHORT],
                photographs=record.photographs,
                skipped=record.skipped,
                masks=masks,
                mask_hash=spec.mask_hash[:SHORT],
                pairing=pairing,
            )
        )
    return origins


def cell_origins(cells: Sequence[StoredCell]) -> list[CellOrigin]:
    """One line a cell, finished or not."""
    return [
        CellOrigin(
            dataset=cell.spec.dataset,
            method=cell.spec.method.label,
            seed=cell.spec.seed,
            state=state_of(cell),
            key=cell.spec.key[:SHORT],
            rows=cell.result.rows_sha256[:SHORT] if cell.result is not None else NOTHING,
            training=_training(cell),
            cause=cell.status.cause if cell.result is None else "",
            log_tail=cell.status.log_tail if cell.result is None else (),
        )
        for cell in cells
    ]


def _training(cell: StoredCell) -> str:
    seconds = cell.result.cost.get("training_seconds") if cell.result is not None else None
    return NOTHING if seconds is None else duration(seconds)


def environments(cells: Sequence[StoredCell]) -> list[Environment]:
    """The distinct environments of the finished cells, the most frequent first."""
    counts: dict[tuple[tuple[str, str], ...], int] = {}
    for cell in cells:
        if cell.result is not None:
            facts = tuple(_facts(cell.result.environment))
            counts[facts] = counts.get(facts, 0) + 1
    return [Environment(count, facts) for facts, count in sorted(counts.items(), key=lambda item: -item[1])]


def _facts(environment: dict[str, object]) -> list[tuple[str, str]]:
    facts = []
    for name, value in environment.items():
        if isinstance(value, dict):
            text = ", ".join(f"{key} {one}" for key, one in sorted(value.items()) if one)
        elif isinstance(value, list):
            text = ", ".join(map(str, value))
        else:
            text = "" if value is None else str(value)
        if text:
            facts.append((name.replace("_", " "), text))
    return facts

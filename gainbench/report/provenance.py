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


def command(resolved: ResolvedSuite) -> str:
    """The command line that plans the same cells."""
    suite, scale = resolved.suite, resolved.scale
    shipped = suite.name in suite_names()
    words = ["python", "-m", "gainbench", "run", "--suite", suite.name if shipped else f"{suite.name}.yaml"]
    words += ["--scale", scale.name]
    written = load_suite(suite.name) if shipped else suite
    words += _differences(suite, written)
    usual = scales().get(scale.name)
    budget = written.iterations if written.iterations is not None else usual.iterations if usual else scale.iterations
    if scale.iterations != budget:
        words += ["--iterations", str(scale.iterations)]
    for name, record in resolved.datasets.items():
        if record.path is not None:
            words += ["--data", f"{name}={record.path}"]
    return shlex.join(words)


def commands(resolved: ResolvedSuite) -> tuple[tuple[str, str], ...]:
    """(what it does, command line) for whoever wants these results again."""
    return (
        ("Train, evaluate and report; what is done is not done again", command(resolved)),
        (
            "Only the report, from stored rows",
            shlex.join(["python", "-m", "gainbench", "report", resolved.folder_name]),
        ),
        ("The options of every method, with their sources", "python -m gainbench list methods"),
    )


def _differences(suite: Suite, written: Suite) -> list[str]:
    words = []
    for option, now, before in (
        ("--methods", [one.label for one in suite.methods], [one.label for one in written.methods]),
        ("--datasets", [*suite.datasets], [*written.datasets]),
        ("--seeds", [str(seed) for seed in suite.seeds], [str(seed) for seed in written.seeds]),
    ):
        if now != before:
            words += [option, ",".join(now)]
    return words


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

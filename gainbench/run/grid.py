"""The whole grid: plan, lock, run what is not done, and say how it went."""

import contextlib
import json
import logging
import os
import re
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import psutil
import torch
from filelock import FileLock, Timeout

from gainbench.atomic import remove_leftovers, write_json
from gainbench.errors import RunError
from gainbench.methods import TrainableInpainter
from gainbench.registry import find_method
from gainbench.run.executors import Execution, Executor
from gainbench.run.executors.in_process import InProcessExecutor
from gainbench.run.executors.local import LocalExecutor
from gainbench.run.layout import WEIGHTS
from gainbench.run.plan import plan_suite
from gainbench.run.planned import Plan, PlannedCell
from gainbench.run.reference import Use
from gainbench.run.sharing import check_shareable
from gainbench.run.status import CellProgress, CellStatus
from gainbench.spec import CellSpec, Precision, Suite

logger = logging.getLogger(__name__)

Retry = Literal["interrupted", "failed"]
ExecutorName = Literal["local", "in_process"]

EXECUTORS: dict[ExecutorName, type[Executor]] = {"local": LocalExecutor, "in_process": InProcessExecutor}

LOCK = ".lock"
HOLDER = ".holder.json"

REUSED_IN_ANOTHER_PRECISION = {
    "done": "finished cells were computed in another precision than {} and are reused",
    "resume": "half-trained cells go on in the precision that they began with, not in {}",
    "evaluate": "cells are evaluated in {} with weights that were trained in another precision",
}
"""What is told of cells at each stage whose precision is not the one that was asked for by name, which is put in."""


class RunWatch(Protocol):
    """Is told what a run does; a console, a log, a notebook's widget."""

    def planned(self, plan: Plan, started: Sequence[CellSpec], execution: Execution) -> None:
        """Called once, before the first cell starts."""

    def cell(self, spec: CellSpec, status: CellStatus, progress: CellProgress | None) -> None:
        """Called when a cell starts, moves on and ends."""


class SilentWatch:
    """Tells nobody."""

    def planned(self, plan: Plan, started: Sequence[CellSpec], execution: Execution) -> None:
        """Say nothing."""

    def cell(self, spec: CellSpec, status: CellStatus, progress: CellProgress | None) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class SuiteRun:
    """How a run ended.

    Attributes:
        plan: what was to be done.
        statuses: the final status of every cell of the plan, in its order.
        started: the cells that were run; the others were done already or are left as they failed before.
    """

    plan: Plan
    statuses: list[CellStatus]
    started: list[CellSpec]

    @property
    def unfinished(self) -> list[tuple[CellSpec, CellStatus]]:
        """The cells that were to be done and are not, with the reason in their status."""
        left_out = {cell.spec.key for cell in self.plan.left_out}
        pairs = zip(self.plan.cells, self.statuses, strict=True)
        return [
            (cell.spec, status) for cell, status in pairs if status.state != "done" and cell.spec.key not in left_out
        ]


def run_suite(
    suite: Suite | str | Path,
    *,
    root: Path = Path("results/runs"),
    scale: str | None = None,
    iterations: int | None = None,
    methods: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    data_paths: dict[str, Path] | None = None,
    plugin: Path | None = None,
    strict: bool = False,
    jobs: int | None = None,
    devices: int = 1,
    timeout: float | None = None,
    memory_limit: float | None = None,
    precision: Precision = "auto",
    checkpoint_seconds: float = 60.0,
    retry: Retry = "interrupted",
    reference: Use = "use",
    reference_dir: Path | None = None,
    wait: float = 0.0,
    executor: ExecutorName | Executor = "local",
    watch: RunWatch | None = None,
) -> SuiteRun:
    """Run every cell of a suite that is not done yet. A cell that fails is a status; the others go on.

    Args:
        suite: a suite, the name of a shipped one, or the path of a suite file.
        root: the results root; a second run in it is refused while the first one lasts.
        scale: see :func:`gainbench.run.plan.plan_suite`, as for ``iterations`` ... ``strict``.
        iterations: training budget.
        methods: methods to narrow the suite to, or installed ones beside them.
        datasets: data sets to narrow the suite to.
        seeds: seeds instead of the suite's.
        data_paths: where the user's data sets lie.
        plugin: a Python file whose methods join the suite's.
        strict: refuse data sets with photographs that cannot be used.
        jobs: cells at a time; None is one a GPU, or one a physical core, never more than there are cells.
        devices: processes that share each cell's training, on a GPU each, or on the CPU with the cores divided among
            them; a batch must divide by it. It changes no cell's key, as it changes numbers by rounding alone.
        timeout: seconds of wall time for one cell.
        memory_limit: MiB of resident memory for one cell; see :class:`gainbench.run.executors.Execution`.
        precision: arithmetic of forward passes.
        checkpoint_seconds: wall time between training checkpoints.
        retry: ``interrupted`` runs again what was interrupted, killed or timed out; ``failed`` also what raised or
            diverged, which otherwise keeps its status.
        reference: ``use`` evaluates the weights of reference results instead of training, where their keys match, and
            takes their rows where there are no weights; ``only`` runs nothing else; ``none`` trains everything, also
            what an earlier run took.
        reference_dir: where reference results lie; default the clone's ``results/reference``, if there is one.
        wait: seconds to wait for another run in the same root.
        executor: ``local`` (a process a cell), ``in_process`` (for debuggers), or one that runs cells on a cluster:
            ``RayExecutor`` or ``SubmititExecutor`` of :mod:`gainbench.run.executors`.
        watch: told what happens.

    Raises:
        RunError: another run works in ``root``, it is no folder, stored files are damaged, ``devices`` cannot share a
            batch, or ``only`` cells of a reference were asked for and it has none.
        GainbenchError: whatever :func:`gainbench.run.plan.plan_suite` refuses.
        KeyboardInterrupt: the run was interrupted; finished cells are kept, the same call goes on.
    """
    watch = watch or SilentWatch()
    _refuse_addresses(root)
    root = root.expanduser().resolve()
    with _exclusively(root, wait):
        plan = plan_suite(
            suite,
            root=root,
            scale=scale,
            iterations=iterations,
            methods=methods,
            datasets=datasets,
            seeds=seeds,
            data_paths=data_paths,
            plugin=plugin,
            strict=strict,
            reference=reference,
            reference_dir=reference_dir,
        )
        _refuse_nothing(plan)
        plan.save()
        plan = plan.with_reference(precision)
        started, execution = would_start(plan, jobs, devices=devices, retry=retry)
        _tell_of_other_precision(plan, started, precision)
        execution = replace(
            execution,
            timeout=timeout,
            memory_limit=memory_limit,
            precision=precision,
            checkpoint_seconds=checkpoint_seconds,
        )
        runner = EXECUTORS[executor]() if isinstance(executor, str) else executor
        # Where nothing is left to do, a cluster need not even be there.
        opened = runner.opened(execution, jobs=jobs, cells=len(plan.cells))
        with opened if started else contextlib.nullcontext(execution) as fitted:
            watch.planned(plan, started, fitted)
            ran = runner.execute(started, root, fitted, watch.cell) if started else []
        fresh = {spec.key: status for spec, status in zip(started, ran, strict=True)}
        statuses = [fresh.get(cell.spec.key, cell.stored.status) for cell in plan.cells]
    return SuiteRun(plan, statuses, started)


def would_start(
    plan: Plan, jobs: int | None = None, *, devices: int = 1, retry: Retry = "interrupted"
) -> tuple[list[CellSpec], Execution]:
    """The cells that a run of a plan would start, in that order, and how it would run them.

    Args:
        plan: what is to be done.
        jobs: as :func:`run_suite` takes it, and ``devices`` and ``retry`` too.
        devices: processes that share each cell's training.
        retry: whether what raised or diverged before is run again.

    Raises:
        RunError: so many devices cannot share a batch, or accelerate is not installed.
    """
    started = [cell.spec for cell in plan.pending if retry == "failed" or not _failed(cell)]
    # Long cells first: a training that starts last would leave the other jobs idle.
    trained = {
        (name, plugin): issubclass(find_method(name, plugin), TrainableInpainter)
        for name, plugin in {(spec.method.name, spec.plugin) for spec in started}
    }
    started.sort(key=lambda spec: not trained[spec.method.name, spec.plugin])
    if started and trained[started[0].method.name, started[0].plugin]:
        check_shareable(started[0].scale, devices)  # all cells of a plan have one scale, so one batch
    return started, _execution(plan, jobs, devices)


def _refuse_nothing(plan: Plan) -> None:
    if plan.cells and len(plan.left_out) == len(plan.cells):
        where = f"those in {plan.reference} are of other cells" if plan.reference else "there are none here"
        raise RunError(
            f"only cells with reference results were asked for, and {where}: nothing of {plan.resolved.folder_name} "
            "would be run. Without --reference only it is trained, with --iterations 200 in a short run"
        )


def _tell_of_other_precision(plan: Plan, started: Sequence[CellSpec], precision: Precision) -> None:
    """Precision is not part of a cell's key, so that results travel between machines; reuse against a wish is told."""
    if precision == "auto":
        return
    runs = {spec.key for spec in started}
    for stage, what in REUSED_IN_ANOTHER_PRECISION.items():
        other = [
            cell.spec.folder_name
            for cell in plan.cells
            if cell.stage == stage and (stage == "done" or cell.spec.key in runs) and _precisions(cell) - {precision}
        ]
        if other:
            logger.warning(
                "%d %s, such as %s; delete a cell's folder to compute it anew",
                len(other),
                what.format(precision),
                other[0],
            )


def _precisions(cell: PlannedCell) -> set[str | None]:
    """In what a cell was computed as far as it is; how weights of a reference were trained, the reference tells."""
    stored = cell.stored
    noted = stored.result.environment if stored.result is not None else {}
    trained = noted.get("training_precision") if stored.taken is None else None
    found: set[str | None] = {stored.status.precision}
    if cell.stage == "done":
        found = {noted.get("precision"), trained}
    elif cell.stage == "evaluate":
        weights = stored.taken is None and (stored.folder / WEIGHTS).is_file()
        found = {trained or stored.status.precision} if weights else set()
    return found - {None, "auto"}


def _failed(cell: PlannedCell) -> bool:
    return not cell.taking and cell.stored.status.state in {"failed", "nan"}


def _execution(plan: Plan, jobs: int | None, each: int) -> Execution:
    """Jobs and threads from the machine and the whole plan, never from what happens to be left of it.

    A resumed run thereby gives its cells the threads that an uninterrupted one gives them: sums depend on it.
    """
    cores = _physical_cores()
    devices = tuple(range(torch.cuda.device_count())) if torch.cuda.is_available() else ()
    jobs = jobs or max(1, min((len(devices) or cores) // each, len(plan.cells)))
    return Execution(jobs=jobs, threads=max(1, cores // (jobs * each)), devices=devices, devices_per_cell=each)


def _physical_cores() -> int:
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    return min(cores, allowed)


def _refuse_addresses(root: Path) -> None:
    """Cells lock, append, rename and resume in their folders, which object stores cannot do."""
    if re.match(r"[a-z][a-z0-9+.-]+:/", str(root)):
        raise RunError(
            f"results cannot be kept at the address {root}: --out is a folder, on a cluster one that all "
            "nodes share. Copy it to the store when the run is over; a cell's folder is whole once it holds result.json"
        )


@contextlib.contextmanager
def _exclusively(root: Path, wait: float) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / LOCK)
    try:
        lock.acquire(timeout=wait)
    except Timeout as error:
        raise RunError(
            f"another run works in {root} ({_holder(root)}); "
            "wait for it (--wait SECONDS), end it, or choose another --out"
        ) from error
    try:
        write_json(
            root / HOLDER,
            {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")},
        )
        _remove_leftovers(root)
        yield
    finally:
        _remove_leftovers(root)
        (root / HOLDER).unlink(missing_ok=True)
        lock.release()


def _remove_leftovers(root: Path) -> None:
    """Delete what killed processes were writing; the lock says that none of them is left."""
    for kind in ("manifests", "pairings"):
        remove_leftovers(root / kind)


def _holder(root: Path) -> str:
    try:
        held = json.loads((root / HOLDER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "it has not said which"
    return f"process {held['pid']} on {held['host']} since {held['since']}"

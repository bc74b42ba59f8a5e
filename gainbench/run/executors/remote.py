"""Cells on other machines: what a node does with one cell, and how a run follows many of them from afar.

A node does with its cell exactly what the local executor does with one: the same child process, limits and statuses.
What a cell computes goes through the results root, a folder that the run and all nodes see; only its status travels
back by the cluster's own means. Whether a cell is tried again is decided by the next run alone.
"""

import contextlib
import os
import secrets
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from gainbench.errors import GainbenchError
from gainbench.run.executors import Execution, Watch
from gainbench.run.executors.local import LocalExecutor
from gainbench.run.holding import cell_held
from gainbench.run.layout import RESULT, cell_folder
from gainbench.run.signals import signals_ignored, signals_interrupt
from gainbench.run.status import CellProgress, CellStatus, Ending, end, read_progress, read_status, write_status
from gainbench.spec import CellSpec

VISIBLE_SECONDS = 30.0
"""How long a file that a node has written may take to be seen here: network file systems remember what was absent."""


@dataclass(frozen=True)
class Order:
    """What a node is sent.

    Attributes:
        spec: the cell.
        root: the results root.
        execution: limits, threads and environment of the cell.
        token: a file of this run in the results root, by which a node knows that its ``root`` is the same folder.
    """

    spec: CellSpec
    root: Path
    execution: Execution
    token: str


class Lost(NamedTuple):
    """A cell whose node has no status to give."""

    state: Ending
    cause: str


def carry_out(order: Order) -> CellStatus | Lost:
    """Run an order's cell on this machine, in a child process as the local executor's; called on a cluster's node."""
    if not (order.root / order.token).is_file():
        return Lost(
            "failed",
            f"{socket.gethostname()} does not see the files of this run in {order.root}: the results root must be a "
            "folder that all nodes share; choose one with --out",
        )
    try:
        (status,) = LocalExecutor().execute([order.spec], order.root, order.execution, _unwatched)
    except (GainbenchError, OSError) as error:
        return Lost("failed", f"{socket.gethostname()} could not run it: {error}")
    return status


def _unwatched(spec: CellSpec, status: CellStatus, progress: CellProgress | None) -> None:
    """The run follows a cell by the files that it writes."""


def own_variables() -> dict[str, str]:
    """Settings of gainbench in this process's environment: where weights lie, whether anything may be fetched."""
    return {name: value for name, value in os.environ.items() if name.startswith("GAINBENCH_")}


Ticket = TypeVar("Ticket")


class Cluster(Protocol[Ticket]):
    """Somewhere to send orders; a ticket stands for one that was sent."""

    def submit(self, order: Order) -> Ticket:
        """Have ``carry_out(order)`` called on a node when there is room, once."""

    def ended(self, tickets: Sequence[Ticket]) -> Sequence[Ticket]:
        """Those that are over, good or bad; may wait about a second for one."""

    def outcome(self, ticket: Ticket) -> CellStatus | Lost:
        """What came of an order that is over; ``Lost`` if whoever carried it out is gone."""

    def cancel(self, tickets: Sequence[Ticket]) -> None:
        """End what is under way and forget what waits; returns when no process of it is left, or too long after."""


@dataclass(frozen=True)
class _Sent:
    """A cell that was sent, and how often it had been started before."""

    place: int
    spec: CellSpec
    folder: Path
    attempts: int

    def begun(self, status: CellStatus) -> bool:
        """Whether a status tells of this attempt and not of one before it."""
        return status.attempts > self.attempts


def follow(
    cluster: Cluster[Ticket],
    specs: Sequence[CellSpec],
    root: Path,
    execution: Execution,
    watch: Watch,
    *,
    at_once: int | None,
) -> list[CellStatus]:
    """Send cells to a cluster and bring every one to an end; see :class:`gainbench.run.executors.Executor`.

    Args:
        cluster: where to.
        specs: the cells.
        root: the results root, seen by all nodes.
        execution: how each is run there.
        watch: told what happens.
        at_once: how many may be sent and not over; None leaves the queue to the cluster, which may grow meanwhile.
    """
    waiting = deque(enumerate(specs))
    statuses: dict[int, CellStatus] = {}
    sent: dict[Ticket, _Sent] = {}
    with _token(root) as token, signals_interrupt():
        try:
            while waiting or sent:
                while waiting and (at_once is None or len(sent) < at_once):
                    place, spec = waiting.popleft()
                    one = _Sent(place, spec, cell_folder(root, spec), read_status(cell_folder(root, spec)).attempts)
                    sent[cluster.submit(Order(spec, root, replace(execution, jobs=1), token))] = one
                for ticket in cluster.ended([*sent]):
                    one = sent.pop(ticket)
                    statuses[one.place] = _concluded(one, cluster.outcome(ticket))
                    watch(one.spec, statuses[one.place], None)
                for one in sent.values():
                    _tell(one, watch)
        except BaseException:
            with signals_ignored():
                cluster.cancel([*sent])
                _interrupt(sent.values())
            raise
    return [statuses[place] for place in range(len(specs))]


@contextlib.contextmanager
def _token(root: Path) -> Iterator[str]:
    root.mkdir(parents=True, exist_ok=True)
    token = root / f".run-{secrets.token_hex(8)}.lock"
    token.touch()
    try:
        yield token.name
    finally:
        token.unlink(missing_ok=True)


def _tell(one: _Sent, watch: Watch) -> None:
    status = read_status(one.folder)
    if status.state == "running" and one.begun(status):
        watch(one.spec, status, read_progress(one.folder))


def _concluded(one: _Sent, outcome: CellStatus | Lost) -> CellStatus:
    """The final status of an order: what its node says, or what was left by a node that is gone."""
    if isinstance(outcome, CellStatus):
        if outcome.state != "done" or _seen(one.folder / RESULT):
            return outcome
        return end(one.folder, "failed", cause=f"it is done, yet its result is not seen in {one.folder}")
    status = read_status(one.folder)
    if not one.begun(status):
        lost = CellStatus(state=outcome.state, cause=outcome.cause, attempts=status.attempts)
        with cell_held(one.folder) as ours:
            return write_status(one.folder, lost) if ours else lost
    if status.state not in {"running", "interrupted"}:
        return status
    return end(one.folder, outcome.state, cause=outcome.cause)


def _seen(path: Path) -> bool:
    deadline = time.monotonic() + VISIBLE_SECONDS
    while not path.is_file():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _interrupt(sent: Iterable[_Sent]) -> None:
    for one in sent:
        status = read_status(one.folder)
        if one.begun(status) and status.state in {"running", "interrupted"}:
            end(one.folder, "interrupted", cause="the run was interrupted; run again to go on")

"""Cells as tasks of a Ray cluster: ``gainbench[ray]``, ``run --executor ray``.

A task holds the CPUs and GPUs that it asked for while its cell runs in a child process. Ray never repeats a task: what
died with its worker or node is a status, and the next run's to try again.
"""

import importlib.util
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gainbench.errors import RunError
from gainbench.run.executors import Execution, Watch
from gainbench.run.executors.local import GRACE_SECONDS
from gainbench.run.executors.remote import Lost, Order, carry_out, follow, own_variables
from gainbench.run.sharing import check_gpus, threads_of_each
from gainbench.run.signals import signals_interrupt
from gainbench.run.status import CellStatus
from gainbench.spec import CellSpec

POLL_SECONDS = 1.0

HOMELESS_SECONDS = 60.0
"""How long cells wait for a node with room for one after the last such node was lost."""


class RayExecutor:
    """Runs every cell as a Ray task.

    Args:
        address: of a running cluster, as ``ray.init`` takes it; None is what ``RAY_ADDRESS`` says, else the cluster
            that this machine belongs to, else a cluster of this machine alone for as long as the run lasts.
        cpus: CPUs that a cell holds, and torch threads it gets (at least one), divided among the processes that share
            its training; fractions let cells share.
        gpus: GPUs that a cell holds; fractions below 1 let cells share one. None is one where the cluster has
            any, or one for each of the processes that share a training.

    Raises:
        RunError: Ray is not installed, or amounts that it cannot hand out.
    """

    def __init__(self, *, address: str | None = None, cpus: float = 1.0, gpus: float | None = None) -> None:
        if importlib.util.find_spec("ray") is None:
            raise RunError("Ray is not installed; pip install 'gainbench[ray]' here and on every node of the cluster")
        if (address or os.environ.get("RAY_ADDRESS", "")).startswith("ray://"):
            raise RunError(
                "a run must see the folder that the nodes write to: start it on a node of the cluster, with "
                "--ray-address HOST:PORT or none at all, not through a client's ray:// address"
            )
        if cpus <= 0:
            raise RunError(f"{cpus:g} CPUs a cell: expected a positive number, such as 0.5 or 4")
        if gpus is not None and (gpus < 0 or (gpus > 1 and gpus != int(gpus))):
            raise RunError(f"{gpus:g} GPUs a cell: Ray gives a fraction of one, such as 0.5, or whole ones")
        self._address, self._cpus, self._gpus = address, cpus, gpus
        self._at_once: int | None = None

    @contextmanager
    def opened(self, execution: Execution, *, jobs: int | None, cells: int) -> Iterator[Execution]:
        """Connect; see :meth:`gainbench.run.executors.Executor.opened`.

        Raises:
            RunError: no cluster answers, none of its nodes has room for a cell even when it is idle, or a cell holds
                less than its processes need.
        """
        threads = threads_of_each(self._cpus, execution.devices_per_cell)
        # Ray replaces the handler of SIGTERM when it connects; leaving this block brings back what was there before.
        with signals_interrupt(), _connected(self._address):
            cluster = self._cluster(execution)
            check_gpus(cluster.gpus, execution.devices_per_cell)
            if not (room := cluster.room()):
                raise RunError(cluster.homeless())
            self._at_once = jobs
            # What was promised no GPU must not find one by itself.
            unseen = {} if cluster.gpus else {"CUDA_VISIBLE_DEVICES": ""}
            yield replace(
                execution,
                jobs=min(jobs or room, room, cells),
                threads=threads,
                devices=(),
                environment=own_variables() | unseen,
            )

    def execute(self, specs: Sequence[CellSpec], root: Path, execution: Execution, watch: Watch) -> list[CellStatus]:
        """Run the cells, within ``opened``; see :class:`gainbench.run.executors.Executor`."""
        return follow(self._cluster(execution), specs, root, execution, watch, at_once=self._at_once)

    def _cluster(self, execution: Execution) -> "_RayCluster":
        gpus = self._gpus
        if gpus is None:
            gpus = float(execution.devices_per_cell * any(node.get("GPU") for node in _nodes()))
        return _RayCluster(self._cpus, gpus)


class _RayCluster:
    """Orders as Ray tasks; a ticket is the reference to what a task returns."""

    def __init__(self, cpus: float, gpus: float) -> None:
        import ray  # noqa: PLC0415 - an extra

        self.cpus, self.gpus = cpus, gpus
        self._task = ray.remote(carry_out)
        self._housed = time.monotonic()

    def room(self) -> int:
        """How many cells the nodes that are alive hold at a time."""
        return sum(self._room_of(node) for node in _nodes())

    def _room_of(self, node: dict[str, float]) -> int:
        room = node.get("CPU", 0.0) // self.cpus
        if self.gpus >= 1:
            room = min(room, node.get("GPU", 0.0) // self.gpus)
        elif self.gpus:
            # A share is of one device: what is left over of two does not make a third.
            room = min(room, node.get("GPU", 0.0) * (1 // self.gpus))
        return int(room)

    def homeless(self) -> str:
        """Why no cell can run."""
        nodes = [f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in _nodes()]
        return (
            f"no node of the Ray cluster has the {self.cpus:g} CPUs and {self.gpus:g} GPUs that a cell asks for (they "
            f"have {', '.join(nodes) or 'gone'}); ask for less with --cpus-per-cell and --gpus-per-cell, or add a node"
        )

    def submit(self, order: Order) -> Any:
        """See :class:`gainbench.run.executors.remote.Cluster`, as for the others."""
        options = self._task.options(
            name=order.spec.folder_name, num_cpus=self.cpus, num_gpus=self.gpus, max_retries=0, retry_exceptions=False
        )
        return options.remote(order)

    def ended(self, tickets: Sequence[Any]) -> Sequence[Any]:
        """Also gives up cells for which there has been no node for a while: Ray would keep them for ever."""
        import ray  # noqa: PLC0415

        if self.room():
            self._housed = time.monotonic()
        elif time.monotonic() - self._housed > HOMELESS_SECONDS:
            self.cancel(tickets)
        ended: list[Any]
        ended, _ = ray.wait([*tickets], num_returns=1, timeout=POLL_SECONDS)
        return ended

    def outcome(self, ticket: Any) -> CellStatus | Lost:
        """A worker or node that died took its cell with it."""
        import ray  # noqa: PLC0415

        try:
            outcome: CellStatus | Lost = ray.get(ticket)
        except ray.exceptions.TaskCancelledError:
            if not self.room():
                return Lost("interrupted", self.homeless())
            return Lost("killed", "the Ray worker that ran it was told to stop; run again to go on")
        except ray.exceptions.RayError as error:
            first = str(error).strip().partition("\n")[0]
            return Lost("killed", f"its Ray worker or node died ({type(error).__name__}: {first}); run again to go on")
        return outcome

    def cancel(self, tickets: Sequence[Any]) -> None:
        """A task that is told to stop ends its cell as an interrupted local run does; one that does not is killed."""
        import ray  # noqa: PLC0415

        if not tickets:
            return
        for ticket in tickets:
            ray.cancel(ticket, force=False)
        _, left = ray.wait([*tickets], num_returns=len(tickets), timeout=2 * GRACE_SECONDS)
        for ticket in left:
            ray.cancel(ticket, force=True)


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    # A benchmark reports to nobody; whoever runs the cluster may have decided otherwise.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray  # noqa: PLC0415

    if ray.is_initialized():
        yield
        return
    try:
        ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise RunError(f"no Ray cluster answers at {address or 'its usual place'}: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _nodes() -> list[dict[str, float]]:
    """What each node that is alive has to hand out, taken or not."""
    import ray  # noqa: PLC0415

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]

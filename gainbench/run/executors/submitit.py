"""Cells as jobs of a Slurm cluster: ``gainbench[slurm]``, ``run --executor submitit``.

One job a cell, submitted by the library submitit from a login node. A job that is preempted goes back to Slurm's queue
and on from its cell's checkpoint; every other end is a status, and the next run's to try again.
"""

import importlib.util
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gainbench.errors import RunError
from gainbench.run.executors import Execution, Watch
from gainbench.run.executors.local import GRACE_SECONDS
from gainbench.run.executors.remote import Lost, Order, carry_out, follow, own_variables
from gainbench.run.sharing import check_gpus, threads_of_each
from gainbench.run.status import CellStatus
from gainbench.spec import CellSpec

POLL_SECONDS = 1.0

MINUTES = 24 * 60
"""Time of a job for which none was asked; a cell that needs longer goes on in the next run."""

JOBS = "jobs"
"""Where submitit keeps a job's script, logs and return value, in the results root: nodes have to see it."""


class SubmititExecutor:
    """Runs every cell as a job.

    Args:
        cluster: ``slurm``, or ``local`` for jobs that are processes of this machine, all at once.
        options: of ``sbatch``, without dashes, such as ``partition``, ``account`` and ``time``, which is in minutes.
        cpus: CPUs of a job, and torch threads of its cell, divided among the processes that share its training.
        gpus: GPUs of a job.

    Raises:
        RunError: submitit is not installed, or amounts that Slurm cannot hand out.
    """

    def __init__(
        self,
        *,
        cluster: str = "slurm",
        options: Mapping[str, str] | None = None,
        cpus: float = 1.0,
        gpus: float | None = None,
    ) -> None:
        if importlib.util.find_spec("submitit") is None:
            raise RunError("submitit is not installed; pip install 'gainbench[slurm]'")
        for amount, what, least in ((cpus, "CPUs", 1), (gpus or 0, "GPUs", 0)):
            if amount < least or amount != int(amount):
                raise RunError(f"{amount:g} {what} a cell: Slurm gives whole ones, {least} or more")
        self._options = dict(options or {})
        time_asked = self._options.pop("time", str(MINUTES))
        if not time_asked.isdecimal():
            raise RunError(f"time={time_asked}: expected minutes, such as {MINUTES}")
        self._cluster_name, self._minutes, self._cpus, self._gpus = cluster, int(time_asked), int(cpus), int(gpus or 0)
        self._at_once: int | None = None

    @contextmanager
    def opened(self, execution: Execution, *, jobs: int | None, cells: int) -> Iterator[Execution]:
        """See :meth:`gainbench.run.executors.Executor.opened`; nothing is held, jobs find their way by the root.

        Raises:
            RunError: a job has less than its cell's processes need.
        """
        check_gpus(self._gpus, execution.devices_per_cell)
        threads = threads_of_each(self._cpus, execution.devices_per_cell)
        self._at_once = jobs
        yield replace(
            execution, jobs=min(jobs or cells, cells), threads=threads, devices=(), environment=own_variables()
        )

    def execute(self, specs: Sequence[CellSpec], root: Path, execution: Execution, watch: Watch) -> list[CellStatus]:
        """Run the cells, within ``opened``; see :class:`gainbench.run.executors.Executor`.

        Raises:
            RunError: Slurm is not there, or does not take a job.
        """
        return follow(self._cluster(root), specs, root, execution, watch, at_once=self._at_once)

    def _cluster(self, root: Path) -> "_JobQueue":
        import submitit  # noqa: PLC0415 - an extra

        try:
            queue = submitit.AutoExecutor(root / JOBS / "%j", cluster=self._cluster_name)
            known = submitit.SlurmExecutor._valid_parameters()  # noqa: SLF001 - the one way to tell them apart
            queue.update_parameters(
                timeout_min=self._minutes,
                cpus_per_task=self._cpus,
                gpus_per_node=self._gpus,
                **{f"slurm_{name}": value for name, value in self._options.items() if name in known},
                slurm_additional_parameters={name: value for name, value in self._options.items() if name not in known},
            )
        except (RuntimeError, ValueError, AssertionError, NameError) as error:
            raise RunError(f"submitit cannot use {self._cluster_name}: {error}") from error
        return _JobQueue(queue)


class _JobQueue:
    """Orders as jobs, which are the tickets."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def submit(self, order: Order) -> Any:
        """See :class:`gainbench.run.executors.remote.Cluster`, as for the others."""
        import submitit  # noqa: PLC0415

        self._queue.update_parameters(name=order.spec.method.name)
        try:
            return self._queue.submit(carry_out, order)
        except (OSError, submitit.core.utils.FailedJobError) as error:
            raise RunError(f"the cluster did not take a job: {error}") from error

    def ended(self, tickets: Sequence[Any]) -> Sequence[Any]:
        """Slurm itself is asked about once a minute: a job that ends well is known by the file it leaves."""
        if not (ended := [job for job in tickets if job.done()]):
            time.sleep(POLL_SECONDS)
        return ended

    def outcome(self, ticket: Any) -> CellStatus | Lost:
        """A job without a result was ended by someone: its time, its node, its owner."""
        import submitit  # noqa: PLC0415

        try:
            outcome: CellStatus | Lost = ticket.result()
        except (submitit.core.utils.UncompletedJobError, submitit.core.utils.FailedJobError) as error:
            state = ticket.state
            if "TIMEOUT" in state or "timed-out" in str(error):
                return Lost("timeout", "its job reached its time limit; run again to go on from the checkpoint")
            return Lost(
                "killed", f"its job {ticket.job_id} ended without a result ({state}), see {ticket.paths.stderr}"
            )
        return outcome

    def cancel(self, tickets: Sequence[Any]) -> None:
        """Slurm gives a cancelled job half a minute by default, a cell needs a few seconds of it."""
        for job in tickets:
            job.cancel(check=False)
        deadline = time.monotonic() + 2 * GRACE_SECONDS
        while time.monotonic() < deadline and not all(job.done(force_check=False) for job in tickets):
            time.sleep(0.2)

"""Cells one after the other in this process: breakpoints work, and a crash takes everything with it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from gainbench.errors import RunError
from gainbench.run.executors import Execution, Watch, kept_settings
from gainbench.run.layout import cell_folder
from gainbench.run.sharing import check_gpus
from gainbench.run.status import CellStatus, read_status
from gainbench.spec import CellSpec


class InProcessExecutor:
    """The debug executor: no isolation, no timeout, one cell at a time."""

    def opened(self, execution: Execution, *, jobs: int | None, cells: int) -> AbstractContextManager[Execution]:  # noqa: ARG002
        """Nothing has to be held: the execution fits this machine already.

        Raises:
            RunError: a cell is to have more processes than there are GPUs.
        """
        check_gpus(len(execution.devices), execution.devices_per_cell)
        return nullcontext(execution)

    def execute(self, specs: Sequence[CellSpec], root: Path, execution: Execution, watch: Watch) -> list[CellStatus]:
        """Run the cells; see :class:`gainbench.run.executors.Executor`.

        Raises:
            RunError: a limit on time or memory was asked for, which only a process of its own can keep.
        """
        if execution.timeout is not None or execution.memory_limit is not None:
            raise RunError("the in_process executor cannot stop a cell that takes too long or too much; use local")
        return [self._one(spec, root, execution, watch) for spec in specs]

    def _one(self, spec: CellSpec, root: Path, execution: Execution, watch: Watch) -> CellStatus:
        from gainbench.run.attempt import attempt  # noqa: PLC0415 - a plan need not wait for what only cells use

        threads, precision = kept_settings(root, spec, execution)
        status = attempt(
            spec,
            root,
            threads=threads,
            devices=execution.devices_per_cell,
            precision=precision,
            checkpoint_seconds=execution.checkpoint_seconds,
            progress=lambda progress: watch(spec, read_status(cell_folder(root, spec)), progress),
        )
        watch(spec, status, None)
        return status

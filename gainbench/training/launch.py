"""Starts the processes that share a training, and ends all of them when one ends badly; both sides of that.

The starting process serves the key-value store through which the others find each other, as torchrun's agent does:
there is no port to guess, and what a process has to tell arrives even if the process group is broken.
"""

import contextlib
import json
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence

import psutil
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from gainbench import errors
from gainbench.errors import GainbenchError, KilledError, TrainingError
from gainbench.training.devices import Devices, join_devices, leave_devices

logger = logging.getLogger(__name__)

LOCALHOST = "127.0.0.1"
POLL_SECONDS = 0.1
PROGRESS, FAILURES = "gainbench/progress", "gainbench/failures"
MESSAGE_LENGTH = 4000

Tell = Callable[[int, int], None]
"""``tell(done, total)``: iterations."""


def run_processes(command: Sequence[str], *, count: int, threads: int, progress: Tell | None = None) -> None:
    """Run a command in ``count`` processes that form one group, until all have ended well.

    Each must call :func:`serve`. Their output goes where this process's goes; their standard input is a pipe that
    closes when this process ends, however it ends.

    Args:
        command: program and arguments, the same for all.
        count: how many.
        threads: torch threads of each on the CPU.
        progress: told what the main process tells.

    Raises:
        KilledError: one was ended by a signal.
        GainbenchError: what the first that failed raised, of the same type; TrainingError if that was none of ours.
            Whatever is raised, none of the processes is left.
    """
    store = TCPStore(LOCALHOST, 0, is_master=True, wait_for_workers=False)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(count):
            environment = _environment(rank, count=count, port=store.port, threads=threads)
            processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, env=environment))  # noqa: S603 - our own
        told = b""
        while any(process.poll() is None for process in processes):
            _raise_failure(processes, store)
            if progress is not None and store.check([PROGRESS]) and (found := store.get(PROGRESS)) != told:
                told = found
                progress(*json.loads(told))
            time.sleep(POLL_SECONDS)
        _raise_failure(processes, store)
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
            if process.stdin is not None:
                process.stdin.close()


def serve(work: Callable[[Devices, Tell], None], *, cpu: bool) -> None:
    """One process of :func:`run_processes`: join the others, do ``work``, leave. An exception is told, then raised.

    Args:
        work: called with the processes and what tells the starting process of progress.
        cpu: compute on the CPU, through gloo; else on a GPU each, through nccl.
    """
    store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
    with _failures_told(store):
        devices = join_devices(cpu=cpu)

        def tell(done: int, total: int) -> None:
            if devices.main:
                store.set(PROGRESS, json.dumps([done, total]))

        work(devices, tell)
        leave_devices()


@contextlib.contextmanager
def _failures_told(store: TCPStore) -> Iterator[None]:
    """Tell before anything is closed: the others fail of that in their turn, and the first cause is the one to know."""
    try:
        yield
    except BaseException as error:
        logger.exception("process %s of a training failed", os.environ["RANK"])
        known = type(error).__name__ if isinstance(error, GainbenchError) else None
        message = str(error) if known else f"{type(error).__name__}: {error}"
        number = store.add(FAILURES, 1)
        record = {"rank": os.environ["RANK"], "type": known, "message": message[:MESSAGE_LENGTH]}
        store.set(f"{FAILURES}/{number}", json.dumps(record))
        raise


def _raise_failure(processes: Sequence[subprocess.Popen[bytes]], store: TCPStore) -> None:
    # In this order: what is told may be that another process, killed just before, is gone.
    first = f"{FAILURES}/1"
    told = store.check([first])
    ended = [(rank, process.returncode) for rank, process in enumerate(processes) if process.poll()]
    if not ended and not told:
        return
    count = len(processes)
    for rank, code in ended:
        if code < 0:
            name = signal.Signals(-code).name
            hint = "; if nobody did, the system may have run out of memory" if name == "SIGKILL" else ""
            raise KilledError(f"its process {rank + 1} of {count} was ended by {name}{hint}", name)
    if not told:
        rank, code = ended[0]
        raise TrainingError(f"its process {rank + 1} of {count} ended with code {code} and without a word; see the log")
    failure = json.loads(store.get(first))
    kind = getattr(errors, failure["type"] or "", TrainingError)
    raise kind(f"process {int(failure['rank']) + 1} of {count}: {failure['message']}")


def _environment(rank: int, *, count: int, port: int, threads: int) -> dict[str, str]:
    # What a user's shell says to accelerate is meant for another program.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ACCELERATE_")}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    environment |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "PYTHONUNBUFFERED": "1"}
    environment |= dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(count))
    environment |= {"MASTER_ADDR": LOCALHOST, "MASTER_PORT": str(port)}
    # The store is served from here; torch asks for all three.
    environment |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0"}
    environment["TORCHELASTIC_MAX_RESTARTS"] = "0"
    if (loopback := _loopback()) is not None:
        # Else gloo asks the network for this machine's name, which needs not have an answer.
        environment.setdefault("GLOO_SOCKET_IFNAME", loopback)
    return environment


def _loopback() -> str | None:
    for name, addresses in psutil.net_if_addrs().items():
        if any(address.address == LOCALHOST for address in addresses):
            return str(name)
    return None

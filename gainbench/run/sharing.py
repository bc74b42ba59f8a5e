"""What ``--devices N`` asks for: batches that N divides, accelerate, and a GPU for every process or for none."""

import importlib.util

from gainbench.errors import RunError
from gainbench.spec import Scale


def check_shareable(scale: Scale, devices: int) -> None:
    """Whether so many processes can share a training of this scale.

    Raises:
        RunError: they cannot share a batch equally, or accelerate is not installed; the message says what would do.
    """
    if scale.batch % devices:
        fitting = ", ".join(str(count) for count in range(1, scale.batch + 1) if scale.batch % count == 0)
        raise RunError(
            f"--devices {devices}: {devices} devices cannot share the batches of {scale.batch} pictures of scale "
            f"{scale.name} equally; possible are {fitting}"
        )
    if devices > 1 and importlib.util.find_spec("accelerate") is None:
        raise RunError(
            f"--devices {devices}: accelerate is not installed; pip install 'gainbench[accelerate]' wherever cells run"
        )


def check_gpus(found: float, devices: int) -> None:
    """Whether each of a cell's processes has a GPU of its own, or all do without.

    Args:
        found: GPUs that the cell sees.
        devices: its processes.

    Raises:
        RunError: there are some, and fewer than processes.
    """
    if devices > 1 and 0 < found < devices:
        raise RunError(
            f"--devices {devices}: each process needs a GPU of its own, and a cell has {found:g}; take fewer devices, "
            "give a cell more (--gpus-per-cell on a cluster), or none to share cores (CUDA_VISIBLE_DEVICES='' here)"
        )


def threads_of_each(cpus: float, devices: int) -> int:
    """Torch threads of each of a cell's processes where the cell holds so many CPUs.

    Raises:
        RunError: there are fewer CPUs than processes.
    """
    if devices > 1 and cpus < devices:
        raise RunError(
            f"--devices {devices}: a cell has {cpus:g} CPUs, fewer than processes; --cpus-per-cell {devices}"
        )
    return max(1, int(cpus) // devices)

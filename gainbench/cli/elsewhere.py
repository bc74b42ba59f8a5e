"""Where ``run`` has its cells run: the options, and the executor that they describe."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from gainbench.errors import SpecError
from gainbench.options import one_of

if TYPE_CHECKING:
    from gainbench.run.executors import Executor


class Place(StrEnum):
    """Who runs cells."""

    local = "local"
    ray = "ray"
    submitit = "submitit"


class Cluster(StrEnum):
    """Where submitit sends jobs."""

    slurm = "slurm"
    local = "local"


ExecutorOption = Annotated[
    Place,
    typer.Option(help="who runs cells: processes here, a Ray cluster, Slurm", **one_of(Place, "--executor")),
]
AddressOption = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="ray: its head; default the cluster this machine is in, or alone"),
]
CpusOption = Annotated[
    float | None, typer.Option(help="ray (fractions, too), submitit: CPUs of a cell, and its threads; default 1")
]
GpusOption = Annotated[
    float | None,
    typer.Option(help="ray (fractions, too), submitit: GPUs of a cell; default 1 if Ray has any, none from Slurm"),
]
SlurmOption = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="submitit: an option of sbatch; time in minutes, default 1440"),
]
ClusterOption = Annotated[
    Cluster | None,
    typer.Option(
        help="submitit: slurm, or local to try it on this machine; default slurm", **one_of(Cluster, "--cluster")
    ),
]


def chosen_executor(
    place: Place,
    *,
    ray_address: str | None,
    cluster: Cluster | None,
    slurm: list[str] | None,
    cpus: float | None,
    gpus: float | None,
) -> "Executor":
    """The executor that the options describe.

    Raises:
        SpecError: an option of another executor, or one that cannot be read.
        RunError: an extra is not installed, or amounts that cannot be had.
    """
    given = {
        "--ray-address": (ray_address, {Place.ray}),
        "--cluster": (cluster, {Place.submitit}),
        "--slurm": (slurm or None, {Place.submitit}),
        "--cpus-per-cell": (cpus, {Place.ray, Place.submitit}),
        "--gpus-per-cell": (gpus, {Place.ray, Place.submitit}),
    }
    if foreign := [name for name, (value, places) in given.items() if value is not None and place not in places]:
        raise SpecError(f"{foreign[0]} says nothing to --executor {place}; leave it out, or choose another executor")
    cpus = 1.0 if cpus is None else cpus
    if place == Place.ray:
        from gainbench.run.executors.ray import RayExecutor

        return RayExecutor(address=ray_address, cpus=cpus, gpus=gpus)
    if place == Place.submitit:
        from gainbench.run.executors.submitit import SubmititExecutor

        return SubmititExecutor(cluster=cluster or Cluster.slurm, options=_pairs(slurm), cpus=cpus, gpus=gpus)
    from gainbench.run.executors.local import LocalExecutor

    return LocalExecutor()


def _pairs(texts: list[str] | None) -> dict[str, str]:
    pairs = {}
    for text in texts or ():
        key, equals, value = text.lstrip("-").partition("=")
        if not (key and equals):
            raise SpecError(f"--slurm {text!r} is not KEY=VALUE, as in --slurm partition=gpu")
        pairs[key] = value
    return pairs

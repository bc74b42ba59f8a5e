"""Measure every trained method at scale `full` on the machine at hand, and keep the figures that pages quote.

``python docs/full_scale.py measure [METHOD ...]`` runs each method in a process of its own, one after the other: one
evaluation batch, one training iteration of every stage, batch 1. It notes what they took in ``docs/full_scale.json``;
``table`` prints the note as Markdown, and ``docs/full_run.py`` plans with it.
"""

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

NOTE = Path(__file__).parent / "full_scale.json"
SCALE, BATCH = "full", 1
DATASET = "photos-230"
METRICS = ("l1_mean", "psnr_rgb", "ssim_rgb_g11", "lpips_alex")

NARROW = 32
"""Width of GAIN in the run that ``docs/full_run.py`` plans: half of scale `full`'s."""


def labels() -> list[str]:
    """Every trained method at its published width, and GAIN at the narrower one with each guidance."""
    from gainbench.methods import TrainableInpainter  # noqa: PLC0415 - `table` needs no torch
    from gainbench.registry import installed_methods  # noqa: PLC0415 - the same

    trained = [
        name
        for name, entry in installed_methods().items()
        if entry.method is not None and issubclass(entry.method, TrainableInpainter)
    ]
    narrow = [f"gain[base={NARROW}]", *(f"gain[base={NARROW},guidance={name}]" for name in ("canny", "hed", "none"))]
    return ["gain", "gain[guidance=none]", *(name for name in trained if name != "gain"), *narrow]


def measure(wanted: Sequence[str], path: Path) -> None:
    """Measure methods one after the other, each in a fresh process, and renew their lines of the note."""
    for label in wanted or labels():
        say(f"{label} ...")
        command = [sys.executable, __file__, "one", label]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - this very script
        note = read_note(path) | {label: json.loads(done.stdout.splitlines()[-1])}
        order = [name for name in labels() if name in note]
        path.write_text(json.dumps({name: note[name] for name in order}, indent=1) + "\n", encoding="utf-8")
        say(row(label, note[label]))


def read_note(path: Path = NOTE) -> dict[str, dict[str, Any]]:
    """What was measured, by method."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def measured(label: str) -> dict[str, Any]:
    """Measure one method in this process, which must do nothing else: peak memory is the process's."""
    import torch  # noqa: PLC0415 - `table` needs no torch

    from gainbench.data import open_dataset  # noqa: PLC0415 - the same
    from gainbench.evaluation import count_cost, evaluate_method  # noqa: PLC0415 - the same
    from gainbench.masks import build_pairing, open_protocol  # noqa: PLC0415 - the same
    from gainbench.registry import build_method  # noqa: PLC0415 - the same
    from gainbench.run.environment import describe_environment  # noqa: PLC0415 - the same
    from gainbench.spec import BINS, MaskSpec, MethodSpec, scales  # noqa: PLC0415 - the same
    from gainbench.training import resolve_precision  # noqa: PLC0415 - the same

    device = torch.device("cpu")
    precision = resolve_precision("auto", device)
    scale = scales()[SCALE].model_copy(update={"batch": BATCH})
    method = build_method(MethodSpec.parse(label), scale)
    built = _peak_mib()
    dataset, protocol = open_dataset(DATASET), open_protocol(MaskSpec(bins=BINS[2:3]))
    tested = dataset.pictures("test", scale.size, 1)
    begun, used = time.monotonic(), time.process_time()
    evaluation = evaluate_method(
        method,
        tested,
        build_pairing(protocol, tested.ids, size=scale.size),
        metrics=METRICS,
        batch=BATCH,
        device=device,
        precision=precision,
    )
    record = {
        "revision": method.revision,
        "evaluation_seconds": round(time.monotonic() - begun, 2),
        "evaluation_processor_seconds": round(time.process_time() - used, 2),
        "evaluation_mib": round(_peak_mib()),
        "metrics": {name: float(evaluation.rows[name].iloc[0]) for name in METRICS},
        **count_cost(method, scale.size),
        "all_parameters": sum(parameter.numel() for parameter in method.parameters()),
        "state_bytes": sum(tensor.nbytes for tensor in method.state_dict().values()),
    }
    stages = list(_trained_stages(method, dataset, protocol, precision))
    environment = describe_environment(device=device, precision=precision)
    return record | {
        "built_mib": round(built),
        "stages": stages,
        "training_mib": round(_peak_mib()),
        "precision": precision,
        "threads": torch.get_num_threads(),
        "processor": environment["processor"],
        "cores": environment["cores"],
        "memory_gb": environment["memory_gb"],
        "torch": environment["packages"]["torch"],
        "date": time.strftime("%Y-%m-%d"),
    }


def _trained_stages(method: Any, dataset: Any, protocol: Any, precision: Any) -> Iterator[dict[str, Any]]:
    """One iteration of the training loop for the phases of each window, as a whole training would come to them."""
    import torch  # noqa: PLC0415 - `table` needs no torch
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415 - the same

    from gainbench.data import training_batches  # noqa: PLC0415 - the same
    from gainbench.training import train  # noqa: PLC0415 - the same

    def stop_after_one(*_progress: object) -> None:
        raise _Enough

    size = method.scale.size
    pictures = dataset.pictures("train", size)
    phases = method.phases()
    for window in sorted({phase.window for phase in phases}):
        active = [replace(phase, window=(0.0, 1.0)) for phase in phases if phase.window == window]
        method.phases = lambda active=active: active
        counter, begun, used = FlopCounterMode(display=False), time.monotonic(), time.process_time()
        with tempfile.TemporaryDirectory() as scratch, contextlib.suppress(_Enough), counter:
            train(
                method,
                lambda start, stop: training_batches(
                    pictures,
                    lambda sample: protocol.training_known(0, sample, size),
                    seed=0,
                    batch=BATCH,
                    start=start,
                    stop=stop,
                ),
                # Of two only the first is done: the last one of a training writes a checkpoint, which is not timed.
                iterations=2,
                seed=0,
                folder=Path(scratch),
                device=torch.device("cpu"),
                precision=precision,
                schedule=method.scale.schedule,
                checkpoint_seconds=1e9,
                progress=stop_after_one,
            )
        yield {
            "phases": [phase.name for phase in active],
            "window": window,
            "seconds": round(time.monotonic() - begun, 2),
            "processor_seconds": round(time.process_time() - used, 2),
            "flops": counter.get_total_flops(),
        }


class _Enough(Exception):  # noqa: N818 - no error: one iteration was asked for
    """Ends a training after its first iteration."""


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


HEADER = (
    "| method | parameters | MACs a picture | FLOPs an iteration | training: s, MiB | evaluation: s, MiB |",
    "| --- | ---: | ---: | ---: | ---: | ---: |",
)


def row(label: str, one: dict[str, Any]) -> str:
    """A method's line of the table; stages side by side."""
    seconds = " + ".join(f"{stage['processor_seconds']:.1f}" for stage in one["stages"])
    flops = ", ".join(f"{stage['flops'] / 1e9:,.0f} G" for stage in one["stages"])
    return (
        f"| `{label}` | {one['parameters'] / 1e6:,.1f} M | {one['macs'] / 1e9:,.1f} G | {flops} "
        f"| {seconds}, {one['training_mib']:,} | {one['evaluation_processor_seconds']:.1f}, {one['evaluation_mib']:,} |"
    )


def table(note: dict[str, dict[str, Any]]) -> str:
    """The note as Markdown, with the machines and days that it is from."""
    machines: dict[str, list[str]] = {}
    for label, one in note.items():
        machine = (
            f"{one['date']}, {one['processor']}, {one['cores']} cores, {one['memory_gb']} GB, "
            f"torch threads: {one['threads']}, torch {one['torch']}, {one['precision']}"
        )
        machines.setdefault(machine, []).append(f"`{label}`")
    if len(machines) == 1:
        told = [f"Measured: {machine}." for machine in machines]
    else:
        told = [f"Measured: {machine}: {', '.join(names)}." for machine, names in machines.items()]
    return "\n".join([*HEADER, *(row(label, one) for label, one in note.items()), "", *told]) + "\n"


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, or print what was measured."""
    parser = argparse.ArgumentParser(description="what every trained method takes at scale full")
    parser.add_argument("what", choices=("measure", "one", "table"))
    parser.add_argument("methods", nargs="*", help="default: all")
    parser.add_argument("--note", type=Path, default=NOTE, help="where the figures are kept")
    given = parser.parse_args(arguments)
    if given.what == "measure":
        measure(given.methods, given.note)
    elif given.what == "one":
        say(json.dumps(measured(*given.methods)))
    else:
        sys.stdout.write(table(read_note(given.note)))


if __name__ == "__main__":
    main()

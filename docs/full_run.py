"""Plan the paper's run in full, from what ``docs/full_scale.json`` holds: GPU hours, disk, reading.

``python docs/full_run.py suite`` prints the suite, ``hours`` what its training and evaluation take, ``disk`` what its
cells keep. FLOPs and bytes are measured or counted; the speed and the use of a GPU are assumptions, and said to be.
"""

import sys
from collections.abc import Callable
from typing import Any

import yaml
from full_scale import read_note

METHODS = (
    "gain[base=32]",
    "gain[base=32,guidance=canny]",
    "gain[base=32,guidance=hed]",
    "gain[base=32,guidance=none]",
    "partial_conv",
    "gated_conv",
    "edge_canny",
    "edge_hed",
)
DATASETS = {"celeba-hq": 2_000, "places2": 36_500}
"""Data set -> test pictures: CelebA-HQ's usual split, Places365-Standard's validation pictures."""

SEEDS = (0, 1, 2)
BATCH, ITERATIONS = 8, 1_000_000
HOLES = 6
"""Holes of each test picture: one of every bin."""

PEAK = 312e12
"""FLOP a second: what its maker's data sheet gives for an A100 in bfloat16, dense."""

UTILISATION = 0.3
"""Share of the peak that a training reaches: assumed, not measured. Convolutions in bfloat16 reach .2 to .5."""

FEATURES = 1280 * 4
"""Bytes of a row's MobileNetV2 features before they are packed; Inception's, where its weights are given, 2048 * 4."""

Note = dict[str, Any]


def iteration_flops(one: Note) -> float:
    """FLOPs of one iteration of a whole batch: the stages of a training, weighted by their share of it."""
    return BATCH * sum(stage["flops"] * (stage["window"][1] - stage["window"][0]) for stage in one["stages"])


def training_hours(one: Note) -> float:
    """GPU hours of one cell's training."""
    return ITERATIONS * iteration_flops(one) / (PEAK * UTILISATION) / 3600


def evaluation_hours(one: Note, pictures: int) -> float:
    """GPU hours of filling every hole once; the metrics' own networks are not counted."""
    return pictures * HOLES * 2 * one["macs"] / (PEAK * UTILISATION) / 3600


def checkpoint_bytes(one: Note) -> int:
    """Weights and buffers, and Adam's two moments of every parameter, in float32."""
    return one["state_bytes"] + 8 * one["all_parameters"]


def suite(_note: dict[str, Note]) -> str:
    """The suite as a file."""
    written = {
        "name": "full_run",
        "question": "What should guide a network that fills irregular holes?",
        "datasets": [*DATASETS],
        "methods": [*METHODS, "telea", "navier_stokes"],
        "metrics": ["l1_mean", "l1_hole", "l1_rel", "psnr_rgb", "ssim_rgb_g11", "lpips_alex", "fd_mobilenetv2", "fid"],
        "seeds": [*SEEDS],
        "scale": "full",
    }
    return f"```yaml\n{yaml.safe_dump(written, sort_keys=False, width=110)}```\n"


def hours(note: dict[str, Note]) -> str:
    """What every method's cells take, and all together."""
    cells = len(DATASETS) * len(SEEDS)
    heading = (
        f"| method | FLOPs an iteration of batch {BATCH} | over 2 MACs a picture | GPU hours to train a cell "
        f"| to evaluate on {', '.join(DATASETS)} | all {cells} cells |"
    )
    lines = [heading, "| --- | ---: | ---: | ---: | ---: | ---: |"]
    total = 0.0
    for label in METHODS:
        one = note[label]
        evaluating = [evaluation_hours(one, pictures) for pictures in DATASETS.values()]
        whole = cells * training_hours(one) + len(SEEDS) * sum(evaluating)
        total += whole
        lines.append(
            f"| `{label}` | {iteration_flops(one) / 1e12:.2f} T | {iteration_flops(one) / BATCH / one['macs'] / 2:.2f} "
            f"| {training_hours(one):,.1f} | {', '.join(f'{value:.2f}' for value in evaluating)} | {whole:,.0f} |"
        )
    said = (
        f"All {cells * len(METHODS)} trained cells: {total:,.0f} GPU hours, {total / 24:,.0f} GPU days, at "
        f"{UTILISATION:.0%} of {PEAK / 1e12:.0f} TFLOP a second, the bfloat16 peak of an A100 in its maker's data "
        "sheet. That share is an assumption. Hours = 1,000,000 x FLOPs / (share x peak) / 3600, so a GPU of twice the "
        "peak, or twice the share, takes half; cost = hours x the price of a GPU hour. `gain` at the published base 64 "
        f"takes {training_hours(note['gain']):,.0f} hours a cell."
    )
    return "\n".join([*lines, "", said]) + "\n"


def disk(note: dict[str, Note]) -> str:
    """What a cell keeps, and how fast it reads."""
    lines = [
        "| method | weights | checkpoints while it trains | pictures read a second |",
        "| --- | ---: | ---: | ---: |",
    ]
    for label in METHODS:
        one = note[label]
        reading = BATCH * ITERATIONS / training_hours(one) / 3600
        # The new checkpoint is whole before the old one goes.
        lines.append(
            f"| `{label}` | {one['state_bytes'] / 1e9:.2f} GB | {2 * checkpoint_bytes(one) / 1e9:.1f} GB "
            f"| {reading:.0f} |"
        )
    cells = len(DATASETS) * len(SEEDS)
    weights = cells * sum(note[label]["state_bytes"] for label in METHODS)
    rows = {name: pictures * HOLES for name, pictures in DATASETS.items()}
    features = (len(METHODS) + 2) * len(SEEDS) * sum(rows.values()) * FEATURES
    said = (
        f"Kept in the end: {weights / 1e9:.0f} GB of weights, and at most {features / 1e9:.0f} GB of MobileNetV2 "
        f"features ({', '.join(f'{count:,} rows a cell on {name}' for name, count in rows.items())}; "
        f"{FEATURES:,} bytes a row before they are packed). Checkpoints go when a cell is done: what jobs that run at "
        "a time take of them must be free beside that."
    )
    return "\n".join([*lines, "", said]) + "\n"


PARTS: dict[str, Callable[[dict[str, Note]], str]] = {"suite": suite, "hours": hours, "disk": disk}

if __name__ == "__main__":
    if sys.argv[1:] not in [[part] for part in PARTS]:
        raise SystemExit(f"which part of the plan? one of {', '.join(PARTS)}")
    sys.stdout.write(PARTS[sys.argv[1]](read_note()))

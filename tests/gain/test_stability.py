"""Trainings of GAIN neither diverge nor die: several widths, with and without guidance, in both precisions."""

import os

import numpy as np
import pytest
import torch

from gainbench.data import open_dataset, training_batches
from gainbench.gain.method import GAIN, GAINParams
from gainbench.masks import open_protocol
from gainbench.spec import MaskSpec, scales
from gainbench.training import train
from gainbench.training.log import read_log

pytestmark = pytest.mark.slow

ITERATIONS = int(os.environ.get("GAINBENCH_STABILITY_ITERATIONS", "150"))
"""A training is at its most dangerous early, while its rate is highest; 2,000 are for a night."""

SIZE, BATCH = 32, 4


@pytest.fixture(scope="module")
def faces():
    return open_dataset("orl-400").pictures("train", SIZE)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("base", "guidance"), [(8, "gradient"), (8, "none"), (16, "gradient"), (32, "gradient")])
def test_a_training_neither_diverges_nor_dies(faces, tmp_path, base, guidance, precision):
    scale = scales()["tiny"].model_copy(update={"size": SIZE, "batch": BATCH, "iterations": ITERATIONS})
    torch.manual_seed(0)
    method = GAIN(GAINParams(base=base, guidance=guidance), scale)
    protocol = open_protocol(MaskSpec())

    def batches(start, stop):
        holes = lambda step: protocol.training_known(0, step, SIZE)  # noqa: E731
        return training_batches(faces, holes, seed=0, batch=BATCH, start=start, stop=stop)

    train(
        method,
        batches,
        iterations=ITERATIONS,
        seed=0,
        folder=tmp_path,
        device=torch.device("cpu"),
        precision=precision,
        schedule="linear",
    )
    log = read_log(tmp_path / "training.jsonl")
    assert all(np.isfinite(value) for record in log for value in record.values())
    assert min(record["generator/gradient_norm"] for record in log) > 0.0
    assert log[-1]["generator/l1_image"] < 0.5 * log[0]["generator/l1_image"]
    image, known = next(iter(batches(0, 1)))
    with torch.no_grad():
        filled = method.inpaint(image * known, known)
    # A dead output is the same for every picture, or out of range.
    assert filled.std(0).mean() > 0.3 * image.std(0).mean()
    assert ((filled > 0.0) & (filled < 1.0)).float().mean() > 0.8

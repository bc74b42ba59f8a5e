# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From a plugin to a table
#
# A method is one class in one file. This notebook writes such a file, holds it to its contract, trains and evaluates it
# beside another method on the same pictures and holes, and fills a picture with it.

# %%
import os
import tempfile
from pathlib import Path

import numpy as np
from IPython.display import Markdown
from PIL import Image

import gainbench

ROOT = Path(os.environ.get("GAINBENCH_ROOT", "../results/your-own-method"))
ITERATIONS = 20  # some thousands for a method that is meant

# %% [markdown]
# ## The method
#
# `image` is (B, 3, H, W) in [0, 1] and zero in the hole, `known` is (B, 1, H, W) with 1 for known pixels. Device,
# optimiser, seeds, checkpoints and metrics are the harness's.

# %%
PLUGIN = Path(tempfile.mkdtemp()) / "dilated.py"
PLUGIN.write_text('''
import torch
from torch import nn

from gainbench import Phase, TrainableInpainter


class Dilated(TrainableInpainter):
    """Six convolutions whose field of view doubles."""

    name = "dilated"

    def __init__(self, params, scale):
        super().__init__(params, scale)
        widths = [4, 16, 16, 16, 16, 16]
        layers = [nn.Conv2d(i, 16, 3, padding=2**d, dilation=2**d) for d, i in enumerate(widths)]
        self.net = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())), nn.Conv2d(16, 3, 1))

    def inpaint(self, image, known):
        return self.net(torch.cat([image * known, known], 1)).sigmoid()

    def loss(self, batch, step):
        return {"l1": (self.inpaint(batch.visible, batch.known) - batch.image).abs().mean()}

    def phases(self):
        return [Phase("network", [self.net], self.loss, lr=2e-3)]
''')

# %%
for verdict in gainbench.check(PLUGIN):
    print("passed" if verdict.passed else "FAILED", "-", verdict.behaviour, "-", verdict.detail)

# %%
suite = gainbench.load_suite("smoke").model_copy(update={"metrics": ("l1_hole", "psnr_rgb", "ssim_rgb_g11")})
run = gainbench.run_suite(suite, root=ROOT, plugin=PLUGIN, methods=["dilated", "telea"], iterations=ITERATIONS)
print([status.state for status in run.statuses])

# %%
stored = gainbench.read_results(ROOT, "smoke-tiny")
files = gainbench.report(stored, stored.folder)
Markdown(next(path for path in files.tables if path.suffix == ".md").read_text(encoding="utf-8").split("\n## ")[1])

# %%
rows = stored.rows
against = gainbench.compare(rows[rows["method"] == "telea"], rows[rows["method"] == "dilated"], metrics=["l1_hole"])
[(x.bin, round(x.difference.value, 2), x.verdict) for x in against.entries]

# %%
folder = Path(tempfile.mkdtemp())
ramp = np.linspace(0, 255, 150).astype(np.uint8)
Image.fromarray(np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :100], np.uint8(90)), -1)).save(folder / "a.png")
hole = np.zeros((150, 100), np.uint8)
hole[60:80, 30:70] = 255  # white = hole
Image.fromarray(hole).save(folder / "hole.png")
cell = next(cell for cell in stored.cells if cell.spec.method.name == "dilated")
filled = gainbench.inpaint(folder / "a.png", folder / "hole.png", folder / "filled", weights=cell.folder)
Image.open(filled[0].output)

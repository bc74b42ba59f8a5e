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
# # Pictures of any tool
#
# Whoever filled the holes, three folders are enough for comparable numbers: completed pictures, originals and masks
# (white = hole), under the same names. This notebook writes such folders, as another tool would, and scores them.

# %%
import os
import tempfile
from pathlib import Path

import numpy as np
from IPython.display import Markdown
from PIL import Image, ImageFilter

import gainbench

# Folders of your own go here: originals, masks, and one folder of completed pictures a tool.
FOLDER = Path(os.environ.get("GAINBENCH_PICTURES", tempfile.mkdtemp()))
ORIGINALS, MASKS = FOLDER / "originals", FOLDER / "masks"
TOOLS = {"blur": FOLDER / "blur", "telea": FOLDER / "telea"}

# %% [markdown]
# ## Eight made-up pictures, each with a hole
#
# `blur` stands for the other tool: a wide blur of what is known. `telea` comes from `gainbench.inpaint`.

# %%
ORIGINALS.mkdir(parents=True, exist_ok=True), MASKS.mkdir(exist_ok=True), TOOLS["blur"].mkdir(exist_ok=True)
chance = np.random.default_rng(0)
for number in range(8):
    coarse = Image.fromarray(chance.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    picture = np.array(coarse.resize((96, 96), Image.Resampling.BICUBIC))
    hole = np.zeros((96, 96), np.uint8)
    top, left, height, width = chance.integers((8, 8, 16, 16), (40, 40, 48, 48))
    hole[top : top + height, left : left + width] = 255
    gray = np.where(hole[..., None] > 0, picture[hole == 0].mean(0), picture).astype(np.uint8)
    blurred = np.array(Image.fromarray(gray).filter(ImageFilter.GaussianBlur(9)))
    Image.fromarray(picture).save(ORIGINALS / f"{number}.png")
    Image.fromarray(hole).save(MASKS / f"{number}.png")
    Image.fromarray(np.where(hole[..., None] > 0, blurred, picture)).save(TOOLS["blur"] / f"{number}.png")
filled = gainbench.inpaint(ORIGINALS, MASKS, TOOLS["telea"], method="telea")
len(filled)

# %% [markdown]
# ## The scores
#
# Names, sizes, polarity and value ranges are checked; what does not fit is an error that names it. Tables go to `out`.

# %%
METRICS = ["l1_mean", "l1_hole", "psnr_rgb", "ssim_rgb_g11", "seam_rgb"]
scores = gainbench.evaluate(TOOLS, ORIGINALS, MASKS, out=FOLDER / "scores", metrics=METRICS)
Markdown(next((FOLDER / "scores" / "tables").glob("*.md")).read_text(encoding="utf-8").split("\n## ")[1])

# %%
rows = scores.rows
rows.groupby(["method", "bin"])[["l1_hole", "psnr_rgb"]].mean().round(2)

# %% [markdown]
# ## Which difference is real?
#
# Paired by picture and hole: the second set of rows against the first. Eight pictures tell little, and the interval
# says so.

# %%
against = gainbench.compare(rows[rows["method"] == "telea"], rows[rows["method"] == "blur"], metrics=["l1_hole"])
[(x.bin, round(x.difference.value, 2), x.verdict) for x in against.entries]

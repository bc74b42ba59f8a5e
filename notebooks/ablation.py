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
# # Taking GAIN apart
#
# Two questions on one backbone: does it matter **what guides** (image gradients, binary Canny edges, or nothing), and
# does it matter in **what order** a hole is filled (the threshold delta of the mask-shrinkage priority)?
#
# `GAINBENCH_ABLATION` names the folder of a stored run of the suite `ablation`. If there is none, five of its methods
# are run at scale `tiny` with ten iterations: enough to show how it is done, and for no conclusion at all.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch

import gainbench
from gainbench.nn.partial_conv import PartialConv2d

RUN = Path(os.environ.get("GAINBENCH_ABLATION", "../results/runs/ablation-tiny"))
if not (RUN / "suite.json").is_file():
    RUN = RUN.parent / "ablation-tiny"
    changes = {"datasets": ("orl-400",), "metrics": ("l1_hole", "psnr_rgb", "ssim_rgb_g11")}
    suite = gainbench.load_suite("ablation").model_copy(update=changes)
    variants = ["gain", "gain[guidance=canny]", "gain[guidance=none]", "gain[delta=0]", "gain[delta=0.8]"]
    gainbench.run_suite(suite, root=RUN.parent, scale="tiny", iterations=10, methods=variants)

# %%
stored = gainbench.read_results(RUN.parent, RUN.name)
rows, scale = stored.rows, stored.resolved.scale
print(f"{RUN.name}: {scale.size} px, {scale.iterations} iterations, {rows['image_id'].nunique()} pictures")
print("\n".join(stored.resolved.narrowed))

# %% [markdown]
# ## What guides
#
# The same pictures and the same holes, so differences are taken row by row; the intervals are over photographs, and p
# is Holm-adjusted within a pair of methods.

# %%
METRICS = ["l1_hole", "psnr_rgb", "ssim_rgb_g11"]


def against_gain(labels: list[str]) -> pd.DataFrame:
    """Each variant minus plain gain, over all holes."""
    gain, lines = rows[rows["method"] == "gain"], []
    for label in labels:
        found = gainbench.compare(gain, rows[rows["method"] == label], metrics=METRICS)
        lines += [entry for entry in found.entries if entry.bin == "all"]
    columns = ("variant", "metric", "variant - gain", "low", "high", "p", "the variant is")
    return pd.DataFrame(
        [
            (x.method_b, x.metric, x.difference.value, x.difference.low, x.difference.high, x.p, x.verdict)
            for x in lines
        ],
        columns=columns,
    ).set_index(["metric", "variant"])


labels = list(rows["method"].unique())
against_gain([label for label in labels if "guidance=" in label]).sort_index()

# %%
guides = rows[rows["method"].eq("gain") | rows["method"].str.contains("guidance=", regex=False)]
guides.pivot_table(index="bin", columns="method", values="l1_hole", sort=False).plot(marker="o", ylabel="l1_hole (%)")
plt.show()

# %% [markdown]
# ## How a hole shrinks
#
# After a 3x3 partial convolution a pixel counts as known if its window saw any known pixel, so a hole loses a rim of
# one dilation at every layer. GAIN delays pixels of low priority; delta 0 is this plain update. Below 128 px holes
# close before the priority has anything to decide, so nothing is said about it there.

# %%
known = torch.ones(1, 1, scale.size, scale.size)
known[..., scale.size // 4 : 3 * scale.size // 4, scale.size // 3 : 2 * scale.size // 3] = 0
hidden, x = [float((known == 0).float().mean())], known.clone()
for dilation in (1, 1, 2, 2, 4, 4):
    layer = PartialConv2d(1, 1, 3, dilation=dilation)
    with torch.no_grad():
        x, known = layer(x, known)
    hidden.append(float((known == 0).float().mean()))
pd.Series(hidden, name="share still hidden").rename_axis("layer").to_frame().T.style.format(precision=3)

# %%
deltas = [label for label in labels if "delta=" in label]
against_gain(deltas).sort_index() if scale.size >= 128 else f"no statement about {deltas} below 128 px"

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
# # The tables of a stored run
#
# Every number that gainbench prints comes from rows: one for each (cell, picture, hole). This notebook reads the rows
# of a run, makes its tables again by hand, and compares them with the files that `gainbench report` writes.
#
# It reads the committed reference results; `GAINBENCH_RUN` names the folder of another suite. If there is no run in it,
# the suite `smoke` is run first: some minutes on two cores.

# %%
import os
import tempfile
from pathlib import Path

import pandas as pd
from IPython.display import Markdown

import gainbench

RUN = Path(os.environ.get("GAINBENCH_RUN", "../results/reference/paper-cpu"))
if not (RUN / "suite.json").is_file():
    RUN = Path("../results/runs/smoke-tiny") if "GAINBENCH_RUN" not in os.environ else RUN.parent / "smoke-tiny"
    gainbench.run_suite("smoke", root=RUN.parent)

# %%
stored = gainbench.read_results(RUN.parent, RUN.name)
scale = stored.resolved.scale
print(stored.resolved.suite.question)
print(f"scale {scale.name}: {scale.size} px, {scale.iterations} iterations of {scale.batch} pictures")
print(
    f"{len(stored.rows)} rows of {stored.rows['method'].nunique()} methods, {len(stored.unfinished)} cells unfinished"
)
stored.rows.sample(3, random_state=0).T

# %% [markdown]
# ## By hand
#
# A table's cell is the mean over all rows of a method, and the intervals are bootstrapped over photographs. The means
# are one line of pandas:

# %%
metrics = [metric for metric in stored.resolved.suite.metrics if metric in stored.rows]
by_hand = stored.rows.groupby(["dataset", "method"], sort=False)[metrics].mean()
by_hand.style.format(precision=3)

# %% [markdown]
# ## By gainbench
#
# `report` writes tables, plots, galleries and the page; the CSV holds every number of every table. Where a report lies
# beside the rows, as it does beside the committed ones, its tables are these to the last digit.

# %%
files = gainbench.report(stored, Path(tempfile.mkdtemp()))
printed = pd.concat(pd.read_csv(path) for path in files.tables if path.suffix == ".csv")
pooled = printed[(printed["bin"] == "all") & (printed["border"] == "all") & printed["metric"].isin(metrics)]
by_gainbench = pooled.pivot_table(index=["dataset", "method"], columns="metric", values="value")
difference = (by_gainbench - by_hand).abs().max(axis=None)
assert difference < 1e-6, f"the tables differ from the rows by {difference}"
print(f"largest difference between both: {difference:.1e}")

# %%
made = {path.name: path.read_text(encoding="utf-8") for path in files.tables}
stored_tables = sorted(path for path in (RUN / "tables").glob("*.*") if path.suffix in {".md", ".tex"})
differing = [path.name for path in stored_tables if path.read_text(encoding="utf-8") != made.get(path.name)]
assert not differing, f"these tables are not those of the rows: {differing}"
print(f"{len(stored_tables)} tables of {RUN.name} made again, digit by digit")

# %%
Markdown(next(path for path in files.tables if path.suffix == ".md").read_text(encoding="utf-8"))

# %% [markdown]
# ## What a mean hides
#
# The same metric by hole size, and the distances between sets of pictures. Their floor is the distance of as many other
# real photographs; completed pictures, which share all known pixels with their originals, are usually below it.

# %%
by_size = stored.rows.pivot_table(index=["dataset", "bin"], columns="method", values=metrics[0], sort=False)
by_size.style.format(precision=3).set_caption(metrics[0])

# %%
sets = stored.set_metrics
sets[(sets["bin"] == "all") & (sets["border"] == "all")].set_index(["dataset", "metric", "method"])[
    ["value", "floor", "n"]
]

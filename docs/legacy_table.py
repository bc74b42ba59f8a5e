"""Print means of a run of ``docs/legacy.yaml`` as Markdown: ``python docs/legacy_table.py results/runs/legacy-gpu``."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from gainbench import read_results

BINS = ("0.01-0.1", "0.5-0.6")
POOLED_MSE = "PSNR of the mean error"


def means(rows: pd.DataFrame) -> pd.Series:
    """Every metric's mean, and the PSNR that comes of averaging errors before taking the logarithm."""
    metrics = [name for name in rows if name.startswith(("l1", "psnr", "ssim", "legacy"))]
    errors = 10 ** (-rows["psnr_rgb"] / 10)
    return pd.concat([rows[metrics].mean(), pd.Series({POOLED_MSE: -10 * np.log10(errors.mean())})])


def main(folder: Path) -> None:
    """One line a definition; one column a method and selection of holes."""
    rows = read_results(folder.parent, folder.name).rows
    columns = {}
    for method, own in rows.groupby("method", sort=False):
        columns[f"{method}, all holes"] = means(own)
        columns |= {f"{method}, {name}": means(own[own["bin"] == name]) for name in BINS}
    table = pd.DataFrame(columns)
    lines = [("definition", *table.columns), ("---", *("---:" for _ in table))]
    lines += [
        (f"`{name}`" if "_" in name else name, *(f"{value:.3f}" for value in row)) for name, row in table.iterrows()
    ]
    sys.stdout.write("".join(f"| {' | '.join(line)} |\n" for line in lines))
    sys.stdout.write(f"\n{len(rows) // rows['method'].nunique()} rows of {rows['photograph'].nunique()} photographs.\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

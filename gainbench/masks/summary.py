"""A protocol in numbers: the table that tells whether two protocols are equally hard."""

import pandas as pd

from gainbench.masks.protocols import MaskProtocol
from gainbench.masks.statistics import border_class, hole_statistics
from gainbench.spec import bin_label

SUMMARY = {
    "holes": ("area", "size"),
    "area_mean": ("area", "mean"),
    "radius_median": ("radius", "median"),
    "components_median": ("components", "median"),
    "touches_border": ("touches_border", "mean"),
    "clear": ("clear", "mean"),
}


def statistics_table(protocol: MaskProtocol, masks_per_cell: int) -> pd.DataFrame:
    """Measure a protocol's holes.

    Args:
        protocol: what to measure.
        masks_per_cell: holes in each bin and border class; for a protocol without bins of its own, holes in all.

    Returns:
        One row a bin and border class, then one row ``all``: bin, border, holes, area_mean (share of the picture),
        radius_median (largest inscribed disc, px at 256, outside the picture known), components_median (8-connected),
        touches_border (share of holes), clear (share that keeps 50 px at 512 clear of the border).
    """
    measured = pd.DataFrame(
        [
            {
                "bin_lo": bounds[0],
                "bin": bin_label(bounds),
                "border": border,
                "clear": border_class(hole.mask) == "clear",
                **hole_statistics(hole.mask)._asdict(),
            }
            for bounds, border, hole in protocol.examples(masks_per_cell)
        ]
    )
    cells = measured.groupby(["bin_lo", "bin", "border"], sort=True).agg(**SUMMARY).reset_index()
    whole = measured.assign(bin_lo=1.0, bin="all", border="all")
    pooled = whole.groupby(["bin_lo", "bin", "border"]).agg(**SUMMARY).reset_index()
    return pd.concat([cells, pooled], ignore_index=True).drop(columns="bin_lo")

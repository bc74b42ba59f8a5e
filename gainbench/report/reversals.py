"""Which methods change places where only the definition of a metric changes."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from gainbench.evaluation.metrics.catalogue import MetricInfo
from gainbench.evaluation.stats import flips_for, holm, separable
from gainbench.report.alignment import aligned, chosen_rows, paired
from gainbench.report.analysis import ALL, Analysis, Place
from gainbench.report.numbers import listed

FAMILIES = (
    ("psnr_rgb", "legacy_zits_psnr"),
    ("ssim_rgb_g11", "legacy_edgeconnect_ssim", "legacy_aotgan_ssim", "legacy_lama_ssim"),
    ("l1_hole", "legacy_mmagic_mae"),
    ("l1_rel", "legacy_edgeconnect_mae"),
)
"""Metrics that other papers print under the name of ours, ours first."""

_Swap = tuple[MetricInfo, MetricInfo, str, str]


def reversals(analysis: Analysis, dataset: str, infos: Sequence[MetricInfo]) -> list[str]:
    """A sentence for each two definitions that rank methods in opposite orders, all holes pooled.

    Two means always have an order, so only methods count that both definitions tell apart (paired, Holm over all that
    change places).
    """
    swaps = list(_swapped_means(analysis, dataset, infos))
    apart = _apart(analysis, dataset, swaps)
    found: dict[tuple[str, str], list[str]] = {}
    for first, other, a, b in swaps:
        if (first.id, a, b) in apart and (other.id, a, b) in apart:
            found.setdefault((first.label, other.label), []).append(f"{a} and {b}")
    return [
        f"{first} and {other} rank {listed(methods)} in opposite orders." for (first, other), methods in found.items()
    ]


def _swapped_means(analysis: Analysis, dataset: str, infos: Sequence[MetricInfo]) -> Iterator[_Swap]:
    means = {
        info.id: {
            method: score.interval.value
            for method, score in analysis.scores.get(Place(dataset, info.id, ALL, ALL), {}).items()
        }
        for info in infos
    }
    for family in FAMILIES:
        alike = [info for info in infos if info.id in family]
        for first, other in ((alike[0], other) for other in alike[1:]):
            one, two = means[first.id], means[other.id]
            for a, b in combinations([method for method in one if method in two], 2):
                if (one[a] - one[b]) * (two[a] - two[b]) < 0:
                    yield first, other, a, b


def _apart(analysis: Analysis, dataset: str, swaps: Sequence[_Swap]) -> set[tuple[str, str, str]]:
    """(metric, a, b) of the methods that a metric tells apart."""
    if not swaps:
        return set()
    triples = list(dict.fromkeys((info.id, a, b) for first, other, a, b in swaps for info in (first, other)))
    metrics = list(dict.fromkeys(metric for metric, _, _ in triples))
    rows = analysis.stored.rows[analysis.stored.rows["dataset"] == dataset]
    block = aligned(rows, metrics, analysis.methods, analysis.oracles)
    found = list(paired(block, chosen_rows(block, ALL, ALL), triples, flips_for(len(triples))))
    differences = [difference for _, difference in found]
    real = separable(differences, holm([difference.p for difference in differences]))
    return {triple for (triple, _), apart in zip(found, real, strict=True) if apart}

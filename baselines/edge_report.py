"""How well EdgeConnect's first stage continues edges into holes: precision, recall and F1 on held-out pictures.

::

    python -m gainbench_baselines.edge_report results/runs/cells/celeba-999/edge_canny-s0-1a2b3c4d

Judged are hidden pixels alone, against the detector's edges of the whole picture, beside three maps that nothing was
trained for: no edge at all, an edge everywhere, and the copy of the nearest visible edges.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional as F

from gainbench import open_cell

from .edge_connect import EdgeConnect

FIXED = 0.5
"""Where a soft map becomes edges; HED's goal too, whatever the threshold of the maps that are judged."""

COPY = "nearest visible edges"

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Tried for the best F1 over all pictures, as BSDS500 does (Arbelaez et al., PAMI 2011: optimal data-set scale)."""

TOLERANCES = (0, 1)
"""Pixels an edge may lie aside; 1 is BSDS500's .0075 of the diagonal at 64 and 128 px."""

RESAMPLINGS, SEED = 2000, 0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """One map's agreement with the goal.

    Attributes:
        candidate: ``first stage``, ``nearest visible edges``, ``empty`` or ``full``.
        tolerance: in pixels.
        threshold: of the map.
        best: whether the threshold is the one of the best F1.
        precision, recall, f1: pooled over all hidden pixels of all pairs, in [0, 1].
        interval: 95 % interval of f1, photographs resampled.
        over_copy: f1 minus that of the nearest visible edges (each at the same rule for its threshold), its interval.
    """

    candidate: str
    tolerance: int
    threshold: float
    best: bool
    precision: float
    recall: float
    f1: float
    interval: tuple[float, float]
    over_copy: tuple[float, float, float]


def nearest_edges(observed: Tensor, valid: Tensor) -> Tensor:
    """The map with every pixel that is not valid replaced by the nearest valid one's value (Euclidean distance).

    Args:
        observed: (B, 1, H, W).
        valid: (B, 1, H, W), 1 = valid.

    Returns:
        (B, 1, H, W); zero for a picture without a valid pixel.
    """
    copies = []
    for edges, seen in zip(observed[:, 0], valid[:, 0] > 0.5, strict=True):
        if not seen.any():
            copies.append(torch.zeros_like(edges))
            continue
        rows, columns = distance_transform_edt(
            np.logical_not(seen.cpu().numpy()), return_distances=False, return_indices=True
        )
        copies.append(edges[torch.from_numpy(rows).to(edges.device), torch.from_numpy(columns).to(edges.device)])
    return torch.stack(copies)[:, None]


def edge_counts(found: Tensor, goal: Tensor, hidden: Tensor, tolerance: int) -> Tensor:
    """What precision and recall are made of, for hidden pixels alone: edges outside of the hole match nothing.

    Args:
        found: bool (B, 1, H, W), edges of the map that is judged.
        goal: bool (B, 1, H, W), edges of the whole picture.
        hidden: bool (B, 1, H, W).
        tolerance: an edge matches one at most so many pixels away, along rows and columns.

    Returns:
        (B, 4): found edges that match, found edges, goal's edges that match, goal's edges.
    """
    found, goal = found & hidden, goal & hidden

    def near(edges: Tensor) -> Tensor:
        return F.max_pool2d(edges.float(), 2 * tolerance + 1, stride=1, padding=tolerance) > 0

    counted = (found & near(goal), found, goal & near(found), goal)
    return torch.stack([part.sum((1, 2, 3)) for part in counted], 1)


def f1(counts: Floats) -> Floats:
    """F1 of counts (..., 4) as ``edge_counts`` gives them: the harmonic mean of precision and recall, 0 without any."""
    matched, found, met, goal = np.moveaxis(counts, -1, 0)
    precision, recall = _share(matched, found), _share(met, goal)
    return _share(2 * precision * recall, precision + recall)


def _share(part: Any, whole: Any) -> Floats:
    share: Floats = np.divide(part, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole) > 0)
    return share


def edge_scores(maps: Iterator[tuple[list[str], dict[str, Tensor], Tensor, Tensor]]) -> list[Score]:
    """Pool the agreement of several maps with the goal.

    Args:
        maps: (photographs' ids, candidate -> (B, 1, H, W) in [0, 1], goal (B, 1, H, W), known (B, 1, H, W)) by batches;
            among the candidates ``nearest visible edges``.

    Returns:
        For every tolerance and candidate the score at .5 and the one at its best threshold.
    """
    counts: dict[tuple[str, int], dict[str, Floats]] = {}
    for ids, candidates, goal, known in maps:
        hidden = known < 0.5
        for name, soft in candidates.items():
            for tolerance in TOLERANCES:
                stacked = torch.stack(
                    [edge_counts(soft >= level, goal >= FIXED, hidden, tolerance) for level in THRESHOLDS], 1
                )
                pooled = counts.setdefault((name, tolerance), {})
                for image_id, part in zip(ids, stacked.double().cpu().numpy(), strict=True):
                    pooled[image_id] = pooled.get(image_id, 0) + part
    return _scores({key: np.stack(list(pooled.values())) for key, pooled in counts.items()})


def _scores(counts: dict[tuple[str, int], Floats]) -> list[Score]:
    """From counts (photographs, thresholds, 4)."""
    photographs = len(next(iter(counts.values())))
    draws = np.random.default_rng(SEED).multinomial(photographs, [1 / photographs] * photographs, RESAMPLINGS)
    resampled = {key: f1(np.tensordot(draws, part, 1)) for key, part in counts.items()}
    scores = []
    for (name, tolerance), part in counts.items():
        total, copied = part.sum(0), counts[COPY, tolerance].sum(0)
        for best in (False, True):
            place, other = (int(f1(x).argmax()) if best else THRESHOLDS.index(FIXED) for x in (total, copied))
            own, copy = resampled[name, tolerance][:, place], resampled[COPY, tolerance][:, other]
            matched, found, met, goal = total[place]
            scores.append(
                Score(
                    candidate=name,
                    tolerance=tolerance,
                    threshold=THRESHOLDS[place],
                    best=best,
                    precision=float(_share(matched, found)),
                    recall=float(_share(met, goal)),
                    f1=float(f1(total[place])),
                    interval=_interval(own),
                    over_copy=(float(f1(total[place]) - f1(copied[other])), *_interval(own - copy)),
                )
            )
    return sorted(scores, key=lambda score: (score.tolerance, score.best))


def _interval(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


@torch.inference_mode()
def continued_maps(
    method: EdgeConnect, batches: Iterator[tuple[list[str], Any]]
) -> Iterator[tuple[list[str], dict[str, Tensor], Tensor, Tensor]]:
    """The first stage's map and those it must beat, as ``edge_scores`` takes them.

    Args:
        method: with its weights, in evaluation mode.
        batches: ids and ``gainbench.Batch`` pairs.
    """
    for ids, batch in batches:
        predicted, observed, valid = method.continued_edges(batch.visible, batch.known)
        candidates = {
            "first stage": predicted.float(),
            COPY: nearest_edges(observed, valid),
            "empty": torch.zeros_like(observed),
            "full": torch.ones_like(observed),
        }
        yield ids, candidates, method.edges.target(batch.image), batch.known


def edge_report(cell: Path | str, *, split: Any = "val", pictures: int | None = None) -> list[Score]:
    """Judge the first stage of a trained ``edge_canny`` or ``edge_hed``.

    Args:
        cell: a cell's folder, as ``gainbench run`` leaves it.
        split: ``val`` (which no training and no table sees), ``test`` or ``train``.
        pictures: at most so many; None takes all of the split. Each comes with every hole of the protocol.

    Raises:
        TypeError: the cell holds another method.
        GainbenchError: the cell cannot be opened.
    """
    opened = open_cell(cell)
    if not isinstance(opened.method, EdgeConnect):
        raise TypeError(f"{cell} holds {opened.spec.method.label}; expected edge_canny or edge_hed")
    return edge_scores(continued_maps(opened.method, opened.held_out(split, pictures=pictures)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report of one cell; the exit code is 0 if the first stage beats every other map, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m gainbench_baselines.edge_report",
        description="How well a trained first stage continues edges into holes.",
    )
    parser.add_argument("cell", type=Path, help="a cell's folder, such as results/runs/cells/celeba-999/edge_canny-...")
    parser.add_argument("--split", choices=("val", "test", "train"), default="val")
    parser.add_argument("--pictures", type=int, default=None, help="at most so many; default all of the split")
    chosen = parser.parse_args(arguments)
    scores = edge_report(chosen.cell, split=chosen.split, pictures=chosen.pictures)
    table = Table("map", "px aside", "threshold", "precision", "recall", "F1", "over the copy", box=None)
    for score in scores:
        low, high = score.interval
        table.add_row(
            score.candidate,
            str(score.tolerance),
            f"{score.threshold:.2f}{' (best)' if score.best else ''}",
            f"{score.precision:.3f}",
            f"{score.recall:.3f}",
            f"{score.f1:.3f} [{low:.3f}, {high:.3f}]",
            "{:+.3f} [{:+.3f}, {:+.3f}]".format(*score.over_copy),
        )
    Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 120).print(table)
    return 0 if beats_all(scores) else 1


def beats_all(scores: Sequence[Score]) -> bool:
    """Whether the first stage's F1 is above every other map's at each tolerance and rule for the threshold."""
    rivals: dict[tuple[int, bool], float] = {}
    for score in scores:
        if score.candidate != "first stage":
            key = score.tolerance, score.best
            rivals[key] = max(rivals.get(key, 0.0), score.f1)
    return all(score.f1 > rivals[score.tolerance, score.best] for score in scores if score.candidate == "first stage")


if __name__ == "__main__":
    sys.exit(main())

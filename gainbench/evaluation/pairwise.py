"""Every pair of methods at once: the differences of ``stats.paired_differences``, each method resampled only once.

With M methods there are M (M - 1) / 2 pairs. What is drawn for a pair depends on nothing but its photographs, so the
resampled means and sign-flipped totals of each method are computed once, and pairs subtract them.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gainbench.errors import EvaluationError
from gainbench.evaluation.resampling import (
    Floats,
    Side,
    bounds_of_difference,
    cluster_codes,
    cluster_sums,
    every_sign,
    few_rows,
    random_signs,
    resampled_means,
)
from gainbench.evaluation.stats import CONFIDENCE, RESAMPLES, Difference, paired_differences

Pairs = dict[tuple[int, int], list[Difference]]


def pairwise_differences(
    values: Sequence[Floats],
    clusters: Sequence[object] | NDArray[np.generic],
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    flips: int = RESAMPLES,
) -> Pairs:
    """The paired difference of every two methods, column by column.

    Args:
        values: for each method (its seeds, rows, columns), the same rows and columns in the same order; NaN marks a
            value that does not exist.
        clusters: (rows,) the photograph of each row.
        confidence: coverage of the intervals, in (0, 1).
        resamples: bootstrap resamples.
        flips: sign flips; all of them are enumerated if there are no more.

    Returns:
        (i, j) with i < j -> the difference i - j of each column, as ``paired_differences`` defines it.

    Raises:
        EvaluationError: the shapes do not fit.
    """
    shapes = {array.shape[1:] for array in values}
    if len(shapes) > 1 or any(rows != len(clusters) for rows, _ in shapes):
        raise EvaluationError(
            f"methods are compared on the same rows and columns, one cluster a row; found {sorted(shapes)} and "
            f"{len(clusters)} clusters"
        )
    places = [(i, j) for i in range(len(values)) for j in range(i + 1, len(values))]
    columns = shapes.pop()[1] if shapes else 0
    found: dict[tuple[int, int], list[Difference | None]] = {pair: [None] * columns for pair in places}
    codes = cluster_codes(clusters)
    for some, rows in _shared(values):
        counts, sums = cluster_sums(codes, rows, [array[:, :, some] for array in values])
        if len(counts) > 1:
            for pair, several in _fast(
                sums, counts, len(rows), confidence=confidence, resamples=resamples, flips=flips
            ):
                for column, one in zip(some, several, strict=True):
                    found[pair][column] = one
    for pair, partial in found.items():
        # Methods without the same rows, or too few photographs: pair by pair.
        if left := [column for column, one in enumerate(partial) if one is None]:
            a, b = (values[method][:, :, left] for method in pair)
            apart = paired_differences(a, b, clusters, confidence=confidence, resamples=resamples, flips=flips)
            for column, one in zip(left, apart, strict=True):
                partial[column] = one
    return {pair: [one for one in several if one is not None] for pair, several in found.items()}


def _shared(values: Sequence[Floats]) -> Iterator[tuple[list[int], NDArray[np.intp]]]:
    """Columns in which all methods have values in the same rows, together with those rows."""
    finite = np.stack([np.isfinite(array).all(axis=0) for array in values]) if values else np.zeros((0, 0, 0), bool)
    groups: dict[bytes, list[int]] = {}
    for column in range(finite.shape[2]):
        if (finite[:, :, column] == finite[0, :, column]).all():
            groups.setdefault(finite[0, :, column].tobytes(), []).append(column)
    for columns in groups.values():
        yield columns, np.flatnonzero(finite[0, :, columns[0]])


def _fast(
    sums: Sequence[Floats], counts: Floats, rows: int, *, confidence: float, resamples: int, flips: int
) -> Iterator[tuple[tuple[int, int], list[Difference]]]:
    means = resampled_means(sums, counts, resamples)
    p = _sign_flip_p([own.mean(axis=0) for own in sums], flips)
    for i, j in p:
        sides = [Side(1.0, sums[i]), Side(-1.0, sums[j])]
        ends = bounds_of_difference(sides, counts, means[i] - means[j], confidence)
        numbers = zip(*(end.tolist() for end in ends), p[i, j].tolist(), strict=True)
        yield (i, j), [Difference(value, low, high, q, rows, len(counts)) for value, low, high, q in numbers]


def _sign_flip_p(totals: Sequence[Floats], flips: int) -> dict[tuple[int, int], Floats]:
    """``stats.sign_flip_p`` of every two methods' summed values, (clusters, columns) each."""
    # What all methods share cancels in every difference; without it less is lost to rounding.
    stacked = np.stack(totals) - np.mean(totals, axis=0)
    methods, clusters, columns = stacked.shape
    pairs = [(i, j) for i in range(methods) for j in range(i + 1, methods)]
    gaps = {(i, j): stacked[i] - stacked[j] for i, j in pairs}
    threshold = {
        pair: np.abs(gap.sum(axis=0)) - 1e-12 * (np.abs(gap).sum(axis=0) + np.abs(stacked[[*pair]]).sum(axis=(0, 1)))
        for pair, gap in gaps.items()
    }
    exact = 2**clusters <= flips
    side_by_side = stacked.transpose(1, 0, 2).reshape(clusters, methods * columns)
    reached, tried = {pair: np.zeros(columns) for pair in pairs}, 0
    for signs in every_sign(clusters) if exact else random_signs(clusters, flips):
        for some in few_rows(signs, methods * columns):
            flipped = (some @ side_by_side).reshape(len(some), methods, columns)
            for i, j in pairs:
                reached[i, j] += (np.abs(flipped[:, i] - flipped[:, j]) >= threshold[i, j]).sum(axis=0)
        tried += len(signs)
    return {pair: hits / tried if exact else (hits + 1) / (tried + 1) for pair, hits in reached.items()}

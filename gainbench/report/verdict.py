"""What may be said in words: which methods are separable, on which data, at which hole sizes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gainbench.evaluation.metrics.catalogue import MetricInfo
from gainbench.report.analysis import ALL, Analysis, Place, Score
from gainbench.report.pairs import Names

MOST_PAIRS = 6
"""More pairs than these are counted, not named."""


@dataclass(frozen=True)
class Statement:
    """Metrics that say the same of all hole sizes together.

    Attributes:
        metrics: labels.
        best: the best method.
        tied: those that are not separable from it.
        worse: those that are separably worse.
    """

    metrics: tuple[str, ...]
    best: str
    tied: tuple[str, ...]
    worse: tuple[str, ...]


@dataclass(frozen=True)
class Leaders:
    """Who leads in one place: the best, and those not separable from it; ``rest`` counts the separably worse."""

    bin: str
    best: str
    tied: tuple[str, ...]
    rest: int


@dataclass(frozen=True)
class Verdict:
    """One data set.

    Attributes:
        dataset: where.
        statements: over all hole sizes.
        leaders: each metric with its leaders by bin and, last, over all; None where nothing is ranked.
        pairs: ranked pairs of methods.
        always: how many of them every metric separates over all holes.
        never: those that no metric separates at any hole size; empty if there are too many to name.
        never_count: how many those are.
    """

    dataset: str
    statements: tuple[Statement, ...]
    leaders: tuple[tuple[MetricInfo, tuple[Leaders | None, ...]], ...]
    pairs: int
    always: int
    never: tuple[Names, ...]
    never_count: int


def verdict(analysis: Analysis, dataset: str) -> Verdict:
    """What the scores and pairs of a data set allow one to say."""
    infos = analysis.metrics(dataset, "picture")
    rows = [(info, tuple(_leaders(analysis, dataset, info.id))) for info in infos]
    pairs = list(ranked_pairs(analysis, dataset))
    never = [names for names in pairs if not any(_winners(analysis, dataset, infos, names, pooled=False))]
    return Verdict(
        dataset=dataset,
        statements=tuple(_statements(analysis, dataset, infos)),
        leaders=tuple((info, places) for info, places in rows if any(places)),
        pairs=len(pairs),
        always=sum(all(_winners(analysis, dataset, infos, names, pooled=True)) for names in pairs),
        never=tuple(never) if len(never) <= MOST_PAIRS else (),
        never_count=len(never),
    )


def ranked_pairs(analysis: Analysis, dataset: str) -> Iterator[Names]:
    """Every two methods that at least one metric compares, in the suite's order."""
    found = {
        names
        for place, pairs in analysis.pairs.items()
        if place.dataset == dataset
        for names, pair in pairs.items()
        if pair.p is not None
    }
    order = analysis.methods.index
    yield from sorted(found, key=lambda names: (order(names[0]), order(names[1])))


def _winners(
    analysis: Analysis, dataset: str, infos: Sequence[MetricInfo], names: Names, *, pooled: bool
) -> Iterator[str]:
    for info in infos:
        for bin_ in [ALL] if pooled else [*analysis.bins(dataset), ALL]:
            pair = analysis.pairs.get(Place(dataset, info.id, bin_, ALL), {}).get(names)
            yield pair.winner if pair else ""


def _statements(analysis: Analysis, dataset: str, infos: Sequence[MetricInfo]) -> Iterator[Statement]:
    alike: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for info in infos:
        scores = analysis.scores.get(Place(dataset, info.id, ALL, ALL), {})
        if best := _best(scores):
            alike.setdefault((best, *_apart(scores)), []).append(info.label)
    for (best, tied, worse), labels in alike.items():
        yield Statement(tuple(labels), best, tied, worse)


def _leaders(analysis: Analysis, dataset: str, metric: str) -> Iterator[Leaders | None]:
    for bin_ in [*analysis.bins(dataset), ALL]:
        scores = analysis.scores.get(Place(dataset, metric, bin_, ALL), {})
        best = _best(scores)
        tied, worse = _apart(scores)
        yield Leaders(bin_, best, tied, len(worse)) if best else None


def _best(scores: dict[str, Score]) -> str:
    return next((method for method, score in scores.items() if score.best), "")


def _apart(scores: dict[str, Score]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    compared = {method: score.tied for method, score in scores.items() if score.difference is not None}
    tied = tuple(method for method, is_tied in compared.items() if is_tied)
    return tied, tuple(method for method, is_tied in compared.items() if not is_tied)

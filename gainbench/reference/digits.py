"""What happens to a table's numbers when the weights behind them are rounded."""

from collections.abc import Iterator
from dataclasses import dataclass

from gainbench.reference.tolerance import tolerance_of
from gainbench.report.analysis import Analysis, Place, Score, SetScore
from gainbench.report.numbers import bracket, fixed
from gainbench.report.tables import decimals_at

OF_TOLERANCE = 0.25
"""How much of the tolerance between machines rounding may take."""


@dataclass(frozen=True)
class Rounding:
    """What rounding a method's weights changes on one data set.

    Attributes:
        numbers: cells of tables, each a mean and its interval.
        digits: how many print another digit, at the decimals that the tables had.
        share: the largest change of a mean, as a share of the metric's tolerance.
        largest: that change in words.
    """

    numbers: int
    digits: int
    share: float
    largest: str

    def fits(self, *, every_digit: bool) -> bool:
        """Whether the rounded weights may stand for the others."""
        return self.digits == 0 if every_digit else self.share <= OF_TOLERANCE

    def __str__(self) -> str:
        digits = f"{self.digits} of {self.numbers} printed numbers end in another digit" if self.digits else (
            f"none of {self.numbers} printed numbers changes a digit"
        )  # fmt: skip
        return f"{digits}; largest change {self.largest}"


def roundings(before: Analysis, after: Analysis) -> dict[tuple[str, str], Rounding]:
    """(data set, method) -> what changed between two analyses of the same cells.

    Args:
        before: of the weights as they were trained.
        after: of the rounded ones.
    """
    pairs: dict[tuple[str, str], list[tuple[Place, Score | SetScore, Score | SetScore]]] = {}
    for place, method, was in _numbers(before):
        now = after.scores.get(place, {}).get(method) or after.set_scores.get(place, {}).get(method)
        if now is not None:
            pairs.setdefault((place.dataset, method), []).append((place, was, now))
    return {of: _rounding(before, found) for of, found in pairs.items()}


def _rounding(before: Analysis, pairs: list[tuple[Place, Score | SetScore, Score | SetScore]]) -> Rounding:
    digits, worst = 0, (-1.0, "")
    for place, was, now in pairs:
        decimals = decimals_at(before, place)
        digits += _printed(was, decimals) != _printed(now, decimals)
        change = abs(_value(now) - _value(was))
        share = change / (tolerance_of(place.metric).of(_value(was)) or 1.0)
        words = f"{change:.1e} of {place.metric} ({place.bin}, {place.border})"
        worst = max(worst, (share, words))
    return Rounding(len(pairs), digits, *worst)


def _numbers(analysis: Analysis) -> Iterator[tuple[Place, str, Score | SetScore]]:
    for places in (analysis.scores, analysis.set_scores):
        for place, found in places.items():
            for method, score in found.items():
                yield place, method, score


def _value(score: Score | SetScore) -> float:
    return score.value if isinstance(score, SetScore) else score.interval.value


def _printed(score: Score | SetScore, decimals: int) -> tuple[str, str]:
    if isinstance(score, SetScore):
        return fixed(score.value, decimals), ""
    return fixed(score.interval.value, decimals), bracket(score.interval, decimals)

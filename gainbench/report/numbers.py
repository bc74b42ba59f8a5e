"""Numbers as people read them: as many digits as the interval supports, the same in a whole column."""

import math
from collections.abc import Iterable, Sequence

from gainbench.evaluation.stats import Interval

NOTHING = "\N{EN DASH}"
"""What a table prints where there is no number."""

MOST_DECIMALS = 5


def decimals_of_intervals(intervals: Iterable[Interval]) -> int:
    """Decimals that show two digits of a typical interval's half width; 2 where no interval is known."""
    widths = [(one.high - one.low) / 2 for one in intervals if one.high > one.low]
    return decimals(_median(widths), 2) if widths else 2


def decimals_of_values(values: Iterable[float]) -> int:
    """Decimals that show three digits of a typical value."""
    sizes = [abs(value) for value in values if value]
    return decimals(_median(sizes), 3) if sizes else 2


def decimals(size: float, digits: int) -> int:
    """Decimals with which a number as large as ``size`` has ``digits`` significant digits."""
    return min(max(digits - 1 - math.floor(math.log10(size)), 0), MOST_DECIMALS)


def fixed(value: float, places: int) -> str:
    """A number with a fixed count of decimals; never ``-0.00``."""
    text = f"{value:.{places}f}"
    return text.lstrip("-") if float(text) == 0 else text


def bracket(interval: Interval, places: int) -> str:
    """``[low, high]``; empty where there is no interval."""
    if math.isnan(interval.low):
        return ""
    return f"[{fixed(interval.low, places)}, {fixed(interval.high, places)}]"


def probability(p: float) -> str:
    """A p value without the zero before the point: ``.032``, ``.41``, ``< .001``."""
    if math.isnan(p):
        return NOTHING
    if p < 0.001:
        return "< .001"
    return f"{p:.3f}".lstrip("0") if p < 0.1 else "1" if p >= 0.995 else f"{p:.2f}".lstrip("0")


def holes_between(bins: Sequence[str], every: Sequence[str]) -> str:
    """Hole sizes in words, neighbours joined: ``all sizes``, or as in ``1 to 20 and 40 to 50 %`` with en dashes.

    Args:
        bins: labels, in any order.
        every: all labels there are, smallest holes first.
    """
    if set(bins) >= set(every):
        return "all sizes"
    runs: list[list[str]] = []
    for place, bin_ in enumerate(every):
        if bin_ in bins:
            if runs and place and runs[-1][-1] == every[place - 1]:
                runs[-1].append(bin_)
            else:
                runs.append([bin_])
    ends = [percent(f"{run[0].split('-')[0]}-{run[-1].split('-')[1]}") for run in runs]
    return f"{listed(ends)} %" if ends else "no size"


def quantity(value: float) -> str:
    """Three significant digits with a prefix: ``14.6 M``, ``68.2 G``, ``940``, ``0``."""
    for factor, prefix in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        # 999,600 would round to 1000 k.
        if abs(value) >= 0.9995 * factor:
            return f"{_three(value / factor)}{prefix}"
    return _three(value)


def count(value: float) -> str:
    """A whole number with thousands separated: ``1,000,000``."""
    return f"{round(value):,}"


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """``1 seed``, ``3 seeds``, ``2,400 rows``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def listed(names: Sequence[object]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    words = [str(name) for name in names]
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def percent(bin_: str) -> str:
    """A bin's label in percent: ``0.01-0.1`` as ``1`` and ``10`` with an en dash between."""
    return "\N{EN DASH}".join(f"{100 * float(bound):g}" for bound in bin_.split("-"))


def duration(seconds: float) -> str:
    """``42 s``, ``13 min``, ``5.2 h``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _three(value: float) -> str:
    return f"{value:.3g}" if value else "0"


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]

"""How wide a method is and how fast it learns by default, so that methods are compared at equal cost and fairly."""

from gainbench import Scale

SHORT_TRAINING = 50_000
"""Iterations under which published rates, made for a million, are raised."""

BRIEF_TRAINING = 300
"""Iterations under which a training is a look at a method: what it would take hundreds of steps to find is given."""

SHORT_FACTOR = 10
"""By how much. What was tried on validation holes, and what it gave, stands in the README beside this file."""


def equal_macs_width(scale: Scale, *, published: int, per_gain_base: float, multiple: int = 4) -> int:
    """The published width at scale ``full``; elsewhere the width at which a picture costs what it costs in GAIN.

    Multiply-accumulates of both networks grow with the square of their width, so one factor a method serves every
    scale; ``tests/baselines/test_cost.py`` holds the result to 15 %.

    Args:
        scale: the budget; ``scale.base`` is GAIN's width.
        published: the method's width in its paper.
        per_gain_base: the method's width over GAIN's at equal MACs.
        multiple: of what the width must be.

    Returns:
        A multiple of ``multiple``, at least that.
    """
    if scale.name == "full":
        return published
    return max(multiple * round(per_gain_base * scale.base / multiple), multiple)


def learning_rate(scale: Scale, *, published: float, factor: float = SHORT_FACTOR) -> float:
    """The published rate, ``factor`` times as high for trainings shorter than 50,000 iterations.

    Args:
        scale: the budget.
        published: the method's rate in its paper.
        factor: ten, unless the method cannot bear it.
    """
    return published * (factor if scale.iterations < SHORT_TRAINING else 1)

"""How wide a method is by default, so that methods are compared at equal cost."""

from gainbench import Scale


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

import pytest
from gainbench_baselines.budget import equal_macs_width, learning_rate

from gainbench.spec import scales


def test_scale_full_is_the_published_width() -> None:
    assert equal_macs_width(scales()["full"], published=48, per_gain_base=5.0) == 48


@pytest.mark.parametrize(("scale", "factor", "multiple", "width"), [("tiny", 5.0, 4, 40), ("gpu", 3.35, 2, 54)])
def test_other_scales_follow_gains_width(scale: str, factor: float, multiple: int, width: int) -> None:
    assert equal_macs_width(scales()[scale], published=64, per_gain_base=factor, multiple=multiple) == width


def test_the_width_is_never_zero() -> None:
    assert equal_macs_width(scales()["tiny"], published=64, per_gain_base=0.01) == 4


def test_short_trainings_learn_ten_times_as_fast_as_published_ones() -> None:
    full = scales()["full"]
    assert learning_rate(full, published=1e-4) == 1e-4
    assert learning_rate(full.model_copy(update={"iterations": 49_999}), published=1e-4) == pytest.approx(1e-3)

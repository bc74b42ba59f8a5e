"""The parts of a block's arithmetic that stand for slower ones of torch."""

import pytest
import torch
import torch.nn.functional as F

from gainbench.gain.step import elu_


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 3e-16), (torch.float32, 1.2e-7), (torch.bfloat16, 0.004)]
)
def test_elu_is_the_exponential_of_torch_within_rounding(dtype, tolerance):
    size = torch.logspace(-8, 2, 2001, dtype=torch.float64)
    x = torch.cat([-size, torch.zeros(1, dtype=torch.float64), size]).to(dtype)
    exact = F.elu(x.double())
    found = elu_(x.clone())
    assert found.dtype == dtype
    # Relative where it is positive or large, absolute to 1 where exp(x) is near 1.
    assert ((found.double() - exact).abs() <= tolerance * exact.abs() + min(tolerance, 1.2e-7)).all()
    assert torch.equal(found[x >= 0], x[x >= 0])


def test_elu_works_in_place_and_passes_what_is_not_finite():
    x = torch.tensor([-torch.inf, torch.inf, torch.nan])
    found = elu_(x)
    assert found is x
    assert found[:2].tolist() == [-1.0, torch.inf]
    assert found[2].isnan()

"""Recording looks and does not touch."""

import pytest
import torch
from torch import nn

from gainbench.nn.recording import recorded_outputs


def test_outputs_come_by_name_in_the_order_of_the_calls():
    first, second = nn.Linear(2, 2), nn.ReLU()
    network = nn.Sequential(first, second)
    x = torch.tensor([[1.0, -2.0]])
    with torch.no_grad(), recorded_outputs({"rectified": second, "linear": first}) as outputs:
        y = network(x)
        assert list(outputs) == ["linear", "rectified"]
        assert torch.equal(outputs["linear"], x @ first.weight.T + first.bias)
        assert outputs["rectified"] is y


def test_nothing_is_recorded_after_the_context_whatever_ended_it():
    layer = nn.ReLU()
    with pytest.raises(ZeroDivisionError), recorded_outputs({"layer": layer}) as outputs:
        raise ZeroDivisionError
    layer(torch.zeros(1))
    assert outputs == {}
    assert not layer._forward_hooks

import pytest
import torch
from gainbench_baselines.edge_connect import EdgeCanny, EdgeCannyParams
from gainbench_baselines.gated_conv import GatedConvInpainter, GatedConvParams
from gainbench_baselines.partial_conv import PartialConvInpainter, PartialConvParams

from gainbench import TrainableInpainter
from gainbench.evaluation.cost import count_cost
from gainbench.gain.method import GAIN, GAINParams
from gainbench.spec import Scale, scales

BASELINES = [
    (PartialConvInpainter, PartialConvParams),
    (GatedConvInpainter, GatedConvParams),
    (EdgeCanny, EdgeCannyParams),
]


def macs(method: type[TrainableInpainter], params: type, scale: Scale) -> float:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return count_cost(method(params(), scale), scale.size)["macs"]


@pytest.mark.parametrize(
    "name",
    ["tiny", pytest.param("cpu", marks=pytest.mark.slow), pytest.param("gpu", marks=pytest.mark.slow)],
)
def test_default_widths_cost_what_gain_costs(name: str) -> None:
    scale = scales()[name]
    expected = macs(GAIN, GAINParams, scale)
    for method, params in BASELINES:
        assert macs(method, params, scale) == pytest.approx(expected, rel=0.15), method.name

"""Weights that have left their cell: they are of the network that is asked for, and whole, or they are refused."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from gainbench.errors import TrainingError
from gainbench.reference.evaluated import half_precision
from gainbench.registry import build_method
from gainbench.run.trained import trained_method
from gainbench.run.weights import network_metadata
from gainbench.spec import MethodSpec, scales
from gainbench.training import save_weights

TINY = scales()["tiny"]

PLUGIN = """
from pydantic import BaseModel
from torch import nn
from gainbench import TrainableInpainter

class Params(BaseModel):
    gain: float = 1.0

class Painter(TrainableInpainter):
    name = "painter"
    Params = Params

    def __init__(self, params, scale):
        super().__init__(params, scale)
        self.net = nn.Conv2d(4, 3, 1)
        self.critic = nn.Conv2d(3, 1, 1)

    def inpaint(self, image, known):
        return (self.params.gain * self.net(image.new_ones(1, 4, *image.shape[2:]))).sigmoid()

    def phases(self):
        return []
"""


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "painter.py"
    path.write_text(PLUGIN)
    return path


@pytest.fixture
def state(plugin):
    """The weights of another seed than the first ones."""
    return build_method(MethodSpec(name="painter"), TINY, 7, plugin).state_dict()


def test_a_file_that_leaves_out_what_completing_uses_is_refused(plugin, state, tmp_path):
    path = tmp_path / "w.safetensors"
    critic, network = ([name for name in state if name.startswith(part)] for part in ("critic", "net"))
    save_file({name: state[name] for name in network}, path, {"left_out": json.dumps(critic)})
    built = trained_method("painter", path, "tiny", plugin)
    assert torch.equal(built.net.weight, state["net.weight"])
    save_file({name: state[name] for name in critic}, path, {"left_out": json.dumps(network)})
    with pytest.raises(TrainingError, match=r"leaves out weights that completing a picture uses: net\.bias, net\.wei"):
        trained_method("painter", path, "tiny", plugin)


def test_a_file_that_tells_its_network_stands_for_no_other(plugin, state, tmp_path):
    path = tmp_path / "w.safetensors"

    def built(asked, scale="tiny", **said):
        spec, revision = MethodSpec.parse(said.get("method", "painter")), said.get("revision", 1)
        save_file(state, path, said.get("metadata", network_metadata(spec, revision, TINY)))
        return trained_method(asked, path, scale, plugin)

    for asked in ("painter", "painter[gain=1]"):
        assert torch.equal(built(asked).net.weight, state["net.weight"])
    built("painter[gain=2]", method="painter[gain=2.0]")
    built("painter[gain=2]", scale="cpu", metadata=None)  # as files were before they told
    with pytest.raises(TrainingError, match=r"scale tiny \(64 px, base 8\), asked for is cpu \(128 px, base 8\)"):
        built("painter", scale="cpu")
    with pytest.raises(TrainingError, match=r"holds weights of painter, asked for is painter\[gain=2\]"):
        built("painter[gain=2]")
    with pytest.raises(TrainingError, match="holds weights of other, asked for is painter"):
        built("painter", method="other")
    with pytest.raises(TrainingError, match="at revision 2, it is at revision 1 now"):
        built("painter", revision=2)
    for garbled in ("5", "not JSON", "{}", '{"method": 1, "revision": 1, "scale": {}}', "[" * 100_000):
        with pytest.raises(TrainingError, match="does not tell what network it is of"):
            built("painter", metadata={"gainbench": garbled})


def test_a_file_that_tells_its_network_has_the_same_bytes_every_time(tmp_path):
    says = network_metadata(MethodSpec.parse("gain[delta=0]"), 3, TINY)
    assert len(says) == 1
    torch.manual_seed(0)
    save_weights(nn.Linear(3, 2), tmp_path / "w.safetensors", says)
    content = (tmp_path / "w.safetensors").read_bytes()
    # Two entries, whose order safetensors itself draws anew each time.
    halves = {half_precision(content, ["bias"], says) for _ in range(8)}
    (half,) = halves
    (tmp_path / "half.safetensors").write_bytes(half)
    with safe_open(tmp_path / "half.safetensors", framework="pt") as opened:
        assert opened.metadata() == {**says, "left_out": '["bias"]'}
    whole = load_file(tmp_path / "w.safetensors")
    assert torch.equal(load_file(tmp_path / "half.safetensors")["weight"], whole["weight"].half())

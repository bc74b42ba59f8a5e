"""What edge-guided networks are really given: nothing of hidden pixels, and nothing of the hole's outline."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gainbench import Batch, TrainableInpainter
from gainbench.masks import open_protocol
from gainbench.registry import build_method
from gainbench.spec import MaskSpec, MethodSpec, scales

SCALE = scales()["tiny"]
HED = pytest.mark.assets
METHODS = [
    "edge_canny[base=4]",
    pytest.param("edge_hed[base=4]", marks=HED),
    "gain[guidance=canny,base=4]",
    pytest.param("gain[guidance=hed,base=4]", marks=HED),
]


def built(text: str) -> TrainableInpainter:
    method = build_method(MethodSpec.parse(text), SCALE, seed=0)
    assert isinstance(method, TrainableInpainter)
    return method


class Inputs:
    """What enters the generators: all of it for EdgeConnect's, the map and where it is valid for GAIN's.

    GAIN's network is given the picture beside ``known`` and leaves hidden values out itself.
    """

    def __init__(self, method: TrainableInpainter) -> None:
        self.seen: list[Tensor] = []
        edge_connect = hasattr(method, "G1")
        self.first, self.channel = (0, 1) if edge_connect else (2, 0)
        for network in [method.G1, method.G2] if edge_connect else [method.network]:
            network.register_forward_pre_hook(self._keep)

    def _keep(self, _module: nn.Module, given: tuple[Tensor, ...]) -> None:
        self.seen += [x.detach().clone() for x in given[self.first :]]

    @property
    def edges(self) -> Tensor:
        return self.seen[0][:, self.channel : self.channel + 1]


def holes(count: int = 4) -> Tensor:
    protocol = open_protocol(MaskSpec())
    known = np.stack([protocol.training_known(3, sample, SCALE.size) for sample in range(count)])
    return torch.from_numpy(known.astype(np.float32))[:, None]


def textured(count: int = 4) -> Tensor:
    coarse = torch.rand(count, 3, 9, 9, generator=torch.Generator().manual_seed(2))
    return F.interpolate(coarse, size=(SCALE.size, SCALE.size), mode="bilinear")


def smooth(count: int = 4) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(float(SCALE.size)), torch.arange(float(SCALE.size)), indexing="ij")
    return (0.3 + 0.003 * rows + 0.004 * columns).expand(count, 3, -1, -1).contiguous()


def fills(known: Tensor) -> list[Tensor]:
    noise = torch.rand(len(known), 3, SCALE.size, SCALE.size, generator=torch.Generator().manual_seed(9))
    return [noise, torch.ones_like(noise)]


@pytest.mark.parametrize("text", METHODS)
def test_hidden_pixels_change_no_input_of_a_generator_when_it_fills(text: str) -> None:
    method, known, image = built(text), holes(2), textured(2)
    inputs = Inputs(method)
    with torch.inference_mode():
        method.inpaint(image * known, known)
        expected, inputs.seen = inputs.seen, []
        assert any(x.std() > 0 for x in expected)
        for other in fills(known):
            method.inpaint(torch.where(known > 0.5, image, other), known)
            found, inputs.seen = inputs.seen, []
            assert len(found) == len(expected)
            assert all(torch.equal(one, two) for one, two in zip(expected, found, strict=True))


@pytest.mark.parametrize("text", METHODS)
def test_hidden_pixels_change_no_input_of_a_generator_when_it_learns(text: str) -> None:
    known, image = holes(1), textured(1)
    seen = []
    for picture in (image, *(torch.where(known > 0.5, image, other) for other in fills(known))):
        # Built anew: a spectral norm moves with every call in training. The first phases run the generator once.
        method = built(text).train()
        inputs = Inputs(method)
        phase = method.phases()[0]
        phase.loss(Batch(picture, known), 0)
        seen.append(inputs.seen)
    assert len(seen[0]) > 0
    for other in seen[1:]:
        assert all(torch.equal(one, two) for one, two in zip(seen[0], other, strict=True))


@pytest.mark.parametrize("text", METHODS)
def test_a_generator_is_given_no_outline_of_the_hole_on_a_smooth_picture(text: str) -> None:
    method, known, image = built(text), holes(), smooth()
    inputs = Inputs(method)
    detector = method.edges if hasattr(method, "edges") else method.guidance
    with torch.inference_mode():
        method.inpaint(image * known, known)
        edges, whole, naive = inputs.edges, detector.target(image), detector.target(image * known)
        _, valid = detector.observed(image, known)
    rim = F.max_pool2d(1 - valid, 7, stride=1, padding=3) * valid
    outline = F.max_pool2d(1 - known, 5, stride=1, padding=2) * known
    # A detector that is shown the black hole draws its outline.
    assert (naive * outline).sum() / outline.sum() > (whole * outline).sum() / outline.sum() + 0.1
    assert not (edges * (1 - valid)).any()
    if detector.name == "canny":
        assert not edges.any()
    else:
        # HED is never quite 0, and what diffusion leaves in holes of half the picture is not quite smooth: both stay
        # under the .5 of an edge, which the outline reaches even beyond the margin.
        assert (edges * rim).max() < 0.4
        assert (naive * rim).max() > 0.6
        assert ((edges - whole) * rim).sum() / rim.sum() < 0.02

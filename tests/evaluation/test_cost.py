import pytest
import torch
from torch import nn

from gainbench.evaluation.cost import count_cost, unread_tensors
from gainbench.methods import Inpainter, TrainableInpainter
from gainbench.registry import build_method
from gainbench.spec import MethodSpec, Scale, scales

SCALE = Scale(name="t", size=32, base=4, batch=1, iterations=0, test_pictures=None)


class Convolved(TrainableInpainter):
    name = "convolved"

    def __init__(self, params=None, scale=SCALE):
        super().__init__(params, scale)
        self.first = nn.Conv2d(4, 8, 3, stride=2, padding=1)
        self.second = nn.Conv2d(8, 3, 1, bias=False)
        self.discriminator = nn.Conv2d(3, 64, 5)

    def inpaint(self, image, known):
        half = self.second(torch.relu(self.first(torch.cat([image, known], 1))))
        return nn.functional.interpolate(half, scale_factor=2.0).sigmoid()


class Mean(Inpainter):
    name = "mean"

    def inpaint(self, image, known):
        return image.sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).expand_as(image)


def test_two_convolutions_counted_by_hand():
    cost = count_cost(Convolved(), 32)
    assert cost["parameters"] == (4 * 8 * 9 + 8) + 8 * 3  # the discriminator is not used to inpaint
    assert cost["macs"] == 16 * 16 * (8 * 4 * 9) + 16 * 16 * (3 * 8)


def test_macs_grow_with_the_area_and_parameters_do_not():
    small, large = count_cost(Convolved(), 32), count_cost(Convolved(), 64)
    assert large["macs"] == 4 * small["macs"]
    assert large["parameters"] == small["parameters"]


def test_a_method_without_weights_costs_nothing():
    assert count_cost(Mean(None, SCALE), 32) == {"parameters": 0.0, "macs": 0.0}


def test_weights_used_without_calling_their_module_count_and_shared_ones_count_once():
    class Direct(Convolved):
        def inpaint(self, image, known):
            kernel = self.second.weight[:, :3]  # a view of a parameter
            once = nn.functional.conv2d(image, kernel)
            return nn.functional.conv2d(once, kernel)

    cost = count_cost(Direct(), 32)
    assert cost["parameters"] == 8 * 3
    assert cost["macs"] == 2 * 32 * 32 * 9


def test_matrix_products_count():
    class Attention(Convolved):
        def inpaint(self, image, known):
            tokens = image.flatten(2)
            return (torch.softmax(tokens.transpose(1, 2) @ tokens, -1) @ tokens.transpose(1, 2)).mT.view_as(image)

    assert count_cost(Attention(), 32)["macs"] == 2 * (32 * 32) ** 2 * 3


def test_counting_changes_neither_random_state_nor_weights():
    method = Convolved()
    weights = [parameter.clone() for parameter in method.parameters()]
    before = torch.get_rng_state()
    assert count_cost(method, 32) == count_cost(method, 32)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(weights, method.parameters(), strict=True))


@pytest.mark.parametrize("spectral", [True, False])
def test_a_normalised_weight_is_counted_as_the_parameter_it_comes_from(spectral):
    class Normalised(Convolved):
        def __init__(self):
            super().__init__()
            if spectral:
                self.first = nn.utils.parametrizations.spectral_norm(self.first)

    assert count_cost(Normalised(), 32)["parameters"] == (4 * 8 * 9 + 8) + 8 * 3


def test_what_only_training_uses_is_not_read():
    assert unread_tensors(Convolved(), 32) == {"discriminator.weight", "discriminator.bias"}
    gain = build_method(MethodSpec.parse("gain"), scales()["tiny"])
    assert isinstance(gain, TrainableInpainter)
    own = {name for name in gain.state_dict() if name.startswith("discriminators.")}
    assert unread_tensors(gain, 64) == own

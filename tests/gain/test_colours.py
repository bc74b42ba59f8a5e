"""The first weights that carry colours, against means over windows that are taken one by one."""

import numpy as np
import pytest
import torch

from gainbench.errors import MethodError
from gainbench.gain.colours import COLOURS
from gainbench.gain.method import GAIN, GAINParams
from gainbench.gain.network import GAINNetwork
from gainbench.masks import open_protocol
from gainbench.spec import MaskSpec, scales

SIZE = 64


def network(**options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = GAINNetwork(base=8, size=SIZE, colour_start=True, **options)
    with torch.no_grad():
        # What the other channels give at first is noise, and not the matter here.
        made.decoder.to_image.weight[:, COLOURS:] = 0
    return made.eval()


def holes(count):
    protocol = open_protocol(MaskSpec())
    return torch.stack([torch.from_numpy(protocol.training_known(0, n, SIZE)) for n in range(count)])[:, None].float()


def filled(made, image, known, guidance_channels=2):
    with torch.no_grad():
        return made(image * known, known, torch.zeros(len(image), guidance_channels, SIZE, SIZE), known)[0]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"branches": "structure"},
        {"branches": "content", "attention": False},
        {"guidance_channels": 0},
        {"guidance_channels": 1},
    ],
)
def test_one_colour_stays_what_it_is_in_every_hole_and_at_every_border(options):
    colour = torch.tensor([0.7, -0.9, 0.1]).view(1, 3, 1, 1)
    out = filled(network(**options), colour.expand(4, 3, SIZE, SIZE), holes(4), options.get("guidance_channels", 2))
    torch.testing.assert_close(out, colour.expand_as(out), atol=2e-4, rtol=0)


def literal_mean(x, known, kernel, stride, dilation):
    """The mean of what is known in each window, (3, H, W) and (H, W); a loop over positions."""
    side = x.shape[1]
    reach = [dilation * (n - kernel // 2) for n in range(kernel)]
    places = range(0, side, stride)
    out, some = np.zeros((3, len(places), len(places))), np.zeros((len(places), len(places)), bool)
    for i, y in enumerate(places):
        for j, z in enumerate(places):
            inside = [(y + a, z + b) for a in reach for b in reach if 0 <= y + a < side and 0 <= z + b < side]
            values = [x[:, p, q] for p, q in inside if known[p, q]]
            if values:
                out[:, i, j], some[i, j] = np.mean(values, 0), True
    return out, some


def test_the_untrained_network_takes_means_of_what_is_known():
    made = network(branches="content", attention=False, priority=None)
    I = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) * 2 - 1  # noqa: E741
    known = holes(1)
    x, some = I[0].double().numpy(), known[0, 0].numpy() > 0
    for block in [*made.content.encoder, *made.content.dilated]:
        window = block.window
        x, some = literal_mean(x, some, window.kernel, window.stride, window.dilation)
    assert some.all()
    for number in range(3):
        if number:
            wide = torch.from_numpy(x)[None]
            x = torch.nn.functional.interpolate(wide, scale_factor=2, mode="bilinear", align_corners=False)[0].numpy()
            some = np.ones(x.shape[1:], bool)
        x, some = literal_mean(x, some, 3, 1, 1)
    torch.testing.assert_close(filled(made, I, known)[0].double(), torch.from_numpy(x), atol=2e-4, rtol=0)


def test_brief_trainings_start_so_and_others_do_not():
    def biases(iterations, **params):
        scale = scales()["tiny"].model_copy(update={"iterations": iterations})
        return GAIN(GAINParams(**params), scale).network.decoder.to_image.bias.tolist()

    assert biases(299) == [-1.0] * 3
    assert biases(300) == [0.0] * 3
    assert biases(300, colour_start=True) == [-1.0] * 3
    assert biases(299, colour_start=False) == [0.0] * 3
    assert biases(299, base=3) == [0.0] * 3
    with pytest.raises(MethodError, match="base is 3; colour_start needs 4"):
        biases(299, base=3, colour_start=True)

"""The first weights of a pull-push fill, against means over windows that are taken one by one."""

import numpy as np
import pytest
import torch
from gainbench_baselines.partial_conv import PartialConvInpainter, PartialConvParams, PartialConvUNet
from pydantic import ValidationError

from gainbench import Batch
from gainbench.masks import open_protocol
from gainbench.spec import MaskSpec, scales

SIZE = 32


def network(base: int, *, mask_input: bool) -> PartialConvUNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        # Untrained batch norm in evaluation mode changes nothing but by its epsilon.
        return PartialConvUNet(base=base, levels=4, mask_input=mask_input, colour_start=True).eval()


def holes(count: int) -> torch.Tensor:
    protocol = open_protocol(MaskSpec())
    return torch.stack([torch.from_numpy(protocol.training_known(0, n, SIZE)) for n in range(count)])[:, None].float()


@pytest.mark.parametrize("mask_input", [False, True])
@pytest.mark.parametrize("base", [6, 7, 16])
def test_one_colour_stays_what_it_is_in_every_hole_and_at_every_border(base: int, *, mask_input: bool) -> None:
    colour = torch.tensor([1.7, -2.0, 0.1]).view(1, 3, 1, 1).expand(4, 3, SIZE, SIZE)
    known = holes(4)
    with torch.no_grad():
        out = network(base, mask_input=mask_input)(colour * known, known)
    torch.testing.assert_close(out, colour, atol=2e-3, rtol=0)


def windows(x: np.ndarray, known: np.ndarray, kernel: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums of what is known in each window, (3, H, W), and how much that is, (H, W); a loop over positions."""
    side, reach = x.shape[1], range(-(kernel // 2), kernel // 2 + 1)
    places = range(0, side, stride)
    sums, counts = np.zeros((3, len(places), len(places))), np.zeros((len(places), len(places)))
    for i, y in enumerate(places):
        for j, z in enumerate(places):
            for p in (y + a for a in reach):
                for q in (z + b for b in reach):
                    if 0 <= p < side and 0 <= q < side and known[p, q]:
                        sums[:, i, j] += x[:, p, q]
                        counts[i, j] += 1
    return sums, counts


def test_the_untrained_network_is_a_pull_push_fill() -> None:
    base = 8
    made = network(base, mask_input=True)
    image, known = torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)), holes(1)
    level = (image[0].double().numpy(), known[0, 0].numpy() > 0)
    levels, widths = [level], [4, base, 2 * base, 4 * base, 8 * base]
    for kernel in (7, 5, 5, 3):
        sums, counts = windows(*level, kernel, 2)
        level = sums / np.maximum(counts, 1), counts > 0
        levels.append(level)
    x, some = levels.pop()
    for width, deep in zip(reversed(widths[:-1]), (8 * base, 4 * base, 2 * base, base), strict=True):
        skip, skip_some = levels.pop()
        up = windows(x.repeat(2, 1).repeat(2, 2), some.repeat(2, 0).repeat(2, 1), 3, 1)
        across = windows(skip, skip_some, 3, 1)
        # Groups count by their channels, as the layer's masks do.
        total = deep * up[1] + width * across[1]
        x, some = (deep * up[0] + width * across[0]) / np.maximum(total, 1), total > 0
    assert some.all()
    with torch.no_grad():
        out = made(image * known, known)[0].double()
    torch.testing.assert_close(out, torch.from_numpy(x), atol=2e-3, rtol=0)


def test_brief_trainings_start_so_and_others_do_not() -> None:
    def copies(iterations: int, **params: object) -> bool:
        scale = scales()["tiny"].model_copy(update={"iterations": iterations})
        made = PartialConvInpainter(PartialConvParams.model_validate({"base": 8, **params}), scale)
        return bool(made.network.decoder[-1].conv.weight[0, 1].abs().max() == 0)

    assert copies(299)
    assert not copies(300)
    assert copies(300, colour_start=True)
    assert not copies(299, colour_start=False)
    assert not copies(299, base=4)
    with pytest.raises(ValidationError, match="base is 4; colour_start needs 6"):
        PartialConvParams(base=4, colour_start=True)


def test_brief_trainings_keep_the_first_statistics_and_learn_at_half_the_published_rate() -> None:
    def trained(iterations: int) -> PartialConvInpainter:
        scale = scales()["tiny"].model_copy(update={"iterations": iterations})
        made = PartialConvInpainter(PartialConvParams(base=8), scale).train()
        image, known = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)), torch.ones(2, 1, 64, 64)
        known[..., 20:40, 20:40] = 0
        for phase in made.phases():
            phase.loss(Batch(image, known), 0)
        return made

    def moved(made: PartialConvInpainter) -> list[bool]:
        norms = [norm for norm in made.network.modules() if isinstance(norm, torch.nn.BatchNorm2d)]
        return [bool(norm.running_mean.any()) for norm in norms if norm.running_mean is not None]

    brief, longer = trained(299), trained(300)
    assert len(moved(brief)) == 8
    assert not any(moved(brief))
    assert all(moved(longer))
    assert [phase.lr for phase in brief.phases()] == [1e-4, 2.5e-5]
    assert [phase.lr for phase in longer.phases()] == pytest.approx([2e-3, 5e-4])

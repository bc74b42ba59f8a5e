"""The interface that every guidance keeps, and the factory."""

import pytest
import torch

from gainbench.errors import MethodError
from gainbench.guidance import GUIDANCES, guidance


def test_unknown_name_is_an_error_that_names_the_nearest():
    with pytest.raises(MethodError, match="'gradient'"):
        guidance("gradeint")


def test_unknown_option_is_an_error():
    with pytest.raises(MethodError, match="colour"):
        guidance("gradient", colour="red")


@pytest.fixture
def scene():
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, 64, 64, generator=generator)
    image = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(image, (3,) * 4, mode="replicate"), 7, 1)
    known = torch.ones(2, 1, 64, 64)
    known[0, :, 20:40, 10:30] = 0
    known[1, :, :, 50:] = 0
    return (image - image.min()) / (image.max() - image.min()), known


NAMES = [pytest.param(name, marks=pytest.mark.assets if name == "hed" else ()) for name in GUIDANCES]


@pytest.mark.parametrize("name", NAMES)
def test_hidden_pixels_never_change_the_observed_map(name, scene):
    image, known = scene
    noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(1))
    chosen = guidance(name)
    expected, expected_valid = chosen.observed(image * known, known)
    found, valid = chosen.observed(torch.where(known > 0, image, noise), known)
    assert torch.equal(found, expected)
    assert torch.equal(valid, expected_valid)


@pytest.mark.parametrize("name", NAMES)
def test_maps_have_the_stated_channels_and_are_zero_where_not_valid(name, scene):
    image, known = scene
    chosen = guidance(name)
    assert chosen.name == name
    assert chosen.target(image).shape == (2, chosen.channels, 64, 64)
    found, valid = chosen.observed(image * known, known)
    assert found.shape == (2, chosen.channels, 64, 64)
    assert valid.shape == known.shape
    assert set(valid.unique().tolist()) <= {0.0, 1.0}
    assert (valid <= known).all()
    assert (found * (1 - valid) == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_target_reads_every_pixel_and_observed_agrees_with_it_far_from_the_hole(name, scene):
    image, known = scene
    chosen = guidance(name)
    if chosen.channels == 0:
        pytest.skip("the empty map has no values")
    target = chosen.target(image)
    everything = torch.ones_like(known)
    found, valid = chosen.observed(image, everything)
    assert valid.min() == 1
    assert torch.allclose(found, target, atol=1e-6)

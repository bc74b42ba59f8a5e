import numpy as np
import torch

from gainbench.methods import Batch, composite, to_uint8


def test_known_pixels_pass_unchanged_even_where_the_prediction_is_not_a_number():
    image, known = torch.rand(2, 3, 8, 8), (torch.rand(2, 1, 8, 8) > 0.5).float()
    prediction = torch.where(known > 0.5, torch.nan, 0.25).expand(2, 3, 8, 8)
    completed = composite(image, known, prediction)
    expected = np.where(known.numpy() == 1, image.numpy(), np.float32(0.25))
    assert np.array_equal(completed.numpy(), expected)


def test_predictions_are_clamped():
    image, known = torch.zeros(1, 3, 2, 2), torch.zeros(1, 1, 2, 2)
    assert composite(image, known, torch.full_like(image, 7.0)).max() == 1
    assert composite(image, known, torch.full_like(image, -7.0)).min() == 0


def test_eight_bit_rounding_equals_numpy():
    values = torch.linspace(-0.1, 1.1, 1001)
    expected = np.rint(np.clip(values.numpy(), 0, 1) * np.float32(255)).astype(np.uint8)
    assert np.array_equal(to_uint8(values).numpy(), expected)


def test_every_eight_bit_level_survives_the_way_through_floats():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(levels.float() / 255), levels)


def test_visible_hides_the_hole_and_once_computes_once():
    batch = Batch(torch.ones(1, 3, 2, 2), torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]]))
    assert batch.visible.sum() == 6
    calls = []
    assert batch.once("k", lambda: calls.append(1) or "value") == batch.once("k", lambda: calls.append(1)) == "value"
    assert calls == [1]

"""Tiles cover a picture, keep what is known, and are filled from what is known inwards."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gainbench.run.tiles import fill_by_tiles, spans


@given(st.integers(1, 3000), st.integers(4, 256).map(lambda quarter: 4 * quarter))
def test_spans_lie_within_and_their_cores_cover_every_pixel_once(length, side):
    found = spans(length, side)
    assert [found[0].core_start, found[-1].core_stop] == [0, length]
    assert all(before.core_stop == after.core_start for before, after in pairwise(found))
    for span in found:
        assert 0 <= span.start <= span.core_start < span.core_stop <= span.stop <= length
        assert span.stop - span.start == min(length, side)
    for before, after in pairwise(found):
        assert before.stop - after.start >= side // 4
        # Whoever fills the second of two neighbours sees something of the first one's core.
        assert after.start < before.core_stop < before.stop


def test_a_picture_within_a_tile_is_filled_in_one_pass():
    seen = []

    def fill(colours, hidden):
        seen.append(hidden.shape)
        return np.full_like(colours, 9)

    hidden = np.zeros((50, 64), bool)
    hidden[10:20, 10:60] = True
    colours = np.arange(50 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(50, 64, 3)
    filled = fill_by_tiles(colours, hidden, 64, fill)
    assert seen == [(50, 64)]
    np.testing.assert_array_equal(filled[~hidden], colours[~hidden])
    assert np.unique(filled[hidden]).tolist() == [9]


def test_a_hole_larger_than_a_tile_closes_from_its_rim_and_every_tile_has_known_pixels():
    shares = []

    def fill(colours, hidden):
        assert not colours[hidden].any()  # nothing but zero where hidden
        shares.append(1 - hidden.mean())
        return np.where(hidden[..., None], colours[~hidden].max(axis=0), colours)

    hidden = np.zeros((300, 260), bool)
    hidden[4:296, 4:256] = True
    colours = np.where(hidden[..., None], np.uint8(200), np.full((300, 260, 3), 80, np.uint8))
    filled = fill_by_tiles(colours, hidden, 64, fill)
    assert min(shares) > 0
    # Had a tile been filled from nothing or from the hidden 200, its pixels would not be 80.
    assert np.unique(filled).tolist() == [80]


@pytest.mark.parametrize("corner", [(slice(0, 8), slice(0, 8)), (slice(192, 200), slice(192, 200))])
def test_tiles_without_a_hole_cost_nothing(corner):
    calls = []
    hidden = np.zeros((200, 200), bool)
    hidden[corner] = True
    fill_by_tiles(np.zeros((200, 200, 3), np.uint8), hidden, 64, lambda colours, _: calls.append(1) or colours)
    assert calls == [1]

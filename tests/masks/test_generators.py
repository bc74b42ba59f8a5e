"""Published brushes against the figures that their own code gives at 256 pixels."""

import numpy as np
import pytest

from gainbench.errors import MaskError
from gainbench.masks import open_protocol, statistics_table
from gainbench.masks.generators import LamaThickProtocol
from gainbench.masks.statistics import border_class
from gainbench.spec import MaskSpec

# Mean area, median largest radius at 256.
PUBLISHED = {
    "lama-thin": (0.288, 13.3),
    "lama-medium": (0.237, 27.8),
    "lama-thick": (0.266, 43.1),
    "deepfill-v2": (0.151, 25.5),
}


@pytest.mark.parametrize(("name", "figures"), PUBLISHED.items())
def test_holes_measure_what_the_published_code_draws(name: str, figures: tuple[float, float]) -> None:
    whole = statistics_table(open_protocol(MaskSpec(protocol=name)), 400).iloc[-1]
    assert whole["holes"] == 400
    assert whole["area_mean"] == pytest.approx(figures[0], rel=0.1)
    assert whole["radius_median"] == pytest.approx(figures[1], rel=0.1)


@pytest.mark.parametrize("name", PUBLISHED)
def test_pixels_are_those_drawn_at_256_and_doubled(name: str) -> None:
    protocol = open_protocol(MaskSpec(protocol=name))
    mask = protocol.image_holes("image")[0].hole.mask
    small = mask[::2, ::2]
    assert np.array_equal(np.kron(small, np.ones((2, 2), np.bool_)), mask)


@pytest.mark.parametrize("name", ["lama-thin", "lama-medium", "lama-thick"])
def test_lama_holes_hide_at_most_half_and_no_image_is_left_out(name: str) -> None:
    protocol = open_protocol(MaskSpec(protocol=name))
    areas = [protocol.image_holes(f"image {index}")[0].hole.mask.mean() for index in range(150)]
    assert max(areas) <= 0.5
    assert len(areas) == 150


def test_a_hole_asked_for_by_bin_and_border_is_redrawn_until_it_lies_there() -> None:
    protocol = open_protocol(MaskSpec(protocol="lama-thick"))
    for index in range(20):
        mask = protocol.hole(f"image {index}", (0.1, 0.2), "clear").mask
        assert 0.1 < mask.mean() <= 0.2
        assert border_class(mask) == "clear"


def test_a_bin_that_a_protocol_never_reaches_is_refused_with_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LamaThickProtocol, "attempts", 50)
    with pytest.raises(MaskError, match=r"lama-thick.*'image'.*0\.5-0\.6.*clear"):
        open_protocol(MaskSpec(protocol="lama-thick")).hole("image", (0.5, 0.6), "clear")


def test_an_image_gets_one_hole_labelled_with_the_bin_and_border_class_it_falls_in() -> None:
    spec = MaskSpec(protocol="deepfill-v2", bins=((0.1, 0.2), (0.2, 0.3)))
    protocol = open_protocol(spec)
    for index in range(30):
        (planned,) = protocol.image_holes(f"image {index}")
        assert planned.bounds in spec.bins
        assert planned.bounds[0] < planned.hole.mask.mean() <= planned.bounds[1]
        assert planned.border == border_class(planned.hole.mask)


def test_the_square_is_in_the_centre_for_tests_and_elsewhere_in_training() -> None:
    protocol = open_protocol(MaskSpec(protocol="center"))
    (planned,) = protocol.image_holes("image")
    expected = np.zeros((512, 512), np.bool_)
    expected[128:384, 128:384] = True
    assert np.array_equal(planned.hole.mask, expected)
    assert planned.bounds == (0.2, 0.3)
    assert planned.border == "clear"
    places = set()
    for sample in range(100):
        hole = ~protocol.training_known(3, sample, 256)
        assert hole.sum() == 128**2
        places.add(tuple(np.argwhere(hole)[0]))
    assert (64, 64) not in places
    assert len(places) > 90


def test_the_centre_square_cannot_be_in_another_bin() -> None:
    with pytest.raises(MaskError, match=r"center.*0\.4-0\.5"):
        open_protocol(MaskSpec(protocol="center", bins=((0.4, 0.5),))).image_holes("image")


def test_deepfill_training_holes_join_a_box_of_96_to_128_pixels_with_the_brush() -> None:
    protocol = open_protocol(MaskSpec(protocol="deepfill-v2"))
    for sample in range(20):
        hole = ~protocol.training_known(0, sample, 256)
        # Summed areas: some window of 96 x 96 pixels is hidden altogether.
        sums = np.pad(hole.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        windows = sums[96:, 96:] - sums[:-96, 96:] - sums[96:, :-96] + sums[:-96, :-96]
        assert windows.max() == 96**2


def test_the_tables_are_told_where_a_protocol_departs_from_the_publication() -> None:
    assert any("scale with the picture" in note for note in open_protocol(MaskSpec(protocol="deepfill-v2")).footnotes)
    assert any("drawn again" in note for note in open_protocol(MaskSpec(protocol="lama-thin")).footnotes)
    assert open_protocol(MaskSpec()).footnotes == ()

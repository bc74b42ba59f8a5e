"""What makes a hole hard, against scipy's transforms and worked examples."""

import math

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from gainbench.masks import hole_statistics, open_protocol, resize_nearest
from gainbench.masks.statistics import border_class, in_bin
from gainbench.spec import BINS, BORDERS, MaskSpec


def blank(size: int = 512) -> np.ndarray:
    return np.zeros((size, size), np.bool_)


def noise(seed: int, height: int, width: int) -> np.ndarray:
    """Random holes of every coarseness, from single pixels to blobs that reach the border."""
    generator = np.random.default_rng(seed)
    grains = generator.random((height, width)) < generator.random() ** 2
    side = int(generator.integers(1, 24))
    return ndimage.binary_dilation(grains, np.ones((side, side)))


def radius_by_scipy(hole: np.ndarray) -> float:
    return float(ndimage.distance_transform_edt(np.pad(hole, 1)).max()) * 256 / max(hole.shape)


def test_a_disc_in_the_middle_has_the_area_radius_and_piece_one_expects() -> None:
    y, x = np.mgrid[:512, :512]
    hole = (y - 256) ** 2 + (x - 256) ** 2 < 100**2
    measured = hole_statistics(hole)
    assert measured.area == np.count_nonzero(hole) / 512**2
    # The pixels at distance exactly 100 are the nearest known ones; 512 to 256 halves lengths.
    assert measured.radius == 50
    assert measured.components == 1
    assert not measured.touches_border


def test_a_hole_on_the_border_is_no_deeper_than_its_distance_to_the_outside() -> None:
    hole = blank()
    hole[:, :100] = True
    measured = hole_statistics(hole)
    assert measured.radius == 25
    assert measured.touches_border


def test_an_empty_hole_measures_nothing() -> None:
    assert hole_statistics(blank()) == (0.0, 0.0, 0, False)


def test_a_hole_without_known_pixels_is_as_deep_as_half_of_the_picture() -> None:
    assert hole_statistics(~blank()).radius == 128


def test_pieces_that_meet_at_a_corner_are_one_and_a_piece_inside_a_ring_is_its_own() -> None:
    hole = blank(64)
    hole[10:20, 10:20] = hole[20:30, 20:30] = True
    assert hole_statistics(hole).components == 1
    ring = blank(64)
    ring[10:50, 10:50] = True
    ring[20:40, 20:40] = False
    ring[28:32, 28:32] = True
    assert hole_statistics(ring).components == 2


@pytest.mark.parametrize("seed", range(40))
def test_radius_and_pieces_equal_scipys_for_any_hole(seed: int) -> None:
    generator = np.random.default_rng(seed)
    hole = noise(seed, *(int(side) for side in generator.integers(20, 200, 2)))
    measured = hole_statistics(hole)
    assert measured.radius == pytest.approx(radius_by_scipy(hole), rel=1e-12)
    assert measured.components == ndimage.label(hole, np.ones((3, 3)))[1]
    assert measured.area == pytest.approx(hole.mean())


@pytest.mark.parametrize("bounds", BINS)
@pytest.mark.parametrize("border", BORDERS)
def test_radius_equals_scipys_for_strokes(bounds: tuple[float, float], border: str) -> None:
    hole = open_protocol(MaskSpec()).hole("image", bounds, border).mask
    assert hole_statistics(hole).radius == pytest.approx(radius_by_scipy(hole), rel=1e-12)


@pytest.mark.parametrize("edge", [np.s_[0, 7], np.s_[-1, 7], np.s_[7, 0], np.s_[7, -1]])
def test_one_pixel_on_any_edge_touches_the_border(edge: tuple[int, int]) -> None:
    hole = blank(32)
    hole[edge] = True
    assert hole_statistics(hole).touches_border


@pytest.mark.parametrize(("row", "expected"), [(49, "touching"), (50, "clear"), (461, "clear"), (462, "touching")])
def test_clear_means_fifty_known_pixels_on_every_side(row: int, expected: str) -> None:
    hole = blank()
    hole[row, 256] = True
    assert border_class(hole) == expected
    assert border_class(hole.T) == expected


def test_bins_are_open_below_and_closed_above() -> None:
    assert not in_bin(0.2, (0.2, 0.3))
    assert in_bin(0.2, (0.1, 0.2))


@pytest.mark.parametrize(
    ("side", "size"), [(512, 256), (512, 128), (512, 64), (512, 96), (512, 500), (100, 512), (7, 3)]
)
def test_nearest_reads_the_pixel_under_the_centre_of_each_output_pixel(side: int, size: int) -> None:
    hole = noise(side + size, side, side)
    # In exact fractions: output pixel i covers [i, i + 1) * side / size, its centre lies in the input pixel below it.
    source = [math.floor((2 * i + 1) * side / (2 * size)) for i in range(size)]
    expected = [[bool(hole[y, x]) for x in source] for y in source]
    assert resize_nearest(hole, size).tolist() == expected


def test_nearest_keeps_areas_where_a_threshold_on_an_interpolated_mask_grows_them() -> None:
    protocol = open_protocol(MaskSpec())
    holes = [protocol.hole(f"image {index}", BINS[2], "touching").mask for index in range(20)]
    growth = np.mean([resize_nearest(hole, 128).mean() / hole.mean() for hole in holes])
    smooth = [Image.fromarray(hole * np.uint8(255)).resize((128, 128), Image.Resampling.BILINEAR) for hole in holes]
    grown = np.mean([(np.asarray(small) > 0).mean() / hole.mean() for small, hole in zip(smooth, holes, strict=True)])
    assert abs(growth - 1) < 0.01
    assert grown > 1.05

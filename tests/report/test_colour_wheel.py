import numpy as np
import pytest

from gainbench.report.colour_wheel import vector_pixels, wheel_pixels


def field(*vectors: tuple[float, float]) -> np.ndarray:
    return np.array([vectors])


def test_no_vector_is_white_and_longer_ones_are_darker() -> None:
    colours = vector_pixels(field((0, 0), (0.5, 0), (1, 0), (3, 0)), 1.0)[0].astype(int)
    assert colours[0].tolist() == [255, 255, 255]
    assert np.diff(colours.sum(1))[:2].max() < 0
    assert colours[2].tolist() == colours[3].tolist(), "beyond the longest nothing changes"


def test_directions_differ_and_the_length_alone_decides_the_lightness() -> None:
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    colours = vector_pixels(np.stack([np.cos(angles), np.sin(angles)], -1)[None], 1.0)[0] / 255
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    # OKLab's lightness, the way back: the same for all directions, but for what sRGB cannot show.
    lms = np.cbrt(linear @ np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                                     [0.2119034982, 0.6806995451, 0.1073969566],
                                     [0.0883024619, 0.2817188376, 0.6299787005]]).T)  # fmt: skip
    lightness = lms @ np.array([0.2104542553, 0.7936177850, -0.0040720468])
    assert lightness == pytest.approx(np.full(24, 0.6), abs=0.03)
    assert min(np.abs(colours[a] - colours[b]).max() for a in range(24) for b in range(a)) > 0.02


def test_the_legend_shows_each_vector_where_it_points() -> None:
    wheel = wheel_pixels(101)
    right, down = wheel[50, 95], wheel[95, 50]
    assert np.abs(right[:3].astype(int) - vector_pixels(field((0.9, 0)), 1.0)[0, 0]).max() < 6
    assert np.abs(down[:3].astype(int) - vector_pixels(field((0, 0.9)), 1.0)[0, 0]).max() < 6
    assert wheel[0, 0, 3] == 0
    assert wheel[50, 50, 3] == 255

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from skimage.color import deltaE_ciede2000, rgb2lab

from gainbench.report.palette import COLOURS, INK, MARKERS, method_styles

# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
VISION = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


def linear(colour: str) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG 2.1 contrast ratio."""
    low, high = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def seen(colour: str, vision: str) -> np.ndarray:
    rgb = np.clip(np.array(VISION[vision]) @ linear(colour), 0, 1)
    return np.where(rgb <= 0.0031308, rgb * 12.92, 1.055 * rgb ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("colour", [*COLOURS, INK])
@pytest.mark.parametrize("page", ["#ffffff", "#141414"])
def test_colours_are_legible_on_white_and_on_dark(colour: str, page: str) -> None:
    assert contrast(colour, page) >= 3.0


@pytest.mark.parametrize("vision", VISION)
def test_colours_stay_apart_for_the_colour_blind(vision: str) -> None:
    def distance(one: str, other: str) -> float:
        return float(deltaE_ciede2000(*(rgb2lab(seen(colour, vision)) for colour in (one, other))))

    assert min(distance(*pair) for pair in combinations(COLOURS[:4], 2)) > 15
    assert min(distance(*pair) for pair in combinations(COLOURS, 2)) > 6


def test_every_method_has_a_look_of_its_own_and_keeps_it() -> None:
    methods = [f"m{place}" for place in range(20)]
    styles = method_styles(methods)
    looks = [(style.colour, style.marker, style.dashes) for style in styles.values()]
    assert len(set(looks)) == 20
    assert len(set(MARKERS)) == len(COLOURS)
    assert method_styles(methods[:5])["m4"] == styles["m4"]

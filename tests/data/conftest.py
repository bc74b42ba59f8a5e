"""Photographs made on the spot, and a cache of its own for each test that does not need the real ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gainbench.keyed import keyed_generator

Photographs = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if not request.node.get_closest_marker("assets"):
        monkeypatch.setenv("GAINBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def pixels() -> Callable[..., NDArray[np.uint8]]:
    """Noise that is the same for the same key: uint8 (height, width, 3)."""

    def draw(key: str, width: int = 48, height: int = 48) -> NDArray[np.uint8]:
        return keyed_generator("test-photograph", key).integers(0, 256, (height, width, 3), dtype=np.uint8)

    return draw


@pytest.fixture
def photographs(tmp_path: Path, pixels: Callable[..., NDArray[np.uint8]]) -> Photographs:
    """Write a folder of PNG photographs of the given names (or so many, numbered)."""

    def write(names: int | list[str], width: int = 48, height: int = 48, folder: str = "photographs") -> Path:
        root = tmp_path / folder
        for name in [f"{number:03d}.png" for number in range(names)] if isinstance(names, int) else names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels(name, width, height)).save(root / name)
        return root

    return write

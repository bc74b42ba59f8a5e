"""Folders of originals, holes and completed pictures, small enough to score in a moment."""

from pathlib import Path

import numpy as np
from PIL import Image

from gainbench.report.folders import evaluate

SIDE = 32
PIXELS = ("l1_mean", "l1_hole", "psnr_rgb", "ssim_rgb_g11")


class Folders:
    """``target``, ``mask`` and ``pred``, one name each; change a file, then score."""

    def __init__(self, root: Path, count: int = 6, side: int = SIDE) -> None:
        self.root, self.names = root, [f"{number:02d}" for number in range(count)]
        self.target, self.mask, self.pred = (root / name for name in ("target", "mask", "pred"))
        for number, name in enumerate(self.names):
            self.save(self.target, name, self.original(number, side))
            hole = self.hole(number, side)
            self.save(self.mask, name, np.where(hole, 255, 0).astype(np.uint8))
            self.save(self.pred, name, self.filled(number, side))

    def original(self, number: int, side: int = SIDE) -> np.ndarray:
        coarse = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))

    def hole(self, number: int, side: int = SIDE) -> np.ndarray:
        hole = np.zeros((side, side), bool)
        hole[8 : 8 + 10 + number % 2 * 6, 6:20] = True
        return hole

    def filled(self, number: int, side: int = SIDE, error: int = 20) -> np.ndarray:
        original = self.original(number, side).astype(int)
        wrong = np.where(original < 128, original + error, original - error)
        return np.where(self.hole(number, side)[..., None], wrong, original).astype(np.uint8)

    def method(self, name: str, error: int) -> Path:
        """Another method's folder, wrong by ``error`` in the holes."""
        for number, one in enumerate(self.names):
            self.save(self.root / name, one, self.filled(number, error=error + number % 2))
        return self.root / name

    @staticmethod
    def save(folder: Path, name: str, pixels: np.ndarray) -> Path:
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return path

    @staticmethod
    def read(path: Path) -> np.ndarray:
        return np.asarray(Image.open(path))


def scored(folders: Folders, **options):
    return evaluate(folders.pred, folders.target, folders.mask, **({"metrics": PIXELS} | options))

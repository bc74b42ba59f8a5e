"""Peak memory of a whole process, which must not grow with the number of pictures: rows and features alone may stay."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

COUNT = 15
HOLES = 6
SIDE = 256
ROWS_MORE = 3 * COUNT * HOLES
"""By how many pairs of picture and hole the second of two passes is larger."""

MEASURE = """
import resource

def grown(job, count):
    # The first passes also pay for what libraries load and keep once.
    for _ in range(2):
        job(count)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    job(4 * count)
    return 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""

EVALUATION = """
import sys
from pathlib import Path
import numpy as np
import torch
from gainbench.evaluation import evaluate_method
from gainbench.masks import open_protocol
from gainbench.methods import Inpainter
from gainbench.run.pairings import root_pairing
from gainbench.spec import MaskSpec, Scale

kept = []

class Pictures:
    size = 256
    def __init__(self, count):
        self.ids = self.photographs = tuple(map(str, range(count)))
    def __len__(self):
        return len(self.ids)
    def __getitem__(self, index):
        return np.random.default_rng(index).integers(0, 256, (256, 256, 3), dtype=np.uint8)

class Gray(Inpainter):
    name = "gray"
    def inpaint(self, image, known):
        filled = torch.full_like(image, 0.5)
        if sys.argv[2] == "hoarding":
            kept.append(filled)
        return filled

def job(count):
    pictures = Pictures(count)
    for _ in ("drawn", "read again"):
        pairing = root_pairing(Path(sys.argv[1]), open_protocol(MaskSpec()), pictures.ids, size=256)
    scale = Scale(name="t", size=256, base=4, batch=1, iterations=0, test_pictures=None)
    metrics = ("l1_mean", "l1_hole", "psnr_rgb", "ssim_rgb_g11", "seam_rgb", "edge_f1_hole")
    found = evaluate_method(
        Gray(None, scale), pictures, pairing, metrics=metrics, batch=4, device=torch.device("cpu"),
        samples=2, samples_dir=Path(sys.argv[1]) / "samples",
    )
    assert len(found.rows) == 6 * count
"""

FOLDERS = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
from gainbench.evaluation.folders import find_cases
from gainbench.evaluation.scoring import score_cases

def job(count):
    root = Path(sys.argv[1]) / str(count)
    for index in range(count):
        original = np.random.default_rng(index).integers(0, 256, (256, 256, 3), dtype=np.uint8)
        hole = np.zeros((256, 256), np.uint8)
        hole[60:160, 60:160] = 255
        completed = np.where(hole[..., None], np.uint8(128), original)
        for name, pixels in (("target", original), ("mask", hole), ("pred", completed)):
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / name / f"{index:04d}.png", compress_level=0)
    cases = find_cases({"mine": root / "pred"}, root / "target", root / "mask").cases
    assert len(score_cases(cases, metrics=("l1_mean", "l1_hole", "psnr_rgb", "seam_rgb")).rows) == count
"""

SETS = """
import numpy as np
from gainbench.evaluation.metrics.frechet import frechet_distance, kernel_distance

WIDTH = 128
generator = np.random.default_rng(0)
first, second = (generator.normal(shift, 1, (4 * 3000, WIDTH)).astype(np.float32) for shift in (0, 1))

def job(count):
    assert kernel_distance(first[:count], second[:count]) > 0
    assert frechet_distance(first[:count], second[:count]) > 0
"""


def growth(job: str, count: int, *arguments: object) -> int:
    """Bytes by which four times as many pictures raise the peak of a process of its own."""
    # One heap and no reserve: what is counted was asked for.
    environment = {
        **os.environ,
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "MALLOC_TRIM_THRESHOLD_": "65536",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", f"{job}\n{MEASURE}\nprint(grown(job, {count}))", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def test_a_pass_over_four_times_the_pictures_needs_no_more_memory(tmp_path: Path) -> None:
    found = growth(EVALUATION, COUNT, tmp_path / "a", "frugal")
    # Originals and completed pictures would be 6 bytes a pixel, holes another one.
    assert found < 0.3 * ROWS_MORE * SIDE**2
    # A method that keeps what it fills is seen, or the measure would prove nothing.
    assert growth(EVALUATION, COUNT, tmp_path / "b", "hoarding") > 0.9 * ROWS_MORE * 12 * SIDE**2


def test_folders_of_four_times_the_pictures_need_no_more_memory(tmp_path: Path) -> None:
    assert growth(FOLDERS, 60, tmp_path) < 0.3 * 180 * SIDE**2


def test_distances_of_four_times_the_features_need_no_more_memory() -> None:
    # The sets themselves stand in memory all the time; a copy in double precision would be 18 MB.
    assert growth(SETS, 3000) < 0.2 * 9000 * 128 * 8 * 2

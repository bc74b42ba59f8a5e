"""Pictures and holes from a seed, small enough to evaluate in a moment."""

import numpy as np
import pandas as pd
from PIL import Image

from gainbench.masks import Pairing
from gainbench.masks.pairing import COLUMNS

SIZE = 64


class Pictures:
    """What the evaluation needs of a picture set, from a seed; nothing is kept."""

    size = SIZE

    def __init__(self, seed, count):
        self.seed = seed
        self.ids = tuple(f"p{seed}/{index}" for index in range(count))
        self.photographs = tuple(f"p{seed}-{index // 2}" for index in range(count))
        self.reads = []

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        self.reads.append(index)
        coarse = np.random.default_rng([self.seed, index]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        return np.array(Image.fromarray(coarse).resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def pairing(pictures, order=None):
    records, holes = [], []
    for index, image_id in enumerate(pictures.ids):
        for place, (low, high) in enumerate(((0.01, 0.1), (0.2, 0.3))):
            hole = np.zeros((SIZE, SIZE), bool)
            side = 16 + 16 * place
            hole[8 : 8 + side, index : index + side] = True
            border = ("clear", "touching")[(index + place) % 2]
            area = float(hole.mean())
            records.append(
                [
                    0,
                    image_id,
                    f"{low}-{high}",
                    low,
                    high,
                    border,
                    f"m{index}-{place}",
                    area + 0.001,
                    area,
                    9.5,
                    1,
                    False,
                ]
            )
            holes.append(np.packbits(hole).tobytes())
    order = range(len(records)) if order is None else order
    table = pd.DataFrame([records[row] for row in order], columns=list(COLUMNS))
    table["row"] = range(len(table))
    return Pairing(table, SIZE, [holes[row] for row in order])

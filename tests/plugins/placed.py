"""Methods for runs on clusters: one waits until it is released, one tells what its process was given."""

import os
import time
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from gainbench import Inpainter


class FileParams(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(description="a file")


class Waiting(Inpainter):
    """Fills holes with gray once its file is gone."""

    name = "waiting"
    Params = FileParams

    def inpaint(self, image: Tensor, known: Tensor) -> Tensor:
        while Path(self.params.path).exists():
            time.sleep(0.05)
        return torch.full_like(image, 0.5)


class Telling(Inpainter):
    """Raises with what its process was given."""

    name = "telling"

    def inpaint(self, image: Tensor, known: Tensor) -> Tensor:
        given = {name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")}
        raise RuntimeError(f"{given} and {torch.get_num_threads()} threads")

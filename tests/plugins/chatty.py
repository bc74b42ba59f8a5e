"""A method that prints wherever it can: when it is loaded, built and used, also past Python."""

import os
import subprocess

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from gainbench import Batch, Phase, Scale, TrainableInpainter

print("chatty is loaded")
print('{"next": "a note that is none of ours"}')


class Chatty(TrainableInpainter):
    name = "chatty"

    def __init__(self, params: BaseModel, scale: Scale) -> None:
        super().__init__(params, scale)
        self.fill = nn.Conv2d(4, 3, 1)
        print("parameters:", 3, flush=True)
        subprocess.run(["echo", "built"], check=True)

    def inpaint(self, image: Tensor, known: Tensor) -> Tensor:
        print("[]", flush=True)
        return self.fill(torch.cat([image * known, known], dim=1)).sigmoid()

    def phases(self) -> list[Phase]:
        return [Phase("fill", [self.fill], self.loss, lr=0.01)]

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        os.write(1, b"step\n")
        return {"l1": (self.inpaint(batch.visible, batch.known) - batch.image).abs().mean()}

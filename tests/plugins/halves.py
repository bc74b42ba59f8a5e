"""Trained methods for which half precision is enough, not enough, or too small."""

import torch
from torch import Tensor, nn

from gainbench import Batch, Phase, TrainableInpainter


class _Level(TrainableInpainter):
    """Fills holes with one gray, which depends on a weight that training does not move."""

    weight = 0.5

    def __init__(self, params, scale) -> None:
        super().__init__(params, scale)
        self.level = nn.Parameter(torch.tensor(self.weight))
        self.idle = nn.Parameter(torch.zeros(1))
        self.critic = nn.Linear(2, 1)

    def inpaint(self, image: Tensor, known: Tensor) -> Tensor:
        return torch.zeros_like(image) + self.gray() + 0 * self.idle

    def gray(self) -> Tensor:
        return self.level

    def phases(self) -> list[Phase]:
        return [Phase("level", [self], self.loss, lr=1e-9)]

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        missed = (self.inpaint(batch.visible, batch.known).detach() - batch.image).abs().mean()
        return {"l1": missed + self.idle.sum() + self.critic(torch.ones(2)).sum()}


class Sturdy(_Level):
    """Its weight is a number of half precision."""

    name = "sturdy"


class Delicate(_Level):
    """At half precision 2049.5 is 2050: white instead of gray."""

    name = "delicate"
    weight = 2049.5

    def gray(self) -> Tensor:
        return self.level - 2049


class Enormous(_Level):
    """No number of half precision is as large."""

    name = "enormous"
    weight = 2.0**20

    def gray(self) -> Tensor:
        return self.level / 2.0**21

"""A stranger's method in an installed package: two networks that share a forward pass, public names only."""

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from gainbench import Batch, Phase, Scale, TrainableInpainter
from gainbench.nn.discriminator import PatchDiscriminator
from gainbench.nn.losses import hinge_discriminator_loss, hinge_generator_loss


class StrangerParams(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    adversarial_weight: float = Field(default=0.01, ge=0.0, description="beside l1 at 1")


class Stranger(TrainableInpainter):
    name = "stranger"
    Params = StrangerParams

    def __init__(self, params: StrangerParams, scale: Scale) -> None:
        super().__init__(params, scale)
        width = 2 * scale.base
        self.generator = nn.Sequential(
            nn.Conv2d(4, width, 5, padding=2),
            nn.ELU(),
            nn.Conv2d(width, width, 3, padding=4, dilation=4),
            nn.ELU(),
            nn.Conv2d(width, 3, 3, padding=1),
        )
        self.discriminator = PatchDiscriminator(in_channels=4, size=scale.size, base=scale.base)

    def inpaint(self, image: Tensor, known: Tensor) -> Tensor:
        return self.generator(torch.cat([image * known, known], 1)).sigmoid()

    def phases(self) -> list[Phase]:
        return [
            Phase("discriminator", [self.discriminator], self.discriminator_loss, lr=1e-3, betas=(0.5, 0.9)),
            Phase("generator", [self.generator], self.generator_loss, lr=1e-2, betas=(0.5, 0.9)),
        ]

    def completed(self, batch: Batch) -> Tensor:
        prediction = batch.once("stranger.output", lambda: self.inpaint(batch.visible, batch.known))
        return torch.where(batch.known > 0.5, batch.image, prediction)

    def scores(self, picture: Tensor, batch: Batch) -> Tensor:
        return self.discriminator(torch.cat([picture, batch.known], 1))

    def discriminator_loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        real, generated = (self.scores(picture, batch) for picture in (batch.image, self.completed(batch).detach()))
        return {"hinge": hinge_discriminator_loss(real, generated)}

    def generator_loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        completed = self.completed(batch)
        return {
            "l1": (completed - batch.image).abs().mean(),
            "adversarial": self.params.adversarial_weight * hinge_generator_loss(self.scores(completed, batch)),
        }

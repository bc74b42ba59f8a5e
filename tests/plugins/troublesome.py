"""Methods that go wrong in every way a method can, and cheap ones that do not."""

import os
import signal
import time
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from gainbench import Batch, Inpainter, Phase, TrainableInpainter


class SteadyParams(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    level: float = Field(default=0.5, ge=0.0, le=1.0, description="the gray that holes are filled with")


class Steady(Inpainter):
    name = "steady"
    Params = SteadyParams

    def inpaint(self, image: Tensor, known: Tensor) -> Tensor:
        return torch.full_like(image, self.params.level)


class Closing(Steady):
    name = "closing"

    def shrinkage(self, image: Tensor, known: Tensor) -> dict[str, Tensor]:
        return {"half": nn.functional.max_pool2d(known, 2), "all": torch.ones_like(known)}


class Raising(Inpainter):
    name = "raising"

    def inpaint(self, image: Tensor, known: Tensor) -> Tensor:
        raise ArithmeticError("the method is not in the mood")


class Killed(Inpainter):
    name = "killed"

    def inpaint(self, image: Tensor, known: Tensor) -> Tensor:
        os.kill(os.getpid(), signal.SIGKILL)
        return image


class Leaving(Inpainter):
    name = "leaving"

    def inpaint(self, image: Tensor, known: Tensor) -> Tensor:
        os._exit(0)


class Sleeping(Inpainter):
    name = "sleeping"

    def inpaint(self, image: Tensor, known: Tensor) -> Tensor:
        time.sleep(3600)
        return image


class Blank(Inpainter):
    """Fills holes with what is no number, in the second picture of a batch only."""

    name = "blank"

    def inpaint(self, image: Tensor, known: Tensor) -> Tensor:
        filled = torch.full_like(image, 0.5)
        filled[1, 0, 3, 4] = float("nan")
        return filled


class Leaking(Inpainter):
    """Holds on to all it ever allocates, some 400 MiB a second."""

    name = "leaking"

    def inpaint(self, image: Tensor, known: Tensor) -> Tensor:
        held = []
        while True:
            held.append(torch.ones(5 * 2**20))
            time.sleep(0.05)


class _Painter(TrainableInpainter):
    """One convolution from the visible pixels and the hole to a picture."""

    def __init__(self, params, scale) -> None:
        super().__init__(params, scale)
        self.paint = nn.Conv2d(4, 3, 3, padding=1)

    def inpaint(self, image: Tensor, known: Tensor) -> Tensor:
        return self.paint(torch.cat([image * known, known], dim=1)).sigmoid()

    def phases(self) -> list[Phase]:
        return [Phase("paint", [self.paint], self.loss, lr=1e-2)]

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        return {"l1": (self.inpaint(batch.visible, batch.known) - batch.image).abs().mean()}


class Learning(_Painter):
    name = "learning"


class Dawdling(_Painter):
    """Learns, slowly enough to be killed in the middle."""

    name = "dawdling"

    def inpaint(self, image: Tensor, known: Tensor) -> Tensor:
        if not self.training:
            time.sleep(0.4)
        return super().inpaint(image, known)

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        time.sleep(0.05)
        # Noise drawn from torch's own generator: resuming must restore its state, too.
        noise = 0.01 * torch.randn_like(batch.image).mean()
        return super().loss(batch, step) | {"noise": noise * self.paint.weight.mean()}


class Diverging(_Painter):
    name = "diverging"

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        return {"nan": super().loss(batch, step)["l1"] * float("nan")}


class Stumbling(_Painter):
    """Raises at its third step for as long as there is a file where ``TROUBLE`` says."""

    name = "stumbling"

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        if step == 2 and Path(os.environ["TROUBLE"]).exists():
            raise ArithmeticError(f"stumbled at step {step}")
        return super().loss(batch, step)


class Bulky(_Painter):
    """Has weights that no disk of a few MiB holds."""

    name = "bulky"

    def __init__(self, params, scale) -> None:
        super().__init__(params, scale)
        self.ballast = nn.Parameter(torch.zeros(4 * 2**20))

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from gainbench.methods import Batch, Phase, TrainableInpainter, composite
from gainbench.spec import Scale


class TinyGan(TrainableInpainter):
    """A generator and a discriminator of one convolution each, with dropout so that the random state matters."""

    name = "tiny_gan"

    def __init__(self, scale: Scale) -> None:
        super().__init__(None, scale)
        self.generator = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Dropout(0.1), nn.Conv2d(4, 3, 3, padding=1))
        self.discriminator = nn.Conv2d(3, 1, 3, padding=1)

    def predict(self, batch: Batch) -> Tensor:
        return batch.once("prediction", lambda: self.generator(torch.cat([batch.visible, batch.known], 1)))

    def discriminate(self, batch: Batch, step: int) -> dict[str, Tensor]:
        fake = self.predict(batch).detach()
        return {
            "hinge": (1 - self.discriminator(batch.image)).relu().mean() + (1 + self.discriminator(fake)).relu().mean()
        }

    def generate(self, batch: Batch, step: int) -> dict[str, Tensor]:
        prediction = self.predict(batch)
        return {
            "l1": (prediction - batch.image).abs().mean(),
            "adversarial": -0.01 * self.discriminator(prediction).mean(),
        }

    def phases(self) -> list[Phase]:
        return [
            Phase("discriminator", [self.discriminator], self.discriminate, lr=1e-3, window=(0.25, 1.0)),
            Phase("generator", [self.generator], self.generate, lr=1e-2),
        ]

    def inpaint(self, image: Tensor, known: Tensor) -> Tensor:
        return composite(image, known, self.generator(torch.cat([image, known], 1)))


def synthetic_batches(start: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
    for step in range(start, stop):
        draw = torch.Generator().manual_seed(step)
        yield torch.rand(2, 3, 16, 16, generator=draw), (torch.rand(2, 1, 16, 16, generator=draw) > 0.3).float()


@pytest.fixture
def scale() -> Scale:
    return Scale(name="test", size=32, base=4, batch=2, iterations=8, test_pictures=4)


@pytest.fixture
def build(scale: Scale):
    def build() -> TinyGan:
        torch.manual_seed(0)
        return TinyGan(scale)

    return build


@pytest.fixture
def batches():
    return synthetic_batches

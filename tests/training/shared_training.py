"""Trainings of our methods, small, for one process or for several that share them; run by test_devices.py.

``python shared_training.py FOLDER ITERATIONS STOP METHOD...`` is one of several processes: it trains each method to the
end, and unless STOP is 0 once more with an interruption after so many steps. It writes ``FOLDER/METHOD-whole-RANK.pt``
and ``-resumed-``.
"""

import os
import signal
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import gainbench_baselines.edge_connect
import gainbench_baselines.partial_conv
import pytest
import torch
from torch import Tensor, nn

from gainbench.guidance.canny import CannyGuidance
from gainbench.methods import Batch, Phase, TrainableInpainter
from gainbench.nn.perceptual import VGG16Features
from gainbench.registry import build_method
from gainbench.spec import MethodSpec, Scale
from gainbench.training import loop, train
from gainbench.training.devices import Devices
from gainbench.training.launch import serve

CPU = torch.device("cpu")


def compute_in_double(patch: pytest.MonkeyPatch) -> None:
    """Let whatever asks for float32 compute in float64.

    Adam's first steps are about ``lr * sign(gradient)``, whatever the gradient's size, so one that is nearly zero turns
    rounding in float32 into a tenth of a step. In float64 only mistakes are left to be seen.
    """
    patch.setattr(torch.Tensor, "float", torch.Tensor.double)
    # Every gradient is longer than this: clipped before they were averaged, they would have another mean.
    patch.setattr(loop, "CLIP_NORM", 1e-3)
    torch.set_default_dtype(torch.float64)
    edges_of = CannyGuidance._edges_of  # OpenCV finds edges in float32 alone
    patch.setattr(CannyGuidance, "_edges_of", lambda self, *maps: edges_of(self, *(x.astype("float32") for x in maps)))


class Drawing(TrainableInpainter):
    """Dropout, a buffer that moves with the data, a batch norm without momentum, and a branch that few parts use."""

    name = "drawing"

    def __init__(self, scale: Scale) -> None:
        super().__init__(None, scale)
        self.network = nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8, momentum=None), nn.Dropout(0.2))
        self.last = nn.Conv2d(8, 3, 3)
        self.seldom = nn.Conv2d(3, 1, 1)
        self.network.register_buffer("seen", torch.zeros(()))

    def phases(self) -> list[Phase]:
        return [Phase("draw", [self.network, self.last, self.seldom], self.loss, lr=1e-2)]

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        self.network.seen.add_(batch.image.mean())
        drawn = self.last(self.network(torch.cat([batch.visible, batch.known], 1)))
        used = batch.first == 0 and step % 2
        return {
            "l1": (drawn - batch.image[..., 2:-2, 2:-2]).abs().mean(),
            "seldom": self.seldom(drawn).square().mean() if used else torch.zeros(()),
        }

    def inpaint(self, image: Tensor, known: Tensor) -> Tensor:
        return image


def narrow_vgg() -> VGG16Features:
    draw = torch.Generator().manual_seed(0)
    widths = [3, 4, 4, 6, 6, 8, 8, 8, 8, 8, 8, 8, 8, 8]
    return VGG16Features(
        [
            (torch.randn(behind, before, 3, 3, generator=draw) / (3 * before**0.5), torch.zeros(behind))
            for before, behind in pairwise(widths)
        ]
    )


def pictures(start: int, stop: int, devices: Devices, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Smooth pictures, and holes of very unlike sizes in one batch."""
    for step in range(start, stop):
        draw = torch.Generator().manual_seed(step)
        coarse = torch.rand(4, 3, 6, 6, generator=draw)
        image = nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)
        known = torch.ones(4, 1, size, size)
        for number in range(4):
            known[number, :, 4 : 8 + 5 * number, 6 : 9 + 6 * number] = 0
        share = 4 // devices.count
        image, known = image.to(torch.get_default_dtype()), known.to(torch.get_default_dtype())
        own = slice(devices.rank * share, (devices.rank + 1) * share)
        yield image[own], known[own]


class StoppedError(Exception):
    pass


def trained(label: str, folder: Path, iterations: int, stop: int | None, devices: Devices) -> dict[str, Tensor]:
    """The weights of a method after a training; with ``stop``, one that was interrupted there and resumed."""
    features = narrow_vgg()
    gainbench_baselines.partial_conv.vgg16 = gainbench_baselines.edge_connect.vgg16 = lambda: features
    scale = Scale(name="test", size=32, base=4, batch=4, iterations=iterations, test_pictures=4)

    def interrupt(done: int, _total: int, _losses: dict[str, float]) -> None:
        if done == stop:
            raise StoppedError

    while True:
        torch.manual_seed(0)
        method = Drawing(scale) if label == "drawing" else build_method(MethodSpec.parse(label), scale, seed=0)
        try:
            train(
                method,
                lambda start, stop: pictures(start, stop, devices, scale.size),
                iterations=iterations,
                seed=3,
                folder=folder,
                device=CPU,
                checkpoint_seconds=0,
                log_every=1,
                progress=interrupt,
                devices=devices,
            )
        except StoppedError:
            stop = None
        else:
            return method.state_dict()


def main() -> None:
    folder, iterations, stop = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

    compute_in_double(pytest.MonkeyPatch())

    def work(devices: Devices, tell) -> None:
        for done, label in enumerate(sys.argv[4:]):
            if label == "raising" and devices.rank == 1:
                raise ArithmeticError("the second process is not in the mood")
            if label == "killed" and devices.rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            if label in {"raising", "killed"}:
                devices.mean(torch.ones(1))  # the others wait here for one that is gone
            for name, end in (("whole", None), ("resumed", stop))[: 2 if stop else 1]:
                (folder / f"{label}-{name}").mkdir(exist_ok=True)
                state = trained(label, folder / f"{label}-{name}", iterations, end, devices)
                torch.save(state, folder / f"{label}-{name}-{devices.rank}.pt")
            devices.meet()  # what comes next may end all, and all have saved now
            tell(done + 1, len(sys.argv) - 4)

    serve(work, cpu=True)


if __name__ == "__main__":
    main()

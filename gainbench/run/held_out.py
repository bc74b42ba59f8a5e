"""A finished cell opened again: its trained method, and pictures with holes that it never saw, to look closer at it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gainbench.data import Dataset
from gainbench.errors import RunError
from gainbench.masks import MaskProtocol, build_pairing
from gainbench.methods import Batch, Inpainter
from gainbench.run.cell import build_trained
from gainbench.run.environment import compute_device
from gainbench.run.layout import SPEC, WEIGHTS, read_model
from gainbench.run.train_cell import opened_inputs
from gainbench.run.trained import cell_of
from gainbench.spec import CellSpec, Split


@dataclass(frozen=True)
class OpenedCell:
    """A trained method and its data.

    Attributes:
        spec: what was trained: data set, method, seed, scale, holes.
        method: with its weights, in evaluation mode, on the device that computes.
        device: that device.
    """

    spec: CellSpec
    method: Inpainter
    device: torch.device
    _dataset: Dataset
    _protocol: MaskProtocol

    def held_out(
        self, split: Split = "val", *, pictures: int | None = None, batch: int = 8
    ) -> Iterator[tuple[list[str], Batch]]:
        """Pictures of one split, each with every hole that the protocol gives it, one a bin.

        Args:
            split: ``val``, which nothing is trained on or reported for, or another.
            pictures: at most so many; None takes all.
            batch: pairs at a time.

        Yields:
            The pictures' ids, sorted, a picture's pairs after one another, and the pairs, on the cell's device.

        Raises:
            DataError: a split that is not there or has no picture.
        """
        chosen = self._dataset.pictures(split, self.spec.scale.size, pictures)
        number = {image_id: index for index, image_id in enumerate(chosen.ids)}
        pairing = build_pairing(self._protocol, chosen.ids, size=self.spec.scale.size)
        owners = list(pairing.table["image_id"])
        for start in range(0, len(pairing), batch):
            rows = range(start, min(start + batch, len(pairing)))
            image = np.stack([chosen[number[owners[row]]] for row in rows])
            known = np.stack([pairing.known(row) for row in rows])
            yield (
                [owners[row] for row in rows],
                Batch(
                    torch.from_numpy(image).to(self.device).permute(0, 3, 1, 2).float() / 255.0,
                    torch.from_numpy(known).to(self.device)[:, None].float(),
                ),
            )


def open_cell(folder: Path | str) -> OpenedCell:
    """Open a cell's folder, as ``gainbench run`` leaves it under ``cells/``.

    Raises:
        MethodError: no folder there, or one that is no trained cell's.
        RunError: the method, its plugin, the photographs or the holes changed since.
        TrainingError: weights that are damaged or do not fit.
    """
    folder = Path(folder).expanduser()
    if cell_of(folder) != folder:
        raise RunError(f"{folder} is a file; expected the folder of a cell, as under results/runs/cells/")
    spec = read_model(folder / SPEC, CellSpec)
    device = compute_device()
    method = build_trained(spec, folder / WEIGHTS)
    if isinstance(method, torch.nn.Module):
        method.to(device).eval()
    return OpenedCell(spec, method, device, *opened_inputs(spec))

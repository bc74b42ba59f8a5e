"""Asking a method how its holes close, for a few rows of the pairing."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gainbench.data import PictureSet
from gainbench.errors import EvaluationError
from gainbench.evaluation.shrinkage import HOLE, Shrinkage, traced_rows
from gainbench.masks import Pairing
from gainbench.methods import Inpainter


def trace_shrinkage(
    method: Inpainter,
    pictures: PictureSet,
    pairing: Pairing,
    *,
    batch: int,
    device: torch.device,
    precision: Literal["fp32", "bf16"] = "fp32",
) -> Shrinkage | None:
    """Follow the holes of a few pictures through a method's layers; see ``Inpainter.shrinkage``.

    The method sees what it sees when it is evaluated, in the same arithmetic.

    Args:
        method: moved to ``device`` and into evaluation mode if it is a module.
        pictures: the originals; every image of the pairing must be among them.
        pairing: which hole each image gets.
        batch: rows per call of the method.
        device: where the method runs.
        precision: ``bf16`` runs the method under autocast.

    Returns:
        None if the method has no masks that shrink.

    Raises:
        EvaluationError: masks that are no masks, or other steps for other pictures.
    """
    if type(method).shrinkage is Inpainter.shrinkage:
        return None
    if isinstance(method, nn.Module):
        method.to(device).eval()
    rows = traced_rows(pairing.table)
    place = {image_id: index for index, image_id in enumerate(pictures.ids)}
    found: list[dict[str, NDArray[np.bool_]]] = []
    for start in range(0, len(rows), batch):
        some = rows[start : start + batch]
        originals = np.stack([pictures[place[pairing.table["image_id"].iloc[row]]] for row in some])
        known = np.stack([pairing.known(row) for row in some])
        found.append({HOLE: known, **_steps(method, originals, known, device, precision)})
    steps = tuple(found[0])
    if any(tuple(part) != steps for part in found):
        raise EvaluationError(
            f"{type(method).__name__}.shrinkage gave other steps for other pictures; expected {steps}"
        )
    if steps == (HOLE,):
        return None
    return Shrinkage(
        rows=tuple(rows),
        image_ids=tuple(str(pairing.table["image_id"].iloc[row]) for row in rows),
        bins=tuple(str(pairing.table["bin"].iloc[row]) for row in rows),
        steps=steps,
        known=tuple(np.concatenate([part[step] for part in found]) for step in steps),
    )


def _steps(
    method: Inpainter,
    originals: NDArray[np.uint8],
    known: NDArray[np.bool_],
    device: torch.device,
    precision: str,
) -> dict[str, NDArray[np.bool_]]:
    whole = torch.from_numpy(originals).to(device).permute(0, 3, 1, 2).float() / 255.0
    seen = torch.from_numpy(known).to(device)[:, None].float()
    devices = [device] if device.type == "cuda" else []
    with (
        torch.inference_mode(),
        torch.random.fork_rng(devices=devices),
        torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"),
    ):
        torch.manual_seed(0)
        return told_masks(method, whole.clone() if method.oracle else whole * seen, seen.clone())


def told_masks(method: Inpainter, image: Tensor, known: Tensor) -> dict[str, NDArray[np.bool_]]:
    """What ``Inpainter.shrinkage`` gives, held to its contract: step -> bool (B, h, w), True = known.

    Args:
        method: any.
        image: as for ``inpaint``.
        known: as for ``inpaint``.

    Raises:
        EvaluationError: masks of another shape or with values between.
    """
    masks = {}
    for step, after in method.shrinkage(image, known).items():
        subject, rows = f"{type(method).__name__}.shrinkage, step {step!r}", len(known)
        if after.dim() != 4 or after.shape[0] not in (1, rows) or after.shape[1] != 1:
            raise EvaluationError(f"{subject}: expected ({rows} or 1, 1, h, w), found {tuple(after.shape)}")
        if not bool(((after == 0) | (after == 1)).all()):
            raise EvaluationError(f"{subject}: expected 1 = known and 0 = still hidden, found other values")
        masks[step] = after[:, 0].bool().expand(rows, -1, -1).cpu().numpy()
    return masks

"""What GAIN does with one picture: how its hole closes block by block, by which priorities, along which gradients."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gainbench.errors import DataError, MethodError
from gainbench.gain.method import GAIN
from gainbench.gain.trace import Step
from gainbench.methods import composite, to_uint8
from gainbench.run.environment import compute_device
from gainbench.run.inpaint import TILE_SIDES, mirrored, read_pair
from gainbench.run.layout import WEIGHTS
from gainbench.run.tiles import Colours, Hidden
from gainbench.run.trained import cell_of, trained_method
from gainbench.spec import MethodSpec, Precision, Scale
from gainbench.training import resolve_precision


@dataclass(frozen=True)
class ExplainedStep:
    """One block's update of the mask, cut to the picture.

    Attributes:
        name: such as ``encoder 1`` or ``block 2, conv 3``.
        operation: the block's window in words: ``5 x 5``, ``3 x 3, stride 2``, ``dilation 4``.
        known: what is known after it, bool (h, w).
        priority: by which it chose, float32 (h, w), 0 where nothing was to be chosen; None after a plain update.
    """

    name: str
    operation: str
    known: NDArray[np.bool_]
    priority: NDArray[np.float32] | None


@dataclass(frozen=True)
class Explanation:
    """All that the figure shows.

    Attributes:
        label: the method with its options.
        scale: what its network was built for.
        base: the network's width.
        iterations: of its training; None for weights that have left their cell.
        guidance: what the gradient flow carries: ``gradient``, ``canny``, ``hed`` or ``none``.
        branch: whose mask is followed: ``structure``, or ``content`` in a network that has no other.
        delta: the share of the largest priority that a position needs.
        name: of the picture.
        mask: its mask's name.
        digest: 8 hexadecimal digits of all that it is made from: weights, picture, mask, and how they are read.
        picture: upright, uint8 (H, W, 3).
        hidden: bool (H, W).
        completed: uint8 (H, W, 3).
        recovered: the guidance map, float32 (H, W, channels): what the visible pixels give, elsewhere the network's.
        steps: from the first block on.
    """

    label: str
    scale: Scale
    base: int
    iterations: int | None
    guidance: str
    branch: str
    delta: float
    name: str
    mask: str
    digest: str
    picture: Colours
    hidden: Hidden
    completed: Colours
    recovered: NDArray[np.float32]
    steps: tuple[ExplainedStep, ...]

    @property
    def ranks(self) -> bool:
        """Whether the network's blocks have a priority at all, whatever this hole gives it to decide."""
        return self.guidance != "none" and self.branch == "structure" and self.delta > 0


def explain(
    method: str,
    image: Path | str,
    mask: Path | str,
    *,
    weights: Path | str,
    scale: str | None = None,
    invert_masks: bool | None = None,
    precision: Precision = "auto",
) -> Explanation:
    """Send one picture through GAIN and look on.

    The picture goes through in one pass, continued by its mirror image as ``gainbench inpaint`` does; maps are cut to
    the picture again.

    Args:
        method: ``gain``, or ``gain[option=value,...]``.
        image: a picture as ``gainbench inpaint`` takes it.
        mask: of the same size, 8 bit, 0 and 255 only, white = hole.
        weights: a cell's folder, which tells options and scale, or a ``weights.safetensors`` that left its cell.
        scale: what the network was built for, if ``weights`` does not tell.
        invert_masks: see :func:`gainbench.masks.read_mask`.
        precision: arithmetic of the network.

    Raises:
        DataError: a picture that cannot be used, or one too large for a single pass.
        MaskError: a mask that cannot be used or does not fit.
        MethodError: another method than gain, weights missing or of another method, or no scale.
        TrainingError: weights that do not fit.
        RunError: a cell's folder that is damaged.
    """
    image, mask, weights = (Path(path).expanduser() for path in (image, mask, weights))
    asked = MethodSpec.parse(method)
    if asked.name != GAIN.name:
        raise MethodError(f"{asked.label} cannot be explained: only {GAIN.name}'s blocks have what is shown")
    layers, _, hidden = read_pair(image, mask, invert=invert_masks)
    built = trained_method(method, weights, scale, None)
    if not isinstance(built, GAIN):
        raise MethodError(
            f"{asked.label} is not gainbench's own gain but {type(built).__name__}: nothing is known of it"
        )
    height, width = hidden.shape
    most = TILE_SIDES * built.scale.size
    if max(height, width) > most:
        raise DataError(
            f"{image} is {width} x {height} pixels; a network of scale {built.scale.name} takes at most {most} in one "
            "pass: cut out the part that matters, or make picture and mask smaller"
        )
    explanation = _explained(built, layers.colours, hidden, precision)
    cell = cell_of(weights)
    iterations = built.scale.iterations if cell is not None else None
    sources = (weights if cell is None else cell / WEIGHTS, image, mask)
    digest = _digest(sources, f"{built.scale.name} {invert_masks} {precision}")
    return replace(explanation, name=image.name, mask=mask.name, digest=digest, iterations=iterations)


def _digest(sources: Iterable[Path], how: str) -> str:
    """Of contents, not of names: folders hold pictures and masks of one name, cells weights of one name."""
    parts = [hashlib.blake2b(path.read_bytes()).hexdigest() for path in sources]
    return hashlib.blake2b(" ".join([*parts, how]).encode(), digest_size=4).hexdigest()


def _explained(method: GAIN, picture: Colours, hidden: Hidden, precision: Precision) -> Explanation:
    device = compute_device()
    method.to(device).eval()
    height, width = hidden.shape
    colours, unknown = mirrored(np.where(hidden[..., None], np.uint8(0), picture), hidden, method.scale.size)
    image = torch.from_numpy(colours).to(device).permute(2, 0, 1)[None].float() / 255.0
    known = torch.from_numpy(~unknown).to(device)[None, None].float()
    bf16 = resolve_precision(precision, device) == "bf16"
    with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
        trace = method.trace(image, known)
    completed = to_uint8(composite(image, known, trace.image))[0].permute(1, 2, 0).cpu().numpy()
    recovered = trace.guidance[0].permute(1, 2, 0).float().cpu().numpy()
    params = {
        field: int(value) if isinstance(value, float) and value.is_integer() else value
        for field, value in method.params.model_dump().items()
        if value != type(method.params).model_fields[field].default
    }
    return Explanation(
        label=MethodSpec(name=method.name, params=params).label,
        scale=method.scale,
        base=method.params.base or method.scale.base,
        iterations=None,
        guidance=method.params.guidance,
        branch="content" if method.params.branches == "content" else "structure",
        delta=method.params.delta,
        name="",
        mask="",
        digest="",
        picture=picture,
        hidden=hidden,
        completed=np.where(hidden[..., None], completed[:height, :width], picture),
        recovered=recovered[:height, :width],
        steps=tuple(_cut(step, hidden.shape, unknown.shape) for step in trace.steps),
    )


def _cut(step: Step, size: tuple[int, ...], padded: tuple[int, ...]) -> ExplainedStep:
    """A step of the picture that was continued, cut to what covers the picture."""
    whole = step.known.shape[2:]
    part = tuple(slice(0, -(-side * cells // over)) for side, cells, over in zip(size, whole, padded, strict=True))

    def plane(x: Tensor) -> NDArray[np.float32]:
        values: NDArray[np.float32] = x[0, 0][part].float().cpu().numpy()
        return values

    priority = None if step.priority is None else plane(step.priority)
    return ExplainedStep(step.name, _operation(step), plane(step.known) > 0, priority)


def _operation(step: Step) -> str:
    window = step.window
    if not step.name.startswith("encoder"):
        return f"dilation {window.dilation}"
    stride = f", stride {window.stride}" if window.stride > 1 else ""
    return f"{window.kernel} x {window.kernel}{stride}"

"""Holes of one's own pictures, filled: one picture and mask, or folders of them, of any size.

The rule for sizes: a method without a network gets the whole picture as it is. A network is fully convolutional but
was trained on squares: a picture whose sides are at most twice that square's goes through in one pass, a larger one in
tiles of that side (``gainbench.run.tiles``). What goes through is continued by its mirror image, right and below, until
both sides are a multiple of 16 and not smaller than the square; the continuation is cut off again.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gainbench.data.layers import Layers, read_layers, write_png
from gainbench.data.listing import list_pictures
from gainbench.errors import DataError, GainbenchError, MaskError, MethodError
from gainbench.masks import read_mask
from gainbench.methods import Inpainter, composite, to_uint8
from gainbench.run.environment import compute_device
from gainbench.run.tiles import Colours, Hidden, fill_by_tiles
from gainbench.run.trained import trained_method
from gainbench.spec import Precision
from gainbench.training import resolve_precision

logger = logging.getLogger(__name__)

MULTIPLE = 16
"""Sides of pictures that methods must take: every scale's size is a multiple of it."""

TILE_SIDES = 2
"""Sides of the training square that go through in one pass."""


@dataclass(frozen=True)
class Inpainted:
    """What became of one picture.

    Attributes:
        image: the picture.
        mask: its mask.
        output: the written PNG, or None.
        problem: why there is none; empty if there is.
    """

    image: Path
    mask: Path
    output: Path | None
    problem: str = ""


def inpaint(
    image: Path | str,
    mask: Path | str,
    out: Path | str,
    *,
    method: str | None = None,
    weights: Path | str | None = None,
    scale: str | None = None,
    plugin: Path | str | None = None,
    tile: int | None = None,
    invert_masks: bool | None = None,
    precision: Precision = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> list[Inpainted]:
    """Fill holes and write every picture as ``OUT/<its name>.png``, atomically.

    Known pixels pass unchanged. A picture is turned upright as its EXIF orientation says, and its mask lies on the
    upright picture. Gray stays gray; a colour profile is handed on. With an alpha channel, the hole becomes opaque, and
    a fully transparent pixel passes unchanged while the method is told nothing of its colour.

    Args:
        image: a picture, or a folder of them with sub-folders.
        mask: a mask (8 bit, 0 and 255 only, white = hole), for every picture the same; or a folder that has one of each
            picture's name.
        out: folder for the results; sub-folders are as in ``image``.
        method: ``NAME`` or ``NAME[option=value,...]``; may be left out with a cell's weights.
        weights: of a trained method: a cell's folder, such as ``results/runs/cells/photos-230/gain-s0-1a2b3c4d``, or a
            ``weights.safetensors``. A file that does not lie in its cell's folder needs ``method`` and ``scale``.
        scale: what the network was built for, if ``weights`` does not tell.
        plugin: a Python file that defines the method.
        tile: side in pixels up to which a network takes a picture in one pass, and of the tiles of a larger one; a
            multiple of 16, by default twice the side of the pictures it was trained on.
        invert_masks: see :func:`gainbench.masks.read_mask`; None refuses masks that are mostly white.
        precision: arithmetic of a network.
        progress: called with pictures done and pictures in all.

    Returns:
        One entry a picture, in name order. In a folder, a picture or mask that cannot be used, or a picture on which
        the method fails, is an entry with its problem and the others go on; a single one raises.

    Raises:
        DataError: no picture, no mask of a picture's name, outputs that would overwrite each other or what they are
            made from, or (a single picture) a file that cannot be used.
        MaskError: (a single picture) a mask of another size, of other values, or of inverted polarity.
        MethodError: no such method, weights missing or left over, a tile of another side, or (a single picture) a
            method that fails or whose output is not a picture.
        TrainingError: weights that do not fit or are of another network.
        RunError: a cell's folder that is damaged.
    """
    image, mask, out = (Path(path).expanduser() for path in (image, mask, out))
    jobs = _paired(image, mask, out)
    trained = Path(weights).expanduser() if weights is not None else None
    source = Path(plugin).expanduser() if plugin is not None else None
    filler = _Filler(trained_method(method, trained, scale, source), tile, precision)
    done = []
    for number, (picture, hole, output) in enumerate(jobs):
        if progress is not None:
            progress(number, len(jobs))
        try:
            _inpaint_file(filler, picture, hole, output, invert_masks)
            done.append(Inpainted(picture, hole, output))
        except (DataError, MaskError, MethodError) as error:
            if not image.is_dir():
                raise
            done.append(Inpainted(picture, hole, None, str(error)))
    if progress is not None:
        progress(len(jobs), len(jobs))
    return done


def _inpaint_file(filler: "_Filler", image: Path, mask: Path, output: Path, invert: bool | None) -> None:  # noqa: FBT001 - as read_mask takes it
    layers, hole, hidden = read_pair(image, mask, invert=invert)
    try:
        filled = filler.fill(layers, hidden)
    except MethodError as error:
        # What is said of pictures and masks names their files already.
        raise MethodError(f"{image}: {error}") from error
    write_png(layers.filled(hole, filled), output)


def read_pair(image: Path, mask: Path, *, invert: bool | None) -> tuple[Layers, Hidden, Hidden]:
    """Read a picture and its mask, and refuse what does not go together.

    Args:
        image: see :func:`gainbench.data.layers.read_layers`.
        mask: see :func:`gainbench.masks.read_mask`.
        invert: the same.

    Returns:
        The picture, the hole, bool (H, W), and all that is hidden: the hole and what is transparent.

    Raises:
        DataError: a picture that cannot be used.
        MaskError: a mask that cannot be used, of another size, or that leaves nothing to see.
    """
    layers = read_layers(image)
    hole = read_mask(mask, invert=invert)
    if hole.shape != layers.size:
        (height, width), (tall, wide) = layers.size, hole.shape
        raise MaskError(
            f"{mask} is {wide} x {tall} pixels, the picture {image} is {width} x {height} (upright); "
            "a mask must be as large as its picture"
        )
    hidden = hole | layers.transparent
    if hidden.all():
        raise MaskError(f"{image} shows nothing outside of the hole in {mask}: there is nothing to fill it from")
    return layers, hole, hidden


def mirrored(colours: Colours, hidden: Hidden, least: int) -> tuple[Colours, Hidden]:
    """Continue a picture by its mirror image, right and below, to sides that a network takes.

    Args:
        colours: uint8 (H, W, 3).
        hidden: bool (H, W).
        least: shortest side in pixels, a multiple of ``MULTIPLE``.
    """
    pads = [(0, max(least, -(-side // MULTIPLE) * MULTIPLE) - side) for side in hidden.shape]
    return np.pad(colours, [*pads, (0, 0)], mode="symmetric"), np.pad(hidden, pads, mode="symmetric")


class _Filler:
    """A method with the rule for sizes around it."""

    def __init__(self, method: Inpainter, tile: int | None, precision: Precision) -> None:
        if method.oracle:
            raise MethodError(
                f"{method.name} with these options is an oracle: it is given hidden pixels, and a real hole has none"
            )
        self.network = isinstance(method, nn.Module)
        if tile is not None and not self.network:
            raise MethodError(f"{method.name} has no network: it takes whole pictures, leave the tile's side out")
        if tile is not None and (tile < method.scale.size or tile % MULTIPLE):
            raise MethodError(
                f"a tile of {tile} px cannot be: expected a multiple of {MULTIPLE}, and at least the "
                f"{method.scale.size} px that the network was trained on"
            )
        self.device = compute_device()
        self.method = method.to(self.device).eval() if isinstance(method, nn.Module) else method
        self.tile = tile or TILE_SIDES * method.scale.size
        self.precision = resolve_precision(precision, self.device) if self.network else "fp32"

    def fill(self, layers: Layers, hidden: Hidden) -> Colours:
        """uint8 (H, W, 3): the picture with everything hidden filled."""
        if not self.network:
            return self._pass(np.where(hidden[..., None], np.uint8(0), layers.colours), hidden)
        return fill_by_tiles(layers.colours, hidden, self.tile, self._padded_pass)

    def _padded_pass(self, colours: Colours, hidden: Hidden) -> Colours:
        height, width = hidden.shape
        return self._pass(*mirrored(colours, hidden, self.method.scale.size))[:height, :width]

    def _pass(self, colours: Colours, hidden: Hidden) -> Colours:
        height, width = hidden.shape
        try:
            return self._completed(colours, hidden)
        except (MemoryError, torch.OutOfMemoryError) as error:
            remedy = "take smaller tiles" if self.network else "make it smaller"
            raise MethodError(
                f"{self.method.name} has not memory enough for {width} x {height} pixels at once; {remedy}"
            ) from error

    def _completed(self, colours: Colours, hidden: Hidden) -> Colours:
        image = torch.from_numpy(colours).to(self.device).permute(2, 0, 1)[None].float() / 255.0
        known = torch.from_numpy(~hidden).to(self.device)[None, None].float()
        devices = [self.device] if self.device.type == "cuda" else []
        with (
            torch.inference_mode(),
            torch.random.fork_rng(devices=devices),
            torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"),
        ):
            torch.manual_seed(0)
            prediction = self._predict(image.clone(), known.clone())
        if prediction.shape != image.shape or not torch.isfinite(prediction).all():
            found = f"{tuple(prediction.shape)}, finite: {bool(torch.isfinite(prediction).all())}"
            raise MethodError(f"{self.method.name} must return finite values {tuple(image.shape)}, found {found}")
        completed: NDArray[np.uint8] = (
            to_uint8(composite(image, known, prediction.float()))[0].permute(1, 2, 0).contiguous().cpu().numpy()
        )
        return completed

    def _predict(self, image: Tensor, known: Tensor) -> Tensor:
        height, width = known.shape[2:]
        try:
            return self.method.inpaint(image, known)
        except (GainbenchError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise MethodError(
                f"{self.method.name} fails on {width} x {height} pixels: {type(error).__name__}: {error}"
            ) from error


def _paired(image: Path, mask: Path, out: Path) -> list[tuple[Path, Path, Path]]:
    """Every picture with its mask and its output."""
    if image.is_dir():
        if out.resolve().is_relative_to(image.resolve()):
            raise DataError(f"{out} lies in {image}: results would be taken for pictures the next time")
        images = {name: image / name for name in _listed(image)}
    elif image.exists():
        images = {image.name: image}
    else:
        raise DataError(f"no picture and no folder at {image}")
    masks = _masks(mask, images)
    outputs = {name: out / Path(name).with_suffix(".png") for name in images}
    _refuse_overwriting(images, masks, outputs)
    return [(images[name], masks[name], outputs[name]) for name in images]


def _listed(folder: Path) -> list[str]:
    names, skipped = list_pictures(folder)
    for name, reason in skipped:
        logger.warning("%s is left out: %s", folder / name, reason)
    if not names:
        raise DataError(f"no picture in {folder}")
    return names


def _masks(mask: Path, images: dict[str, Path]) -> dict[str, Path]:
    if not mask.is_dir():
        if not mask.exists():
            raise DataError(f"no mask and no folder at {mask}")
        return dict.fromkeys(images, mask)
    by_stem: dict[str, Path] = {}
    for name in _listed(mask):
        stem = Path(name).with_suffix("").as_posix()
        if stem in by_stem:
            raise DataError(f"two masks of one name: {by_stem[stem]} and {mask / name}; keep one")
        by_stem[stem] = mask / name
    stems = {name: Path(name).with_suffix("").as_posix() for name in images}
    lacking = [name for name, stem in stems.items() if stem not in by_stem]
    if lacking:
        raise DataError(
            f"{len(lacking)} of {len(images)} pictures have no mask in {mask}, such as {lacking[0]}: "
            f"expected {stems[lacking[0]]}.png"
        )
    return {name: by_stem[stem] for name, stem in stems.items()}


def _refuse_overwriting(images: dict[str, Path], masks: dict[str, Path], outputs: dict[str, Path]) -> None:
    # A link that leads to itself has no place; Path.resolve() would raise for it, and it is told when it is read.
    sources = {os.path.realpath(path) for path in (*images.values(), *masks.values())}
    taken: dict[Path, str] = {}
    for name, output in outputs.items():
        if os.path.realpath(output) in sources:
            raise DataError(f"{output} would overwrite a picture or mask; choose another folder for the results")
        if output in taken:
            raise DataError(f"{name} and {taken[output]} would both become {output}; give them names of their own")
        taken[output] = name

"""Fillers without training: sanity rows for every table.

They are plugins like any other: torch in, torch out, one picture at a time through NumPy. Each builds its input from
``image * known`` and ``known`` alone.
"""

from abc import abstractmethod
from collections.abc import Callable
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from gainbench import Inpainter

Picture = npt.NDArray[np.uint8]
Hole = npt.NDArray[np.bool_]


class _PictureFiller(Inpainter):
    """An inpainter that fills one 8-bit picture at a time.

    8 bit is what the metrics read and what OpenCV's fillers take; the rounding costs at most 1/510 of the range.
    """

    @abstractmethod
    def fill(self, picture: Picture, hole: Hole) -> Picture:
        """Fill one picture.

        Args:
            picture: uint8 (H, W, 3), RGB, zero in the hole.
            hole: bool (H, W), True = hole; neither empty nor the whole picture.

        Returns:
            uint8 (H, W, 3), RGB.
        """

    def inpaint(self, image: Tensor, known: Tensor) -> Tensor:
        """Fill the holes; see :meth:`gainbench.Inpainter.inpaint`.

        A picture without a hole is returned as it is; one without a known pixel becomes middle gray, as nothing is
        known of it.
        """
        visible = (image * known).detach().float().clamp(0.0, 1.0)
        pictures = (visible * 255.0).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        holes = (known.detach()[:, 0] < 0.5).cpu().numpy()
        filled = np.stack([self._fill_or_pass(picture, hole) for picture, hole in zip(pictures, holes, strict=True)])
        return torch.from_numpy(filled).to(image.device).permute(0, 3, 1, 2).to(image.dtype) / 255.0

    def _fill_or_pass(self, picture: Picture, hole: Hole) -> Picture:
        if not hole.any():
            return picture
        if hole.all():
            return np.full_like(picture, 128)
        return self.fill(np.ascontiguousarray(picture), hole)


class RadiusParams(BaseModel):
    """Options of OpenCV's two fillers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    radius: float = Field(
        default=3.0,
        gt=0.0,
        description="neighbourhood of a filled pixel in pixels; 3 is the value of OpenCV's own sample and tutorial",
    )


class Telea(_PictureFiller):
    """Fast-marching inpainting (A. Telea, Journal of Graphics Tools 2004) by ``cv2.inpaint``."""

    name = "telea"
    Params = RadiusParams

    def fill(self, picture: Picture, hole: Hole) -> Picture:
        """Fill one picture; see the base class."""
        return _opencv(picture, hole, self.params.radius, cv2.INPAINT_TELEA)


class NavierStokes(_PictureFiller):
    """Navier-Stokes inpainting (Bertalmio, Bertozzi, Sapiro, CVPR 2001) by ``cv2.inpaint``."""

    name = "navier_stokes"
    Params = RadiusParams

    def fill(self, picture: Picture, hole: Hole) -> Picture:
        """Fill one picture; see the base class."""
        return _opencv(picture, hole, self.params.radius, cv2.INPAINT_NS)


def _opencv(picture: Picture, hole: Hole, radius: float, method: int) -> Picture:
    filled: Picture = cv2.inpaint(picture, hole.astype(np.uint8) * 255, radius, method)
    return filled


class MeanFill(_PictureFiller):
    """Every hidden pixel becomes the mean of the picture's known pixels, channel by channel."""

    name = "mean_fill"

    def fill(self, picture: Picture, hole: Hole) -> Picture:
        """Fill one picture; see the base class."""
        filled = picture.copy()
        filled[hole] = picture[~hole].mean(axis=0).round().astype(np.uint8)
        return filled


class Biharmonic(_PictureFiller):
    """The smoothest filling: the biharmonic equation in the hole (Chui, Mhaskar 2010), by scikit-image.

    Slow (a sparse linear system over all hidden pixels): meant for small scales. scikit-image is an optional
    dependency, asked for when the method is built.

    Raises:
        ImportError: scikit-image is not installed.
    """

    name = "biharmonic"

    def __init__(self, params: Any, scale: Any) -> None:
        super().__init__(params, scale)
        self._solve = _biharmonic_solver()

    def fill(self, picture: Picture, hole: Hole) -> Picture:
        """Fill one picture; see the base class."""
        solved = self._solve(picture, hole, split_into_regions=True, channel_axis=-1)
        filled: Picture = (np.clip(solved, 0.0, 1.0) * 255.0).round().astype(np.uint8)
        return filled


def _biharmonic_solver() -> Callable[..., npt.NDArray[np.float64]]:
    try:
        from skimage.restoration import inpaint_biharmonic  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise ImportError("the method biharmonic needs scikit-image: pip install 'gainbench[classical]'") from error
    solver: Callable[..., npt.NDArray[np.float64]] = inpaint_biharmonic
    return solver


class PatchMatchParams(BaseModel):
    """Options of the exemplar-based filler."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    patch_radius: int = Field(
        default=3,
        ge=1,
        description="patches are 2 r + 1 wide; 3 is the value of the package's examples, and larger ones looked worse",
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="of the randomised search")


class PatchMatch(_PictureFiller):
    """Patches of the known part, pasted coherently (Barnes et al., PatchMatch, SIGGRAPH 2009), by PyPatchMatch.

    The package is an optional dependency, asked for when the method is built. Equal inputs give equal outputs: the
    search starts from the same seed for every picture.

    Raises:
        ImportError: PyPatchMatch is not installed, or its native library does not load.
    """

    name = "patchmatch"
    Params = PatchMatchParams
    params: PatchMatchParams

    def __init__(self, params: PatchMatchParams, scale: Any) -> None:
        super().__init__(params, scale)
        self._package = _patchmatch_package()

    def fill(self, picture: Picture, hole: Hole) -> Picture:
        """Fill one picture; see the base class."""
        self._package.set_random_seed(self.params.seed)
        filled: Picture = self._package.inpaint(picture, hole, patch_size=self.params.patch_radius)
        return filled


def _patchmatch_package() -> ModuleType:
    try:
        from patchmatch import patch_match  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise ImportError("the method patchmatch needs PyPatchMatch: pip install 'gainbench[classical]'") from error
    if not patch_match.patchmatch_available:
        raise ImportError("PyPatchMatch is installed but its native library does not load on this machine")
    return patch_match

"""Canny edges (J. Canny, PAMI 1986), as EdgeConnect uses them: a binary map of the gray picture.

Settings of Nazeri et al. 2019, who take scikit-image's detector at sigma 2 on 256-pixel pictures with its default
thresholds: Gaussian smoothing, 3x3 Sobel filters, non-maximum suppression, hysteresis between two thresholds. OpenCV
does the last two steps here; its edges are held to kornia's by a test.
"""

import math
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gainbench.errors import MethodError
from gainbench.guidance import Guidance
from gainbench.guidance.gradient import eroded, gray

Plane = npt.NDArray[np.float32]

SIGMA_AT = 256
"""Side in pixels of the pictures for which ``sigma`` is meant."""

SMALLEST_SIGMA = 0.75
"""Under it a Gaussian smooths next to nothing on the pixel grid."""

_UNITS = 4080.0
"""OpenCV takes whole derivatives of 16 bit; the largest Sobel response to pictures in [0, 1] is 4 along an axis."""

_SPOILED = 2
"""Pixels around a hole without a response: a 3x3 derivative touches it, and one further its suppression does."""


class CannyGuidance(Guidance):
    """Binary edges of the gray picture, 1 = edge.

    Args:
        sigma: standard deviation of the Gaussian in pixels of a 256-pixel picture; scaled with the picture's shorter
            side, at least .75 pixel. The kernel reaches to 3 sigma.
        low: lower hysteresis threshold of the Sobel magnitude (kernel (1, 2, 1) x (-1, 0, 1)) of gray in [0, 1].
        high: upper one.

    Raises:
        MethodError: numbers that are no sigma and no pair of thresholds.
    """

    name: ClassVar[str] = "canny"
    channels = 1
    rms = 0.35

    def __init__(self, sigma: float = 2.0, low: float = 0.1, high: float = 0.2) -> None:
        if not sigma > 0 or not 0 < low <= high:
            raise MethodError(f"canny needs sigma > 0 and 0 < low <= high; found sigma={sigma}, low={low}, high={high}")
        self.sigma, self.low, self.high = sigma, low, high

    def sigma_for(self, height: int, width: int) -> float:
        """The Gaussian's standard deviation in pixels of a picture of this size."""
        return max(self.sigma * min(height, width) / SIGMA_AT, SMALLEST_SIGMA)

    @torch.no_grad()
    def target(self, image: Tensor) -> Tensor:
        """Edges of the whole picture: (B, 1, H, W), 0 or 1."""
        return self._edges(gray(image), torch.ones_like(image[:, :1]))

    @torch.no_grad()
    def observed(self, image: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Edges of the visible part, without the hole's outline; see ``Guidance.observed``.

        The Gaussian averages known pixels only, so that the hole's rim is no step; what touches the hole is dropped.
        """
        valid = eroded(known, _SPOILED)
        visible = gray(image.masked_fill(known == 0, 0.0))
        return self._edges(visible, known) * valid, valid

    def _edges(self, gray_image: Tensor, known: Tensor) -> Tensor:
        planes, seen = (x[:, 0].float().contiguous().cpu().numpy() for x in (gray_image, known))
        edges = np.stack([self._edges_of(*pair) for pair in zip(planes, seen, strict=True)])
        return torch.from_numpy(edges)[:, None].to(gray_image.device, gray_image.dtype)

    def _edges_of(self, plane: Plane, seen: Plane) -> Plane:
        """Edges of one picture: gray (H, W) in [0, 1] and its known map, to (H, W), 0 or 1."""
        smooth = _known_average(plane, seen, self.sigma_for(*plane.shape))
        # What lies beyond a hole's rim is no number; flat there, it can make no response inside the valid part.
        inside: Any = cv2.erode(seen, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
        derivatives = [
            np.round(cv2.Sobel(smooth, cv2.CV_32F, dx, dy, ksize=3, borderType=cv2.BORDER_REPLICATE) * inside * _UNITS)
            for dx, dy in ((1, 0), (0, 1))
        ]
        dx, dy = (derivative.astype(np.int16) for derivative in derivatives)
        edges: Plane = cv2.Canny(dx, dy, self.low * _UNITS, self.high * _UNITS, L2gradient=True).astype(np.float32)
        return edges / 255.0


def _known_average(plane: Plane, seen: Plane, sigma: float) -> Plane:
    """Gaussian average of known pixels (outside the picture is unknown), 0 where there is none within 3 sigma."""
    side = 2 * math.ceil(3 * sigma) + 1
    total, weight = (
        cv2.GaussianBlur(x, (side, side), sigma, borderType=cv2.BORDER_CONSTANT) for x in (plane * seen, seen)
    )
    average: Plane = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    return average

"""What the eye follows into a hole: its rim, the gradient inside it, and edges."""

import cv2
import numpy as np
from numpy.typing import NDArray

from gainbench.evaluation.metrics.guards import Known, Pictures, Values, check_triple
from gainbench.evaluation.metrics.pixel import gray

_PERCENT = 100.0 / 255.0
_LOW, _HIGH = 50.0, 150.0
_NEIGHBOURS = np.ones((3, 3), np.uint8)


def seam_rgb(completed: Pictures, original: Pictures, known: Known) -> Values:
    """Colour discrepancy at the hole's rim in percent of the value range, at least 0; 0 where there is no rim.

    For every pair of 4-neighbours of which one is known and one is not, the first difference across the pair is taken
    in both pictures; the value is 100 / 255 * mean absolute difference of the two, over pairs and channels.

    Args:
        completed: uint8 (N, H, W, 3).
        original: uint8 (N, H, W, 3).
        known: bool (N, H, W), True = known.

    Returns:
        float64 (N,) in [0, 200].

    Raises:
        EvaluationError: another type or shape.
    """
    check_triple(completed, original, known)
    # The difference of first differences is the first difference of the difference.
    error = completed.astype(np.int16) - original
    down, right = np.diff(known, axis=1), np.diff(known, axis=2)
    total = (np.abs(np.diff(error, axis=1)) * down[..., None]).sum(axis=(1, 2, 3), dtype=np.int64)
    total += (np.abs(np.diff(error, axis=2)) * right[..., None]).sum(axis=(1, 2, 3), dtype=np.int64)
    pairs = down.sum(axis=(1, 2)) + right.sum(axis=(1, 2))
    return np.asarray(total * _PERCENT / np.maximum(3 * pairs, 1))


def grad_l1_hole(completed: Pictures, original: Pictures, known: Known) -> Values:
    """l1 distance of the gray gradient in the hole in percent of the value range; 0 where there is no hole.

    100 / 255 * mean of |gx - gx'| and |gy - gy'| over the hole's pixels, with central differences of the gray picture
    (.299 R + .587 G + .114 B, replicate border). The guidance of GAIN (Zhang et al. 2019) is this gradient.

    Args:
        completed: uint8 (N, H, W, 3).
        original: uint8 (N, H, W, 3).
        known: bool (N, H, W), True = known.

    Returns:
        float64 (N,) in [0, 100].

    Raises:
        EvaluationError: another type or shape.
    """
    check_triple(completed, original, known)
    px, py = gray_gradient(completed)
    tx, ty = gray_gradient(original)
    total = ((np.abs(px - tx) + np.abs(py - ty)) * ~known).sum(axis=(1, 2))
    pixels = (~known).sum(axis=(1, 2))
    return np.asarray(total * _PERCENT / np.maximum(2 * pixels, 1))


def grad_angle_hole(completed: Pictures, original: Pictures, known: Known) -> Values:
    """Mean angle in degrees between the two pictures' gray gradients in the hole, weighted by the original's magnitude.

    Where the completed gradient is zero its direction is unknown: it counts as 90 degrees, what a random direction
    gives on average, so that a flat fill is not rewarded. Without any gradient of the original in the hole: 0.

    Args:
        completed: uint8 (N, H, W, 3).
        original: uint8 (N, H, W, 3).
        known: bool (N, H, W), True = known.

    Returns:
        float64 (N,) in [0, 180].

    Raises:
        EvaluationError: another type or shape.
    """
    check_triple(completed, original, known)
    px, py = gray_gradient(completed)
    tx, ty = gray_gradient(original)
    angle = np.degrees(np.abs(np.arctan2(tx * py - ty * px, tx * px + ty * py)))
    angle[(px == 0) & (py == 0)] = 90.0
    weight = np.hypot(tx, ty) * ~known
    total = weight.sum(axis=(1, 2))
    return np.asarray((weight * angle).sum(axis=(1, 2)) / np.where(total == 0, 1.0, total))


def edge_f1_hole(completed: Pictures, original: Pictures, known: Known) -> Values:
    """F1 of the Canny edges in the hole with a tolerance of one pixel (8 neighbours).

    Precision: the share of completed edge pixels in the hole with an original edge pixel within one pixel. Recall: the
    reverse. 1 where neither picture has an edge in the hole, 0 where only one has, and 1 where there is no hole.

    Args:
        completed: uint8 (N, H, W, 3).
        original: uint8 (N, H, W, 3).
        known: bool (N, H, W), True = known.

    Returns:
        float64 (N,) in [0, 1].

    Raises:
        EvaluationError: another type or shape.
    """
    check_triple(completed, original, known)
    return np.array(
        [
            matched_f1(canny_edges(p), canny_edges(t), hole)
            for p, t, hole in zip(completed, original, ~known, strict=True)
        ]
    )


def gray_gradient(pictures: Pictures) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Central differences (I(x+1) - I(x-1)) / 2 of the gray pictures in 8-bit units, replicate border.

    Args:
        pictures: uint8 (N, H, W, 3).

    Returns:
        The derivatives along x (columns) and y (rows), float64 (N, H, W) each.
    """
    padded = np.pad(gray(pictures), ((0, 0), (1, 1), (1, 1)), mode="edge")
    return (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2.0, (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2.0


def canny_edges(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Canny edges (gray, Gaussian of sigma 1, Sobel, hysteresis thresholds 50 and 150, L2 norm) of one picture.

    Args:
        picture: uint8 (H, W, 3).

    Returns:
        bool (H, W).
    """
    rounded = np.rint(gray(picture)).astype(np.uint8)
    smooth = cv2.GaussianBlur(rounded, (7, 7), 1.0, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.Canny(smooth, _LOW, _HIGH, L2gradient=True)) > 0


def matched_f1(found: NDArray[np.bool_], wanted: NDArray[np.bool_], region: NDArray[np.bool_]) -> float:
    """F1 of two edge maps in a region; a pixel is matched by one of the other map at most one pixel away.

    Args:
        found: bool (H, W).
        wanted: bool (H, W).
        region: bool (H, W); pixels outside are not counted but may match.

    Returns:
        A value in [0, 1]; 1 if neither map has a pixel in the region.
    """
    counted, sought = int((found & region).sum()), int((wanted & region).sum())
    if counted == 0 and sought == 0:
        return 1.0
    if counted == 0 or sought == 0:
        return 0.0
    near_wanted = cv2.dilate(wanted.astype(np.uint8), _NEIGHBOURS) > 0
    near_found = cv2.dilate(found.astype(np.uint8), _NEIGHBOURS) > 0
    precision = float((found & region & near_wanted).sum()) / counted
    recall = float((wanted & region & near_found).sum()) / sought
    return 2.0 * precision * recall / (precision + recall) if precision + recall > 0.0 else 0.0

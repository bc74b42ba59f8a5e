"""Who fulfils the contract: methods found through the entry-point group ``gainbench.methods`` and in plugin files."""

import hashlib
import importlib.util
import inspect
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType

import torch
from pydantic import BaseModel, ValidationError

from gainbench.errors import GainbenchError, MethodError
from gainbench.methods import Inpainter, TrainableInpainter
from gainbench.spec import MethodSpec, Scale, explain, nearest

GROUP = "gainbench.methods"


@dataclass(frozen=True)
class Entry:
    """A method as the registry knows it.

    Attributes:
        name: what suites call it.
        source: ``package`` of the entry point or path of the plugin file.
        method: the class, or None if it is broken.
        problem: why it is broken, in one line; empty if it is not.
    """

    name: str
    source: str
    method: type[Inpainter] | None
    problem: str = ""


def _loaded(name: str, source: str, candidate: object) -> Entry:
    if not (isinstance(candidate, type) and issubclass(candidate, Inpainter)):
        return Entry(name, source, None, f"{candidate!r} is not a subclass of gainbench.Inpainter")
    if getattr(candidate, "name", None) != name:
        found = getattr(candidate, "name", None)
        return Entry(name, source, None, f"its class says name = {found!r}, the entry point says {name!r}")
    params, revision = (getattr(candidate, word, None) for word in ("Params", "revision"))
    if not (isinstance(params, type) and issubclass(params, BaseModel)):
        return Entry(name, source, None, f"its Params is {params!r}, expected a subclass of pydantic.BaseModel")
    if not isinstance(revision, int) or isinstance(revision, bool):
        return Entry(name, source, None, f"its revision is {revision!r}, expected a whole number such as 1")
    return Entry(name, source, candidate)


def installed_methods() -> dict[str, Entry]:
    """Every method that an installed package registers; one that fails to import is listed with its reason."""
    return {name: _installed(point) for name, point in _points().items()}


def installed_names() -> frozenset[str]:
    """What the installed methods are called; none of them is imported."""
    return frozenset(_points())


def _points() -> dict[str, metadata.EntryPoint]:
    points = metadata.entry_points(group=GROUP)
    return {point.name: point for point in sorted(points, key=lambda point: point.name)}


def _installed(point: metadata.EntryPoint) -> Entry:
    source = point.dist.name if point.dist is not None else point.value
    try:
        return _loaded(point.name, source, point.load())
    except Exception as error:  # noqa: BLE001 - a stranger's module may raise anything; the others must go on
        return Entry(point.name, source, None, f"{type(error).__name__}: {error}")


def plugin_hash(path: Path) -> str:
    """blake2b of a plugin file's bytes: part of the key of every cell that uses it."""
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except OSError as error:
        raise MethodError(f"plugin file {path} cannot be read: {error.strerror}") from error


def plugin_methods(path: Path) -> dict[str, Entry]:
    """The methods defined in one Python file; a name that two of its classes bear is listed as broken.

    Raises:
        MethodError: no such file, the file fails to import, or it defines no method.
    """
    if not path.is_file():
        raise MethodError(f"no plugin file at {path}")
    module = _import_file(path.resolve())
    own = {
        word: candidate
        for word, candidate in vars(module).items()
        if isinstance(candidate, type)
        and issubclass(candidate, Inpainter)
        and candidate.__module__ == module.__name__
        and isinstance(getattr(candidate, "name", None), str)
    }
    names = dict.fromkeys(candidate.name for candidate in own.values())
    found = {name: _the_one_named(name, str(path), own) for name in names}
    if not found:
        raise MethodError(f"{path} defines no subclass of gainbench.Inpainter with a name")
    return found


def _the_one_named(name: str, source: str, own: dict[str, type[Inpainter]]) -> Entry:
    words: dict[type[Inpainter], str] = {}
    for word, candidate in own.items():
        if candidate.name == name:
            words.setdefault(candidate, word)  # a class may go by two words of its file
    # A base that leaves methods to its subclasses may give them their name.
    candidates = [candidate for candidate in words if not _is_abstract(candidate)] or [*words]
    if len(candidates) == 1:
        return _loaded(name, source, candidates[0])
    *first, last = (words[candidate] for candidate in candidates)
    count = "both" if len(first) == 1 else "all"
    problem = f"classes {', '.join(first)} and {last} are {count} named {name!r}; give each a name of its own"
    return Entry(name, source, None, problem)


def _is_abstract(candidate: type) -> bool:
    # Asked of the attributes: ABC, which would keep count of them, is not demanded of a method.
    attributes = (inspect.getattr_static(candidate, word, None) for word in dir(candidate))
    return any(getattr(attribute, "__isabstractmethod__", False) for attribute in attributes)


def _import_file(path: Path) -> ModuleType:
    module_name = f"gainbench_plugin_{hashlib.blake2b(str(path).encode(), digest_size=6).hexdigest()}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise MethodError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        # A file that was written as a script ends in sys.exit(); that must not end the verb without a word.
        del sys.modules[module_name]
        raise MethodError(f"{path} fails to import: {type(error).__name__}: {error}") from error
    return module


def find_method(name: str, plugin: Path | None = None) -> type[Inpainter]:
    """The class of a method; a plugin's method shadows an installed one of the same name.

    Of the installed methods only the one that is asked for is imported: a plan need not wait for the others' libraries.

    Raises:
        MethodError: unknown name (the nearest valid one is named), or a method that is broken.
    """
    own = plugin_methods(plugin) if plugin is not None else {}
    points = _points()
    if name not in own and name not in points:
        raise MethodError(f"no method named {name!r}; {nearest(name, {*own, *points})}")
    entry = own[name] if name in own else _installed(points[name])
    if entry.method is None:
        raise MethodError(f"method {name!r} of {entry.source} is broken: {entry.problem}")
    return entry.method


def validated_params(method: type[Inpainter], spec: MethodSpec) -> BaseModel:
    """A method's options with its defaults filled in.

    Raises:
        MethodError: unknown option (the nearest valid one is named), a value of the wrong type or range, or a validator
            that raises anything else.
    """
    try:
        return method.Params(**spec.params)
    except ValidationError as error:
        raise MethodError(f"method {spec.label}: {explain(error, method.Params)}") from error
    except Exception as error:
        raise MethodError(
            f"method {spec.label}: its options cannot be validated: {type(error).__name__}: {error}"
        ) from error


def build_method(spec: MethodSpec, scale: Scale, seed: int = 0, plugin: Path | None = None) -> Inpainter:
    """Construct a method with weights drawn from ``seed``; the global random state is left as it was.

    Raises:
        MethodError: unknown or broken method, invalid options, or a constructor that raises.
    """
    method = find_method(spec.name, plugin)
    params = validated_params(method, spec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            built = method(params, scale)
        except GainbenchError:
            raise
        except Exception as error:
            raise MethodError(f"method {spec.label} cannot be built: {type(error).__name__}: {error}") from error
    if isinstance(built, TrainableInpainter):
        built.eval()
    return built

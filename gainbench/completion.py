"""What a shell offers when Tab is pressed: names, found without loading torch or any method.

Each function takes the text before the cursor and returns the whole words it may become.
"""

import re
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from gainbench.run.layout import SUITE
from gainbench.spec import scales, suite_names

GROUP = "gainbench.methods"


def suites(incomplete: str) -> list[str]:
    """The shipped suites, and suite files."""
    return [*_beginning(incomplete, suite_names()), *_files(incomplete, {".yaml", ".yml"})]


def scale_names(incomplete: str) -> list[str]:
    """The scales, and ``auto``."""
    return _beginning(incomplete, [*scales(), "auto"])


def methods(incomplete: str) -> list[str]:
    """Installed methods, after the last comma."""
    return _listed(incomplete, _installed())


def one_method(incomplete: str) -> list[str]:
    """Installed methods, and plugin files."""
    return [*_beginning(incomplete, _installed()), *_files(incomplete, {".py"})]


def datasets(incomplete: str) -> list[str]:
    """Data sets, after the last comma."""
    from gainbench.data import DATASETS

    return _listed(incomplete, DATASETS)


def dataset_paths(incomplete: str) -> list[str]:
    """``NAME=``, then folders."""
    from gainbench.data import DATASETS

    name, equals, path = incomplete.partition("=")
    if not equals:
        return [f"{found}=" for found in _beginning(name, DATASETS)]
    return [f"{name}={folder}" for folder in _files(path, set())]


def metrics(incomplete: str) -> list[str]:
    """Metrics, after the last comma."""
    from gainbench.evaluation.metrics.catalogue import METRICS

    return _listed(incomplete, METRICS)


def protocols(incomplete: str) -> list[str]:
    """Hole protocols."""
    from gainbench.masks import PROTOCOLS

    return _beginning(incomplete, PROTOCOLS)


def assets(incomplete: str) -> list[str]:
    """Weights and photographs."""
    from gainbench.assets import catalogue

    return _beginning(incomplete, catalogue())


def planned_suites(incomplete: str) -> list[str]:
    """Suites planned in the usual results root, such as ``smoke-tiny``."""
    return _beginning(incomplete, (path.parent.name for path in Path("results/runs").glob(f"*/{SUITE}")))


def compared(incomplete: str) -> list[str]:
    """Methods, and folders of planned suites."""
    planned = (str(path.parent) for path in Path("results/runs").glob(f"*/{SUITE}"))
    return [*_beginning(incomplete, _installed()), *_beginning(incomplete, planned)]


def _installed() -> list[str]:
    return sorted(point.name for point in metadata.entry_points(group=GROUP))


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))


def _listed(incomplete: str, names: Iterable[str]) -> list[str]:
    """Names for the last part of a list; commas in square brackets belong to a method's options."""
    *before, last = re.split(r",(?![^\[]*\])", incomplete)
    kept = "".join(f"{name}," for name in before)
    return [kept + name for name in _beginning(last, names) if name not in before]


def _files(incomplete: str, endings: set[str]) -> list[str]:
    """Files with one of these endings, and folders, which end in a slash."""
    folder, _, start = incomplete.rpartition("/")
    prefix = incomplete[: len(incomplete) - len(start)]
    try:
        entries = sorted(Path(folder or prefix or ".").iterdir())
    except OSError:
        return []
    visible = [entry for entry in entries if entry.name.startswith(start) and not entry.name.startswith(".")]
    return [
        prefix + entry.name + ("/" if entry.is_dir() else "")
        for entry in visible
        if entry.is_dir() or entry.suffix in endings
    ]

"""Print the releases that this environment uses, as constraints for CI: ``make lock`` writes requirements-ci.txt.

Only what ``gainbench[dev]`` needs is listed, not what else happens to be installed. torch and torchvision, whose builds
depend on the machine, stand as the ranges of pyproject.toml, and what only they need is left to them. A user never
needs the file: constraints bind nothing that they do not name, and only CI passes them to pip.
"""

import platform
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

BY_MACHINE = {"torch", "torchvision"}
"""Distributions whose builds differ between machines with and without a GPU: ranges, and nothing below them."""

INSTALLERS = {"pip", "setuptools"}
"""Whatever installs the others is not bound by them."""

HEADER = f"""\
# Releases that CI installs. Written by `make lock`; used by .ci/run where its Python is this one, and by `make audit`.
# python {".".join(platform.python_version_tuple()[:2])}
"""


def locked(root: str = "gainbench", extras: frozenset[str] = frozenset({"dev"})) -> list[str]:
    """A line for each distribution that the root needs here, sorted by name."""
    lines: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(root, extras)]
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        for text in metadata.requires(name) or ():
            needed = Requirement(text)
            if needed.marker is not None and not any(
                needed.marker.evaluate({"extra": extra}) for extra in (*wanted, "")
            ):
                continue
            found = canonicalize_name(needed.name)
            if found in BY_MACHINE:
                if name == root:
                    lines[found] = f"{found}{needed.specifier}"
                continue
            if found not in {root, *INSTALLERS}:
                lines[found] = f"{found}=={metadata.version(found)}"
            waiting.append((found, frozenset(needed.extras)))
    return [lines[name] for name in sorted(lines)]


if __name__ == "__main__":
    content = HEADER + "".join(f"{line}\n" for line in locked())
    Path(sys.argv[1]).write_text(content, encoding="utf-8")
    sys.stdout.write(f"{sys.argv[1]}: {content.count(chr(10)) - 2} releases\n")

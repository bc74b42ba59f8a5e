"""``gainbench new-method``: a plugin to begin with, one file that already keeps the contract."""

import ast
import keyword
import re
import sys
from importlib import metadata, resources
from importlib.machinery import PathFinder
from pathlib import Path

from gainbench.errors import MethodError
from gainbench.registry import GROUP

TEMPLATE = "plugin_template.txt"
"""Python with METHOD for the method's name and CLASS for its class's; data of this package."""


def new_method(name: str, folder: Path | str = ".") -> Path:
    """Write ``FOLDER/NAME.py``: a commented plugin with a small network that trains, and passes ``gainbench check``.

    Args:
        name: what suites will call the method: lower-case letters, digits and single underscores, a letter first.
        folder: where the file goes; it must exist.

    Returns:
        The file's path.

    Raises:
        MethodError: a name of another form, one that Python, a module or an installed method already has, a folder
            that is not there, or a file that is: nothing is overwritten.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise MethodError(
            f"{name!r} cannot name a method: expected lower-case letters, digits and single underscores, a letter "
            "first, and no word of Python's, as in my_method"
        )
    owners = {point.name: point.dist for point in metadata.entry_points(group=GROUP)}
    if name in owners:
        distribution = owners[name]
        owner = "another package" if distribution is None else distribution.name
        raise MethodError(f"{owner} already has a method named {name!r}; tables could not tell the two apart")
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise MethodError(f"no folder at {folder}; make it first, or leave it out for the current one")
    path = folder / f"{name}.py"
    kind = "".join(word.capitalize() for word in name.split("_"))
    text = (resources.files("gainbench.run") / TEMPLATE).read_text(encoding="utf-8")
    if not path.exists():
        _refuse_taken(name, kind, folder, text)
    text = text.replace("METHOD", name).replace("CLASS", kind)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise MethodError(f"{path} exists and is left as it is; choose another name or folder") from error
    return path


def _refuse_taken(name: str, kind: str, folder: Path, template: str) -> None:
    """A file in the current folder comes before every module of its name, and a class before what it imports."""
    here = {Path.cwd().resolve(), folder.resolve()}
    installed = [path for path in sys.path if path and Path(path).resolve() not in here]
    known = name in sys.stdlib_module_names or name in sys.modules
    if known or PathFinder.find_spec(name, installed) is not None:
        raise MethodError(
            f"there is a Python module named {name!r}, and {name}.py would be imported in its place; choose another "
            f"name, as in {name}_fill"
        )
    imported = {
        alias.asname or alias.name
        for node in ast.walk(ast.parse(template))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    if kind in imported:
        raise MethodError(
            f"the class of {name!r} would be named {kind}, as something that the file imports; choose another name, as "
            f"in {name}_fill"
        )

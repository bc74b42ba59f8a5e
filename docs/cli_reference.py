"""Print the reference of every verb as Markdown, from the declarations of the command line.

Only what typer documents is read (the registered functions and their annotations), so that the page depends on no
release of it.
"""

import inspect
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.models import CommandInfo

from gainbench.cli import app

HEADINGS = ("option", "default", "what it does")


def verbs(application: typer.Typer, prefix: str = "gainbench") -> Iterator[tuple[str, CommandInfo]]:
    """Every verb that is not hidden, groups after single ones, in the order of --help."""
    for command in application.registered_commands:
        if not command.hidden and command.callback is not None:
            yield f"{prefix} {command.name or command.callback.__name__.replace('_', '-')}", command
    for group in application.registered_groups:
        if group.typer_instance is not None:
            yield from verbs(group.typer_instance, f"{prefix} {group.name}")


def reference() -> str:
    """The page's body."""
    sections = []
    for name, command in verbs(app):
        parameters = list(_parameters(command))
        arguments = [
            text if default is inspect.Parameter.empty else f"[{text}]"
            for text, info, default in parameters
            if isinstance(info, typer.models.ArgumentInfo)
        ]
        lines = [f"## {name}", "", command.help or inspect.getdoc(command.callback) or "", ""]
        lines += ["```", " ".join([name, *arguments, "[OPTIONS]"]), "```", ""]
        rows = [HEADINGS, ("---",) * 3, *(_row(*parameter) for parameter in parameters)]
        lines += [f"| {' | '.join(row)} |" for row in rows] if len(rows) > 2 else ["No options."]
        sections.append("\n".join(lines))
    return "\n\n".join(sections) + "\n"


def _parameters(command: CommandInfo) -> Iterator[tuple[str, Any, Any]]:
    """How each parameter is written, its declaration, and its default."""
    callback = command.callback
    hints = get_type_hints(callback, include_extras=True)
    for name, parameter in inspect.signature(callback).parameters.items():
        kind, infos = hints[name], ()
        if get_origin(kind) is Annotated:
            kind, *infos = get_args(kind)
        info = next((entry for entry in infos if isinstance(entry, typer.models.ParameterInfo)), None)
        if info is None:
            plain = parameter.kind is not inspect.Parameter.KEYWORD_ONLY
            info = typer.models.ArgumentInfo() if plain else typer.models.OptionInfo()
        if not info.hidden:
            yield _written(name, kind, info), info, parameter.default


def _written(name: str, kind: Any, info: Any) -> str:
    values = [part for part in get_args(kind) if part is not NoneType] or [kind]
    value = values[0] if get_origin(values[0]) is None else get_args(values[0])[0]
    if isinstance(info, typer.models.ArgumentInfo):
        return info.metavar or name.upper()
    # Inside of Annotated, what is written first arrives where a default would.
    texts = [text for text in (info.default, *(info.param_decls or ())) if isinstance(text, str)]
    declared = [text for text in texts if text.startswith("-")]
    shown = ", ".join(declared) or f"--{name.replace('_', '-')}"
    if value is bool:
        return shown.replace("/", " / ") if declared else f"{shown} / --no-{name.replace('_', '-')}"
    if isinstance(value, type) and issubclass(value, Enum):
        return f"{shown} {'|'.join(str(member.value) for member in value)}"
    names = {int: "N", float: "X", str: "TEXT", Path: "PATH"}
    return f"{shown} {info.metavar or names.get(value, 'TEXT')}"


def _row(text: str, info: Any, default: Any) -> tuple[str, str, str]:
    shown = "required" if default is inspect.Parameter.empty else str(getattr(default, "value", default))
    if default is None or default is False:
        shown = ""
    cells = (f"`{text}`", f"`{shown}`" if shown and shown != "required" else shown, info.help or "")
    return tuple(cell.replace("|", "\\|") for cell in cells)


if __name__ == "__main__":
    sys.stdout.write(reference())

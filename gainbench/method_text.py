"""Methods as text, ``NAME[option=value,...]``: read and written so that what is written is read back as it was."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gainbench.plain_yaml import read_yaml

FORM = "expected NAME or NAME[option=value,...]"

SHOWN = 60
"""Characters of a text that a message repeats."""


def read_method(text: str) -> tuple[str, dict[str, Any]]:
    """Name and options of ``NAME`` or ``NAME[option=value,...]``; values are YAML, quoted where they hold commas.

    Raises:
        ValueError: another form, an option without a value or named twice, or a value that is not YAML.
    """
    match = re.fullmatch(r"\s*([A-Za-z_][\w-]*)\s*(?:\[(.*)\])?\s*", text)
    if match is None:
        raise ValueError(f"{_shown(text)} is not a method: {FORM}")
    name, options = match.groups()
    params: dict[str, Any] = {}
    for option in filter(None, (part.strip() for part in _split(options or ""))):
        key, equals, value = (part.strip() for part in option.partition("="))
        if not equals:
            raise ValueError(f"option {_shown(option)} of {_shown(text)} has no value: expected option=value")
        if key in params:
            raise ValueError(f"option {_shown(key)} of {_shown(text)} stands twice: keep one")
        try:
            params[key] = read_yaml(value)
        except ValueError as error:
            raise ValueError(
                f"option {_shown(option)} of {_shown(text)} is no value that YAML knows: {error}"
            ) from error
    return name, params


def write_method(name: str, params: Mapping[str, Any]) -> str:
    """A method as rows, tables and plots print it, options in name order."""
    if not params:
        return name
    return f"{name}[{','.join(f'{key}={_written(value)}' for key, value in sorted(params.items()))}]"


def _split(options: str) -> Iterator[str]:
    """The options between commas that are neither quoted nor inside of brackets of their own."""
    start, depth, quote, before = 0, 0, "", "="
    place = 0
    while place < len(options):
        letter = options[place]
        if quote:
            # What a backslash or, between apostrophes, an apostrophe stands before does not end the text.
            if letter == {'"': "\\", "'": "'"}[quote] and (quote == '"' or options[place + 1 : place + 2] == "'"):
                place += 1
            elif letter == quote:
                quote = ""
        elif letter in "\"'" and before in "=,[{:":
            # Elsewhere, as in don't, an apostrophe is a letter.
            quote = letter
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        elif letter == "," and depth <= 0:
            yield options[start:place]
            start = place + 1
        before = before if letter.isspace() else letter
        place += 1
    yield options[start:]


def _written(value: Any) -> str:
    if not isinstance(value, str):
        return _flow(value)
    return value if _stands_as_it_is(value) else _quoted(value)


def _stands_as_it_is(text: str) -> bool:
    if not text.isprintable() or text != text.strip() or [*_split(f"x={text}")] != [f"x={text}"]:
        return False
    try:
        return bool(read_yaml(text) == text)
    except ValueError:
        return False


def _flow(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        # YAML wants a point: 1e-05 would come back as a word.
        text = repr(value)
        return text if "e" not in text or "." in text else text.replace("e", ".0e")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_quoted(str(key))}: {_flow(item)}' for key, item in value.items())}}}"
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    escaped = (_escaped(letter) for letter in text)
    return f'"{"".join(escaped)}"'


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    return letter if letter.isprintable() else f"\\U{ord(letter):08x}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")

"""YAML of strangers as plain values: no tags, no key twice, and nothing that grows when it is read.

What ``yaml.safe_load`` leaves open is closed here. A few lines of aliases to aliases ("billion laughs") unfold to
gigabytes once somebody prints them, a thousand brackets take half a minute to refuse, and a key that stands twice
silently loses its first value.
"""

from typing import Any

import yaml

TEXT_LIMIT = 200_000
"""Characters of one document; the shipped suites have about two thousand."""

DEPTH_LIMIT = 20
"""Lists and mappings inside of one another; a suite needs five."""

NODES_LIMIT = 20_000
"""Values in all, each alias counted with everything it stands for."""


SHOWN = 60
"""Characters of a value that a message repeats."""


class _PlainLoader(yaml.SafeLoader):
    """Refuses while composing, before anything is built."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._nodes = 0
        self._whole: dict[int, int] = {}
        """Nodes that are composed to their end, by identity, with how many values they stand for."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        node: yaml.Node | None
        if isinstance(event, yaml.AliasEvent):
            node = super().compose_node(parent, index)
            if id(node) not in self._whole:
                raise _problem(f"{_shown(str(event.anchor))} stands inside of what it refers to", event)
            self._nodes += self._whole[id(node)]
        else:
            if getattr(event, "tag", None) is not None and event.tag != "!":
                raise _problem(f"tags such as {_shown(event.tag)} are not taken: write the plain value", event)
            if isinstance(event, yaml.ScalarEvent) and any("\ud800" <= letter <= "\udfff" for letter in event.value):
                raise _problem(f"{_shown(event.value)} holds half a character", event)
            before = self._nodes
            self._nodes += 1
            self._depth += 1
            if self._depth > DEPTH_LIMIT:
                raise _problem(f"more than {DEPTH_LIMIT} lists or mappings inside of one another", event)
            node = super().compose_node(parent, index)
            self._depth -= 1
            self._whole[id(node)] = self._nodes - before
        if self._nodes > NODES_LIMIT:
            raise _problem(f"more than {NODES_LIMIT} values, aliases unfolded", event)
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise _problem(f"the key {_shown(key.value)} stands twice: keep one", key)
                seen.add((key.tag, key.value))
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - as PyYAML has it
        try:
            value = super().construct_object(node, deep=deep)
        except (ValueError, OverflowError) as error:
            raise _problem(f"{_shown(node.value)} cannot be read: {error}", node) from error
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise _problem(f"{_shown(node.value)} is beyond 64 bits", node)
        return value


def _problem(message: str, where: Any) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=message, problem_mark=where.start_mark)


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")


def read_yaml(text: str) -> Any:
    """The one document of a YAML text: dicts, lists, strings, numbers, dates, booleans and None.

    Raises:
        ValueError: not YAML, too long or too deep, aliases that unfold to too much, a tag, a key twice, or a value that
            cannot be built, such as the thirteenth month.
    """
    if len(text) > TEXT_LIMIT:
        raise ValueError(f"it has {len(text):,} characters, expected at most {TEXT_LIMIT:,}")
    try:
        loader = _PlainLoader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark is not None else ""
        raise ValueError(f"{where}{' '.join(filter(None, (error.context, error.problem)))}") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error

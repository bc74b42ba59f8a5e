"""What there is to choose from, as headers and rows: methods, suites, data sets, hole protocols, metrics, assets."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic_core import PydanticUndefined

from gainbench.assets import available, catalogue
from gainbench.data import DATASETS
from gainbench.evaluation.metrics.catalogue import METRICS
from gainbench.masks import PROTOCOLS, open_protocol, statistics_table
from gainbench.spec import MaskSpec, load_suite, scales, suite_names

if TYPE_CHECKING:
    from gainbench.registry import Entry

STATISTICS_HOLES = 50
"""Holes measured in each bin and border class: a few seconds."""


class Listing(NamedTuple):
    """A table of text."""

    headers: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def as_records(listing: Listing) -> list[dict[str, str]]:
    """A listing for a program: one object a row, headers as keys with ``_`` for spaces."""
    keys = [header.replace(" ", "_") for header in listing.headers]
    return [dict(zip(keys, row, strict=True)) for row in listing.rows]


def methods_records(entries: "Iterable[Entry]") -> list[dict[str, Any]]:
    """Every method for a program: its options with defaults and descriptions, or the reason why it is broken."""
    return [
        {
            "method": entry.name,
            "from": entry.source,
            "revision": entry.method.revision if entry.method is not None else None,
            "broken": entry.problem or None,
            "options": {
                name: {"default": _plain(field), "description": field.description or ""}
                for name, field in (entry.method.Params.model_fields if entry.method is not None else {}).items()
            },
        }
        for entry in entries
    ]


def methods_listing(entries: "Iterable[Entry]") -> Listing:
    """Every method with its options, or the reason why it is broken."""
    rows = []
    for entry in entries:
        if entry.method is None:
            rows.append((entry.name, entry.source, "", f"broken: {entry.problem}"))
            continue
        options = entry.method.Params.model_fields
        rows.append((entry.name, entry.source, str(entry.method.revision), "" if options else "no options"))
        rows += [
            ("", "", "", f"{name}={_default(field)}  {field.description or ''}".rstrip())
            for name, field in options.items()
        ]
    return Listing(("method", "from", "revision", "option=default"), rows)


def _default(field: Any) -> str:
    value = _made(field)
    return "(required)" if value is PydanticUndefined else str(value)


def _plain(field: Any) -> Any:
    """A default as JSON has it; a text where JSON has no such value."""
    value = _made(field)
    return value if value is None or isinstance(value, bool | int | float | str) else _default(field)


def _made(field: Any) -> Any:
    if field.default_factory is None:
        return field.default
    try:
        return field.default_factory()
    except Exception:  # noqa: BLE001 - it may want the other options, or raise anything; the other methods must go on
        return "(computed)"


def suites_listing() -> Listing:
    """The shipped suites."""
    rows = []
    for suite in map(load_suite, suite_names()):
        methods = " ".join(method.label for method in suite.methods)
        rows.append((suite.name, suite.scale, " ".join(suite.datasets), methods, suite.question))
    return Listing(("suite", "scale", "data sets", "methods", "question"), rows)


def scales_listing() -> Listing:
    """The shipped scales, smallest first."""
    rows = [
        (
            scale.name,
            str(scale.size),
            str(scale.base),
            str(scale.batch),
            str(scale.iterations),
            _count(scale.test_pictures),
        )
        for scale in scales().values()
    ]
    return Listing(("scale", "size", "base", "batch", "iterations", "test pictures"), rows)


def _count(pictures: int | None) -> str:
    return "all" if pictures is None else str(pictures)


def datasets_listing() -> Listing:
    """The data sets, and which need a path or must not be published."""
    rows = [
        (
            name,
            "--data" if info.needs_path else "fetched",
            "yes" if info.publishable else "no",
            info.description,
            info.licence,
        )
        for name, info in DATASETS.items()
    ]
    return Listing(("data set", "from", "publishable", "description", "licence"), rows)


def masks_listing() -> Listing:
    """The hole protocols."""
    rows = [
        (name, "yes" if info.needs_path else "no", info.description, info.licence) for name, info in PROTOCOLS.items()
    ]
    return Listing(("protocol", "needs a folder", "description", "licence"), rows)


def hole_statistics_listing(protocol: str, path: Path | None = None) -> Listing:
    """What a protocol's holes measure, by bin and border class: the table that makes protocols comparable.

    Args:
        protocol: its name.
        path: the folder of the user's masks, for a protocol that reads them.

    Raises:
        MaskError: no such protocol, or a folder that is missing or not what it must be.
    """
    # How a folder's masks are given to images plays no part here, but the protocol wants it said.
    pairing: Literal["hash"] | None = "hash" if protocol == "folder" else None
    table = statistics_table(open_protocol(MaskSpec(protocol=protocol, path=path, pairing=pairing)), STATISTICS_HOLES)
    texts = {
        "area_mean": "{:.3f}",
        "radius_median": "{:.1f}",
        "components_median": "{:.0f}",
        "touches_border": "{:.0%}",
        "clear": "{:.0%}",
    }
    rows = [
        tuple(texts.get(str(name), "{}").format(value) for name, value in record.items())
        for record in table.to_dict("records")
    ]
    return Listing(tuple(str(name).replace("_", " ") for name in table.columns), rows)


def metrics_listing() -> Listing:
    """The metrics with their exact definitions."""
    rows = [(info.id, info.label, info.direction, info.per, info.definition) for info in METRICS.values()]
    return Listing(("metric", "label", "better", "per", "definition"), rows)


def assets_listing() -> Listing:
    """The weights and photographs, and whether they are at hand."""
    rows = [
        (asset.name, "at hand" if available(asset.name) else "to fetch", asset.description, asset.use, asset.licence)
        for asset in catalogue().values()
    ]
    return Listing(("asset", "state", "description", "use", "licence"), rows)

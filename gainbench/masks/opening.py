"""The protocols by name."""

from typing import NamedTuple

from gainbench.errors import MaskError
from gainbench.masks.irregular import IrregularProtocol
from gainbench.masks.protocols import MaskProtocol
from gainbench.spec import MaskSpec, nearest


class ProtocolInfo(NamedTuple):
    """A protocol as `list masks` shows it.

    Attributes:
        description: one line.
        licence: of the holes; empty where nothing but this package draws them.
        needs_path: whether the suite must point at the user's files.
        protocol: the class.
    """

    description: str
    licence: str
    needs_path: bool
    protocol: type[MaskProtocol]


PROTOCOLS: dict[str, ProtocolInfo] = {
    "irregular-v1": ProtocolInfo(
        "random-walk strokes in six area bins, clear of the border and touching it (the default)",
        "",
        False,
        IrregularProtocol,
    ),
}


def open_protocol(spec: MaskSpec) -> MaskProtocol:
    """The protocol that a suite asks for.

    Raises:
        MaskError: no such protocol, bins that it does not have, files that are missing or not what they must be.
    """
    if spec.protocol not in PROTOCOLS:
        raise MaskError(f"no hole protocol named {spec.protocol!r}; {nearest(spec.protocol, PROTOCOLS)}")
    return PROTOCOLS[spec.protocol].protocol(spec)

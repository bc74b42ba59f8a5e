"""The protocols by name."""

from typing import NamedTuple

from gainbench.errors import MaskError
from gainbench.masks.file_protocols import FolderProtocol, NvidiaProtocol
from gainbench.masks.generators import (
    CenterProtocol,
    DeepFillProtocol,
    LamaMediumProtocol,
    LamaThickProtocol,
    LamaThinProtocol,
)
from gainbench.masks.irregular import IrregularProtocol
from gainbench.masks.protocols import MaskProtocol
from gainbench.spec import MaskSpec, nearest


class ProtocolInfo(NamedTuple):
    """A protocol as `list masks` shows it.

    Attributes:
        description: one line.
        licence: of the files it reads; empty where it draws its holes.
        needs_path: whether the suite must point at the user's files.
        protocol: the class.
    """

    description: str
    licence: str
    needs_path: bool
    protocol: type[MaskProtocol]


PROTOCOLS: dict[str, ProtocolInfo] = {
    "irregular-v1": ProtocolInfo(
        "random-walk strokes in six area bins, clear of the border and touching it; as hard as nvidia (the default)",
        "",
        False,
        IrregularProtocol,
    ),
    "nvidia": ProtocolInfo(
        "the 12,000 irregular test masks of Liu et al. 2018, in six area bins, from your folder",
        "CC BY-NC-SA 4.0",
        True,
        NvidiaProtocol,
    ),
    "deepfill-v2": ProtocolInfo("the free-form brush of Yu et al. 2019", "", False, DeepFillProtocol),
    "lama-thin": ProtocolInfo("up to 50 thin strokes (Suvorov et al. 2022)", "", False, LamaThinProtocol),
    "lama-medium": ProtocolInfo("middling strokes or boxes (Suvorov et al. 2022)", "", False, LamaMediumProtocol),
    "lama-thick": ProtocolInfo("thick strokes or boxes (Suvorov et al. 2022)", "", False, LamaThickProtocol),
    "center": ProtocolInfo("a square of half the picture's side in its centre", "", False, CenterProtocol),
    "folder": ProtocolInfo("your own masks, paired by name or by hash", "yours", True, FolderProtocol),
}


def open_protocol(spec: MaskSpec) -> MaskProtocol:
    """The protocol that a suite asks for.

    Raises:
        MaskError: no such protocol, bins that it does not have, files that are missing or not what they must be, or
            options that it would ignore.
    """
    if spec.protocol not in PROTOCOLS:
        raise MaskError(f"no hole protocol named {spec.protocol!r}; {nearest(spec.protocol, PROTOCOLS)}")
    info = PROTOCOLS[spec.protocol]
    if not info.needs_path:
        _refuse(spec, ("path", "training_path", "invert"), "reads no files")
    if spec.protocol != "folder":
        _refuse(spec, ("pairing",), "pairs images with holes in its own way")
    return info.protocol(spec)


def _refuse(spec: MaskSpec, options: tuple[str, ...], reason: str) -> None:
    given = [option for option in options if getattr(spec, option) is not None]
    if given:
        raise MaskError(f"{spec.protocol} {reason}: remove {', '.join(given)} from the suite's `masks`")

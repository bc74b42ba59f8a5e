"""Holes: protocols that draw or read them, the pairing of images with holes, statistics and checks."""

from gainbench.masks.opening import PROTOCOLS, ProtocolInfo, open_protocol
from gainbench.masks.pairing import Pairing, build_pairing
from gainbench.masks.protocols import Hole, MaskProtocol
from gainbench.masks.statistics import HoleStatistics, hole_statistics, resize_nearest

__all__ = [
    "PROTOCOLS",
    "Hole",
    "HoleStatistics",
    "MaskProtocol",
    "Pairing",
    "ProtocolInfo",
    "build_pairing",
    "hole_statistics",
    "open_protocol",
    "resize_nearest",
]

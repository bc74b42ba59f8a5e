"""Holes: protocols that draw or read them, the pairing of images with holes, statistics and checks."""

from gainbench.masks.opening import PROTOCOLS, ProtocolInfo, open_protocol
from gainbench.masks.pairing import Pairing, build_pairing
from gainbench.masks.protocols import Hole, MaskProtocol, PlannedHole
from gainbench.masks.reading import read_mask
from gainbench.masks.statistics import HoleStatistics, hole_statistics, resize_nearest
from gainbench.masks.summary import statistics_table

__all__ = [
    "PROTOCOLS",
    "Hole",
    "HoleStatistics",
    "MaskProtocol",
    "Pairing",
    "PlannedHole",
    "ProtocolInfo",
    "build_pairing",
    "hole_statistics",
    "open_protocol",
    "read_mask",
    "resize_nearest",
    "statistics_table",
]

"""Whole numbers from a keyed Philox stream: the same on every machine and with every release of numpy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gainbench.keyed import keyed_generator

Integers = NDArray[np.int64]


class Draws:
    """A stream of draws that is a pure function of the parts it is keyed by.

    Only the raw 64-bit words of Philox are used: numpy promises them for ever, while the methods of its generators may
    change between releases, and a hole must not.
    """

    def __init__(self, *parts: Any) -> None:
        self._words = keyed_generator(*parts).bit_generator

    def _upper_halves(self, count: int) -> Integers:
        return (self._words.random_raw(count) >> np.uint64(32)).astype(np.int64)

    def integers(self, low: int | Integers, high: int | Integers, count: int) -> Integers:
        """``count`` whole numbers, uniform in [low, high], both ends included; the ends may be arrays of ``count``."""
        span = np.asarray(high, np.int64) - low + 1
        return low + (self._upper_halves(count) * span >> 32)

    def integer(self, low: int, high: int) -> int:
        """One whole number, uniform in [low, high]."""
        return int(self.integers(low, high, 1)[0])

    def fractions(self, count: int) -> NDArray[np.float64]:
        """``count`` numbers, uniform in (0, 1): never an end, so that inverse distribution functions are finite."""
        return (self._upper_halves(count).astype(np.float64) + 0.5) / 2.0**32

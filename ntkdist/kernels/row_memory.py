"""Remember what rows' lengths alone decide: a block of rows meets many blocks of columns, and its norms in all layers
and its diagonal are the same in every tile.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
_LIMIT = 64 << 20


class RowMemory:
    """The values used last, up to ``limit`` bytes; safe to use from several threads."""

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._values: OrderedDict[tuple[object, ...], tuple[object, int]] = OrderedDict()
        self._bytes = 0

    def get(self, what: tuple[object, ...], lengths: NDArray[np.float64], make: Callable[[], T], size: int) -> T:
        """Return ``make()``, or what it returned for the same ``what`` and the same lengths to the bit.

        ``size`` is what the value weighs in bytes; one heavier than a quarter of the limit is not kept.
        """
        size += lengths.nbytes
        if 4 * size > self._limit:
            return make()
        key = (*what, lengths.tobytes())
        with self._lock:
            found = self._values.get(key)
            if found is not None:
                self._values.move_to_end(key)
                value: T = found[0]  # type: ignore[assignment]
                return value
        value = make()
        with self._lock:
            if key not in self._values:
                self._values[key] = (value, size)
                self._bytes += size
            while self._bytes > self._limit:
                self._bytes -= self._values.popitem(last=False)[1][1]
        return value

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()
            self._bytes = 0


ROWS = RowMemory()

"""What the passes K·V of an operator cost: counted as they happen, for the log and the report."""

from __future__ import annotations

import threading
from typing import Any


class PassStatistics:
    """Passes, columns and seconds of one operator.

    Parameters
    ----------
    entries : stored entries a pass touches (lower tiles).
    itemsize : bytes of an entry.
    """

    def __init__(self, entries: int, itemsize: int) -> None:
        self.entries, self.itemsize = entries, itemsize
        self.passes = self.columns = 0
        self.seconds = 0.0
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def count(self, columns: int, seconds: float) -> None:
        """Note one pass over ``columns`` vectors."""
        with self._lock:
            self.passes += 1
            self.columns += columns
            self.seconds += seconds

    def to_dict(self) -> dict[str, Any]:
        """Counts and mean rates: passes, columns, wall seconds, stored entries/s, flop/s (4 per entry and column)."""
        rate = 1 / self.seconds if self.seconds > 0 else None
        return {
            "passes": self.passes,
            "columns": self.columns,
            "seconds": self.seconds,
            "entries_per_second": None if rate is None else self.passes * self.entries * rate,
            "bytes_per_second": None if rate is None else self.passes * self.entries * self.itemsize * rate,
            "flops_per_second": None if rate is None else 4.0 * self.columns * self.entries * rate,
        }

"""What a run's heavy parts cost, gathered while they run: the ``performance`` section of the results."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import numpy as np

from ntkdist.store import Receipt


class GramTimings:
    """Tiles computed by this process's run: seconds of each, bytes written, workers; thread-safe."""

    def __init__(self, itemsize: int) -> None:
        self._itemsize = itemsize
        self._lock = threading.Lock()
        self._seconds: list[float] = []
        self._by_worker: dict[int, int] = {}
        self._entries = 0
        self._writing = 0.0

    def add(self, made: Iterable[tuple[Receipt, float, int]]) -> None:
        """Note finished tiles: (receipt, seconds of copying and writing, entries)."""
        with self._lock:
            for receipt, writing, entries in made:
                self._seconds.append(receipt.seconds)
                self._by_worker[receipt.worker] = self._by_worker.get(receipt.worker, 0) + 1
                self._entries += entries
                self._writing += writing

    def to_dict(self, wall: float | None) -> dict[str, Any] | None:
        """Rates and quantiles; None when nothing was computed. Seconds are summed over workers' threads."""
        if not self._seconds:
            return None
        computing = sum(self._seconds)
        median, slow = np.quantile(self._seconds, [0.5, 0.95])
        return {
            "tiles": len(self._seconds),
            "entries": self._entries,
            "wall_seconds": wall,
            "entries_per_second": self._entries / wall if wall else None,
            "compute_seconds": computing,
            "write_seconds": self._writing,
            "bytes_written": self._entries * self._itemsize,
            "tile_seconds_median": float(median),
            "tile_seconds_95": float(slow),
            "tiles_by_worker": {str(w): count for w, count in sorted(self._by_worker.items())},
        }

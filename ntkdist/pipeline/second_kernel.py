"""A second kernel over a run's rows: the prior Σ beside Θ, or the H^∞ of a theorem.

Its tiles are never stored. They stay in memory where they take at most a quarter of what is free, and are computed
again in every pass otherwise, so any n works; entries are float64.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from ntkdist.cluster import TiledOperator
from ntkdist.kernels.protocol import TileKernel
from ntkdist.pipeline.gram_matrix import Gram
from ntkdist.pipeline.session import Session
from ntkdist.tiling import Tile, Tiling

Array = NDArray[Any]
AFFORDABLE = 20_000
"""Rows up to which ``auto`` computes a second kernel without being asked."""
_AFFORDABLE_FLOPS = 1e13
_MEMORY_SHARE = 0.25


def affordable(session: Session, choice: bool | str) -> bool:
    """Whether a second kernel is computed: as asked, or for ``auto`` if it is small and cheap enough."""
    if choice != "auto":
        return bool(choice)
    n = session.identity.n
    features = session.store.read_array("inputs/x_train", slice(0, 1)).shape[1]
    return n <= AFFORDABLE and session.kernel.work(n, n, features) <= _AFFORDABLE_FLOPS


def has_prior(session: Session) -> bool:
    """Whether the kernel has an NNGP beside it; a PyTorch model has its empirical NTK only."""
    return bool(getattr(session.kernel, "has_nngp", True))


def second_gram(session: Session, kernel: TileKernel, which: str, *, with_test: bool = False) -> Gram:
    """Gram matrix of ``kernel`` over the run's training rows, followed by its test rows if ``with_test``."""
    parts = ["inputs/x_train", "inputs/x_test"] if with_test else ["inputs/x_train"]
    sizes = [session.identity.n, session.n_test] if with_test else [session.identity.n]
    n = sum(sizes)
    tiling = Tiling(n, min(session.tiling.tile, n))

    def rows(band: int) -> Array:
        where, out, offset = tiling.rows(band), [], 0
        for name, size in zip(parts, sizes, strict=True):
            start, stop = max(where.start - offset, 0), min(where.stop - offset, size)
            if start < stop:
                out.append(session.store.read_array(name, slice(start, stop)))
            offset += size
        return np.ascontiguousarray(np.concatenate(out), dtype=np.float64)

    def tile(i: int, j: int) -> Array:
        left = rows(i)
        return np.asarray(kernel.tile(left, left if i == j else rows(j), which=which))

    needed = tiling.stored_entries() * 8
    kept = needed <= _MEMORY_SHARE * psutil.virtual_memory().available
    operator = TiledOperator(tiling, Kept(tile) if kept else tile, np.dtype(np.float64))
    return Gram(
        operator,
        kernel,
        which,
        stored=False,
        mode="resident" if kept else "recomputed",
        reason=f"a second kernel of {needed / 1e9:.3g} GB",
        duplicates=[] if with_test else session.gram.duplicates,
    )


class Kept:
    """Remember every tile that was made once."""

    def __init__(self, make: Callable[[int, int], Array], known: dict[Tile, Array] | None = None) -> None:
        self._make = make
        self.tiles: dict[Tile, Array] = dict(known or {})
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"_make": self._make, "tiles": self.tiles}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def __call__(self, i: int, j: int) -> Array:
        """Tile (i, j), made at the first call."""
        found = self.tiles.get((i, j))
        if found is None:
            made = self._make(i, j)
            with self._lock:
                found = self.tiles.setdefault((i, j), made)
        return found

"""Where the tiles of a run come from, in this process or on a worker: its store, or its kernel and rows."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.cluster import tiles_allowed
from ntkdist.kernels import TileKernel
from ntkdist.store import RunStore, TileStore
from ntkdist.tiling import Tiling

Array = NDArray[Any]
_ROWS_SHARE = 0.25


class RowBlocks:
    """The training rows of a store by tile band, each read once while the memory allowed for rows suffices.

    ``place`` puts a block where tiles are computed (a GPU's memory, say).
    """

    def __init__(self, root: str, tiling: Tiling, place: Callable[[Array], Any] | None = None) -> None:
        self._store = RunStore(root)
        self._tiling = tiling
        self._place = place
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._bytes = 0
        self._budget = int(_ROWS_SHARE * tiles_allowed())
        self._lock = threading.Lock()

    def __call__(self, band: int) -> Any:
        """Rows of tile band ``band``."""
        with self._lock:
            if band in self._kept:
                self._kept.move_to_end(band)
                return self._kept[band]
        rows: Any = self._store.read_array("inputs/x_train", self._tiling.rows(band))
        if self._place is not None:
            rows = self._place(rows)
        with self._lock:
            if band not in self._kept:
                self._kept[band] = rows
                self._bytes += rows.nbytes
            while self._bytes > self._budget and len(self._kept) > 2:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return rows

    def gather(self, indices: Array) -> Array:
        """The rows with these numbers, in their order."""
        size = self._tiling.tile
        out: Array | None = None
        for band in np.unique(indices // size):
            where = np.flatnonzero(indices // size == band)
            rows = self(int(band))[indices[where] - band * size]
            if out is None:
                out = np.empty((len(indices), rows.shape[1]), rows.dtype)
            out[where] = rows
        assert out is not None
        return out


def compute_tile(kernel: TileKernel, rows: Callable[[int], Any], i: int, j: int, which: str, threads: int = 1) -> Any:
    """Tile (i, j) of the Gram matrix in the precision of its rows, where its rows are."""
    left = rows(i)
    return kernel.tile(left, left if i == j else rows(j), which=which, threads=threads)


@dataclass(frozen=True)
class StoredTiles:
    """Tiles read from a run store; ``digest`` is its identity."""

    root: str
    tiling: Tiling
    digest: str

    @property
    def token(self) -> str:
        """Name of the matrix."""
        return f"stored:{self.digest}:{self.root}"

    def open(self, data: Any = None) -> Callable[[int, int], Array]:
        """A reader of its own, so that every process checks every tile once."""
        return TileStore(self.root, self.tiling).read


@dataclass(frozen=True)
class ComputedTiles:
    """Tiles computed from the rows of a run store, or from rows placed on the workers as ``data``."""

    root: str | None
    tiling: Tiling
    kernel: TileKernel
    which: str
    digest: str
    storage: str | None = None

    @property
    def token(self) -> str:
        """Name of the matrix."""
        return f"computed:{self.digest}:{self.which}:{self.root}"

    def open(self, data: Any = None) -> Callable[[int, int], Array]:
        """A function that computes tile (i, j), rounded to ``storage`` where that is given."""
        rows: Callable[[int], Any]
        if data is None:
            assert self.root is not None
            rows = RowBlocks(self.root, self.tiling)
        else:
            rows = _Slices(data, self.tiling)
        return _Computing(self, rows)


@dataclass(frozen=True)
class _Computing:
    """The tiles of ``source`` from ``rows``: an object, since a fitted estimator that holds it is pickled."""

    source: ComputedTiles
    rows: Callable[[int], Any]

    def __call__(self, i: int, j: int) -> Array:
        """Tile (i, j)."""
        source = self.source
        made = np.asarray(compute_tile(source.kernel, self.rows, i, j, source.which))
        return made if source.storage is None else made.astype(source.storage, copy=False)


@dataclass(frozen=True)
class HeldTiles:
    """Tiles held in memory, by their place."""

    tiles: dict[tuple[int, int], Array]

    def __call__(self, i: int, j: int) -> Array:
        """Tile (i, j)."""
        return self.tiles[i, j]


@dataclass(frozen=True)
class DirectBlock:
    """K[rows][:, cols] straight from the kernel: the entries asked for and no others."""

    kernel: TileKernel
    which: str
    gather: Callable[[Array], Array]

    def __call__(self, rows: Array, cols: Array) -> Array:
        """(len(rows), len(cols)) float64."""
        if not len(rows) or not len(cols):
            return np.empty((len(rows), len(cols)))
        parts = []
        right = self.gather(cols)
        for start in range(0, len(rows), 4096):
            left = self.gather(rows[start : start + 4096])
            parts.append(np.asarray(self.kernel.tile(left, right, which=self.which), dtype=np.float64))
        return np.concatenate(parts)


class _Slices:
    """Row bands of an array in memory."""

    def __init__(self, rows: Array, tiling: Tiling) -> None:
        self._rows, self._tiling = rows, tiling

    def __call__(self, band: int) -> Array:
        return self._rows[self._tiling.rows(band)]

"""Stage 2, the Gram matrix: compute the missing tiles on Dask workers, each written and receipted.

Workers read the rows they need from the store's ``inputs``, keep the last few blocks, compute the tile, write it,
and return its receipt; the driver records receipts. Nothing that has a receipt is computed again.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from distributed import Client, get_worker
from numpy.typing import NDArray

from ntkdist.cluster import run_tiles
from ntkdist.kernels import TileKernel
from ntkdist.moments import _checkpoint
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.store import Receipt, RunStore, TileStore
from ntkdist.tiling import Tile, Tiling

Array = NDArray[Any]
_ROW_BLOCKS_KEPT = 8


class RowBlocks:
    """The training rows of a store by tile band; the last few bands are kept in memory."""

    def __init__(self, root: str, tiling: Tiling) -> None:
        self._store = RunStore(root)
        self._tiling = tiling
        self._kept: OrderedDict[int, Array] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, band: int) -> Array:
        """Rows of tile band ``band``."""
        with self._lock:
            if band in self._kept:
                self._kept.move_to_end(band)
                return self._kept[band]
        rows = self._store.read_array("inputs/x_train", self._tiling.rows(band))
        with self._lock:
            self._kept[band] = rows
            while len(self._kept) > _ROW_BLOCKS_KEPT:
                self._kept.popitem(last=False)
        return rows


@dataclass(frozen=True)
class TileTask:
    """Compute and write one tile; what a Dask worker runs. ``token`` keeps stores of equal path apart."""

    root: str
    tiling: Tiling
    kernel: TileKernel
    which: str
    token: str

    def __call__(self, i: int, j: int) -> Receipt:
        """Compute tile (i, j), write it, and return its receipt."""
        rows, tiles = _worker_state(self)
        start = time.perf_counter()
        tile = compute_tile(self.kernel, rows, i, j, self.which)
        _checkpoint("tile.computed", i, j)
        return tiles.write(i, j, tile, time.perf_counter() - start, worker=_worker_number())


def compute_tile(kernel: TileKernel, rows: RowBlocks, i: int, j: int, which: str) -> Array:
    """Tile (i, j) of the Gram matrix in the precision of its rows."""
    left = rows(i)
    right = left if i == j else rows(j)
    return np.asarray(kernel.tile(left, right, which=which))


def missing_by_band(tiles: TileStore) -> dict[int, list[Tile]]:
    """Tiles still to be computed, by band, longest band first."""
    bands: dict[int, list[Tile]] = {}
    for i, j in tiles.missing():
        bands.setdefault(i, []).append((i, j))
    return bands


def compute_gram(
    store: RunStore,
    kernel: TileKernel,
    client: Client,
    *,
    only: Iterable[Tile] | None = None,
    progress: Progress | None = None,
) -> int:
    """Compute the missing tiles (or those of ``only`` that are missing); return how many were computed."""
    progress = progress or Silent()
    identity = store.identity
    assert identity is not None
    tiles = store.tiles
    wanted = None if only is None else set(only)
    todo = [t for t in tiles.missing() if wanted is None or t in wanted]
    tiling = tiles.tiling
    total = sum(tiling.entries(i, j) for i, j in todo)
    progress.start("gram", total, "entries")
    finished = 0

    def done(receipts: list[Receipt]) -> None:
        nonlocal finished
        tiles.record(receipts)
        finished += sum(tiling.entries(r.i, r.j) for r in receipts)
        progress.update(finished)

    if todo:
        task = TileTask(str(store.root.resolve()), tiling, kernel, identity.which, identity.digest)
        run_tiles(client, task, todo, done)
    progress.finish()
    return len(todo)


_STATES: OrderedDict[tuple[str, str], tuple[RowBlocks, TileStore]] = OrderedDict()
_STATES_LOCK = threading.Lock()


def _worker_state(task: TileTask) -> tuple[RowBlocks, TileStore]:
    key = (task.root, task.token)
    with _STATES_LOCK:
        if key not in _STATES:
            _STATES[key] = (RowBlocks(task.root, task.tiling), TileStore(task.root, task.tiling))
            while len(_STATES) > 2:
                _STATES.popitem(last=False)
        return _STATES[key]


def _worker_number() -> int:
    try:
        name = get_worker().name
    except ValueError:
        return 0
    return int(name) if str(name).isdigit() else 0

"""Stage 2, the Gram matrix: compute the missing tiles on Dask workers, each written and receipted.

Workers read the rows they need from the store's ``inputs`` once, compute the tile, write it, and return its receipt;
the driver records receipts. Nothing that has a receipt is computed again.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from distributed import Client, get_worker

from ntkdist.cluster import copy_out, device_of, run_tiles, synchronize
from ntkdist.kernels import TileKernel
from ntkdist.moments import _checkpoint
from ntkdist.pipeline.performance import GramTimings
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.pipeline.tile_source import RowBlocks, compute_tile
from ntkdist.store import Receipt, RunStore, TileStore
from ntkdist.tiling import Tile, Tiling

__all__ = ["RowBlocks", "TileTask", "compute_gram", "compute_tile", "missing_by_band"]
# More tiles at a time than this crowd a worker's memory; its other cores share the tiles that are being made.
_TILES_AT_ONCE = 8


@dataclass(frozen=True)
class TileTask:
    """Compute and write one tile; what a Dask worker runs. ``token`` keeps stores of equal path apart.

    ``device`` names the array module tiles are computed with. On a GPU one tile is computed at a time, and copied
    out and written by its task while the next task's tile is computed.
    """

    root: str
    tiling: Tiling
    kernel: TileKernel
    which: str
    token: str
    device: str = "numpy"

    def __call__(self, i: int, j: int) -> tuple[Receipt, float]:
        """Compute tile (i, j) and write it; return its receipt and the seconds spent on copying and writing."""
        state = _worker_state(self)
        with state.gate:
            start = time.perf_counter()
            tile = compute_tile(self.kernel, state.rows, i, j, self.which, state.threads)
            synchronize(tile)
            seconds = time.perf_counter() - start
        _checkpoint("tile.computed", i, j)
        start = time.perf_counter()
        receipt = state.tiles.write(i, j, copy_out(tile), seconds, worker=_worker_number())
        return receipt, time.perf_counter() - start


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
    timings: GramTimings | None = None,
) -> int:
    """Compute the missing tiles (or those of ``only`` that are missing); return how many were computed."""
    progress = progress or Silent()
    identity = store.identity
    assert identity is not None
    tiles = store.tiles
    # Asked for one band, do not look at the receipts of a million tiles.
    todo = tiles.missing() if only is None else [t for t in only if tiles.receipt(*t) is None]
    tiling = tiles.tiling
    total = sum(tiling.entries(i, j) for i, j in todo)
    progress.start("gram", total, "entries")
    finished = 0

    def done(made: list[tuple[Receipt, float]]) -> None:
        nonlocal finished
        receipts = [receipt for receipt, _ in made]
        tiles.record(receipts)
        finished += sum(tiling.entries(r.i, r.j) for r in receipts)
        if timings is not None:
            timings.add((receipt, seconds, tiling.entries(receipt.i, receipt.j)) for receipt, seconds in made)
        progress.update(finished)

    if todo:
        root = str(store.root.resolve())
        task = TileTask(root, tiling, kernel, identity.which, identity.digest, device_of(client, kernel))
        run_tiles(client, task, todo, done)
    progress.finish()
    return len(todo)


class _WorkerState:
    """What one worker process needs for the tiles of one store."""

    def __init__(self, task: TileTask) -> None:
        on_device = task.device != "numpy"
        cores_here = _worker_cores()
        at_once = 1 if on_device else min(cores_here, _TILES_AT_ONCE)
        self.gate = threading.BoundedSemaphore(at_once)
        self.threads = 1 if on_device else max(1, cores_here // at_once)
        self.rows = RowBlocks(
            task.root, task.tiling, importlib.import_module(task.device).asarray if on_device else None
        )
        self.tiles = TileStore(task.root, task.tiling)


_STATES: OrderedDict[tuple[str, str], _WorkerState] = OrderedDict()
_STATES_LOCK = threading.Lock()


def _worker_state(task: TileTask) -> _WorkerState:
    key = (task.root, task.token)
    with _STATES_LOCK:
        if key not in _STATES:
            _STATES[key] = _WorkerState(task)
            while len(_STATES) > 2:
                _STATES.popitem(last=False)
        return _STATES[key]


def _worker_cores() -> int:
    """Cores Dask gave this worker."""
    try:
        return int(get_worker().state.nthreads)
    except ValueError:
        return 1


def _worker_number() -> int:
    try:
        name = get_worker().name
    except ValueError:
        return 0
    return int(name) if str(name).isdigit() else 0

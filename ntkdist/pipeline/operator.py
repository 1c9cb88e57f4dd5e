"""The operator K·V of a run in one of its three modes, and the reason for the choice.

*resident*: tiles are read once, verified, and kept in memory. *streamed*: every pass reads the store. *recomputed*:
nothing is stored, every pass computes the tiles from the rows.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from ntkdist.cluster import TiledOperator
from ntkdist.errors import InputError
from ntkdist.kernels import TileKernel
from ntkdist.pipeline.gram import RowBlocks, compute_tile
from ntkdist.store import RunStore
from ntkdist.tiling import Tile, Tiling

Array = NDArray[Any]
_MEMORY_SHARE = 0.5


@dataclass(frozen=True)
class ChosenOperator:
    """The operator of a run, the mode it works in and why."""

    operator: TiledOperator
    mode: str
    reason: str
    stored: bool


def open_operator(store: RunStore, kernel: TileKernel, mode: str = "auto") -> ChosenOperator:
    """Open the Gram operator of a store whose tiles are finished (or, recomputed, need not be).

    Raises
    ------
    InputError
        The mode needs stored tiles and some are missing, or resident tiles cannot fit in memory.
    """
    identity = store.identity
    if identity is None:
        raise InputError(f"{store.root} holds no Gram matrix yet; start its run again to continue it.")
    tiling = Tiling(identity.n, identity.tile)
    storage = np.dtype(identity.storage)
    needed = tiling.stored_entries() * storage.itemsize
    free = psutil.virtual_memory().available
    if mode == "auto":
        mode, reason = _choose(needed, free)
    else:
        reason = "as configured (gram.mode)"
    if mode == "recomputed":
        rows = RowBlocks(str(store.root), tiling)
        compute = np.dtype(identity.compute)
        operator = TiledOperator(tiling, lambda i, j: compute_tile(kernel, rows, i, j, identity.which), compute)
        return ChosenOperator(operator, mode, reason, stored=False)
    tiles = store.tiles
    missing = tiles.missing()
    if missing:
        raise InputError(
            f"{len(missing)} of {tiling.count} tiles of {store.root} are not computed yet; "
            "start its run again to continue it."
        )
    if mode == "streamed":
        return ChosenOperator(TiledOperator(tiling, tiles.read, storage), mode, reason, stored=True)
    if needed > 0.9 * free:
        raise InputError(
            f"Resident tiles take {needed / 1e9:.3g} GB, but {free / 1e9:.3g} GB of memory are available; "
            "use --set gram.mode=streamed."
        )
    return ChosenOperator(TiledOperator(tiling, _Kept(tiles.read), storage), mode, reason, stored=True)


def _choose(needed: int, free: int) -> tuple[str, str]:
    size = f"the tiles take {needed / 1e9:.3g} GB of {free / 1e9:.3g} GB available memory"
    if needed <= _MEMORY_SHARE * free:
        return "resident", f"auto: {size}"
    return "streamed", f"auto: {size}, so every pass reads the store"


class _Kept:
    """Remember every tile that was read once."""

    def __init__(self, read: Any) -> None:
        self._read = read
        self._tiles: dict[Tile, Array] = {}
        self._lock = threading.Lock()

    def __call__(self, i: int, j: int) -> Array:
        tile = self._tiles.get((i, j))
        if tile is None:
            tile = self._read(i, j)
            with self._lock:
                tile = self._tiles.setdefault((i, j), tile)
        return tile

"""The operator K·V of a run in one of its three modes, and the reason for the choice.

*resident*: tiles are read once, verified, and kept in memory. *streamed*: every pass reads the store. *recomputed*:
nothing is stored, every pass computes the tiles from the rows. With a cluster the workers hold, read or compute the
tiles; without one, the threads of this process do.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from distributed import Client
from numpy.typing import NDArray

from ntkdist.cluster import DistributedOperator, TiledOperator, cores, tiles_allowed, tiles_allowed_on
from ntkdist.errors import InputError
from ntkdist.kernels import TileKernel
from ntkdist.pipeline.rates import seconds_a_tile
from ntkdist.pipeline.tile_source import ComputedTiles, DirectBlock, RowBlocks, StoredTiles
from ntkdist.store import Identity, RunStore
from ntkdist.tiling import Tile, Tiling

Array = NDArray[Any]
_AHEAD = 2


@dataclass(frozen=True)
class ChosenOperator:
    """The operator of a run, the mode it works in and why."""

    operator: TiledOperator
    mode: str
    reason: str
    stored: bool


def open_operator(
    store: RunStore, kernel: TileKernel, mode: str = "auto", client: Client | None = None
) -> ChosenOperator:
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
    insisted = mode == "resident"
    allowed = {"": tiles_allowed(insisted)} if client is None else tiles_allowed_on(client, insisted)
    sources = _Sources(store, kernel, identity, tiling)
    reason = "as configured (gram.mode)"
    if mode == "auto":
        mode, reason = _choose(sources, sum(allowed.values()), client)
    if mode == "recomputed":
        return ChosenOperator(_operator(sources, mode, client, 0), mode, reason, stored=False)
    missing = store.tiles.missing()
    if missing:
        raise InputError(
            f"{len(missing)} of {tiling.count} tiles of {store.root} are not computed yet; "
            "start its run again to continue it."
        )
    if mode == "resident" and sources.needed > sum(allowed.values()):
        raise InputError(
            f"Resident tiles take {sources.needed / 1e9:.3g} GB, but {sum(allowed.values()) / 1e9:.3g} GB of memory "
            "may hold tiles; use --set gram.mode=streamed."
        )
    budget = max(allowed.values()) if mode == "resident" else 0
    return ChosenOperator(_operator(sources, mode, client, budget), mode, reason, stored=True)


class _Sources:
    """The two ways to a tile of one run."""

    def __init__(self, store: RunStore, kernel: TileKernel, identity: Identity, tiling: Tiling) -> None:
        root = str(store.root.resolve())
        self.store, self.kernel, self.identity, self.tiling = store, kernel, identity, tiling
        self.stored = StoredTiles(root, tiling, identity.digest)
        self.computed = ComputedTiles(root, tiling, kernel, identity.which, identity.digest)
        self.needed = tiling.stored_entries() * np.dtype(identity.storage).itemsize


def _operator(sources: _Sources, mode: str, client: Client | None, budget: int) -> TiledOperator:
    tiling, identity = sources.tiling, sources.identity
    storage, compute = np.dtype(identity.storage), np.dtype(identity.compute)
    if mode == "recomputed":
        rows = RowBlocks(str(sources.store.root), tiling)
        block = DirectBlock(sources.kernel, identity.which, rows.gather)
        diagonal = _diagonal(sources, rows)
        if client is not None:
            return DistributedOperator(client, sources.computed, tiling, compute, diagonal=diagonal, block=block)
        return TiledOperator(tiling, sources.computed.open(), compute, diagonal=diagonal, block=block)
    ahead = _AHEAD if mode == "streamed" else 0
    if client is not None:
        return DistributedOperator(client, sources.stored, tiling, storage, budget=budget, ahead=ahead)
    read = sources.store.tiles.read
    return TiledOperator(tiling, _Kept(read) if mode == "resident" else read, storage, ahead=ahead)


def _diagonal(sources: _Sources, rows: RowBlocks) -> Array:
    """diag K from the kernel itself, band by band."""
    which = sources.identity.which
    parts = [sources.kernel.diagonal(rows(band), which=which) for band in range(sources.tiling.bands)]
    return np.concatenate(parts).astype(np.float64)


def _choose(sources: _Sources, allowed: int, client: Client | None) -> tuple[str, str]:
    """Resident if it fits; else the faster of reading and computing, as measured now on a few tiles."""
    needed = sources.needed
    size = f"the tiles take {needed / 1e9:.3g} GB of {allowed / 1e9:.3g} GB of memory that may hold tiles"
    if needed <= allowed:
        return "resident", f"auto: {size}"
    places = list(sources.tiling)[:3]
    read = seconds_a_tile(sources.stored, places, client)
    made = seconds_a_tile(sources.computed, places, client)
    threads = cores() if client is None else sum(client.nthreads().values())
    # Readers share one disk; whoever computes has a core of its own.
    made /= threads
    rates = f"reading a tile takes {read * 1e3:.3g} ms, computing one {made * 1e3:.3g} ms on {threads} cores"
    return ("streamed" if read <= made else "recomputed"), f"auto: {size}; measured now, {rates}"


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

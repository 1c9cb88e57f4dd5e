"""A worker's side of the distributed operator: the tiles it holds, and the products it makes of them.

A worker opens the source of tiles once and keeps what it is told to keep. A tile it does not hold (its owner died,
or the memory allowed is used up) is read or computed by the source, so a product never waits for another worker.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from distributed import get_worker
from numpy.typing import NDArray

from ntkdist.cluster.device import leaf_sum
from ntkdist.cluster.read_ahead import read_ahead
from ntkdist.cluster.summation import Node, PairwiseSum, leaves, leaves_under
from ntkdist.tiling import Tile, Tiling

Array = NDArray[Any]
_OPERATORS_HELD = 4


class TileSource(Protocol):
    """Where workers get tiles from; small, picklable, opened once in each worker process.

    ``token`` names the matrix: equal tokens mean equal tiles.
    """

    @property
    def token(self) -> str:
        """Name of the matrix."""

    def open(self, data: Any) -> Callable[[int, int], Array]:
        """Return the function that gives tile (i, j); ``data`` is what the operator placed on the workers."""


@dataclass(frozen=True)
class Share:
    """What one task of a pass is: the subtree to sum, and the leaves its worker shall hold from now on."""

    source: TileSource
    tiling: Tiling
    node: Node
    owner: str
    keep: tuple[int, ...]
    budget: int
    ahead: int


class HeldTiles:
    """The tiles of one matrix in this process."""

    def __init__(self, source: TileSource, tiling: Tiling, data: Any) -> None:
        self.tiling = tiling
        self.leaves = leaves(tiling)
        self.read = source.open(data)
        self.tiles: dict[Tile, Array] = {}
        self.bytes = 0
        self._kept: tuple[int, ...] = ()
        self._lock = threading.Lock()

    def keep(self, leaf_numbers: tuple[int, ...]) -> None:
        """Let go of tiles outside these leaves."""
        with self._lock:
            if leaf_numbers == self._kept:
                return
            self._kept = leaf_numbers
            wanted = {place for k in leaf_numbers for place in self.leaves[k]}
            for place in [p for p in self.tiles if p not in wanted]:
                self.bytes -= self.tiles.pop(place).nbytes

    def getter(self, budget: int) -> Callable[[int, int], Array]:
        """Tile (i, j) from memory, or from the source and then kept while ``budget`` bytes suffice."""

        def get(i: int, j: int) -> Array:
            held = self.tiles.get((i, j))
            if held is not None:
                return held
            tile = self.read(i, j)
            with self._lock:
                if budget and (i, j) not in self.tiles and self.bytes + tile.nbytes <= budget:
                    self.tiles[i, j] = tile
                    self.bytes += tile.nbytes
            return tile

        return get


_HELD: OrderedDict[str, HeldTiles] = OrderedDict()
_LOCK = threading.Lock()
_POOLS: dict[int, ThreadPoolExecutor] = {}


def multiply(share: Share, v: Array, data: Any = None) -> Array:
    """The sum of one subtree: what a worker runs in a pass K·V."""
    held = _held(share.source, share.tiling, data)
    mine = _address() == share.owner
    if mine:
        held.keep(share.keep)
    get = held.getter(share.budget if mine else 0)
    v = np.require(v, requirements="W")  # Numba compiles once more for a read-only array
    total = PairwiseSum(share.node)

    def one(leaf: int) -> None:
        tiles = held.leaves[leaf]
        with read_ahead(get, tiles, share.ahead) as found:
            total.add((0, leaf), leaf_sum(held.tiling, found, held.tiling.rows(tiles[0][0]).stop, v))

    for _ in _pool().map(one, leaves_under(share.node)):
        pass
    assert total.total is not None
    return total.total


def pick(
    source: TileSource, tiling: Tiling, place: Tile, wanted: Sequence[tuple[Any, bool]], data: Any = None
) -> list[Array]:
    """Parts of one tile, each (index, mirrored): what a worker runs for ``block``."""
    held = _held(source, tiling, data)
    tile = held.tiles.get(place)
    if tile is None:
        tile = held.read(*place)
    return [np.ascontiguousarray((tile.T if mirrored else tile)[local]) for local, mirrored in wanted]


def bytes_held(token: str) -> int:
    """Bytes of tiles this process holds of a matrix."""
    held = _HELD.get(token)
    return 0 if held is None else held.bytes


def release(token: str) -> None:
    """Forget a matrix."""
    with _LOCK:
        _HELD.pop(token, None)


def _held(source: TileSource, tiling: Tiling, data: Any) -> HeldTiles:
    with _LOCK:
        if source.token not in _HELD:
            _HELD[source.token] = HeldTiles(source, tiling, data)
            while len(_HELD) > _OPERATORS_HELD:
                _HELD.popitem(last=False)
        _HELD.move_to_end(source.token)
        return _HELD[source.token]


def _pool() -> ThreadPoolExecutor:
    """One pool for all tasks of the worker, as wide as the cores the worker was given."""
    threads = get_worker().state.nthreads
    with _LOCK:
        if threads not in _POOLS:
            _POOLS[threads] = ThreadPoolExecutor(threads)
        return _POOLS[threads]


def _address() -> str:
    return str(get_worker().address)

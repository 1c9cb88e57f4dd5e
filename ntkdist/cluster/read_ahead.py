"""Fetch the next tiles while the current one is multiplied."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from ntkdist.tiling import Tile

Array = NDArray[Any]


@contextmanager
def read_ahead(
    read: Callable[[int, int], Array], tiles: Sequence[Tile], depth: int
) -> Iterator[Iterator[tuple[Tile, Array]]]:
    """Give an iterator over (place, tile) in order, with up to ``depth`` tiles being read in a thread of their own.

    With depth 0 each tile is fetched when it is asked for, in the caller's thread.
    """
    if depth < 1:
        yield ((place, read(*place)) for place in tiles)
        return
    with ThreadPoolExecutor(1) as pool:
        yield _ahead(pool, read, tiles, depth)


def _ahead(
    pool: ThreadPoolExecutor, read: Callable[[int, int], Array], tiles: Sequence[Tile], depth: int
) -> Iterator[tuple[Tile, Array]]:
    waiting: deque[tuple[Tile, Future[Array]]] = deque()
    rest = iter(tiles)
    try:
        for place in rest:
            waiting.append((place, pool.submit(read, *place)))
            if len(waiting) <= depth:
                continue
            first, tile = waiting.popleft()
            yield first, tile.result()
        while waiting:
            first, tile = waiting.popleft()
            yield first, tile.result()
    finally:
        for _, tile in waiting:
            tile.cancel()

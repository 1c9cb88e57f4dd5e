"""Measure how fast tiles come from a source, here or on a worker."""

from __future__ import annotations

import time
from collections.abc import Sequence

from distributed import Client

from ntkdist.cluster import TileSource
from ntkdist.tiling import Tile


def seconds_a_tile(source: TileSource, places: Sequence[Tile], client: Client | None = None) -> float:
    """Mean wall seconds of one tile on one thread; the first tile warms up and is not counted."""
    if client is None:
        return _measure(source, list(places))
    return float(client.submit(_measure, source, list(places), pure=False).result())


def _measure(source: TileSource, places: list[Tile]) -> float:
    get = source.open(None)
    get(*places[0])
    start = time.perf_counter()
    for place in places:
        get(*place)
    return (time.perf_counter() - start) / len(places)

"""What a rigorous certificate may use beyond memory: room on disk, and the run's cluster for the factorization."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.cluster import DistributedCholesky
from ntkdist.linalg import TileAccess, TiledFactor, TileMapping, fits_dense
from ntkdist.linalg.tiled_cholesky import Breakdown, Tell
from ntkdist.pipeline.gram_matrix import Gram
from ntkdist.pipeline.scratch import scratch_tiles
from ntkdist.pipeline.session import Session
from ntkdist.store import TileStore
from ntkdist.tiling import Tiling


class StoredTiles:
    """Verified tiles of a run store, as a worker opens them for itself."""

    def __init__(self, root: str, tiling: Tiling) -> None:
        self.root, self.tiling = root, tiling
        self._tiles: TileStore | None = None

    def __call__(self, i: int, j: int) -> NDArray[np.floating[Any]]:
        """Tile (i, j)."""
        if self._tiles is None:
            self._tiles = TileStore(self.root, self.tiling)
        return self._tiles.read(i, j)

    def __getstate__(self) -> tuple[str, Tiling]:
        return self.root, self.tiling

    def __setstate__(self, state: tuple[str, Tiling]) -> None:
        self.__init__(*state)  # type: ignore[misc]


@dataclass(frozen=True)
class _Stored:
    shape: tuple[int, int]
    tile_size: int
    tile: Any


@contextmanager
def certificate_tools(gram: Gram, session: Session | None) -> Iterator[dict[str, Any]]:
    """Keyword arguments of ``certify``: none where the matrix fits in memory, else scratch tiles on disk and, for a
    run with stored tiles on a cluster, the factorization over its workers."""
    if fits_dense(gram.n):
        yield {}
        return
    tools: dict[str, Any] = {"scratch": lambda: scratch_tiles(gram.n, gram.folder)}
    workers = None if session is None else session.workers
    if session is None or workers is None or workers.is_here or not gram.stored or gram.folder is None:
        yield tools
        return
    source = _Stored(gram.shape, session.tiling.tile, StoredTiles(str(session.store.root.resolve()), session.tiling))
    spread = DistributedCholesky(workers.get())

    def by(
        op: TileAccess, *, shift: float = 0.0, store: TileMapping | None = None, progress: Tell | None = None
    ) -> TiledFactor | Breakdown:
        return spread(source, shift=shift, store=store, progress=progress)

    yield {**tools, "by": by}

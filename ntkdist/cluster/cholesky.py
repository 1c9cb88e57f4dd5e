"""Tiled Cholesky over Dask workers: one task per tile of the factor, which lives in a store all of them reach.

Left-looking, as :mod:`ntkdist.linalg.tiled_cholesky` does it in one process, with the same arithmetic and the same
bits: L_kk waits for L_k,k−1, and L_ik for L_kk and L_i,k−1; nothing else orders the tasks, so the columns overlap.
Tasks read the tiles they need and write the one they make; between them only the state of a pivot travels. The
driver holds no tile but those it reads for a triangular solve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from distributed import Client, as_completed
from numpy.typing import NDArray

from ntkdist.cluster.waiting import lost_cluster_in_words
from ntkdist.kernels.blas import one_blas_thread
from ntkdist.linalg import (
    Breakdown,
    TileAccess,
    TiledFactor,
    TileMapping,
    breakdown,
    diagonal_factor,
    panel_tile,
)
from ntkdist.moments import _checkpoint
from ntkdist.tiling import Tiling

Array = NDArray[Any]
Failure = tuple[int, int] | None


@dataclass(frozen=True)
class DistributedCholesky:
    """Factorizes on ``client``; the operator's tiles and the store must be picklable and reach the same bytes on
    every worker (a run store and a folder on a shared file system)."""

    client: Client

    def __call__(
        self,
        op: TileAccess,
        *,
        shift: float = 0.0,
        store: TileMapping | None = None,
        progress: Any = None,
    ) -> TiledFactor | Breakdown:
        """K + shift·I = L Lᵀ with the tiles of L in ``store``, or where it broke down.

        Raises
        ------
        ClusterLost
            The scheduler went away, or one tile took down many workers.
        """
        assert store is not None
        tiling = Tiling(op.shape[0], op.tile_size)
        factor = TiledFactor(tiling, lambda i, j: store[i, j])
        failure: Failure = None
        with lost_cluster_in_words():
            futures = self._submit(op, store, shift, tiling)
            try:
                for count, future in enumerate(as_completed(futures.values(), loop=self.client.loop)):
                    failure = failure or future.result()
                    if progress is not None:
                        progress(count + 1, tiling.count, 0.0)
            finally:
                self.client.cancel(list(futures.values()), force=True)
        if failure is None:
            return factor
        k, info = failure
        return breakdown(factor, k, store[k, k], info)

    def _submit(self, op: TileAccess, store: TileMapping, shift: float, tiling: Tiling) -> dict[tuple[int, int], Any]:
        source = Source(op.shape, op.tile_size, op.tile)
        futures: dict[tuple[int, int], Any] = {}
        for k in range(tiling.bands):
            before = futures.get((k, k - 1))
            futures[k, k] = self.client.submit(make_diagonal, source, store, k, shift, before, pure=False)
            for i in range(k + 1, tiling.bands):
                futures[i, k] = self.client.submit(
                    make_panel, source, store, i, k, futures[k, k], futures.get((i, k - 1)), pure=False
                )
        return futures


@dataclass(frozen=True)
class Source:
    """The lower tiles of K as a worker sees them."""

    shape: tuple[int, int]
    tile_size: int
    tile: Any


def make_diagonal(source: Source, store: TileMapping, k: int, shift: float, before: Failure) -> Failure:
    """Make and write L_kk; what it broke down with, if it did (or if something before it did)."""
    if before is not None:
        return before
    with one_blas_thread():
        lower, info = diagonal_factor(source, store, k, shift)
    # A broken tile is written too: its finished rows are the witness.
    store[k, k] = lower
    _checkpoint("cholesky.tile", k, k)
    broken = info != 0 or not np.isfinite(np.diagonal(lower)).all()
    return (k, info) if broken else None


def make_panel(source: Source, store: TileMapping, i: int, k: int, diagonal: Failure, before: Failure) -> Failure:
    """Make and write L_ik, unless something it stands on broke down."""
    if diagonal is not None or before is not None:
        return diagonal or before
    with one_blas_thread():
        store[i, k] = panel_tile(source, store, i, k, store[k, k])
    _checkpoint("cholesky.tile", i, k)
    return None

"""The Gram matrix as an operator K·V over lower-triangle tiles, each used twice.

For tile (i, j), i > j, both K_ij V_j and K_ijᵀ V_i are accumulated, so a pass touches half of the matrix. Tiles come
from a function: the run store (streamed), a dictionary (resident), or the kernel itself (recomputed). Sums are in
float64 and in a fixed order: tiles are dealt to a number of accumulators that depends on the tiling alone, so the
same V gives the same bits whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ntkdist.cluster.client import cores
from ntkdist.errors import InputError
from ntkdist.tiling import Tile, Tiling

Array = NDArray[Any]
_ACCUMULATORS = 8


class TiledOperator:
    """Symmetric operator of shape (n, n) over tiles given by ``tile(i, j)``, i ≥ j.

    Parameters
    ----------
    tiling : the cut of the matrix.
    tile : returns tile (i, j) of the lower triangle, float32 or float64; called from several threads.
    dtype : precision of the tiles.
    threads : threads of a pass; the result does not depend on it.
    """

    def __init__(
        self,
        tiling: Tiling,
        tile: Callable[[int, int], Array],
        dtype: np.dtype[Any],
        *,
        diagonal: Array | None = None,
        threads: int | None = None,
    ) -> None:
        self.tiling = tiling
        self.tile = tile
        self.dtype = np.dtype(dtype)
        self.shape = (tiling.n, tiling.n)
        self.threads = threads or cores()
        self._diagonal = diagonal
        groups = min(_ACCUMULATORS, tiling.count)
        self._lists: list[list[Tile]] = [list(tiling)[g::groups] for g in range(groups)]

    @property
    def tile_size(self) -> int:
        """Rows of a tile."""
        return self.tiling.tile

    def matmat(self, v: Array) -> Array:
        """K V for V of shape (n, s), in float64."""
        columns = np.ascontiguousarray(v, dtype=np.float64)
        assert columns.ndim == 2
        assert columns.shape[0] == self.tiling.n

        def partial(tiles: list[Tile]) -> Array:
            out = np.zeros_like(columns)
            for i, j in tiles:
                rows, cols = self.tiling.rows(i), self.tiling.rows(j)
                tile = self.tile(i, j)
                if tile.dtype != np.float64:
                    tile = tile.astype(np.float64)
                out[rows] += tile @ columns[cols]
                if i != j:
                    out[cols] += tile.T @ columns[rows]
            return out

        with threadpool_limits(1), ThreadPoolExecutor(self.threads) as pool:
            parts = list(pool.map(partial, self._lists))
        total = parts[0]
        for part in parts[1:]:
            total += part
        return total

    def __matmul__(self, v: Array) -> Array:
        """K v for a vector or a block of vectors."""
        block = np.asarray(v)
        return self.matmat(block[:, None])[:, 0] if block.ndim == 1 else self.matmat(block)

    def diagonal(self) -> Array:
        """diag K, (n,) float64."""
        if self._diagonal is None:
            parts = [np.diagonal(self.tile(i, i)).astype(np.float64) for i in range(self.tiling.bands)]
            self._diagonal = np.concatenate(parts)
        return self._diagonal.copy()

    def columns(self, idx: Array) -> Array:
        """Columns ``idx`` of K, (n, len(idx)) float64."""
        return self.block(np.arange(self.tiling.n), np.asarray(idx))

    def block(self, rows: Array, cols: Array) -> Array:
        """K[rows][:, cols] in float64; reads each tile it needs once."""
        rows, cols = np.asarray(rows, dtype=np.intp), np.asarray(cols, dtype=np.intp)
        out = np.empty((len(rows), len(cols)))
        row_band, col_band = rows // self.tiling.tile, cols // self.tiling.tile
        for i in np.unique(row_band):
            at_rows = np.flatnonzero(row_band == i)
            local_rows = rows[at_rows] - i * self.tiling.tile
            for j in np.unique(col_band):
                at_cols = np.flatnonzero(col_band == j)
                local_cols = cols[at_cols] - j * self.tiling.tile
                if i >= j:
                    part = self.tile(int(i), int(j))[np.ix_(local_rows, local_cols)]
                else:
                    part = self.tile(int(j), int(i))[np.ix_(local_cols, local_rows)].T
                out[np.ix_(at_rows, at_cols)] = part
        return out

    def to_numpy(self, *, max_bytes: int = 8 << 30) -> Array:
        """The dense symmetric matrix, refused beyond ``max_bytes``."""
        needed = self.tiling.n**2 * self.dtype.itemsize
        if needed > max_bytes:
            raise InputError(
                f"The dense {self.tiling.n} × {self.tiling.n} matrix takes {needed / 1e9:.3g} GB, more than "
                f"max_bytes = {max_bytes / 1e9:.3g} GB; multiply with the operator instead, or raise max_bytes."
            )
        out = np.empty(self.shape, dtype=self.dtype)
        for i, j in self.tiling:
            tile = self.tile(i, j)
            out[self.tiling.rows(i), self.tiling.rows(j)] = tile
            out[self.tiling.rows(j), self.tiling.rows(i)] = tile.T
        return out

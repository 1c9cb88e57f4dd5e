"""The Gram matrix as an operator K·V over lower-triangle tiles, each used twice, in the threads of this process.

For tile (i, j), i > j, both K_ij V_j and K_ijᵀ V_i are accumulated, so a pass touches half of the matrix. Tiles come
from a function: the run store (streamed), a dictionary (resident), or the kernel itself (recomputed). Products and
sums are in float64, in the order fixed by :mod:`ntkdist.cluster.summation`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.cluster.client import cores
from ntkdist.cluster.passes import PassStatistics
from ntkdist.cluster.read_ahead import read_ahead
from ntkdist.cluster.summation import PairwiseSum, leaf_product, leaves
from ntkdist.errors import ChecksFailed, InputError
from ntkdist.kernels.blas import one_blas_thread
from ntkdist.tiling import Tile, Tiling

Array = NDArray[Any]


class TiledOperator:
    """Symmetric operator of shape (n, n) over tiles given by ``tile(i, j)``, i ≥ j.

    Parameters
    ----------
    tiling : the cut of the matrix.
    tile : returns tile (i, j) of the lower triangle, float32 or float64; called from several threads.
    dtype : precision of the tiles.
    diagonal : diag K, (n,), where it is known beforehand.
    threads : threads of a pass; the result does not depend on it.
    ahead : tiles to fetch ahead of each thread, for a ``tile`` that waits for a disk.
    block : K[rows][:, cols] in float64 where there is a cheaper way than through whole tiles.
    """

    def __init__(
        self,
        tiling: Tiling,
        tile: Callable[[int, int], Array],
        dtype: np.dtype[Any],
        *,
        diagonal: Array | None = None,
        threads: int | None = None,
        ahead: int = 0,
        block: Callable[[Array, Array], Array] | None = None,
    ) -> None:
        self.tiling = tiling
        self.tile = tile
        self.dtype = np.dtype(dtype)
        self.shape = (tiling.n, tiling.n)
        self.threads = threads or cores()
        self.ahead = ahead
        self.passes = PassStatistics(tiling.stored_entries(), self.dtype.itemsize)
        self._diagonal = diagonal
        self._block = block
        self._leaves = leaves(tiling)

    @property
    def tile_size(self) -> int:
        """Rows of a tile."""
        return self.tiling.tile

    def matmat(self, v: Array) -> Array:
        """K V for V of shape (n, s), in float64."""
        return self._pass(np.ascontiguousarray(v, dtype=np.float64))

    def matmat_single(self, v: Array) -> Array:
        """K V by float32 products within each tile, summed over tiles in float64: for float32 tiles, 1e-6 accurate."""
        single = self.dtype == np.float32
        return self._pass(np.ascontiguousarray(v, dtype=np.float32 if single else np.float64))

    def _pass(self, columns: Array) -> Array:
        assert columns.ndim == 2
        assert columns.shape[0] == self.tiling.n
        start = time.perf_counter()
        product = self._product(columns)
        self.passes.count(columns.shape[1], time.perf_counter() - start)
        if not np.isfinite(product).all() and np.isfinite(columns).all():
            self._name_the_tile()
        return product

    def _name_the_tile(self) -> None:
        """Say which tile made a product that is not finite."""
        for i, j in self.tiling:
            if not np.isfinite(self.tile(i, j)).all():
                raise ChecksFailed(
                    f"Tile ({i}, {j}) of the Gram matrix, rows {self.tiling.rows(i).start}… against "
                    f"{self.tiling.rows(j).start}…, holds a value that is not finite in {self.dtype}: rescale the "
                    "inputs or choose a smaller sigma_w, or `ntkdist verify --repair` if it was stored."
                )
        raise ChecksFailed("A product with the Gram matrix overflowed float64 though every tile is finite.")

    def _product(self, v: Array) -> Array:
        top = (len(self._leaves).bit_length() - 1, 0)
        total = PairwiseSum(top)

        def one(leaf: int) -> None:
            tiles = self._leaves[leaf]
            stop = self.tiling.rows(tiles[0][0]).stop
            with read_ahead(self.tile, tiles, self.ahead) as found:
                total.add((0, leaf), leaf_product(self.tiling, found, stop, v))

        with one_blas_thread(), ThreadPoolExecutor(self.threads) as pool:
            for _ in pool.map(one, range(len(self._leaves))):
                pass
        assert total.total is not None
        return total.total

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
        if self._block is not None:
            return self._block(rows, cols)
        out = np.empty((len(rows), len(cols)))
        parts = self._parts(rows, cols)

        def one(place: Tile) -> None:
            tile = self.tile(*place)
            for at, local, mirrored in parts[place]:
                out[at] = (tile.T if mirrored else tile)[local]

        with ThreadPoolExecutor(self.threads) as pool:
            for _ in pool.map(one, parts):
                pass
        return out

    def _parts(self, rows: Array, cols: Array) -> dict[Tile, list[tuple[Any, Any, bool]]]:
        """Which entries of K[rows][:, cols] come from which tile: (where they go, where they are, mirrored)."""
        size = self.tiling.tile
        row_band, col_band = rows // size, cols // size
        parts: dict[Tile, list[tuple[Any, Any, bool]]] = {}
        for i in np.unique(row_band):
            at_rows = np.flatnonzero(row_band == i)
            for j in np.unique(col_band):
                at_cols = np.flatnonzero(col_band == j)
                place = (int(max(i, j)), int(min(i, j)))
                local = np.ix_(rows[at_rows] - i * size, cols[at_cols] - j * size)
                parts.setdefault(place, []).append((np.ix_(at_rows, at_cols), local, bool(i < j)))
        return parts

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

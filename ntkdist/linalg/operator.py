"""What a solver sees of a matrix: a symmetric operator that multiplies blocks and shows its diagonal, its columns
and, where it has them, its lower tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.tiling import Tiling

Array = NDArray[Any]
_PANEL = 1024


class Operator(Protocol):
    """A symmetric n×n matrix K, usually positive semidefinite; ``dtype`` is the precision of its entries."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def matmat(self, v: Array) -> Array:
        """K V for V (n, s), in float64 with float64 accumulation."""

    def diagonal(self) -> Array:
        """diag K, (n,) float64."""

    def columns(self, idx: Array) -> Array:
        """Columns ``idx`` of K, (n, len(idx)) float64."""

    def block(self, rows: Array, cols: Array) -> Array:
        """K[rows][:, cols], float64."""


class TileAccess(Protocol):
    """Lower tiles of a symmetric matrix."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""

    @property
    def tile_size(self) -> int:
        """Rows of a tile."""

    @property
    def tile(self) -> Callable[[int, int], Array]:
        """Getter of tile (i, j), i ≥ j."""


@runtime_checkable
class SinglePrecision(Protocol):
    """An operator on float32 tiles that can also multiply in float32: about 1e-6 accurate, twice as fast."""

    def matmat_single(self, v: Array) -> Array:
        """K V for V (n, s) by float32 products; the result is float64."""


class DenseOperator:
    """A symmetric matrix in memory."""

    def __init__(self, array: Array, *, tile_size: int = 1024) -> None:
        self.array = np.asarray(array)
        if self.array.ndim != 2 or self.array.shape[0] != self.array.shape[1]:
            raise InputError(f"DenseOperator needs a square matrix, not one of shape {self.array.shape}.")
        self.tile_size = tile_size
        self.shape = (self.array.shape[0], self.array.shape[1])
        self.dtype = self.array.dtype

    def matmat(self, v: Array) -> Array:
        """K V in float64."""
        return np.asarray(self.array.astype(np.float64, copy=False) @ np.asarray(v, dtype=np.float64))

    def matmat_single(self, v: Array) -> Array:
        """K V by products in the matrix's own precision."""
        return np.asarray(self.array @ np.asarray(v, dtype=self.dtype), dtype=np.float64)

    def diagonal(self) -> Array:
        """diag K in float64."""
        return np.diagonal(self.array).astype(np.float64)

    def columns(self, idx: Array) -> Array:
        """Columns of K in float64."""
        return self.array[:, np.asarray(idx)].astype(np.float64)

    def block(self, rows: Array, cols: Array) -> Array:
        """A submatrix of K in float64."""
        return np.asarray(self.array[np.ix_(np.asarray(rows), np.asarray(cols))], dtype=np.float64)

    def tile(self, i: int, j: int) -> Array:
        """Tile (i, j), i ≥ j, in its own precision."""
        b = self.tile_size
        return self.array[i * b : (i + 1) * b, j * b : (j + 1) * b]


class BlockTiles:
    """Lower tiles of an operator that has none of its own, cut from its blocks."""

    def __init__(self, op: Operator, tile_size: int = _PANEL) -> None:
        self._op = op
        self.shape = op.shape
        self.tile_size = min(tile_size, max(1, op.shape[0]))

    def tile(self, i: int, j: int) -> Array:
        """Tile (i, j), i ≥ j, in float64."""
        tiling = Tiling(self.shape[0], self.tile_size)
        rows, cols = tiling.rows(i), tiling.rows(j)
        return self._op.block(np.arange(rows.start, rows.stop), np.arange(cols.start, cols.stop))


def tiles_of(op: Operator) -> TileAccess:
    """The operator's own lower tiles, or blocks cut to their likeness."""
    if hasattr(op, "tile") and hasattr(op, "tile_size"):
        return cast(TileAccess, op)
    return BlockTiles(op)


def lower_tiles(op: Operator) -> Iterator[tuple[slice, slice, Array]]:
    """(rows, columns, tile) of the lower triangle, every tile once."""
    access = tiles_of(op)
    tiling = Tiling(op.shape[0], access.tile_size)
    for i, j in tiling:
        yield tiling.rows(i), tiling.rows(j), access.tile(i, j)


def dense_lower(op: Operator, dtype: type[np.floating[Any]] = np.float64) -> Array:
    """The lower triangle (n, n), a fresh Fortran-ordered array; above the diagonal tiles it is zero."""
    out = np.zeros(op.shape, dtype=dtype, order="F")
    for rows, cols, tile in lower_tiles(op):
        out[rows, cols] = tile
    return out


def dense(op: Operator) -> Array:
    """The whole matrix in float64 (n, n), a fresh Fortran-ordered copy."""
    out = np.empty(op.shape, order="F")
    for rows, cols, tile in lower_tiles(op):
        out[rows, cols] = tile
        out[cols, rows] = tile.T
    return out

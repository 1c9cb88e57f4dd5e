"""What a solver sees of a matrix: a symmetric operator that multiplies blocks and shows its diagonal and
columns."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError

Array = NDArray[Any]


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


def dense(op: Operator) -> Array:
    """The whole matrix in float64 (n, n), a fresh Fortran-ordered copy."""
    n = op.shape[0]
    out = np.empty((n, n), order="F")
    for start in range(0, n, 4096):
        idx = np.arange(start, min(n, start + 4096))
        out[:, idx] = op.columns(idx)
    return out

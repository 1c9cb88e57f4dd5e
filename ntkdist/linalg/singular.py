"""Singular matrices said so: the operator without repeated rows, and the numerical rank.

Equal training rows make K exactly singular, whatever the arithmetic says. λ_min of the matrix that keeps one
row per group is the number an analyst wants beside that fact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpstrf

from ntkdist.errors import InputError
from ntkdist.linalg.operator import Operator, dense

Array = NDArray[Any]


class Deduplicated:
    """The principal submatrix of an operator that keeps the first row of every group of equal rows."""

    def __init__(self, op: Operator, groups: Sequence[Array]) -> None:
        n = op.shape[0]
        keep = np.ones(n, dtype=bool)
        for group in groups:
            rows = np.asarray(group, dtype=np.intp)
            if rows.size and (rows.min() < 0 or rows.max() >= n):
                raise InputError(f"a group of duplicates names row {rows.max()}, but the matrix has {n} rows.")
            keep[np.sort(rows)[1:]] = False
        self.rows = np.flatnonzero(keep)
        self._op = op
        self.shape = (len(self.rows), len(self.rows))
        self.dtype = op.dtype

    def matmat(self, v: Array) -> Array:
        """K V restricted to the kept rows."""
        wide = np.zeros((self._op.shape[0], v.shape[1]))
        wide[self.rows] = v
        return self._op.matmat(wide)[self.rows]

    def diagonal(self) -> Array:
        """The kept part of the diagonal."""
        return self._op.diagonal()[self.rows]

    def columns(self, idx: Array) -> Array:
        """Columns among the kept rows."""
        return self._op.columns(self.rows[np.asarray(idx)])[self.rows]

    def block(self, rows: Array, cols: Array) -> Array:
        """A submatrix among the kept rows."""
        return self._op.block(self.rows[np.asarray(rows)], self.rows[np.asarray(cols)])


@dataclass(frozen=True)
class Rank:
    """The numerical rank, and the residual diagonal at which the factorization stopped counting."""

    rank: int
    tolerance: float


def numerical_rank(op: Operator, *, tolerance: float | None = None) -> Rank:
    """Rank by completely pivoted Cholesky in float64 (n³/3 flops, dense).

    Counts pivots above ``tolerance``, n·u·max diag unless given: smaller ones are rounding.
    """
    n = op.shape[0]
    floor = n * 2.0**-53 * float(np.max(np.abs(op.diagonal()))) if tolerance is None else tolerance
    if floor <= 0:
        return Rank(0, 0.0)
    _, _, rank, _ = dpstrf(dense(op), tol=floor, lower=1, overwrite_a=1)
    return Rank(int(rank), floor)

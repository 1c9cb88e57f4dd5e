"""Nearest earlier rows in one scan of the tiles, and entries of K gathered tile by tile.

A row's nearest neighbours are those of largest correlation K_ij/√(K_ii K_jj): the largest entries alone mark the
longest rows instead, and an inverse factor on them takes several times the passes. In a given order, every row keeps
its m nearest among the rows before it; each tile serves its rows and, transposed, its columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ntkdist.linalg.operator import Operator, lower_tiles, tiles_of

Array = NDArray[Any]


def earlier_neighbours(op: Operator, order: Array, count: int) -> Array:
    """For each position of ``order`` (a list of rows of K) the ``count`` positions before it of largest correlation.

    Returns (len(order), count) int64, sorted by position with −1 (none) first.
    """
    position = np.full(op.shape[0], -1, dtype=np.int64)
    position[order] = np.arange(len(order))
    best = np.full((len(order), count), -np.inf)
    where = np.full((len(order), count), -1, dtype=np.int64)
    scale = correlation_scale(op)
    for rows, cols, tile in lower_tiles(op):
        _scan(
            np.ascontiguousarray(tile), scale[rows], scale[cols], position[rows], position[cols], rows == cols,
            best, where,
        )  # fmt: skip
    return np.sort(where, axis=1)


def correlation_scale(op: Operator) -> Array:
    """1/√K_ii (n,), 1 where the diagonal is not positive."""
    diagonal = np.asarray(op.diagonal(), dtype=np.float64)
    positive = diagonal > 0
    return np.where(positive, 1.0 / np.sqrt(np.where(positive, diagonal, 1.0)), 1.0)


def entries(op: Operator, rows: Array, cols: Array) -> Array:
    """K[rows[t], cols[t]] in float64 for every t; each tile that holds one of them is read once."""
    access = tiles_of(op)
    size, bands = access.tile_size, -(-op.shape[0] // access.tile_size)
    high, low = np.maximum(rows, cols), np.minimum(rows, cols)
    place = (high // size) * bands + low // size
    # Small integers sort by radix.
    by_tile = np.argsort(place.astype(np.uint16) if bands < 256 else place, kind="stable")
    starts = np.searchsorted(place[by_tile], np.arange(bands * bands + 1))
    out = np.empty(len(rows))
    for which in np.flatnonzero(np.diff(starts)):
        at = by_tile[starts[which] : starts[which + 1]]
        i, j = divmod(int(which), bands)
        out[at] = access.tile(i, j)[high[at] - i * size, low[at] - j * size]
    return out


@njit(nogil=True, cache=True)
def _scan(tile, row_scale, col_scale, row_position, col_position, diagonal, best, where):  # type: ignore[no-untyped-def]
    for r in range(tile.shape[0]):
        p = row_position[r]
        if p < 0:
            continue
        for c in range(tile.shape[1]):
            q = col_position[c]
            if q < 0 or q == p:
                continue
            near = tile[r, c] * row_scale[r] * col_scale[c]
            if q < p:
                _offer(near, q, best[p], where[p])
            elif not diagonal:
                _offer(near, p, best[q], where[q])


@njit(nogil=True, cache=True)
def _offer(value, index, best, where):  # type: ignore[no-untyped-def]
    """Put (value, index) into a list sorted downwards, if it is among the largest."""
    m = best.shape[0]
    if value <= best[m - 1]:
        return
    k = m - 1
    while k > 0 and best[k - 1] < value:
        best[k], where[k] = best[k - 1], where[k - 1]
        k -= 1
    best[k], where[k] = value, index

"""K·V from lower tiles, each used twice: K_ij V_j into rows i and K_ijᵀ V_i into rows j, in one sweep of the
tile.

Four tile rows go together, so each entry is loaded once for two multiply-adds. V is copied transposed and
contiguous per tile: on strided views the same loop is four times slower. Above about 32 columns two GEMMs
win. The kernel releases the GIL; the caller runs one thread per core over fixed lists of tiles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]
GEMM_FROM = 32


def accumulate_lower_tile(tile: Array, v_i: Array, v_j: Array, out_i: Array, out_j: Array | None) -> None:
    """Add K_ij V_j to ``out_i`` and, unless ``out_j`` is None (a diagonal tile), K_ijᵀ V_i to ``out_j``.

    ``tile`` is (a, b) float32 or float64; ``v_i``, ``out_i`` (a, s) and ``v_j``, ``out_j`` (b, s) are
    float64. Products and sums are in float64.
    """
    if out_j is None or v_j.shape[1] >= GEMM_FROM:
        full = tile.astype(np.float64, copy=False)
        out_i += full @ v_j
        if out_j is not None:
            out_j += full.T @ v_i
        return
    rows, cols = np.ascontiguousarray(v_i.T), np.ascontiguousarray(v_j.T)
    left, right = np.zeros(rows.shape), np.zeros(cols.shape)
    _fused(np.ascontiguousarray(tile), rows, cols, left, right)
    out_i += left.T
    out_j += right.T


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def _fused(tile, rows, cols, left, right):  # type: ignore[no-untyped-def]
    a, b = tile.shape
    whole = a - a % 4
    for i in range(0, whole, 4):
        k0, k1, k2, k3 = tile[i], tile[i + 1], tile[i + 2], tile[i + 3]
        for q in range(cols.shape[0]):
            v, y = cols[q], right[q]
            w0, w1, w2, w3 = rows[q, i], rows[q, i + 1], rows[q, i + 2], rows[q, i + 3]
            s0 = s1 = s2 = s3 = 0.0
            for j in range(b):
                x = v[j]
                s0 += k0[j] * x
                s1 += k1[j] * x
                s2 += k2[j] * x
                s3 += k3[j] * x
                y[j] += k0[j] * w0 + k1[j] * w1 + k2[j] * w2 + k3[j] * w3
            left[q, i] += s0
            left[q, i + 1] += s1
            left[q, i + 2] += s2
            left[q, i + 3] += s3
    for i in range(whole, a):
        for q in range(cols.shape[0]):
            total = 0.0
            for j in range(b):
                total += tile[i, j] * cols[q, j]
                right[q, j] += tile[i, j] * rows[q, i]
            left[q, i] += total

"""K·V from lower tiles, each used twice: K_ij V_j into rows i and K_ijᵀ V_i into rows j, in one sweep of the
tile.

Eight tile rows go together, so each entry is loaded once for two multiply-adds and V's entries once for eight.
V is copied transposed and contiguous per tile: on strided views the same loop is four times slower. Above about
32 columns two GEMMs win. The kernel releases the GIL; the caller runs one thread per core over fixed lists of
tiles. Arithmetic is in the precision of V: float32 blocks on float32 tiles are twice as fast and good to about
1e-6, float64 blocks lose nothing but what the tile's storage lost.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]
GEMM_FROM = 33


def accumulate_lower_tile(tile: Array, v_i: Array, v_j: Array, out_i: Array, out_j: Array | None) -> None:
    """Add K_ij V_j to ``out_i`` and, unless ``out_j`` is None (a diagonal tile), K_ijᵀ V_i to ``out_j``.

    ``tile`` is (a, b) float32 or float64; ``v_i``, ``out_i`` (a, s) and ``v_j``, ``out_j`` (b, s). The sums of one
    tile are made in the precision of ``v_j`` (float32 only where tile and block both are) and added to float64 out.
    """
    single = tile.dtype == np.float32 and v_j.dtype == np.float32
    precision = np.float32 if single else np.float64
    if out_j is None or v_j.shape[1] >= GEMM_FROM:
        full = tile.astype(precision, copy=False)
        out_i += full @ v_j.astype(precision, copy=False)
        if out_j is not None:
            out_j += full.T @ v_i.astype(precision, copy=False)
        return
    rows, cols = np.ascontiguousarray(v_i.T, dtype=precision), np.ascontiguousarray(v_j.T, dtype=precision)
    left, right = np.zeros(rows.shape, precision), np.zeros(cols.shape, precision)
    _fused(np.ascontiguousarray(tile), rows, cols, left, right)
    out_i += left.T
    out_j += right.T


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def _fused(tile, rows, cols, left, right):  # type: ignore[no-untyped-def]
    a, b = tile.shape
    zero = left.dtype.type(0)
    whole = a - a % 8
    for i in range(0, whole, 8):
        k0, k1, k2, k3 = tile[i], tile[i + 1], tile[i + 2], tile[i + 3]
        k4, k5, k6, k7 = tile[i + 4], tile[i + 5], tile[i + 6], tile[i + 7]
        for q in range(cols.shape[0]):
            v, y = cols[q], right[q]
            w0, w1, w2, w3 = rows[q, i], rows[q, i + 1], rows[q, i + 2], rows[q, i + 3]
            w4, w5, w6, w7 = rows[q, i + 4], rows[q, i + 5], rows[q, i + 6], rows[q, i + 7]
            s0 = s1 = s2 = s3 = zero
            s4 = s5 = s6 = s7 = zero
            for j in range(b):
                x = v[j]
                s0 += k0[j] * x
                s1 += k1[j] * x
                s2 += k2[j] * x
                s3 += k3[j] * x
                s4 += k4[j] * x
                s5 += k5[j] * x
                s6 += k6[j] * x
                s7 += k7[j] * x
                y[j] += (k0[j] * w0 + k1[j] * w1 + k2[j] * w2 + k3[j] * w3) + (
                    k4[j] * w4 + k5[j] * w5 + k6[j] * w6 + k7[j] * w7
                )
            left[q, i] += s0
            left[q, i + 1] += s1
            left[q, i + 2] += s2
            left[q, i + 3] += s3
            left[q, i + 4] += s4
            left[q, i + 5] += s5
            left[q, i + 6] += s6
            left[q, i + 7] += s7
    for i in range(whole, a):
        for q in range(cols.shape[0]):
            total = zero
            for j in range(b):
                total += tile[i, j] * cols[q, j]
                right[q, j] += tile[i, j] * rows[q, i]
            left[q, i] += total

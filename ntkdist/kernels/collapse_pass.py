"""The fused pass of the collapse: √, one polynomial, two scales, in place on a panel that is in the cache.

Entries with 1 − |ρ| below ``close`` are set aside first and redone from row differences; rows that are equal
get the diagonal value itself.  Runs without negative correlations take the loop without selects. Cost: one
square root and ``degree`` multiply-adds an entry.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ntkdist.kernels.collapse_span import positive_span, signed_span, survey
from ntkdist.kernels.recursion import gap

CHUNK = 1024
BLOCK = 64


@njit(nogil=True, error_model="numpy", cache=True)
def redo(
    row: Any, close: Any, one: Any, i: int, left: int, x: Any, z: Any, near: Any, far: Any,
    own: Any, other: Any, lengths1: Any, lengths2: Any, diagonal: Any, spots: Any, fixed: Any
) -> int:  # fmt: skip
    """Compute the entries within ``close`` of ±1 from row differences into ``fixed``, their places into
    ``spots``.
    """
    found = 0
    for start in range(0, row.size, BLOCK):
        block = row[start : min(start + BLOCK, row.size)]
        # A vectorised look first: most blocks hold no close pair, and the scalar loop is ten times slower.
        largest, _smallest = survey(block)
        if one - largest >= close:
            continue
        for j in range(start, start + block.size):
            if one - abs(row[j]) < close:
                side = 1.0 if row[j] > 0 else -1.0
                width = gap(x[i], z[left + j], side)
                spots[found] = j
                if width == 0.0 and side > 0.0 and lengths1[i] == lengths2[left + j]:
                    fixed[found] = diagonal[i]
                else:
                    t = 2.0 * np.sqrt(width / 2.0) - 1.0
                    value = 0.0
                    for k in range(near.size - 1, -1, -1):
                        value = value * t + (near[k] if side > 0.0 else far[k])
                    fixed[found] = value * (float(own[i]) * float(other[left + j]))
                found += 1
    return found


@njit(nogil=True, error_model="numpy", cache=True)
def collapse_pass(
    out: Any, width: int, first: int, triangle: bool, close: Any, x: Any, z: Any, near: Any, far: Any,
    near64: Any, far64: Any, own: Any, other: Any, lengths1: Any, lengths2: Any, diagonal: Any, one: Any
) -> None:  # fmt: skip
    """Turn correlations into kernel entries in place.

    ``out`` (b, m) holds the correlations of rows ``first``… of x with the first ``width`` rows of z; with
    ``triangle`` x and z are the same rows and only columns up to a row's own are computed.  ``near`` and
    ``far`` are tuples, whose length tells the compiler the degree.
    """
    spots = np.empty(CHUNK, np.int64)
    fixed = np.empty(CHUNK, np.float64)
    for a in range(out.shape[0]):
        i = first + a
        columns = i if triangle else width
        for left in range(0, columns, CHUNK):
            stop = min(left + CHUNK, columns)
            row = out[a, left:stop]
            largest, smallest = survey(row)
            found = 0
            if one - largest < close:
                found = redo(
                    row, close, one, i, left, x, z, near64, far64, own, other, lengths1, lengths2,
                    diagonal, spots, fixed,
                )  # fmt: skip
            if smallest >= 0:
                positive_span(row, near, far, own[i], other[left:stop])
            else:
                signed_span(row, near, far, own[i], other[left:stop])
            for j in range(found):
                row[spots[j]] = fixed[j]
        if triangle:
            out[a, i] = diagonal[i]

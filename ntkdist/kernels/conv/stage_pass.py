"""The layers of one stage for a block of image pairs, one displacement of positions after another.

A convolution shifts both positions of a pair alike, so K(p, p + δ) and Θ(p, p + δ) never mix displacements δ
(Arora et al. 2019, section 4; neural-tangents keeps all pairs of positions instead).  One displacement is an image
of at most h·w positions: it stays in the cache through all layers, and no array of all pairs of positions exists.
A new layer is written ``half`` rows higher or lower in the same buffer, so that neither a second buffer nor a copy
is needed.  Sums over positions are kept by column within a displacement and in float64 across displacements.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit

from ntkdist.kernels.conv.row_pass import LANES, SLOTS, row_pass

_COMPILING = threading.Lock()


@njit(nogil=True, error_model="numpy", cache=True)
def spread(target: Any, source: Any, lanes: int) -> None:
    """Repeat each number of ``source`` over the lanes, or copy where it has them already."""
    if source.size == target.size:
        for e in range(target.size):
            target[e] = source[e]
    else:
        for x in range(source.size):
            value = source[x]
            for e in range(x * lanes, (x + 1) * lanes):
                target[e] = value


@njit(nogil=True, error_model="numpy", cache=True)
def clear(row: Any) -> None:
    """Set a row to zero; an assignment to a slice takes Numba seconds to compile."""
    for e in range(row.size):
        row[e] = 0


@njit(nogil=True, error_model="numpy", cache=True)
def accumulate(total: Any, row: Any) -> None:
    """Add a row to the column sums."""
    for e in range(row.size):
        total[e] += row[e]


@njit(nogil=True, error_model="numpy", cache=True)
def multiply_add(target: Any, left: Any, right: Any, factor: Any) -> None:
    """Add factor·left·right."""
    for e in range(target.size):
        target[e] += factor * left[e] * right[e]


@njit(nogil=True, error_model="numpy", cache=True)
def pool_row(fields: Any, where: Any, y: int, dy: int, x0: int, dx: int, columns: int, k_row: Any, t_row: Any,
             lanes: int, share: Any) -> None:  # fmt: skip
    """Add one row of fine positions to the coarse displacements they belong to."""
    half = where.shape[0] // 2
    coarse_dy = (y + dy) // 2 - y // 2
    for x in range(columns):
        column = x0 + x
        coarse_dx = (column + dx) // 2 - column // 2
        at = where[coarse_dy + half, coarse_dx + where.shape[1] // 2]
        if at >= 0:
            left = column // 2 * lanes
            for v in range(lanes):
                fields[at, 0, y // 2, left + v] += share * k_row[x * lanes + v]
                fields[at, 1, y // 2, left + v] += share * t_row[x * lanes + v]


@njit(nogil=True, error_model="numpy", cache=True)
def fold(sums: Any, total: Any) -> None:
    """Add column sums to the lanes, in float64."""
    for x in range(0, total.size, sums.size):
        for v in range(sums.size):
            sums[v] += total[x + v]


def stage_pass(dtype: str, filter_size: int, columns: int, residual: bool) -> Callable[..., None]:
    """Return the compiled pass of a stage for images of up to ``columns`` columns.

    ``left`` (n, h, c, w) are single images or, for n = 1 and w·LANES numbers a row, as many as there are lanes;
    ``right`` (h, c, w·LANES) are the lanes.  ``start`` (displacements, 2, h, w·LANES) holds K and T of an earlier
    stage instead, or is empty.  a and s are the tables of ``pointwise``.  Results are added to ``sums`` (n, 2, LANES)
    or, pooled, to ``fields`` at the places in ``where`` (centred).
    """
    # Threads that start together would otherwise compile the same pass once each.
    with _COMPILING:
        return _stage_pass(dtype, filter_size, columns, residual)


@lru_cache(maxsize=16)
def _stage_pass(dtype: str, filter_size: int, columns: int, residual: bool) -> Callable[..., None]:
    loops = row_pass(dtype, filter_size, columns)
    vertical, stream, stride = loops.vertical, loops.stream, loops.stride
    layer = loops.summed_layer if residual else loops.layer
    lanes, half = LANES[dtype], filter_size // 2
    edge = half * lanes

    @njit(nogil=True, error_model="numpy")
    def run(
        left: Any, right: Any, start: Any, start_at: Any, a_left: Any, s_left: Any, a_right: Any, s_right: Any,
        shifts: Any, scalars: Any, sums: Any, fields: Any, where: Any
    ) -> None:  # fmt: skip
        depth, height = a_right.shape[0], a_right.shape[1]
        width = a_right.shape[2] // lanes
        one, first_train, scale = scalars[0, 8], scalars[0, 9], scalars[0, 10]
        k_buffer = np.zeros((height + half, (width + 2 * half) * lanes), a_right.dtype)
        t_buffer = np.zeros_like(k_buffer)
        nothing = np.zeros_like(k_buffer[0])
        scratch = np.zeros(SLOTS * stride, a_right.dtype)
        k_total = np.zeros(width * lanes, a_right.dtype)
        t_total = np.zeros(width * lanes, a_right.dtype)
        k_kept = np.zeros((height if residual else 1, width * lanes), a_right.dtype)
        t_kept = np.zeros_like(k_kept)
        expand = a_left.shape[3] // width
        for i in range(a_left.shape[0]):
            for shift in range(shifts.shape[0]):
                dy, dx = shifts[shift, 0], shifts[shift, 1]
                y0, x0 = max(0, -dy), max(0, -dx)
                tall, wide = height - abs(dy), width - abs(dx)
                n = wide * lanes
                end = n + 2 * edge
                place, moved = x0 * expand, (x0 + dx) * lanes
                clear(k_total[:n])
                clear(t_total[:n])
                # Rows [at, at + tall) hold the layer; the next one is written half a filter above or below it.
                at, upward = half, True
                for y in range(tall):
                    clear(k_buffer[at + y, :end])
                    clear(t_buffer[at + y, :end])
                    k_row, t_row = k_buffer[at + y, edge : edge + n], t_buffer[at + y, edge : edge + n]
                    if start.shape[0] > 0:
                        spread(k_row, start[start_at[shift], 0, y0 + y, x0 * lanes : x0 * lanes + n], lanes)
                        spread(t_row, start[start_at[shift], 1, y0 + y, x0 * lanes : x0 * lanes + n], lanes)
                    else:
                        for c in range(left.shape[2]):
                            spread(scratch[:n], left[i, y0 + y, c, place : place + wide * expand], lanes)
                            multiply_add(k_row, scratch[:n], right[y0 + y + dy, c, moved : moved + n], scale)
                        for e in range(n):
                            t_row[e] = first_train * k_row[e]
                for level in range(depth):
                    target = at - half if upward else at + half
                    for step in range(tall):
                        y = step if upward else tall - 1 - step
                        vertical(k_buffer, at + y, y, tall, nothing, scratch[:end])
                        vertical(t_buffer, at + y, y, tall, nothing, scratch[stride : stride + end])
                        if residual:
                            stream(scratch, 0, k_kept[y, :n], scalars[level, 7], scalars[level, 0])
                            stream(scratch, stride, t_kept[y, :n], scalars[level, 7], scalars[level, 1])
                        spread(scratch[2 * stride : 2 * stride + n],
                               a_left[i, level, y0 + y, place : place + wide * expand], lanes)  # fmt: skip
                        spread(scratch[3 * stride : 3 * stride + n],
                               s_left[i, level, y0 + y, place : place + wide * expand], lanes)  # fmt: skip
                        clear(k_buffer[target + y, :edge])
                        clear(t_buffer[target + y, :edge])
                        clear(k_buffer[target + y, edge + n : end])
                        clear(t_buffer[target + y, edge + n : end])
                        k_row, t_row = k_buffer[target + y, edge : edge + n], t_buffer[target + y, edge : edge + n]
                        layer(
                            scratch, a_right[level, y0 + y + dy, moved : moved + n],
                            s_right[level, y0 + y + dy, moved : moved + n], k_row, t_row, scalars[level, 0],
                            scalars[level, 1], scalars[level, 2], scalars[level, 3], scalars[level, 4],
                            scalars[level, 5], scalars[level, 6], one,
                        )  # fmt: skip
                        if level == depth - 1:
                            if where.size == 0:
                                accumulate(k_total[:n], k_row)
                                accumulate(t_total[:n], t_row)
                            else:
                                pool_row(fields, where, y0 + y, dy, x0, dx, wide, k_row, t_row, lanes, one / 16)
                    at, upward = target, not upward
                if where.size == 0:
                    fold(sums[i, 0], k_total[:n])
                    fold(sums[i, 1], t_total[:n])

    compiled: Callable[..., None] = run
    return compiled

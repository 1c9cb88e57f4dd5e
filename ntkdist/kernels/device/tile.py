"""Tiles on a CUDA device: CuPy arrays in, CuPy arrays out, by ``cupy.matmul`` and the emitted recursion.

Rows go to the host once for their lengths and one-dimensional tables (n·d numbers, nothing beside n² entries), so both
machines work from the same tables.  Panels of rows are as high as half of the device's L2 cache holds, so the pass
reads what the product has just written.  TF32 is overridden while a tile is computed, and refused where the
environment forces it: it leaves three digits.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ntkdist.errors import InputError
from ntkdist.kernels.device.source import recursion_source
from ntkdist.kernels.error import CLOSE
from ntkdist.kernels.tile import Prepared, check_rows, heat, prepare

if TYPE_CHECKING:
    from ntkdist.kernels.kernel import Kernel

BLOCK = (32, 4)


def on_device(x: Any) -> bool:
    """Whether ``x`` is a CuPy array; CuPy is not imported to find out."""
    return type(x).__module__.partition(".")[0] == "cupy"


@lru_cache(maxsize=2)
def _module(dtype: str) -> Any:
    return sys.modules["cupy"].RawModule(code=recursion_source(dtype))


@contextmanager
def without_tf32(cupy: Any) -> Iterator[None]:
    """Hold float32 products at full precision; raise ``InputError`` where the environment forces TF32."""
    if os.environ.get("NVIDIA_TF32_OVERRIDE") == "1":
        raise InputError("NVIDIA_TF32_OVERRIDE=1 forces TF32, which leaves three digits of a kernel: unset it")
    linalg = cupy._core._routines_linalg
    before = linalg.get_compute_type(np.dtype(np.float32))
    linalg.set_compute_type(np.dtype(np.float32), linalg.COMPUTE_TYPE_PEDANTIC)
    try:
        yield
    finally:
        linalg.set_compute_type(np.dtype(np.float32), before)


def device_tile(kernel: Kernel, x_rows: Any, x_cols: Any, which: str, out: Any = None) -> Any:
    """Return K(x_rows, x_cols) as a CuPy array; see ``Kernel.tile``."""
    cupy = sys.modules["cupy"]
    if not (on_device(x_rows) and on_device(x_cols)):
        raise InputError("x_rows and x_cols must both be on the GPU or both be on the CPU")
    mirrored = x_rows is x_cols
    x = check_rows(cupy.asnumpy(x_rows), "x_rows")
    z = x if mirrored else check_rows(cupy.asnumpy(x_cols), "x_cols")
    if x.shape[1] != z.shape[1]:
        raise InputError(f"x_rows has {x.shape[1]} columns but x_cols has {z.shape[1]}")
    dtype = np.result_type(x, z)
    left = prepare(kernel, x.astype(dtype, copy=False))
    right = left if mirrored else prepare(kernel, z.astype(dtype, copy=False))
    shape = (x.shape[0], z.shape[0])
    if out is None:
        out = cupy.empty(shape, dtype)
    elif out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous:
        raise InputError(f"out must be C-contiguous with shape {shape} and dtype {dtype}")
    program = kernel.program
    tables = [cupy.asarray(v) for v in (program.ops, program.where, program.series, program.par, program.numbers)]
    first, second = _sent(cupy, left), _sent(cupy, right)
    size, terms = np.int64(program.depth), np.int64(left.rows.coefficients.shape[1])
    recursion = _module(dtype.name).get_function("recursion")
    cache = int(cupy.cuda.Device().attributes["L2CacheSize"])
    height = max(1, min(shape[0], cache // 2 // dtype.itemsize // max(1, shape[1])))
    with without_tf32(cupy):
        for top in range(0, shape[0], height):
            panel = out[top : top + height]
            rows = panel.shape[0]
            mine = [part[top : top + rows] for part in first]
            cupy.matmul(mine[0], second[0].T, out=panel)
            grid = (-(-shape[1] // BLOCK[0]), -(-rows // BLOCK[1]))
            pairs = [part for both in zip(mine, second, strict=True) for part in both]
            recursion(
                grid, BLOCK,
                (
                    panel, *pairs, *tables, size, terms, np.int64(rows), np.int64(shape[1]), np.int64(shape[1]),
                    np.int64(x.shape[1]), np.int32(which == "ntk"), np.float64(heat(kernel)),
                    np.float64(kernel.first_bias**2), np.float64(CLOSE[dtype.name]),
                ),
            )  # fmt: skip
    if mirrored:
        # The product of a panel and its transpose need not round alike on a GPU.
        lower = cupy.tril(out, -1)
        out[...] = cupy.tril(out) + lower.T
    return out


def device_diagonal(kernel: Kernel, x: Any, which: str) -> Any:
    """Return K(x_i, x_i) as a CuPy array; see ``Kernel.diagonal``."""
    cupy = sys.modules["cupy"]
    ready = prepare(kernel, check_rows(cupy.asnumpy(x), "x"))
    out, program, n = cupy.empty(ready.x.shape[0], ready.x.dtype), kernel.program, ready.x.shape[0]
    tables = [cupy.asarray(v) for v in (program.ops, program.where, program.series, program.par, program.numbers)]
    _, *parts = _sent(cupy, ready)
    _module(ready.x.dtype.name).get_function("diagonal")(
        (-(-n // 128),), (128,),
        (
            out, *parts, *tables, np.int64(program.depth), np.int64(ready.rows.coefficients.shape[1]), np.int64(n),
            np.int32(which == "ntk"), np.float64(heat(kernel)), np.float64(kernel.first_bias**2),
        ),
    )  # fmt: skip
    return out


def _sent(cupy: Any, ready: Prepared) -> list[Any]:
    """Return x, lengths, q, image and coefficients on the device, in the order of the kernels' arguments."""
    rows = ready.rows
    parts = (ready.x, ready.lengths, rows.q, rows.image, rows.coefficients)
    return [cupy.asarray(np.ascontiguousarray(part)) for part in parts]

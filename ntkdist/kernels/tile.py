"""A tile: one matrix product per block, then one pass over the block in place while it is in the cache.

Cost: 2 n1 n2 d flops for the products (half of it for rows with themselves); the pass is described in
``recursion`` and ``collapse``, the cut in ``blocks``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.kernels.blas import one_blas_thread
from ntkdist.kernels.blocks import Block, cut, scratch, share, store
from ntkdist.kernels.collapse import Fit, collapse_degree, fit
from ntkdist.kernels.collapse_pass import collapse_pass
from ntkdist.kernels.error import CLOSE
from ntkdist.kernels.program import Rows, row_tables
from ntkdist.kernels.recursion import diagonal_pass, divide_rows, recursion_pass, squared_lengths
from ntkdist.kernels.row_memory import ROWS

if TYPE_CHECKING:
    from ntkdist.kernels.kernel import Kernel

Array = NDArray[Any]
BAND = 1024


@dataclass(frozen=True)
class Prepared:
    """Rows ready for a pass: scaled rows ``x`` (n, d), their squared lengths (n,) in float64, and their
    tables.
    """

    x: Array
    lengths: NDArray[np.float64]
    rows: Rows


def check_rows(x: Array, name: str) -> Array:
    """Return ``x`` as a C-contiguous (n, d) array of float32 or float64, or raise ``InputError``."""
    if type(x).__module__.partition(".")[0] == "cupy":
        raise InputError(f"{name} is a CuPy array and the other rows are not: both must be on the GPU or on the CPU")
    rows = np.asarray(x)
    if rows.ndim != 2 or rows.shape[1] < 1:
        raise InputError(f"{name} must be a two-dimensional array of rows, not one of shape {rows.shape}")
    if rows.dtype not in (np.float32, np.float64):
        rows = rows.astype(np.float64)
    return np.ascontiguousarray(rows)


def prepare(kernel: Kernel, x: Array) -> Prepared:
    """Scale rows as the kernel's input layer does and run the one-dimensional recursion on their lengths."""
    lengths = np.empty(x.shape[0])
    squared_lengths(x, lengths)
    if not np.all(np.isfinite(lengths)):
        row = int(np.argmin(np.isfinite(lengths)))
        raise InputError(f"row {row} of the input has a value that is not finite or a length that overflows")
    factor = kernel.first_sigma_w
    if kernel.input_scaling == "unit":
        if not np.all(lengths > 0):
            raise InputError(f"row {int(np.argmin(lengths > 0))} is zero and has no direction (input_scaling 'unit')")
        scaled = (x / np.sqrt(lengths)[:, None] * factor).astype(x.dtype)
        lengths = np.full(x.shape[0], factor * factor)
    else:
        if kernel.input_scaling == "1/d":
            factor = factor / x.shape[1] ** 0.5
        scaled = x
        if factor != 1:
            scaled = (x * x.dtype.type(factor)).astype(x.dtype)
            squared_lengths(scaled, lengths)
    program = kernel.program
    weight = 8 * lengths.size * (2 * program.depth + program.terms + 1)
    rows = ROWS.get((kernel.fingerprint,), lengths, lambda: row_tables(program, lengths + kernel.first_bias**2), weight)
    return Prepared(scaled, lengths, rows)


def tile(kernel: Kernel, x_rows: Array, x_cols: Array, which: str, out: Array | None, threads: int) -> Array:
    """Return the tile; see ``Kernel.tile``."""
    x, z = check_rows(x_rows, "x_rows"), check_rows(x_cols, "x_cols")
    if x.shape[1] != z.shape[1]:
        raise InputError(f"x_rows has {x.shape[1]} columns but x_cols has {z.shape[1]}")
    dtype = np.result_type(x, z)
    x, z = x.astype(dtype, copy=False), z.astype(dtype, copy=False)
    mirrored = x.shape == z.shape and (x is z or x.ctypes.data == z.ctypes.data)
    left = prepare(kernel, x)
    right = left if mirrored else prepare(kernel, z)
    shape = (x.shape[0], z.shape[0])
    if out is None:
        out = np.empty(shape, dtype)
    elif out.shape != shape or out.dtype != dtype:
        raise InputError(f"out must have shape {shape} and dtype {dtype}, not {out.shape} and {out.dtype}")
    elif not out.flags.c_contiguous:
        out[...] = tile(kernel, x, x if mirrored else z, which, None, threads)
        return out
    target: Array = out
    polynomial = fit(kernel, which == "ntk", dtype.name)
    if polynomial is not None:
        first_side = directions(kernel, left, which, threads)
        second_side = first_side if mirrored else directions(kernel, right, which, threads)

        def evaluate(block: Block, values: Array) -> None:
            collapse_block(polynomial, first_side, second_side, block, values)
    else:

        def evaluate(block: Block, values: Array) -> None:
            recursion_block(kernel, left, right, block, values, which == "ntk")

    def run(block: Block) -> None:
        values = scratch(block.bottom - block.top, block.right - block.left, dtype)
        evaluate(block, values)
        store(values, block.right - block.left, target, block.top, block.left, block.triangle, mirrored)

    with one_blas_thread():
        share(run, cut(x.shape[0], z.shape[0], x.shape[1], mirrored), threads)
    return target


@dataclass(frozen=True)
class Directions:
    """Unit rows (n, d), the factors ‖x‖ᴰ (n,), the squared lengths (n,) in float64, and the diagonal (n,)."""

    x: Array
    factor: Array
    lengths: NDArray[np.float64]
    diagonal: Array


def directions(kernel: Kernel, ready: Prepared, which: str, threads: int) -> Directions:
    """Divide rows by their length, for the collapse; zero rows stay zero."""
    length = np.sqrt(ready.lengths)
    divisor = np.where(length > 0, length, 1.0)
    x = np.empty_like(ready.x)
    share(
        lambda start: divide_rows(ready.x, divisor, x, start, min(start + BAND, x.shape[0])),
        range(0, x.shape[0], BAND),
        threads,
    )
    degree = collapse_degree(kernel)
    assert degree is not None
    factor = (length**degree if degree else np.ones_like(length)).astype(x.dtype)
    return Directions(x, factor, ready.lengths, diagonal_of(kernel, ready, which))


def collapse_block(polynomial: Fit, left: Directions, right: Directions, block: Block, values: Array) -> None:
    """Write one block by the polynomial into the first columns of ``values``."""
    width = block.right - block.left
    np.matmul(left.x[block.top : block.bottom], right.x[block.left : block.right].T, out=values[:, :width])
    # Columns count from the block's left edge; so do the rows, which lines up the diagonal of a triangle.
    rows, columns = slice(block.left if block.triangle else 0, None), slice(block.left, None)
    collapse_pass(
        values, width, block.top - rows.start, block.triangle, values.dtype.type(CLOSE[values.dtype.name] / 2),
        left.x[rows], right.x[columns], tuple(polynomial.near), tuple(polynomial.far),
        polynomial.near.astype(np.float64), polynomial.far.astype(np.float64),
        left.factor[rows], right.factor[columns], left.lengths[rows], right.lengths[columns], left.diagonal[rows],
        values.dtype.type(1),
    )  # fmt: skip


def recursion_block(
    kernel: Kernel, left: Prepared, right: Prepared, block: Block, values: Array, tangent: bool
) -> None:
    """Write one block by the recursion into the first columns of ``values``."""
    width = block.right - block.left
    np.matmul(left.x[block.top : block.bottom], right.x[block.left : block.right].T, out=values[:, :width])
    rows, columns = slice(block.left if block.triangle else 0, None), slice(block.left, None)
    program = kernel.program
    recursion_pass(
        values, width, block.top - rows.start, block.triangle, tangent, heat(kernel), kernel.first_bias**2,
        CLOSE[values.dtype.name], left.x[rows], right.x[columns], left.lengths[rows], right.lengths[columns],
        program.ops, program.where, program.series, program.par, program.numbers,
        left.rows.q[rows], right.rows.q[columns], left.rows.image[rows], right.rows.image[columns],
        left.rows.coefficients[rows], right.rows.coefficients[columns],
    )  # fmt: skip


def diagonal(kernel: Kernel, x: Array, which: str) -> Array:
    """Return the diagonal; see ``Kernel.diagonal``."""
    return diagonal_of(kernel, prepare(kernel, check_rows(x, "x")), which).copy()


def diagonal_of(kernel: Kernel, ready: Prepared, which: str) -> Array:
    """Return K(x_i, x_i) of prepared rows, in their dtype; shared between callers, not to be written to."""
    dtype = ready.x.dtype
    key = (kernel.fingerprint, which, dtype.name)
    return ROWS.get(key, ready.lengths, lambda: _diagonal(kernel, ready, which), ready.lengths.size * dtype.itemsize)


def _diagonal(kernel: Kernel, ready: Prepared, which: str) -> Array:
    _, first, places = np.unique(ready.lengths, return_index=True, return_inverse=True)
    result = np.empty(first.size, ready.x.dtype)
    program, rows = kernel.program, ready.rows
    diagonal_pass(
        result, which == "ntk", heat(kernel), kernel.first_bias**2, ready.lengths[first],
        program.ops, program.where, program.series, program.par, program.numbers,
        rows.q[first], rows.image[first], rows.coefficients[first],
    )  # fmt: skip
    return result[places]


def heat(kernel: Kernel) -> float:
    """Return Θ⁰/Σ⁰: 0 when the input layer is frozen."""
    return 0.0 if kernel.first_frozen else 1.0


def approximation(kernel: Kernel, which: str, dtype: str) -> float:
    """Return the part of the entry error that is not rounding: truncated series and the collapse's fit."""
    polynomial = fit(kernel, which == "ntk", dtype)
    missed = 0.0 if polynomial is None else polynomial.error
    return missed + sum(activation.error for activation in kernel.activations)


def pass_cost(kernel: Kernel) -> float:
    """Return the operations per entry of the pass: 60 for the collapse, else about 120 a layer."""
    return 60.0 if collapse_degree(kernel) is not None else 120.0 * kernel.depth

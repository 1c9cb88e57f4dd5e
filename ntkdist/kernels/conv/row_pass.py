"""One output row of one layer for a block of image pairs, compiled by Numba from generated text.

The pairs are the SIMD lanes: a row is the flat array of its columns times ``LANES`` images, so one long loop without
gathers serves any image size and any displacement.  What belongs to the row stands in one scratch array at offsets
known when compiling, because LLVM does not vectorise a loop with many pairs of pointers to compare.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from ntkdist.kernels.conv.pointwise import ROUNDING_PER_LAYER, SNAP, coefficients, layer_lines

LANES = {"float32": 32, "float64": 16}
SLOTS = 4  # of the scratch array: sums of K, sums of T, a and s of the left image


class RowPass(NamedTuple):
    """The compiled loops for one precision, filter and row length; ``stride`` is the length of a scratch slot."""

    vertical: Callable[..., None]
    stream: Callable[..., None]
    layer: Callable[..., None]
    summed_layer: Callable[..., None]
    stride: int


def width_class(columns: int) -> int:
    """Return the compiled number of columns that serves rows of ``columns``: a power of two, 8 at least."""
    return max(8, 1 << (columns - 1).bit_length())


_FORMS = {
    "fma": "{0} * {1} + {2}",
    "most": "{0} if {0} > {1} else {1}",
    "at_least_zero": "{1} if {0} >= zero else {2}",
    "size": "abs({0})",
    "root": "sqrt({0})",
}


class _Inline(ast.NodeTransformer):
    """Write the functions of ``layer_lines`` out as Python operators."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        assert isinstance(node.func, ast.Name)
        parts = [f"({ast.unparse(argument)})" for argument in node.args]
        return ast.parse(f"({_FORMS[node.func.id].format(*parts)})", mode="eval").body


def python_line(line: str) -> str:
    """Return one of ``layer_lines`` in plain Python."""
    return ast.unparse(_Inline().visit(ast.parse(line)))


def row_source(dtype: str, filter_size: int, stride: int) -> str:
    """Return the text of ``vertical``, ``stream`` and ``layer`` for scratch slots of ``stride`` numbers."""
    half = filter_size // 2
    rows = [f"r{m}" for m in range(filter_size)]
    lines = ["def vertical(buffer, at, y, tall, nothing, target):", "    n = target.size"]
    for m, row in enumerate(rows):
        near = f"{m - half:+d}"
        lines.append(f"    {row} = buffer[at {near}, :n] if 0 <= y {near} < tall else nothing[:n]")
    lines += ["    for e in range(n):", f"        target[e] = {' + '.join(f'{row}[e]' for row in rows)}", ""]

    def across(start: str, terms: int) -> str:
        return " + ".join(f"scratch[e + {start}{m * LANES[dtype]:+d}]" for m in range(terms))

    lines += [
        "def stream(scratch, slot, kept, keep, bias):",
        "    for e in range(kept.size):",
        f"        v = {across('slot', filter_size)} + keep * kept[e]",
        "        scratch[e + slot] = v",
        "        kept[e] = v + bias",
        "",
    ]
    names = [f"{name}{n}" for name, values in coefficients(dtype).items() for n in range(values.size)]
    for name, terms in (("layer", filter_size), ("summed_layer", 1)):
        lines += [
            f"def {name}(scratch, aj_row, sj_row, k_row, t_row, kb, tb, ratio, heat, drift, train, top, one):",
            "    zero = one - one",
            f"    {', '.join(names)} = CONSTANTS",
            "    for e in range(k_row.size):",
            f"        ai = scratch[e + {2 * stride}]",
            f"        si = scratch[e + {3 * stride}]",
            "        aj = aj_row[e]",
            "        sj = sj_row[e]",
            f"        k = {across('0', terms)}",
            f"        t = {across(str(stride), terms)}",
            *(f"        {python_line(line)}" for line in layer_lines(dtype, lambda name, n: f"{name}{n}")),
            "        k_row[e] = kn",
            "        t_row[e] = tn",
            "",
        ]
    return "\n".join(lines)


@lru_cache(maxsize=16)
def row_pass(dtype: str, filter_size: int, columns: int) -> RowPass:
    """Return the compiled loops for rows of up to ``columns`` columns."""
    real = np.dtype(dtype).type
    stride = (columns + filter_size - 1) * LANES[dtype]
    constants = tuple(real(value) for values in coefficients(dtype).values() for value in values)
    scope: dict[str, Any] = {"sqrt": math.sqrt, "CONSTANTS": constants}
    exec(row_source(dtype, filter_size, stride), scope)  # noqa: S102 - the text is generated here from numbers
    compile_loop = njit(nogil=True, error_model="numpy", fastmath={"contract", "nnan", "nsz"})
    return RowPass(**{name: compile_loop(scope[name]) for name in RowPass._fields[:-1]}, stride=stride)


def top(dtype: str, level: int) -> Any:
    """Return 1 less the rounding that counts as an angle of zero in the given layer; exact in ``dtype``."""
    return np.dtype(dtype).type(1 - (SNAP[dtype] + ROUNDING_PER_LAYER * level) * np.finfo(dtype).eps / 2)

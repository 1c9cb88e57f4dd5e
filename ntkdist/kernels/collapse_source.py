"""Source text of the collapse's inner loop, for Numba and for CUDA, from one description of the Horner
scheme.

Unrolled text is what both compilers turn into straight multiply-adds; a loop over coefficients in an array is
neither unrolled nor vectorised by LLVM (measured: 35 M entries/s on one core against 490 M).  Float constants
are written exactly: as hexadecimal literals in float32, in __constant__ memory in float64 (gpu: literals cost
two moves each).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def horner_lines(degree: int, coefficient: Callable[[int], str], step: str) -> list[str]:
    """Return the statements of Horner's scheme; ``step`` has places {v}, {t} and {a}."""
    return [f"v = {coefficient(degree)}"] + [
        step.format(v="v", t="t", a=coefficient(k)) for k in range(degree - 1, -1, -1)
    ]


def python_source(degree: int, signed: bool) -> str:
    """Return ``span(row, near, far, own, other, one)``; without ``signed`` every correlation must be ≥ 0."""
    near = ", ".join(f"n{k}" for k in range(degree + 1))
    far = ", ".join(f"f{k}" for k in range(degree + 1))
    body = horner_lines(degree, lambda k: f"(n{k} if c >= 0 else f{k})" if signed else f"n{k}", "v = {v} * {t} + {a}")
    lines = [
        "def span(row, near, far, own, other, one):",
        f"    {near}, = near",
        *([f"    {far}, = far"] if signed else []),
        "    for j in range(row.size):",
        "        c = row[j]",
        f"        r = sqrt(max(one - {'abs(c)' if signed else 'c'}, one - one))",
        "        t = r + r - one",
        *(f"        {line}" for line in body),
        "        row[j] = v * (own * other[j])",
    ]
    return "\n".join(lines) + "\n"


def cuda_source(near: NDArray[Any], far: NDArray[Any]) -> str:
    """Return the CUDA kernel ``collapse``: one thread an entry of an (n1, n2) panel of correlations, in
    place.

    Entries with 1 − |ρ| < close are left as they are and counted, for the host to redo from row differences.
    """
    single = near.dtype == np.float32
    real, fma, root = ("float", "__fmaf_rn", "sqrtf") if single else ("double", "__fma_rn", "sqrt")
    degree = near.size - 1

    def literal(value: Any) -> str:
        return float(value).hex() + ("f" if single else "")

    lines = []
    if not single:
        for name, values in (("NEAR", near), ("FAR", far)):
            lines.append(f"__constant__ double {name}[{degree + 1}] = {{{', '.join(map(literal, values))}}};")

    def branch(name: str, values: NDArray[Any]) -> list[str]:
        return horner_lines(
            degree,
            (lambda k: literal(values[k])) if single else (lambda k: f"{name}[{k}]"),
            f"v = {fma}({{v}}, {{t}}, {{a}})",
        )

    lines += [
        f'extern "C" __global__ void collapse({real}* tile, const {real}* own, const {real}* other,',
        f"    long long n1, long long n2, long long stride, {real} close, unsigned int* set_aside)",
        "{",
        "  long long j = (long long)blockIdx.x * blockDim.x + threadIdx.x;",
        "  long long i = (long long)blockIdx.y * blockDim.y + threadIdx.y;",
        "  if (i >= n1 || j >= n2) return;",
        f"  {real} c = tile[i * stride + j];",
        f"  {real} lack = 1 - (c < 0 ? -c : c);",
        "  if (lack < close) { atomicAdd(set_aside, 1u); return; }",
        f"  {real} r = {root}(lack);",
        f"  {real} t = r + r - 1;",
        f"  {real} v;",
        "  if (c >= 0) {",
        *(f"    {line};" for line in branch("NEAR", near)),
        "  } else {",
        *(f"    {line};" for line in branch("FAR", far)),
        "  }",
        "  tile[i * stride + j] = v * (own[i] * other[j]);",
        "}",
    ]
    return "\n".join(lines) + "\n"

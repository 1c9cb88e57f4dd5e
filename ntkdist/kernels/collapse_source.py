"""Source text of the collapse's pass for CUDA: the arithmetic of ``collapse_span``, a thread an entry.

Unrolled text is what the compiler turns into straight multiply-adds.  Float constants are written exactly: as
hexadecimal literals in float32, in __constant__ memory in float64, where literals cost two moves each.
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

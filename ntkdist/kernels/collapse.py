"""The collapse: on rows of one length the whole recursion is a function f of the correlation ρ alone.

It also is on any rows when every activation is homogeneous and there are no biases: K = (‖x‖‖x′‖)ᴰ f(ρ), D
the product of the degrees.  In r = √(1 − |ρ|), separately for ρ ≥ 0 and ρ < 0, f is analytic, so a polynomial
in t = 2r − 1 of degree 28 (float64) or 12 (float32) replaces all layers and activations.  Its Chebyshev
coefficients come from the recursion itself run in 40-digit arithmetic, and are turned into powers of t there
too: in float64 that conversion alone costs 1e-11.  A fit is used only if its measured error is small;
otherwise the recursion runs instead. Cost: about 70 dual evaluations per layer in mpmath (a fraction of a
second), once per kernel and process.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from ntkdist.kernels.activation import TABULATED
from ntkdist.kernels.duals.portable import mp_twin
from ntkdist.kernels.piecewise import TOLERANCE
from ntkdist.kernels.recursion import entry, norm_step

if TYPE_CHECKING:
    from ntkdist.kernels.kernel import Kernel
    from ntkdist.kernels.program import Program, Rows

DEGREES = {"float64": (28, 44), "float32": (12, 20)}
TAIL = {"float64": 4e-17, "float32": 1e-8}
ACCEPTED = {"float64": 2e-14, "float32": 5e-7}
NODES = 48
DIGITS = 40


@dataclass(frozen=True)
class Fit:
    """``near[k]`` and ``far[k]`` multiply tᵏ for ρ ≥ 0 and ρ < 0; ``error`` is measured, relative to f(1)."""

    near: NDArray[Any]
    far: NDArray[Any]
    error: float

    @property
    def degree(self) -> int:
        """The polynomials' degree."""
        return int(self.near.size) - 1


def collapse_degree(kernel: Kernel) -> float | None:
    """Return D in K = (‖x‖‖x′‖)ᴰ f(ρ), or None where K is not of that form."""
    first = kernel.layers[0]
    if kernel.input_scaling == "unit":
        return 0.0
    if kernel.first_bias == 0 and first.layernorm and first.epsilon == 0 and not first.residual:
        return 0.0
    degree = 1.0
    for layer, activation in zip(kernel.layers, kernel.activations, strict=True):
        homogeneous = activation.degree is not None and not layer.layernorm and layer.sigma_b == 0
        if not homogeneous or (layer.residual and activation.degree != 1):
            return None
        degree *= activation.degree or 0.0
    return degree if kernel.first_bias == 0 else None


def fit(kernel: Kernel, tangent: bool, dtype: str) -> Fit | None:
    """Return the polynomial pair of ``kernel``, or None where no degree reaches the accepted error."""
    if collapse_degree(kernel) is None:
        return None
    # mpmath's precision is a global of the process: two fits at once would take each other's digits.
    with _FITTING:
        return _fit(kernel, tangent, dtype)


_FITTING = threading.Lock()


@lru_cache(maxsize=64)
def _fit(kernel: Kernel, tangent: bool, dtype: str) -> Fit | None:
    tabulated = TABULATED in kernel.program.ops
    near, far = _chebyshev(kernel, tangent, 2 * NODES if tabulated else NODES)
    scale = sum(abs(a) for a in near)
    if scale == 0:
        return None
    degrees = DEGREES[dtype]
    tails = {n: float(max(sum(map(abs, half[n + 1 :])) for half in (near, far)) / scale) for n in degrees}
    degree = next((n for n in degrees if tails[n] <= TAIL[dtype]), degrees[-1])
    with mpmath.workdps(DIGITS):
        powers = [np.array([float(a) for a in _to_powers(half[: degree + 1])], dtype) for half in (near, far)]
    error = _measured(kernel, tangent, powers[0], powers[1])
    # A pair of kinks apart from zero is an essential singularity at ρ = ±1, so the fit converges slowly: there
    # the kernel's own tolerance decides between one polynomial and a recursion that is a thousand times slower.
    accepted = max(ACCEPTED[dtype], kernel.tolerance or TOLERANCE) if tabulated else ACCEPTED[dtype]
    return Fit(powers[0], powers[1], error) if error <= accepted else None


@lru_cache(maxsize=64)
def _chebyshev(kernel: Kernel, tangent: bool, nodes: int) -> tuple[list[Any], list[Any]]:
    """Return the Chebyshev coefficients in t of f for ρ ≥ 0 and for ρ < 0."""
    with mpmath.workdps(DIGITS):
        angles = [mpmath.pi * (2 * j + 1) / (2 * nodes) for j in range(nodes)]
        r = [(mpmath.cos(angle) + 1) / 2 for angle in angles]
        halves = []
        for side in (1, -1):
            values = [_exact(kernel, tangent, side, x) for x in r]
            terms = [
                2 * sum(v * mpmath.cos(k * a) for v, a in zip(values, angles, strict=True)) / nodes
                for k in range(nodes)
            ]
            terms[0] /= 2
            halves.append(terms)
    return halves[0], halves[1]


def _start(kernel: Kernel) -> tuple[float, float]:
    return kernel.first_sigma_w**2 if kernel.input_scaling == "unit" else 1.0, kernel.first_bias**2


def _exact(kernel: Kernel, tangent: bool, side: int, r: Any) -> Any:
    """Return f at |ρ| = 1 − r² of the given sign, in mpmath."""
    from ntkdist.kernels.program import row_tables

    program = kernel.program
    if TABULATED in program.ops:
        return mpmath.mpf(_float64(kernel, tangent, side, float(r), _row(kernel)))
    length, bias = (mpmath.mpf(v) for v in _start(kernel))
    small, large = 2 * length * r * r, 4 * length - 2 * length * r * r
    v, w = (small, large) if side > 0 else (large, small)
    rows = row_tables(program, np.array([float(length + bias)]))
    q, image = _norms(program, length + bias, rows.coefficients[0])
    c = (w - v) / 4 + bias
    start = c if program.trained_input else mpmath.mpf(0)
    return mp_twin(entry)(
        tangent, start, c, v, w + 4 * bias, program.ops, program.where, program.series, program.par,
        program.numbers, q, q, image, image, rows.coefficients[0], rows.coefficients[0],
    )  # fmt: skip


def _norms(program: Program, start: Any, row: Any) -> tuple[list[Any], list[Any]]:
    """Return the norms entering every layer and those of its images, in mpmath."""
    advance, q, norms, images = mp_twin(norm_step), start, [], []
    for l in range(program.depth):
        norms.append(q)
        state, image = np.array([q]), np.array([q])
        advance(
            state, image, program.ops[l], program.where[l], program.series[l], program.par, program.numbers[l], [row]
        )
        q = state[0]
        images.append(image[0])
    return norms, images


def _to_powers(chebyshev: list[Any]) -> list[Any]:
    """Turn Σ a_k T_k(t) into powers of t, in mpmath."""
    n = len(chebyshev)
    total = [mpmath.mpf(0)] * n
    before, now = [mpmath.mpf(1)], [mpmath.mpf(0), mpmath.mpf(1)]
    for a in chebyshev:
        for j, value in enumerate(before):
            total[j] += a * value
        grown = [mpmath.mpf(0)] + [2 * v for v in now]
        for j, value in enumerate(before):
            grown[j] -= value
        before, now = now, grown
    return total


def horner(coefficients: NDArray[Any], r: NDArray[Any]) -> NDArray[Any]:
    """Return the polynomial in t = 2r − 1 at every r, in the coefficients' dtype."""
    t = 2 * r - 1
    value = np.full_like(t, coefficients[-1])
    for a in coefficients[-2::-1]:
        value = value * t + a
    return value


@lru_cache(maxsize=8)
def _row(kernel: Kernel) -> Rows:
    """Return the tables of the one row length there is."""
    from ntkdist.kernels.program import row_tables

    length, bias = _start(kernel)
    return row_tables(kernel.program, np.array([length + bias]))


def _float64(kernel: Kernel, tangent: bool, side: int, r: float, rows: Rows) -> float:
    """Return f at |ρ| = 1 − r² of the given sign by the compiled recursion."""
    length, bias = _start(kernel)
    program = kernel.program
    q, image, row = rows.q[0], rows.image[0], rows.coefficients[0]
    small, large = 2 * length * r * r, 4 * length - 2 * length * r * r
    v, w = (small, large) if side > 0 else (large, small)
    c = (w - v) / 4 + bias
    return float(
        entry(
            tangent, c * program.trained_input, c, v, w + 4 * bias, program.ops, program.where,
            program.series, program.par, program.numbers, q, q, image, image, row, row,
        )
    )  # fmt: skip


def _measured(kernel: Kernel, tangent: bool, near: NDArray[Any], far: NDArray[Any]) -> float:
    """Return the largest error against the float64 recursion at 201 points a side, relative to f(1)."""
    r = (np.linspace(0, 1, 201) ** 1.5).astype(near.dtype)
    top, worst = 0.0, 0.0
    rows = _row(kernel)
    for side, half in ((1, near), (-1, far)):
        got = horner(half, r).astype(np.float64)
        for x, value in zip(r.astype(np.float64), got, strict=True):
            want = _float64(kernel, tangent, side, float(x), rows)
            top = max(top, abs(want))
            worst = max(worst, abs(value - want))
    return float(worst / top) if top > 0 else math.inf

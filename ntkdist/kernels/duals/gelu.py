"""Exact GELU, φ(x) = x Φ(x): with δ² = 1 + q1 + q2 + (q1 q2 − c²) and A = atan2(c, δ),

F = c/4 + [cA + (c² + q1 q2 δ²)/((1+q1)(1+q2) δ)]/2π and
Ḟ = 1/4 + A/2π + (c/2πδ)[1/δ² + (1 − q1 q2)/((1+q1)(1+q2)) + 1] (Tsuchida et al. 2021).

The image's squared distance has no short closed form.  Where rows are close it is E(φ(√q1 z) − φ(√q2 z))² by
the trapezoidal rule (which converges exponentially here) plus 2∫Ḟ dc from c to √(q1 q2) by Gauss–Legendre.
Cost: one atan2 and two square roots; near-duplicates some microseconds.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from ntkdist.kernels.duals.portable import PI, atan2, erf, exp, gap_of, positive, sqrt


@njit(nogil=True, error_model="numpy", cache=True)
def gelu_value(q1: Any, q2: Any, c: Any, h: Any) -> Any:
    """Return F for h = q1 q2 − c²."""
    delta2 = 1.0 + q1 + q2 + h
    delta = sqrt(delta2)
    norm = (1.0 + q1) * (1.0 + q2)
    return c / 4.0 + (c * atan2(c, delta) + (c * c + q1 * q2 * delta2) / (norm * delta)) / (2.0 * PI)


@njit(nogil=True, error_model="numpy", cache=True)
def gelu_slope(q1: Any, q2: Any, c: Any, h: Any) -> Any:
    """Return Ḟ for h = q1 q2 − c²."""
    delta2 = 1.0 + q1 + q2 + h
    delta = sqrt(delta2)
    norm = (1.0 + q1) * (1.0 + q2)
    bend = 1.0 / delta2 + (1.0 - q1 * q2) / norm + 1.0
    return 1.0 / 4.0 + (atan2(c, delta) + c / delta * bend) / (2.0 * PI)


@njit(nogil=True, error_model="numpy", cache=True)
def gelu_radial(q1: Any, q2: Any) -> Any:
    """Return E(φ(√q1 z) − φ(√q2 z))² for one standard normal z: the distance of two collinear rows."""
    if q1 == q2:
        return 0.0 * q1
    r1 = sqrt(q1)
    r2 = sqrt(q2)
    top = r1 if r1 > r2 else r2
    step = 0.25 / (1.0 + top)
    total = 0.0 * q1
    z = -10.0 + 0.0 * q1
    while z < 10.0:
        x = r1 * z
        y = r2 * z
        gap = x * (1.0 + erf(x / sqrt(2.0))) / 2.0 - y * (1.0 + erf(y / sqrt(2.0))) / 2.0
        total += gap * gap * exp(-z * z / 2.0)
        z += step
    return total * step / sqrt(2.0 * PI)


@njit(nogil=True, error_model="numpy", cache=True)
def gelu(
    q1: Any, q2: Any, g1: Any, g2: Any, c: Any, v: Any, w: Any, par: Any, k: int, row1: Any, row2: Any, m: int
) -> Any:  # fmt: skip
    """Return (F, Ḟ, V′, W′); par[k] is the number of Gauss–Legendre nodes, then nodes and weights on [0,
    1].
    """
    p = sqrt(q1) * sqrt(q2)
    below = v / 2.0
    h = below * w / 2.0
    f = gelu_value(q1, q2, c, h)
    fdot = gelu_slope(q1, q2, c, h)
    radial = gap_of(g1, g2)
    d_next = g1 + g2 - 2.0 * f
    if 50.0 * (v + gap_of(q1, q2)) < q1 + q2:
        count = int(par[k])
        integral = 0.0 * h
        for j in range(count):
            x = below * par[k + 1 + j]
            integral += par[k + 1 + count + j] * gelu_slope(q1, q2, p - x, x * (2.0 * p - x))
        d_next = gelu_radial(q1, q2) + 2.0 * below * integral
    return f, fdot, positive(d_next - radial), positive(g1 + g2 + 2.0 * f - radial)

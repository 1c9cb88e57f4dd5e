"""Activations whose duals are exponentials of squared distances.

``sinusoid``  φ = a sin(bx + ϕ): F = a²/2 (e^{−b²d/2} − cos 2ϕ e^{−b²s/2}); cos is ϕ = π/2, and √2 sin(√(2γ)x
+ π/4) gives the Gaussian kernel e^{−γd} (Rahimi & Recht 2007).  ``exponential``  φ = a e^{bx}: F = a²
e^{b²(q1+q2) − b²d/2}. ``bell``  φ = a e^{−gx²/2}: F = a² det^{−1/2}, det = 1 + g(q1+q2) + g²(q1 q2 − c²). All
differences go through expm1.  Cost: about five exponentials.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from ntkdist.kernels.duals.portable import exp, expm1, gap_of, positive, sqrt


@njit(nogil=True, error_model="numpy", cache=True)
def sinusoid(
    q1: Any, q2: Any, g1: Any, g2: Any, c: Any, v: Any, w: Any, par: Any, k: int, row1: Any, row2: Any, m: int
) -> Any:  # fmt: skip
    """Return (F, Ḟ, V′, W′); par[k:k+3] = (a²/2, b², cos 2ϕ)."""
    half = par[k]
    b2 = par[k + 1]
    fold = par[k + 2]
    gap = gap_of(q1, q2)
    d = v + gap
    s = w + gap
    plus = exp(-b2 * d / 2.0)
    minus = exp(-b2 * s / 2.0)
    f = half * (plus - fold * minus)
    fdot = half * b2 * (plus + fold * minus)
    e1 = exp(-b2 * q1)
    e2 = exp(-b2 * q2)
    low = e1 if q1 > q2 else e2
    radial = low * expm1(b2 * (q1 - q2) if q1 > q2 else b2 * (q2 - q1))
    square = radial * radial
    if b2 * d < 1.0:
        d_next = half * (fold * (2.0 * e1 * e2 * expm1(b2 * d / 2.0) - square) - 2.0 * expm1(-b2 * d / 2.0))
    elif b2 * s < 1.0:
        fresh = 2.0 * (1.0 + fold) * (1.0 - e1 * e2)
        d_next = half * (
            fresh + 2.0 * fold * expm1(-b2 * s / 2.0) - fold * square - 2.0 * e1 * e2 * expm1(b2 * s / 2.0)
        )
    else:
        d_next = half * (2.0 - 2.0 * plus - fold * (e1 * e1 + e2 * e2 - 2.0 * minus))
    if b2 * s < 1.0:
        fresh = 2.0 * (1.0 - fold) * (1.0 + e1 * e2)
        s_next = half * (
            fresh + 2.0 * e1 * e2 * expm1(b2 * s / 2.0) - fold * square - 2.0 * fold * expm1(-b2 * s / 2.0)
        )
    else:
        s_next = half * (2.0 + 2.0 * plus - fold * (e1 * e1 + e2 * e2 + 2.0 * minus))
    between = gap_of(g1, g2)
    return f, fdot, positive(d_next - between), positive(s_next - between)


@njit(nogil=True, error_model="numpy", cache=True)
def exponential(
    q1: Any, q2: Any, g1: Any, g2: Any, c: Any, v: Any, w: Any, par: Any, k: int, row1: Any, row2: Any, m: int
) -> Any:  # fmt: skip
    """Return (F, Ḟ, V′, W′); par[k:k+2] = (a², b²)."""
    a2 = par[k]
    b2 = par[k + 1]
    d = v + gap_of(q1, q2)
    f = a2 * exp(b2 * (q1 + q2 - d / 2.0))
    # √(g1 g2) = a² e^{b²(q1 + q2)}, so the distance has no radial part to cancel.
    both = a2 * exp(b2 * (q1 + q2))
    return f, b2 * f, -2.0 * both * expm1(-b2 * d / 2.0), 2.0 * (both + f)


@njit(nogil=True, error_model="numpy", cache=True)
def bell(
    q1: Any, q2: Any, g1: Any, g2: Any, c: Any, v: Any, w: Any, par: Any, k: int, row1: Any, row2: Any, m: int
) -> Any:  # fmt: skip
    """Return (F, Ḟ, V′, W′); par[k:k+2] = (a², g)."""
    a2 = par[k]
    g = par[k + 1]
    h = v * w / 4.0
    det = 1.0 + g * (q1 + q2) + g * g * h
    root = sqrt(det)
    root1 = sqrt(1.0 + 2.0 * g * q1)
    root2 = sqrt(1.0 + 2.0 * g * q2)
    f = a2 / root
    lift = g * g * h
    d1 = (g * (q2 - q1) + lift) / (root * root1 * (root + root1))
    d2 = (g * (q1 - q2) + lift) / (root * root2 * (root + root2))
    radial = gap_of(g1, g2)
    wide = a2 * (1.0 / root1 + 1.0 / root2) + 2.0 * f
    return f, a2 * g * g * c / (det * root), positive(a2 * (d1 + d2) - radial), positive(wide - radial)

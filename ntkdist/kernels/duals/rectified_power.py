"""Rectified monomials φ(x) = max(x, 0)ⁿ, the arc-cosine kernels of order n: F = pⁿ Jₙ(θ)/2π, Ḟ = n² pⁿ⁻¹
Jₙ₋₁/2π.

Jₙ(θ) = (π − θ) Pₙ(cos θ) + sin θ Rₙ(cos θ) (Cho & Saul 2009), with dJₙ/dcos θ = n² Jₙ₋₁, hence integer
recurrences for Pₙ and Rₙ.  Jₙ(0) = π(2n−1)!!: finite on the diagonal.  The image's distance uses Jₙ(0) −
Jₙ(θ) = n² ∫₀^θ sin t Jₙ₋₁(t) dt by Gauss–Legendre where rows are close. Cost: one atan2, one sine, 2n
multiplications.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from numba import njit

from ntkdist.kernels.duals.portable import PI, cos, sin
from ntkdist.kernels.duals.rectifier import angles

PowerSeries = list[Fraction]


def arc_cosine_polynomials(order: int) -> tuple[PowerSeries, PowerSeries]:
    """Return the coefficients of Pₙ and Rₙ in powers of cos θ, exactly; each has ``order + 1`` entries.

    From dJₙ/dx = n² Jₙ₋₁: Pₙ′ = n² Pₙ₋₁ with Pₙ(1) = (2n−1)!!, and Pₙ − x Rₙ + (1 − x²) Rₙ′ = n² (1 − x²)
    Rₙ₋₁.
    """
    big = [Fraction(1)]
    small = [Fraction(0)]
    peak = Fraction(1)
    for n in range(1, order + 1):
        peak *= 2 * n - 1
        grown = [Fraction(0)] + [n * n * value / (j + 1) for j, value in enumerate(big)]
        grown[0] = peak - sum(grown)
        old = [*small, Fraction(0), Fraction(0)]
        rest = [Fraction(0)] * (n + 1)
        # The coefficient of x^j in (1−x²)R′ − xR is (j+1) r[j+1] − j r[j−1]: solve from the top down.
        right = [n * n * (old[j] - (old[j - 2] if j >= 2 else 0)) for j in range(n + 1)]
        for j in range(n, 0, -1):
            above = rest[j + 1] if j + 1 <= n else Fraction(0)
            rest[j - 1] = ((j + 1) * above - right[j] + grown[j]) / j
        big, small = grown, rest
    return big, small


@njit(nogil=True, error_model="numpy", cache=True)
def arc_cosine(far: Any, c: Any, s: Any, par: Any, k: int, n: int) -> Any:
    """Return (π−θ) P(c) + s R(c) for far = π − θ; par[k:] holds P then R, n + 1 coefficients each."""
    big = 0.0 * c
    small = 0.0 * c
    for j in range(n, -1, -1):
        big = big * c + par[k + j]
        small = small * c + par[k + n + 1 + j]
    return far * big + s * small


@njit(nogil=True, error_model="numpy", cache=True)
def power(x: Any, n: int) -> Any:
    """Return xⁿ by repeated multiplication."""
    value = 1.0 + 0.0 * x
    for _ in range(n):
        value = value * x
    return value


@njit(nogil=True, error_model="numpy", cache=True)
def rectified_power(
    q1: Any, q2: Any, g1: Any, g2: Any, c: Any, v: Any, w: Any, par: Any, k: int, row1: Any, row2: Any, m: int
) -> Any:  # fmt: skip
    """Return (F, Ḟ, V′, W′).

    par[k] = n, par[k+1] = number of Gauss–Legendre nodes g, then the g nodes and g weights on [0, 1], then Pₙ
    and Rₙ (n + 1 coefficients each) and Pₙ₋₁ and Rₙ₋₁ (n coefficients each).
    """
    n = int(par[k])
    count = int(par[k + 1])
    own = k + 2 + 2 * count
    slope = own + 2 * (n + 1)
    p, small = angles(q1, q2, v, w)
    sw = sin(small)
    cw = cos(small) if v <= w else -cos(small)
    far = PI - small if v <= w else small
    scale = power(p, n) / (2.0 * PI)
    f = scale * arc_cosine(far, cw, sw, par, own, n)
    fdot = n * n * power(p, n - 1) / (2.0 * PI) * arc_cosine(far, cw, sw, par, slope, n - 1)
    peak = 0.0 * p
    for j in range(n + 1):
        peak += par[own + j]
    middle = power(p, n) * peak
    v_next = middle - 2.0 * f
    if n == 0:
        # The unit step: E(φ(u) − φ(v))² is the chance that u and v differ in sign.
        v_next = small / PI if v <= w else 1.0 - small / PI
    elif 4.0 * small < 1.0 and v <= w:
        integral = 0.0 * p
        for j in range(count):
            t = small * par[k + 2 + j]
            st = sin(t)
            integral += par[k + 2 + count + j] * st * arc_cosine(PI - t, cos(t), st, par, slope, n - 1)
        v_next = 2.0 * scale * n * n * small * integral
    return f, fdot, v_next, middle + 2.0 * f

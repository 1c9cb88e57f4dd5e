"""Piecewise linear activations φ(x) = a min(x, 0) + b max(x, 0): ReLU (0, 1), leaky ReLU (α, 1), |x| (−1, 1).

With A = (a² + b²)/2, k = (a − b)²/2π, p = √(q1 q2) and θ the angle, Cho & Saul (2009) gives
F = k p sin θ + (A − kθ) c and Ḟ = A − kθ.
The image's squared distance is D′ = A d − 2kp (sin θ − θ cos θ): the
cusp at θ = 0 is in the second term, which a series resolves.  Past the right angle everything is written in
ψ = π − θ, because antipodal rows (and |x|, which folds them together) need ψ to full relative precision.
Cost: one atan2, one sine, one cosine, four square roots.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from ntkdist.kernels.duals.portable import PI, atan2, sin_excess, sqrt


@njit(nogil=True, error_model="numpy", cache=True)
def angles(q1: Any, q2: Any, d: Any, s: Any) -> Any:
    """Return (p, w): p = √(q1 q2) and w the smaller of θ and π − θ (θ itself exactly when d ≤ s)."""
    r1 = sqrt(q1)
    r2 = sqrt(q2)
    gap = (r1 - r2) * (r1 - r2)
    # Of rows of different lengths, d − gap is known to some 1e-14 of gap only: below that they are collinear.
    floor = gap / 2e13
    near = d - gap
    far = s - gap
    near = sqrt(near) if near > floor else 0.0 * gap
    far = sqrt(far) if far > floor else 0.0 * gap
    w = 2.0 * atan2(near, far) if d <= s else 2.0 * atan2(far, near)
    return r1 * r2, w


@njit(nogil=True, error_model="numpy", cache=True)
def rectifier(q1: Any, q2: Any, c: Any, d: Any, s: Any, par: Any, k: int, row1: Any, row2: Any, m: int) -> Any:
    """Return (F, Ḟ, D′, S′); par[k] = a, par[k+1] = b."""
    a = par[k]
    b = par[k + 1]
    mean = (a * a + b * b) / 2.0
    bend = (a - b) * (a - b) / (2.0 * PI)
    p, w = angles(q1, q2, d, s)
    excess = 2.0 * bend * p * sin_excess(w)
    if d <= s:
        fdot = mean - bend * w
        f = mean * c + excess / 2.0
        d_next = mean * d - excess
        s_next = mean * s + excess
    else:
        fdot = a * b + bend * w
        f = a * b * c + excess / 2.0
        fold = (a - b) * (a - b) / 4.0
        keep = (a + b) * (a + b) / 4.0
        d_next = fold * s + keep * d - excess
        s_next = keep * s + fold * d + excess
    return f, fdot, d_next, s_next


@njit(nogil=True, error_model="numpy", cache=True)
def sign(q1: Any, q2: Any, c: Any, d: Any, s: Any, par: Any, k: int, row1: Any, row2: Any, m: int) -> Any:
    """Return (F, 0, D′, S′) of φ = sign, F = 1 − 2θ/π; its Ḟ diverges at θ = 0, so it has no NTK."""
    p, w = angles(q1, q2, d, s)
    small = 4.0 * w / PI
    if d <= s:
        return 1.0 - small / 2.0, 0.0 * p, small, 4.0 - small
    return small / 2.0 - 1.0, 0.0 * p, 4.0 - small, small

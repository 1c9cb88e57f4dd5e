"""Piecewise linear activations φ(x) = a min(x, 0) + b max(x, 0): ReLU (0, 1), leaky ReLU (α, 1), |x| (−1, 1).

With A = (a² + b²)/2, k = (a − b)²/2π, p = √(q1 q2) and θ the angle, Cho & Saul (2009) gives
F = k p sin θ + (A − kθ) c and Ḟ = A − kθ.
The image has V′ = A V − 2kp (sin θ − θ cos θ): the
cusp at θ = 0 is in the second term, which a series resolves.  Past the right angle everything is written in
ψ = π − θ, because antipodal rows (and |x|, which folds them together) need ψ to full relative precision.
Cost: one atan2, one sine, one cosine, four square roots.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from ntkdist.kernels.duals.portable import PI, atan2, sin_excess, sqrt


@njit(nogil=True, error_model="numpy", cache=True)
def angles(q1: Any, q2: Any, v: Any, w: Any) -> Any:
    """Return p = √(q1 q2) and the smaller of θ and π − θ (θ itself exactly when v ≤ w)."""
    near = sqrt(v)
    far = sqrt(w)
    small = 2.0 * atan2(near, far) if v <= w else 2.0 * atan2(far, near)
    return sqrt(q1) * sqrt(q2), small


@njit(nogil=True, error_model="numpy", cache=True)
def rectifier(
    q1: Any, q2: Any, g1: Any, g2: Any, c: Any, v: Any, w: Any, par: Any, k: int, row1: Any, row2: Any, m: int
) -> Any:  # fmt: skip
    """Return (F, Ḟ, V′, W′); par[k] = a, par[k+1] = b."""
    a = par[k]
    b = par[k + 1]
    mean = (a * a + b * b) / 2.0
    bend = (a - b) * (a - b) / (2.0 * PI)
    p, small = angles(q1, q2, v, w)
    excess = 2.0 * bend * p * sin_excess(small)
    if v <= w:
        fdot = mean - bend * small
        f = mean * c + excess / 2.0
        v_next = mean * v - excess
        w_next = mean * w + excess
    else:
        fdot = a * b + bend * small
        f = a * b * c + excess / 2.0
        fold = (a - b) * (a - b) / 4.0
        keep = (a + b) * (a + b) / 4.0
        v_next = fold * w + keep * v - excess
        w_next = keep * w + fold * v + excess
    return f, fdot, v_next, w_next


@njit(nogil=True, error_model="numpy", cache=True)
def sign(
    q1: Any, q2: Any, g1: Any, g2: Any, c: Any, v: Any, w: Any, par: Any, k: int, row1: Any, row2: Any, m: int
) -> Any:  # fmt: skip
    """Return (F, 0, V′, W′) of φ = sign, F = 1 − 2θ/π; its Ḟ diverges at θ = 0, so it has no NTK."""
    p, angle = angles(q1, q2, v, w)
    small = 4.0 * angle / PI
    if v <= w:
        return 1.0 - small / 2.0, 0.0 * p, small, 4.0 - small
    return small / 2.0 - 1.0, 0.0 * p, 4.0 - small, small

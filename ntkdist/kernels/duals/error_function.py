"""φ(x) = a erf(bx) + e: F = a²(2/π) asin(2c/√((1+2q1)(1+2q2))) + e² with Σ scaled by b² (Williams 1997).

The arcsine is taken as atan2(2c, √det) with det = 1 + 2(q1+q2) + 4(q1 q2 − c²), which never cancels, and the
image's squared distance is a sum of two differences of angles, each from one atan2 of a product form.
Ḟ = a² b² (4/π)/√det.  With a = e = 1/2 this is the “sigmoid-like” activation of neural-tangents.  Cost: five
atan2.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from ntkdist.kernels.duals.portable import PI, atan2, gap_of, positive, sqrt


@njit(nogil=True, error_model="numpy", cache=True)
def turn(q1: Any, q2: Any, c: Any, d: Any, h: Any, root: Any) -> Any:
    """Return asin(2q1/(1+2q1)) − asin(2c/√…) to full relative precision; d = q1 + q2 − 2c."""
    r = sqrt(1.0 + 4.0 * q1)
    opposite = q1 * (2.0 * (q2 - q1) + 4.0 * h) / (root + r) + (d + (q1 - q2)) / 2.0 * r
    return atan2(2.0 * opposite, r * root + 4.0 * q1 * c)


@njit(nogil=True, error_model="numpy", cache=True)
def error_function(
    q1: Any, q2: Any, g1: Any, g2: Any, c: Any, v: Any, w: Any, par: Any, k: int, row1: Any, row2: Any, m: int
) -> Any:  # fmt: skip
    """Return (F, Ḟ, V′, W′); par[k:k+3] = (a², b², e²)."""
    amp = par[k] * 2.0 / PI
    b2 = par[k + 1]
    shift = par[k + 2]
    x = b2 * q1
    y = b2 * q2
    t = b2 * c
    gap = gap_of(x, y)
    h = b2 * v * b2 * w / 4.0
    root = sqrt(1.0 + 2.0 * (x + y) + 4.0 * h)
    f = amp * atan2(2.0 * t, root) + shift
    fdot = 2.0 * amp * b2 / root
    near = b2 * v + gap
    far = b2 * w + gap
    d_next = amp * (turn(x, y, t, near, h, root) + turn(y, x, t, near, h, root))
    s_next = amp * (turn(x, y, -t, far, h, root) + turn(y, x, -t, far, h, root)) + 4.0 * shift
    radial = gap_of(g1, g2)
    return f, fdot, positive(d_next - radial), positive(s_next - radial)

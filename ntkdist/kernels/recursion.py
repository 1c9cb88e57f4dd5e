"""The depth-L recursion in one fused pass over a tile, carrying (c, v, w, Θ) for each pair of rows.

c is the covariance and v = 2(√(q1 q2) − c), w = 2(√(q1 q2) + c) the angle's two halves: v = 4√(q1 q2) sin²(θ/2).
v comes from the dot product except where rows point the same way; there it is recomputed from the difference of
the rows divided by their lengths (and w from their sum where they are nearly antipodal), because 1 − cos θ from
a dot product has lost half of its digits at θ = 1e-8.  A bias, or the two branches of a residual layer, add
independent vectors; ``combine`` is how their angles add up without cancellation.  Cost: one dual per layer and
entry, no temporaries; rows that are close cost one pass over their d columns more.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from ntkdist.kernels.duals.error_function import error_function
from ntkdist.kernels.duals.exponential import bell, exponential, sinusoid
from ntkdist.kernels.duals.gelu import gelu
from ntkdist.kernels.duals.portable import gap_of, geometric_mean, sqrt
from ntkdist.kernels.duals.rectified_power import rectified_power
from ntkdist.kernels.duals.rectifier import rectifier, sign
from ntkdist.kernels.duals.series import series
from ntkdist.kernels.duals.tabulated import tabulated


@njit(nogil=True, error_model="numpy", cache=True)
def dual(
    op: int, q1: Any, q2: Any, g1: Any, g2: Any, c: Any, v: Any, w: Any, par: Any, k: int, row1: Any, row2: Any, m: int
) -> Any:  # fmt: skip
    """Return (F, Ḟ, V′, W′) of the dual with code ``op`` (the order of ``activation.py``)."""
    if op == 0:
        return rectifier(q1, q2, g1, g2, c, v, w, par, k, row1, row2, m)
    if op == 1:
        return sign(q1, q2, g1, g2, c, v, w, par, k, row1, row2, m)
    if op == 2:
        return error_function(q1, q2, g1, g2, c, v, w, par, k, row1, row2, m)
    if op == 3:
        return gelu(q1, q2, g1, g2, c, v, w, par, k, row1, row2, m)
    if op == 4:
        return sinusoid(q1, q2, g1, g2, c, v, w, par, k, row1, row2, m)
    if op == 5:
        return exponential(q1, q2, g1, g2, c, v, w, par, k, row1, row2, m)
    if op == 6:
        return bell(q1, q2, g1, g2, c, v, w, par, k, row1, row2, m)
    if op == 7:
        return rectified_power(q1, q2, g1, g2, c, v, w, par, k, row1, row2, m)
    if op == 8:
        return series(q1, q2, g1, g2, c, v, w, par, k, row1, row2, m)
    return tabulated(q1, q2, g1, g2, c, v, w, par, k, row1, row2, m)


@njit(nogil=True, error_model="numpy", cache=True)
def combine(a1: Any, a2: Any, b1: Any, b2: Any) -> Any:
    """Return what v and w of two independent vectors gain when they are added: lengths² a1 + b1 and a2 + b2.

    Lagrange: (a1+b1)(a2+b2) − (√(a1 a2) + √(b1 b2))² = (√(a1 b2) − √(b1 a2))², zero for equal lengths.
    """
    apart = gap_of(a1 * b2, b1 * a2)
    total = sqrt(a1 + b1) * sqrt(a2 + b2) + sqrt(a1) * sqrt(a2) + sqrt(b1) * sqrt(b2)
    return 2.0 * apart / total if total > 0.0 else 0.0 * apart


@njit(nogil=True, error_model="numpy", cache=True)
def step(
    op: int, k: int, m: int, q1: Any, q2: Any, g1: Any, g2: Any, c: Any, v: Any, w: Any, theta: Any,
    par: Any, num: Any, row1: Any, row2: Any
) -> Any:  # fmt: skip
    """Return (c, v, w, Θ) after one layer; ``num`` is a row of ``Program.numbers``, g1 and g2 the images' norms."""
    scale = 1.0 + 0.0 * q1
    a = q1
    b = q2
    if num[5] > 0.0:
        scale = sqrt(q1 + num[6]) * sqrt(q2 + num[6])
        a = q1 / (q1 + num[6])
        b = q2 / (q2 + num[6])
    f, fdot, v_next, w_next = dual(op, a, b, g1, g2, c / scale, v / scale, w / scale, par, k, row1, row2, m)
    c_next = num[0] * f + num[1]
    theta_next = num[2] * fdot * (theta / scale) + num[3] * f + num[4]
    # Equal lengths gain nothing, and a bias alone has no angle.
    own1 = num[0] * g1
    own2 = num[0] * g2
    more = combine(own1, own2, num[1], num[1])
    v_next = num[0] * v_next + more
    w_next = num[0] * w_next + more + 4.0 * num[1]
    if num[7] > 0.0:
        c_next += c
        theta_next += theta
        more = combine(own1 + num[1], own2 + num[1], q1, q2)
        v_next += v + more
        w_next += w + more
    return c_next, v_next, w_next, theta_next


@njit(nogil=True, error_model="numpy", cache=True)
def norm_step(state: Any, image: Any, op: int, k: int, m: int, par: Any, num: Any, coefficients: Any) -> None:
    """Advance the norms ``state`` (n,) by one layer in place, and write E φ² to ``image`` (n,): v = 0."""
    for i in range(state.size):
        q = state[i]
        row = coefficients[i]
        a = q / (q + num[6]) if num[5] > 0.0 else q
        f, _slope, _v, _w = dual(op, a, a, 0.0 * a, 0.0 * a, a, 0.0 * a, 4.0 * a, par, k, row, row, m)
        image[i] = f
        c, _v, _w, _t = step(op, k, m, q, q, f, f, q, 0.0 * q, 4.0 * q, 0.0 * q, par, num, row, row)
        state[i] = c


@njit(nogil=True, error_model="numpy", cache=True)
def entry(
    tangent: bool, start: Any, c: Any, v: Any, w: Any, ops: Any, where: Any, places: Any, par: Any, numbers:
    Any, q1: Any, q2: Any, g1: Any, g2: Any, row1: Any, row2: Any
) -> Any:  # fmt: skip
    """Return Θ (or Σ) of one pair after all layers.

    ``start`` is Θ⁰; q1[l] and q2[l] are the rows' norms entering layer l, g1[l] and g2[l] their images' norms.
    """
    theta = start
    for l in range(ops.size):
        c, v, w, theta = step(
            ops[l], where[l], places[l], q1[l], q2[l], g1[l], g2[l], c, v, w, theta, par, numbers[l], row1, row2
        )
    return theta if tangent else c


@njit(nogil=True, error_model="numpy", cache=True)
def gap(x: Any, z: Any, sign: float) -> float:
    """Return ‖x − sign·z‖² in float64."""
    total = 0.0
    for j in range(x.size):
        t = float(x[j]) - sign * float(z[j])
        total += t * t
    return total


@njit(nogil=True, error_model="numpy", cache=True)
def turn(x: Any, z: Any, r1: float, r2: float, sign: float) -> float:
    """Return ‖x/r1 − sign·z/r2‖² in float64 for rows of lengths r1 and r2: the squared chord of their angle."""
    total = 0.0
    for j in range(x.size):
        t = float(x[j]) / r1 - sign * float(z[j]) / r2
        total += t * t
    return total


@njit(nogil=True, error_model="numpy", cache=True)
def opening(shift: float, close: float, dot: float, x: Any, z: Any, n1: float, n2: float) -> Any:
    """Return (c, v, w) of the input layer from the dot product of the rows; n1 and n2 are their squared lengths."""
    r1 = sqrt(n1)
    r2 = sqrt(n2)
    p = geometric_mean(n1, n2)
    v = 2.0 * (p - dot)
    w = 2.0 * (p + dot)
    if v < 2.0 * close * p:
        v = p * turn(x, z, r1, r2, 1.0)
        w = 4.0 * p - v
    elif w < 2.0 * close * p:
        w = p * turn(x, z, r1, r2, -1.0)
        v = 4.0 * p - w
    c = p - v / 2.0 if v < w else w / 2.0 - p
    more = combine(n1, n2, shift, shift)
    return c + shift, v + more, w + more + 4.0 * shift


@njit(nogil=True, error_model="numpy", cache=True)
def pair(
    tangent: bool, heat: float, shift: float, close: float, dot: float, x: Any, z: Any, n1: float, n2: float,
    ops: Any, where: Any, places: Any, par: Any, numbers: Any, q1: Any, q2: Any, g1: Any, g2: Any, row1: Any, row2: Any
) -> Any:  # fmt: skip
    """Return one entry from the dot product of the rows; n1 and n2 are their squared lengths."""
    c, v, w = opening(shift, close, dot, x, z, n1, n2)
    return entry(
        tangent, heat * c, c, v, w, ops, where, places, par, numbers, q1, q2, g1, g2, row1, row2
    )  # fmt: skip


@njit(nogil=True, error_model="numpy", cache=True)
def recursion_pass(
    out: Any, width: int, first: int, mirrored: bool, tangent: bool, heat: float, shift: float, close: float,
    x: Any, z: Any, n1: Any, n2: Any, ops: Any, where: Any, places: Any, par: Any, numbers: Any,
    q1: Any, q2: Any, g1: Any, g2: Any, rows1: Any, rows2: Any
) -> None:  # fmt: skip
    """Turn dot products into kernel entries in place.

    ``out`` (b, m) holds rows ``first``… of x against the first ``width`` of z; if ``mirrored`` only columns j
    ≤ i are computed. ``heat`` is 1 when the input layer is trained, ``shift`` its bias variance σ_b².
    """
    for a in range(out.shape[0]):
        i = first + a
        columns = i + 1 if mirrored else width
        for j in range(columns):
            out[a, j] = pair(
                tangent, heat, shift, close, out[a, j], x[i], z[j], n1[i], n2[j], ops, where, places, par, numbers,
                q1[i], q2[j], g1[i], g2[j], rows1[i], rows2[j],
            )  # fmt: skip


@njit(nogil=True, error_model="numpy", cache=True)
def diagonal_pass(
    out: Any, tangent: bool, heat: float, shift: float, n1: Any,
    ops: Any, where: Any, places: Any, par: Any, numbers: Any, q1: Any, g1: Any, rows1: Any
) -> None:  # fmt: skip
    """Write the kernel of each row with itself into ``out`` (n,)."""
    for i in range(out.size):
        q = n1[i] + shift
        out[i] = entry(
            tangent, heat * q, q, 0.0, 4.0 * q, ops, where, places, par, numbers,
            q1[i], q1[i], g1[i], g1[i], rows1[i], rows1[i],
        )  # fmt: skip


@njit(nogil=True, error_model="numpy", cache=True)
def squared_lengths(x: Any, out: Any) -> None:
    """Write ‖x_i‖² in float64 into ``out`` (n,), summed in one fixed order whatever the batch."""
    for i in range(x.shape[0]):
        total = 0.0
        for j in range(x.shape[1]):
            t = float(x[i, j])
            total += t * t
        out[i] = total


@njit(nogil=True, error_model="numpy", cache=True)
def divide_rows(x: Any, lengths: Any, out: Any, start: int, stop: int) -> None:
    """Write x_i / lengths_i into rows ``start`` to ``stop`` of ``out``, divided in float64."""
    for i in range(start, stop):
        length = lengths[i]
        for j in range(x.shape[1]):
            out[i, j] = float(x[i, j]) / length

"""The depth-L recursion in one fused pass over a tile, carrying (c, d, s, Θ) for each pair of rows.

c is the covariance, d = q1 + q2 − 2c and s = q1 + q2 + 2c the squared lengths of difference and sum.  d comes
from the dot product except where rows are close; there it is recomputed from row differences (and s from row
sums where rows are nearly antipodal), because 1 − cos θ from a dot product has lost half of its digits at θ =
1e-8. Cost: one dual per layer and entry, no temporaries; rows that are close cost one pass over their d
columns more.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from ntkdist.kernels.duals.error_function import error_function
from ntkdist.kernels.duals.exponential import bell, exponential, sinusoid
from ntkdist.kernels.duals.gelu import gelu
from ntkdist.kernels.duals.portable import positive, sqrt
from ntkdist.kernels.duals.rectified_power import rectified_power
from ntkdist.kernels.duals.rectifier import rectifier, sign
from ntkdist.kernels.duals.series import series


@njit(nogil=True, error_model="numpy", cache=True)
def dual(op: int, q1: Any, q2: Any, c: Any, d: Any, s: Any, par: Any, k: int, row1: Any, row2: Any, m: int) -> Any:
    """Return (F, Ḟ, D′, S′) of the dual with code ``op`` (the order of ``activation.py``)."""
    if op == 0:
        return rectifier(q1, q2, c, d, s, par, k, row1, row2, m)
    if op == 1:
        return sign(q1, q2, c, d, s, par, k, row1, row2, m)
    if op == 2:
        return error_function(q1, q2, c, d, s, par, k, row1, row2, m)
    if op == 3:
        return gelu(q1, q2, c, d, s, par, k, row1, row2, m)
    if op == 4:
        return sinusoid(q1, q2, c, d, s, par, k, row1, row2, m)
    if op == 5:
        return exponential(q1, q2, c, d, s, par, k, row1, row2, m)
    if op == 6:
        return bell(q1, q2, c, d, s, par, k, row1, row2, m)
    if op == 7:
        return rectified_power(q1, q2, c, d, s, par, k, row1, row2, m)
    return series(q1, q2, c, d, s, par, k, row1, row2, m)


@njit(nogil=True, error_model="numpy", cache=True)
def normalised(q1: Any, q2: Any, d: Any, eps: Any) -> Any:
    """Return the squared distance of two rows after LayerNorm: collinear part plus angular part."""
    r1 = sqrt(q1)
    r2 = sqrt(q2)
    scale = sqrt(q1 + eps) * sqrt(q2 + eps)
    gap = r1 / sqrt(q1 + eps) - r2 / sqrt(q2 + eps)
    return positive(d - (r1 - r2) * (r1 - r2)) / scale + gap * gap


@njit(nogil=True, error_model="numpy", cache=True)
def step(
    op: int, k: int, m: int, q1: Any, q2: Any, c: Any, d: Any, s: Any, theta: Any,
    par: Any, num: Any, row1: Any, row2: Any
) -> Any:  # fmt: skip
    """Return (c, d, s, Θ) after one layer; ``num`` is a row of ``Program.numbers``."""
    a = q1
    b = q2
    u = c
    v = d
    w = s
    inner = theta
    if num[5] > 0.0:
        scale = sqrt(q1 + num[6]) * sqrt(q2 + num[6])
        a = q1 / (q1 + num[6])
        b = q2 / (q2 + num[6])
        u = c / scale
        v = normalised(q1, q2, d, num[6])
        w = normalised(q1, q2, s, num[6])
        # Lengths are known exactly here, so c follows from the smaller distance.
        inner = theta / scale
    f, fdot, d_next, s_next = dual(op, a, b, u, v, w, par, k, row1, row2, m)
    c_next = num[0] * f + num[1]
    theta_next = num[2] * fdot * inner + num[3] * f + num[4]
    d_next = num[0] * d_next
    s_next = num[0] * s_next + 4.0 * num[1]
    if num[7] > 0.0:
        c_next += c
        theta_next += theta
        d_next += d
        s_next += s
    return c_next, d_next, s_next, theta_next


@njit(nogil=True, error_model="numpy", cache=True)
def norm_step(state: Any, op: int, k: int, m: int, par: Any, num: Any, coefficients: Any) -> None:
    """Advance the norms ``state`` (n,) by one layer in place: ``step`` with d = 0."""
    for i in range(state.size):
        q = state[i]
        row = coefficients[i]
        c, _d, _s, _t = step(op, k, m, q, q, q, 0.0, 4.0 * q, 0.0, par, num, row, row)
        state[i] = c


@njit(nogil=True, error_model="numpy", cache=True)
def entry(
    tangent: bool, start: Any, c: Any, d: Any, s: Any, ops: Any, where: Any, places: Any, par: Any, numbers:
    Any, q1: Any, q2: Any, row1: Any, row2: Any
) -> Any:  # fmt: skip
    """Return Θ (or Σ) of one pair after all layers; ``start`` is Θ⁰, q1[l] and q2[l] the rows' norms."""
    theta = start
    for l in range(ops.size):
        c, d, s, theta = step(ops[l], where[l], places[l], q1[l], q2[l], c, d, s, theta, par, numbers[l], row1, row2)
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
def pair(
    tangent: bool, heat: float, shift: float, close: float, dot: float, x: Any, z: Any, n1: float, n2: float,
    ops: Any, where: Any, places: Any, par: Any, numbers: Any, q1: Any, q2: Any, row1: Any, row2: Any
) -> Any:  # fmt: skip
    """Return one entry from the dot product of the rows; n1 and n2 are their squared lengths."""
    total = n1 + n2
    d = total - 2.0 * dot
    s = total + 2.0 * dot
    if d < close * total:
        d = gap(x, z, 1.0)
        s = 2.0 * total - d
    elif s < close * total:
        s = gap(x, z, -1.0)
        d = 2.0 * total - s
    c = (total - d) / 2.0 if d < s else (s - total) / 2.0
    c += shift
    start = heat * c
    return entry(tangent, start, c, d, s + 4.0 * shift, ops, where, places, par, numbers, q1, q2, row1, row2)


@njit(nogil=True, error_model="numpy", cache=True)
def recursion_pass(
    out: Any, width: int, first: int, mirrored: bool, tangent: bool, heat: float, shift: float, close: float,
    x: Any, z: Any, n1: Any, n2: Any,
    ops: Any, where: Any, places: Any, par: Any, numbers: Any, q1: Any, q2: Any, rows1: Any, rows2: Any
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
                tangent, heat, shift, close, out[a, j], x[i], z[j], n1[i], n2[j],
                ops, where, places, par, numbers, q1[i], q2[j], rows1[i], rows2[j],
            )  # fmt: skip


@njit(nogil=True, error_model="numpy", cache=True)
def diagonal_pass(
    out: Any, tangent: bool, heat: float, shift: float, n1: Any,
    ops: Any, where: Any, places: Any, par: Any, numbers: Any, q1: Any, rows1: Any
) -> None:  # fmt: skip
    """Write the kernel of each row with itself into ``out`` (n,)."""
    for i in range(out.size):
        q = n1[i] + shift
        out[i] = entry(
            tangent,
            heat * q,
            q,
            0.0,
            4.0 * q,
            ops,
            where,
            places,
            par,
            numbers,
            q1[i],
            q1[i],
            rows1[i],
            rows1[i],
        )


@njit(nogil=True, error_model="numpy", cache=True)
def mirror(out: Any, start: int, stop: int) -> None:
    """Copy the lower triangle of a square tile onto rows ``start`` to ``stop`` of the upper one, by cache
    blocks.
    """
    n = out.shape[0]
    for top in range(start, stop, 32):
        for left in range(top, n, 32):
            for j in range(top, min(top + 32, stop)):
                for i in range(max(left, j + 1), min(left + 32, n)):
                    out[j, i] = out[i, j]


@njit(nogil=True, error_model="numpy", cache=True)
def squared_lengths(x: Any, out: Any) -> None:
    """Write ‖x_i‖² in float64 into ``out`` (n,), summed in one fixed order whatever the batch."""
    for i in range(x.shape[0]):
        total = 0.0
        for j in range(x.shape[1]):
            t = float(x[i, j])
            total += t * t
        out[i] = total

"""Any activation given as a piecewise Chebyshev table, smooth or with kinks (``piecewise.py``).

Away from ρ = ±1 the Hermite series F = Σ a_k(q1) a_k(q2) ρᵏ converges geometrically whatever φ is, and where both
rows' series are complete it serves everywhere.  Where they are not (a kink, or a row so long that φ is steep on
its scale) and |ρ| is above par[k+3], the expectation is taken in polar coordinates: u = √q1 r cos(ψ + θ/2),
v = ±√q2 r cos(ψ − θ/2), by Gauss–Legendre in r and ψ on panels that end wherever u or v crosses zero or a kink, so
the integrand is analytic on each of them; panels shrink towards the sectors' ends.  E (φ(u) − φ(v))² and
E (φ(u) + φ(v))² are summed as they stand, so a small angle keeps its digits.  Cost: a few multiplications per
term, or some 10⁴ table reads (about a millisecond) for an entry of the second kind.

par[k:] holds the number of terms, of edges, of kinks, the |ρ| where the series ends, the scale on which φ varies,
then edges, kinks, the coefficients of φ and of φ′ (16 each a piece), ten Gauss–Legendre nodes on [0, 1] and their
weights.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from ntkdist.kernels.duals.portable import PI, atan2, cos, exp, gap_of, positive, sin, sqrt
from ntkdist.kernels.duals.series import expansion


@njit(nogil=True, error_model="numpy", cache=True)
def piece_of(x: Any, par: Any, first: int, edges: int) -> int:
    """Return the piece that holds x: edges start at par[first]."""
    low = 0
    high = edges - 1
    while high - low > 1:
        middle = (low + high) // 2
        if par[first + middle] <= x:
            low = middle
        else:
            high = middle
    return low


@njit(nogil=True, error_model="numpy", cache=True)
def chebyshev(t: Any, par: Any, first: int) -> Any:
    """Return Σ par[first + j] T_j(t), j < 16, by Clenshaw's recurrence."""
    b1 = 0.0 * t
    b2 = 0.0 * t
    for j in range(15, 0, -1):
        now = 2.0 * t * b1 - b2 + par[first + j]
        b2 = b1
        b1 = now
    return t * b1 - b2 + par[first]


@njit(nogil=True, error_model="numpy", cache=True)
def look_up(x: Any, par: Any, k: int) -> Any:
    """Return φ(x) and φ′(x) from the table."""
    edges = int(par[k + 1])
    first = k + 5
    piece = piece_of(x, par, first, edges)
    a = par[first + piece]
    b = par[first + piece + 1]
    t = (2.0 * x - a - b) / (b - a)
    table = first + edges + int(par[k + 2])
    value = chebyshev(t, par, table + 16 * piece)
    slope = chebyshev(t, par, table + 16 * (edges - 1 + piece))
    return value, slope


@njit(nogil=True, error_model="numpy", cache=True)
def next_radius(r: Any, cu: Any, cv: Any, par: Any, k: int) -> Any:
    """Return the next end of a panel along the ray u = cu r, v = cv r."""
    edges = int(par[k + 1])
    kinks = int(par[k + 2])
    stop = 9.0 + 0.0 * r
    for mark in range(4):
        # 1, 2.7, 4.8, 6.8: the weight's own scale.
        fixed = 1.0 + mark * (1.6 + 0.1 * mark) + 0.0 * r
        if fixed > r and fixed < stop:
            stop = fixed
    largest = cu if cu > 0.0 else -cu
    other = cv if cv > 0.0 else -cv
    if other > largest:
        largest = other
    if largest > 0.0:
        for mark in range(4):
            # And the activation's: where the longer of the two reaches 1, 2, 4, 8 times its scale.
            scaled = 2.0**mark * par[k + 4] / largest
            if scaled > r + 1e-9 and scaled < stop:
                stop = scaled
    for j in range(kinks):
        t = par[k + 5 + edges + j]
        for which in range(2):
            slope = cu if which == 0 else cv
            if t * slope > 0.0:
                crossing = t / slope
                if crossing > r * (1.0 + 1e-15) and crossing < stop:
                    stop = crossing
    return stop


@njit(nogil=True, error_model="numpy", cache=True)
def ray(cu: Any, cv: Any, par: Any, k: int) -> Any:
    """Return ∫ r e^{−r²/2} (φφ, φ′φ′, (φ − φ)², (φ + φ)²) dr along u = cu r, v = cv r."""
    edges = int(par[k + 1])
    gauss = k + 5 + edges + int(par[k + 2]) + 32 * (edges - 1)
    both = 0.0 * cu
    slopes = 0.0 * cu
    apart = 0.0 * cu
    along = 0.0 * cu
    r = 0.0 * cu
    while r < 9.0:
        stop = next_radius(r, cu, cv, par, k)
        for j in range(10):
            x = r + (stop - r) * par[gauss + j]
            weight = (stop - r) * par[gauss + 10 + j] * x * exp(-x * x / 2.0)
            f, f_slope = look_up(cu * x, par, k)
            g, g_slope = look_up(cv * x, par, k)
            both += weight * f * g
            slopes += weight * f_slope * g_slope
            apart += weight * (f - g) * (f - g)
            along += weight * (f + g) * (f + g)
        r = stop
    return both, slopes, apart, along


@njit(nogil=True, error_model="numpy", cache=True)
def next_angle(psi: Any, low: Any, high: Any, half: Any, r1: Any, r2: Any, turned: Any, par: Any, k: int) -> Any:
    """Return the next end of a panel in the sector [low, high]: graded ends, and where kinks of u and v meet."""
    edges = int(par[k + 1])
    kinks = int(par[k + 2])
    stop = high
    width = high - low
    tiny = 1e-13 * width
    share = 0.5
    # At a distance x from the sector's end one of u, v is x times as long as the other: down to φ's own scale.
    finest = par[k + 4] / (32.0 * (r1 if r1 > r2 else r2))
    while share > 1.0 / 64.0 or (share > finest and share > 1.0 / 4096.0):
        for side in range(2):
            mark = low + share * width if side == 0 else high - share * width
            if mark > psi + tiny and mark < stop - tiny:
                stop = mark
        share = share / 2.0
    for i in range(kinks):
        for j in range(kinks):
            # u = t_i and v = t_j on one ray: r1 cos(ψ + h) t_j = ± r2 cos(ψ − h) t_i.
            x = r1 * par[k + 5 + edges + j]
            y = turned * r2 * par[k + 5 + edges + i]
            mark = atan2((x - y) * cos(half), (x + y) * sin(half))
            for lap in range(-1, 3):
                where = mark + lap * PI
                if where > psi + tiny and where < stop - tiny:
                    stop = where
    return stop


@njit(nogil=True, error_model="numpy", cache=True)
def polar(q1: Any, q2: Any, theta: Any, turned: Any, par: Any, k: int) -> Any:
    """Return E φφ, E φ′φ′, E(φ − φ)², E(φ + φ)² of u, v at the angle θ (or π − θ, for ``turned`` = −1)."""
    edges = int(par[k + 1])
    gauss = k + 5 + edges + int(par[k + 2]) + 32 * (edges - 1)
    r1 = sqrt(q1)
    r2 = sqrt(q2)
    half = theta / 2.0
    both = 0.0 * q1
    slopes = 0.0 * q1
    apart = 0.0 * q1
    along = 0.0 * q1
    for sector in range(4):
        # Ends of the sectors: where u or v changes sign.  Odd sectors are the thin ones.
        wide = PI - theta
        low = -PI / 2.0 + half + (sector // 2) * PI + (wide if sector % 2 == 1 else 0.0 * q1)
        high = low + (wide if sector % 2 == 0 else theta)
        psi = low
        while psi < high:
            stop = next_angle(psi, low, high, half, r1, r2, turned, par, k)
            for j in range(10):
                x = psi + (stop - psi) * par[gauss + j]
                weight = (stop - psi) * par[gauss + 10 + j] / (2.0 * PI)
                a, b, c, d = ray(r1 * cos(x + half), turned * r2 * cos(x - half), par, k)
                both += weight * a
                slopes += weight * b
                apart += weight * c
                along += weight * d
            psi = stop
    return both, slopes, apart, along


@njit(nogil=True, error_model="numpy", cache=True)
def alone(q: Any, par: Any, k: int) -> Any:
    """Return E φ² and E φ′² of one row, on panels that end at the table's edges: ρ = 1 needs one dimension only."""
    edges = int(par[k + 1])
    gauss = k + 5 + edges + int(par[k + 2]) + 32 * (edges - 1)
    root = sqrt(q)
    square = 0.0 * q
    bend = 0.0 * q
    z = -9.0 + 0.0 * q
    while z < 9.0:
        stop = z + 0.5
        # The first edge beyond z; an edge within rounding of z is z itself.
        place = piece_of(root * z, par, k + 5, edges) + 1
        if place < edges and par[k + 5 + place] <= root * z + 1e-14 * (1.0 + root):
            place = place + 1
        if root > 0.0 and place < edges and par[k + 5 + place] < stop * root:
            stop = par[k + 5 + place] / root
        if stop > 9.0:
            stop = 9.0 + 0.0 * q
        for j in range(10):
            x = z + (stop - z) * par[gauss + j]
            value, slope = look_up(root * x, par, k)
            share = (stop - z) * par[gauss + 10 + j] * exp(-x * x / 2.0) / sqrt(2.0 * PI)
            square += share * value * value
            bend += share * slope * slope
        z = stop
    return square, bend


@njit(nogil=True, error_model="numpy", cache=True)
def tabulated(
    q1: Any, q2: Any, g1: Any, g2: Any, c: Any, v: Any, w: Any, par: Any, k: int, row1: Any, row2: Any, m: int
) -> Any:  # fmt: skip
    """Return (F, Ḟ, V′, W′); row[m] is how many terms complete the row's series (0 if none do), then its a_k."""
    p = sqrt(q1) * sqrt(q2)
    acute = v <= w
    near = v if acute else w
    complete = row1[m] > 0.0 and row2[m] > 0.0
    terms = int(par[k])
    if complete:
        terms = int(row1[m] if row1[m] > row2[m] else row2[m])
    radial = gap_of(g1, g2)
    if complete or near >= 2.0 * p * (1.0 - par[k + 3]):
        f, fdot, close, wide = expansion(q1, q2, v, w, terms, row1, row2, m + 1)
        if not complete:
            # The terms left out are invisible in F here, but not in a sum of squares of all of them.
            close = g1 + g2 - 2.0 * f
            wide = g1 + g2 + 2.0 * f
        return f, fdot, positive(close - radial), positive(wide - radial)
    if v == 0.0 and q1 == q2:
        square, bend = alone(q1, par, k)
        return square, bend, 0.0 * q1, 4.0 * square
    angle = 2.0 * atan2(sqrt(near), sqrt(positive(4.0 * p - near)))
    f, fdot, close, wide = polar(q1, q2, angle, 1.0 if acute else -1.0, par, k)
    return f, fdot, positive(close - radial), positive(wide - radial)

"""Any smooth activation by its Hermite expansion: φ(√q z) = Σ a_k(q) h_k(z) gives F = Σ a_k(q1) a_k(q2) ρᵏ.

h_k are the orthonormal (probabilists') Hermite polynomials and ρ the correlation (Mehler's formula; O'Donnell
2014, §11.2).  Ḟ = Σ k a_k(q1) a_k(q2) ρᵏ⁻¹/p.  The coefficients of each row are computed once, so an entry
costs a few multiplications per term.  The image's distance is Σ (a_k(q1) − a_k(q2))² + 2 Σ a_k(q1) a_k(q2) (1
− ρᵏ), in which 1 − ρᵏ is accumulated from 1 − ρ; past the right angle the same with (−1)ᵏ.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from ntkdist.kernels.duals.portable import gap_of, positive, sqrt


@njit(nogil=True, error_model="numpy", cache=True)
def expansion(q1: Any, q2: Any, v: Any, w: Any, terms: int, row1: Any, row2: Any, m: int) -> Any:
    """Return F, Ḟ and the image's squared distances E(φ(u) − φ(v))², E(φ(u) + φ(v))² by ``terms`` terms."""
    p = sqrt(q1) * sqrt(q2)
    acute = v <= w
    near = v if acute else w
    # x = |ρ| and lack = 1 − |ρ|; a zero row has only its constant coefficient, so any finite ρ will do.
    lack = near / (2.0 * p) if p > 0.0 else 0.0 * p
    x = 1.0 - lack
    f = 0.0 * p
    slope = 0.0 * p
    close = 0.0 * p
    wide = 0.0 * p
    value = 1.0 + 0.0 * p
    before = 0.0 * p
    missing = 0.0 * p
    sign = 1.0
    for j in range(terms):
        a = row1[m + j]
        b = row2[m + j]
        turned = b if acute else sign * b
        product = a * turned
        f += product * value
        slope += product * j * before
        close += (a - turned) * (a - turned) + 2.0 * product * missing
        wide += (a + turned) * (a + turned) - 2.0 * product * missing
        before = value
        missing += value * lack
        value = value * x
        sign = -sign
    fdot = slope / p if p > 0.0 else 0.0 * p
    # d/dc of Σ a b (−1)ᵏ|ρ|ᵏ: past the right angle ρ = −|ρ|, so the slope changes sign; the two distances
    # mean what they say, because ``turned`` already holds the reflected second row.
    return f, fdot if acute else -fdot, close, wide


@njit(nogil=True, error_model="numpy", cache=True)
def series(
    q1: Any, q2: Any, g1: Any, g2: Any, c: Any, v: Any, w: Any, par: Any, k: int, row1: Any, row2: Any, m: int
) -> Any:  # fmt: skip
    """Return (F, Ḟ, V′, W′); par[k] is the number of terms, row1[m:] and row2[m:] the rows' coefficients."""
    f, fdot, close, wide = expansion(q1, q2, v, w, int(par[k]), row1, row2, m)
    radial = gap_of(g1, g2)
    return f, fdot, positive(close - radial), positive(wide - radial)

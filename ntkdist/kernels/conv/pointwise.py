"""One ReLU-like layer at one pair of positions, as text that is both Python and CUDA C.

With K = w·(box sum) + b² before the activation, q and q′ its two diagonal values and ρ = K/√(qq′), the activation
φ(x) = α x + β|x| has E φφ′ = √(qq′)(c₁κ₁(ρ) + c₂ρ) and E φ̇φ̇′ = c₁κ₀(ρ) + c₂, where c₁ = 2β², c₂ = α² − β²,
κ₀ = (π − θ)/π and κ₁ = (sin θ + (π − θ) cos θ)/π (Cho & Saul 2009).  The weight variance w = σ_w²/filter² is in the
tables: each position has a = √(w/q) (0 where the patch is empty) and s = √(c₁q), so that ρ = (sum + b²/w) a a′.

``k`` and ``t`` are the sums of K and of T = Θ + K (or Θ alone where the next layer is frozen: ``train`` = 0).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from ntkdist.kernels.conv.arc import arc_polynomials

# 1 − |ρ| is lowered by this many rounding units: positions whose patches are equal get θ = 0 exactly, instead of
# an angle of √(2u) that every rounding error of ρ would open (the cusp of the ReLU kernel).  ρ inherits the rounding
# of the layers below, so each layer adds some.
SNAP = {"float32": 4, "float64": 8}
ROUNDING_PER_LAYER = 4


def layer_lines(dtype: str, constant: Callable[[str, int], str]) -> list[str]:
    """Return the assignments from (k, t, ai, aj, si, sj) to (kn, tn), one a line, without terminators.

    ``constant(name, n)`` spells coefficient n of ``P`` or ``Q``; the text uses only + − * and the functions fma,
    root, size (absolute value), most (larger of two), at_least_zero (a choice).
    """
    p, q = (c.size - 1 for c in arc_polynomials(dtype))
    lines = ["rho = fma(k, ai * aj, kb * (ai * aj))", "u = most(top - size(rho), zero)", "r = root(u)"]
    for name, degree in (("P", p), ("Q", q)):
        v = name.lower()
        lines.append(f"{v}{degree} = {constant(name, degree)}")
        lines += [f"{v}{n} = fma({v}{n + 1}, u, {constant(name, n)})" for n in range(degree - 1, -1, -1)]
    return [
        *lines,
        "back = r * p0",
        "k0 = at_least_zero(rho, one - back, back)",
        "k1 = fma(r * u, q0, fma(rho, ratio, most(rho, zero)))",
        "kn = si * sj * k1",
        "tn = fma(t + tb, fma(k0, heat, drift), train * kn)",
    ]


def coefficients(dtype: str) -> dict[str, NDArray[Any]]:
    """Return the polynomials by their names in ``layer_lines``."""
    p, q = arc_polynomials(dtype)
    return {"P": p, "Q": q}

"""A proved upper bound of λ_max from one Ritz pair and the Frobenius norm, without a factorization.

In an orthonormal basis that starts with the Ritz vector v, K = [[θ, rᵀ], [r, B]] with r = Kv − θv, so

    λ_max(K) ≤ max(θ, ‖B‖_F) + ‖r‖,   ‖B‖²_F = ‖K‖²_F − θ² − 2‖r‖²

(Weyl; the Frobenius norm bounds the spectral norm). An NTK's first eigenvalue stands so far above the others that
the maximum is θ: one scan of the tiles proves the bound to ‖r‖. Where ‖B‖_F exceeds θ it is no use, and None says
so.
"""

from __future__ import annotations

import math

import numpy as np

from ntkdist.linalg.eigenpair import Eigenpair
from ntkdist.linalg.operator import Operator, lower_tiles

_U = 2.0**-53


def frobenius_squared(op: Operator) -> float:
    """‖K‖²_F in float64, with relative error at most n²u."""
    total = 0.0
    for rows, cols, tile in lower_tiles(op):
        wide = tile.astype(np.float64, copy=False).ravel()
        total += float(wide @ wide) * (1.0 if rows == cols else 2.0)
    return total


def frobenius_upper_bound(op: Operator, pair: Eigenpair, slack: float) -> float | None:
    """An upper bound of λ_max, or None; ``slack`` bounds the rounding of θ and of ‖r‖ (γ_2n tr K and the like)."""
    n, theta = op.shape[0], float(pair.value)
    square = frobenius_squared(op) * (1 + 2 * float(n) * n * _U)
    lowest = max(0.0, abs(theta) - slack)
    rest = math.sqrt(max(0.0, square - lowest**2)) * (1 + 4 * _U)
    if not math.isfinite(rest) or rest > theta:
        return None
    return math.nextafter(theta + slack + pair.residual_norm + slack, math.inf)

"""yᵀ(K + ridge·I)⁻¹y between bounds, from any approximate solution x.

With r = y − (K + ridge·I)x: 2yᵀx − xᵀ(K + ridge·I)x ≤ yᵀ(K + ridge·I)⁻¹y ≤ the same + ‖r‖²/λ, for any λ that
bounds the smallest eigenvalue from below. Cost: one pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.linalg.operator import Operator

Array = NDArray[Any]


@dataclass(frozen=True)
class Bracket:
    """Lower bound, value and upper bound per column, (k,) each; an upper bound is infinite where none is
    proved."""

    lower: Array
    upper: Array
    value: Array


def inverse_form(op: Operator, y: Array, x: Array, lambda_lower: float, ridge: float = 0.0) -> Bracket:
    """Bracket y_kᵀ(K + ridge·I)⁻¹y_k for each column, given x ≈ (K + ridge·I)⁻¹y and ``lambda_lower`` ≤
    λ_min(K)."""
    product = op.matmat(x) + ridge * x
    n = len(y)
    value = 2 * np.einsum("ij,ij->j", y, x) - np.einsum("ij,ij->j", x, product)
    # Both sums have n terms: widen by their rounding.
    size = 2 * np.einsum("ij,ij->j", np.abs(y), np.abs(x)) + np.einsum("ij,ij->j", np.abs(x), np.abs(product))
    rounding = 2 * n * 2.0**-53 * size
    gap = np.einsum("ij,ij->j", y - product, y - product)
    floor = lambda_lower + ridge
    above = gap / floor if floor > 0 else np.where(gap > 0, np.inf, 0.0)
    return Bracket(np.maximum(value - rounding, 0.0), value + rounding + above, np.maximum(value, 0.0))

"""The NNGP posterior: mean and variance of an infinitely wide Bayesian network, with sided bounds.

f* | y ~ N(k_*ᵀK⁻¹y, Σ(x*, x*) − k_*ᵀK⁻¹k_*) with K = Σ + σ²I (Rasmussen & Williams 2006, §2.2; Lee et al.
2018). For any approximate solve Z ≈ K⁻¹k_* with residual R = k_* − KZ, the number q = k_*ᵀZ + ZᵀR satisfies
q ≤ k_*ᵀK⁻¹k_* ≤ q + ‖R‖²/λ, λ ≤ λ_min(K): an unfinished solve still gives a variance between bounds. Cost:
O(nm).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ntkdist.errors import InputError
from ntkdist.theory.dynamics import Band


@dataclass(frozen=True)
class Posterior:
    """``mean`` (m, k) and ``variance`` (m,) (of the function, without observation noise) with bounds."""

    mean: NDArray[np.float64]
    variance: Band


def posterior(
    k_cross: ArrayLike,
    k_diag: ArrayLike,
    alpha: ArrayLike,
    solved: ArrayLike,
    residual: ArrayLike,
    lambda_lower: float,
) -> Posterior:
    """Posterior on m points from solves.

    ``k_cross`` (m, n), ``k_diag`` (m,): kernel values; ``alpha`` (n, k) = K⁻¹y; ``solved`` (n, m) ≈
    K⁻¹k_crossᵀ; ``residual`` (n, m) = k_crossᵀ − K·solved; ``lambda_lower`` ≤ λ_min(K), 0 if unknown (then
    no lower bound but 0).
    """
    cross, prior = np.asarray(k_cross, np.float64), np.asarray(k_diag, np.float64)
    weights, z, r = (np.asarray(a, np.float64) for a in (alpha, solved, residual))
    if z.shape != cross.T.shape or r.shape != z.shape or prior.shape != (len(cross),) or len(weights) != len(z):
        raise InputError(f"posterior got k_cross {cross.shape}, solved {z.shape}, residual {r.shape}")
    explained = (cross.T * z).sum(axis=0) + (z * r).sum(axis=0)
    rounding = 8.0 * len(z) * 2.0**-53 * (prior + np.abs(cross.T * z).sum(axis=0))
    upper = prior - explained + rounding
    missing = (r**2).sum(axis=0) / lambda_lower if lambda_lower > 0.0 else np.full(len(cross), np.inf)
    lower = np.maximum(prior - explained - missing - rounding, 0.0)  # a variance is not negative
    return Posterior(cross @ weights, Band(np.maximum(prior - explained, 0.0), lower, np.maximum(upper, 0.0)))

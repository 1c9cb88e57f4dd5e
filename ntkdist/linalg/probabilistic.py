"""A lower bound of λ_min that fails with a stated probability.

For A = P⁻¹K with P = F Fᵀ + μI ⪰ μI, λ_min(K) ≥ μ·λ_min(A). A block Krylov space of A from s Gaussian starts
(in the split space) of k steps gives extreme Ritz values θ₁, θ_n with, except with probability δ (Kuczyński &
Woźniakowski 1992), λ_n ≤ θ_n/(1−ε) and λ₁ ≥ (θ₁ − ε λ_n)/(1 − ε), ε = (ln(1.648 √n δ^(−1/s))/(2k − 1))².
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.kernels.blas import one_blas_thread
from ntkdist.linalg.operator import Operator
from ntkdist.linalg.rpcholesky import LowRankPreconditioner

Array = NDArray[Any]
FAILURE = 1e-9


def probabilistic_lower_bound(
    op: Operator,
    preconditioner: LowRankPreconditioner,
    *,
    delta: float = FAILURE,
    block: int = 16,
    steps: int = 40,
    seed: int = 3,
) -> float:
    """μ·λ_min(P⁻¹K) from below, except with probability ``delta``; may be negative when the space is too
    small."""
    n, rng = op.shape[0], np.random.default_rng(seed)
    factor, mu = preconditioner.factor, preconditioner.mu
    steps = max(1, min(steps, n // block))

    def metric(v: Array) -> Array:
        return np.asarray(factor @ (factor.T @ v) + mu * v)

    with one_blas_thread():
        start = factor @ rng.standard_normal((factor.shape[1], block)) + math.sqrt(mu) * rng.standard_normal((n, block))
        new = _metric_orthonormal(preconditioner.apply(start), np.empty((n, 0)), metric)
        basis, image = np.empty((n, 0)), np.empty((n, 0))
        for _ in range(steps):
            product = op.matmat(new)
            basis, image = np.hstack([basis, new]), np.hstack([image, product])
            new = _metric_orthonormal(preconditioner.apply(product), basis, metric)
            if not new.shape[1]:
                break
        projected = basis.T @ image
    values = np.linalg.eigvalsh((projected + projected.T) / 2)
    epsilon = (math.log(1.648 * math.sqrt(n) * delta ** (-1 / block)) / (2 * steps - 1)) ** 2
    if epsilon >= 1:
        return -math.inf
    largest = float(values[-1]) / (1 - epsilon)
    return mu * (float(values[0]) - epsilon * largest) / (1 - epsilon)


def _metric_orthonormal(v: Array, basis: Array, metric: Any) -> Array:
    """Orthonormalise V in the inner product of P, against the basis and itself; dependent directions are
    dropped."""
    for _ in range(2):
        if basis.shape[1]:
            v = v - basis @ (basis.T @ metric(v))
        gram = v.T @ metric(v)
        values, vectors = np.linalg.eigh((gram + gram.T) / 2)
        keep = values > 1e-12 * max(float(values[-1]), np.finfo(float).tiny)
        v = v @ (vectors[:, keep] / np.sqrt(values[keep]))
    return np.asarray(v)

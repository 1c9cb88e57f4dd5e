"""The learning curve that the kernel's own spectrum predicts: test error as a function of n.

With population eigenvalues λ_i and target coefficients v_i, n random samples and ridge δ, the effective
regularisation κ solves Σ λ_i/(λ_i + κ) + δ/κ = n; modes are learned in the share L_i = λ_i/(λ_i + κ) and

    E_test = n/(n − Σ L_i²) · (Σ (1 − L_i)² v_i² + σ²)

(Canatar, Bordelon & Pehlevan 2021, Nat. Commun. 12; Simon, Dickens, Karkada & DeWeese 2021). The population
is taken to be the N rows at hand: λ_i = eig(Θ_N)/N, v_i² = (q_iᵀy)²/N. Nodes may carry weights, so Lanczos
quadrature serves as well as a dense spectrum. An asymptotic theory, excellent in practice; no bound. Cost:
O(N) per n.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from ntkdist.errors import InputError


@dataclass(frozen=True)
class LearningCurve:
    """Predictions at ``n`` (R,): ``kappa``, ``population_mse`` per row (outputs summed), ``unseen_mse``.

    ``unseen_mse`` is the error on rows that were not drawn: for an interpolant (δ = 0, no noise) the drawn
    ones have error zero, so it is population_mse·N/(N − n), else the population's.
    """

    n: NDArray[np.int64]
    kappa: NDArray[np.float64]
    population_mse: NDArray[np.float64]
    unseen_mse: NDArray[np.float64]


def learning_curve(
    eigenvalues: ArrayLike,
    energies: ArrayLike,
    n: ArrayLike,
    *,
    ridge: float = 0.0,
    noise: float = 0.0,
    weights: ArrayLike | None = None,
) -> LearningCurve:
    """Predicted error of kernel regression on n of the N rows.

    ``eigenvalues`` (M,): of Θ_N, not divided by N. ``energies`` (M,): (q_iᵀy)², summed over outputs.
    ``weights`` (M,): how many eigenvalues each node stands for, default 1, summing to N. ``ridge``: δ added
    to the n×n matrix; ``noise``: variance of label noise. Raises InputError for n outside 1..N−1 or
    negative input.
    """
    values, energy = np.asarray(eigenvalues, np.float64), np.asarray(energies, np.float64)
    count = np.ones_like(values) if weights is None else np.asarray(weights, np.float64)
    sizes = np.atleast_1d(np.asarray(n, np.int64))
    total = float(count.sum())
    if not values.shape == energy.shape == count.shape or values.ndim != 1:
        raise InputError("eigenvalues, energies and weights must be vectors of one length")
    if ridge < 0.0 or noise < 0.0 or bool((energy < 0.0).any()) or not values.max(initial=0.0) > 0.0:
        raise InputError("learning_curve needs a positive spectrum and ridge, noise, energies >= 0")
    if bool((sizes < 1).any()) or bool((sizes >= total).any()):
        raise InputError(f"n must lie between 1 and {total - 1:.0f}, the rows that stand for the population")
    spectrum = np.maximum(values, 0.0) / total  # Θ ⪰ 0: negative values are rounding
    kappas, errors = np.empty(len(sizes)), np.empty(len(sizes))
    for i, size in enumerate(sizes):
        kappas[i] = effective_regularisation(spectrum, count, int(size), ridge)
        shrink = kappas[i] / (spectrum + kappas[i]) if kappas[i] > 0.0 else (spectrum <= 0.0).astype(float)
        free = size - float((count * (1.0 - shrink) ** 2).sum())
        overfit = size / free if free > 0.0 else np.inf  # as many samples as the rank: the known divergence
        errors[i] = overfit * (float((shrink**2 * energy).sum()) / total + noise)
    interpolates = ridge == 0.0 and noise == 0.0
    unseen = errors * total / (total - sizes) if interpolates else errors
    return LearningCurve(sizes, kappas, errors, unseen)


def effective_regularisation(spectrum: NDArray[np.float64], count: NDArray[np.float64], n: int, ridge: float) -> float:
    """κ with Σ count·λ/(λ + κ) + δ/κ = n; 0 if δ = 0 and the rank is at most n."""
    positive = spectrum > len(spectrum) * 2.0**-53 * float(spectrum.max())
    if ridge == 0.0 and float(count[positive].sum()) <= n:
        return 0.0

    def excess(log_kappa: float) -> float:
        kappa = float(np.exp(log_kappa))
        kept = count[positive] * spectrum[positive] / (spectrum[positive] + kappa)
        return float(kept.sum()) + ridge / kappa - n

    high = np.log((float((count * spectrum).sum()) + ridge) / n) + 1e-9
    low = np.log(float(spectrum[positive].min())) - 80.0
    return float(np.exp(brentq(excess, low, high, xtol=1e-13)))

"""The trained ensemble: mean and variance over random initialisations at any time of training.

A network drawn at random starts from f(0) ~ GP(0, Σ), Σ the NNGP kernel, and moves by Θ. With g(t) = Θ(x*,
X) Θ⁻¹(I − e^{−Θt}) the output at time t is f(x*, 0) + g(t)(y − f(X, 0)): Gaussian with mean g y and
variance Σ(x*, x*) + gΣgᵀ − 2gΣ(X, x*) (Lee, Xiao, Schoenholz, Bahri, Novak, Sohl-Dickstein & Pennington
2019, eqs. 14–16). At t = 0 it is the prior; at t = ∞ the NTK-GP, which is no Bayesian posterior of either
kernel. g is read from the Krylov space of (Θ, Θ(X, x*)), whose errors carry over to the bounds. Cost: the
passes of that space, plus one product with Σ per time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ntkdist.errors import InputError
from ntkdist.theory.dynamics import Band, dual_error, dynamics
from ntkdist.theory.krylov import MatMat
from ntkdist.theory.times import checked_times


@dataclass(frozen=True)
class Ensemble:
    """``mean`` (T, m, k) and ``variance`` (T, m), the same for every output, at ``times`` (T,)."""

    times: NDArray[np.float64]
    mean: Band
    variance: Band


def ensemble(
    theta: MatMat,
    sigma: MatMat,
    y: ArrayLike,
    times: ArrayLike,
    *,
    theta_cross: ArrayLike,
    sigma_cross: ArrayLike,
    sigma_diag: ArrayLike,
    sigma_upper: float,
    lambda_lower: float = 0.0,
    rtol: float = 1e-3,
    max_passes: int = 200,
) -> Ensemble:
    """Mean and variance of trained networks on m points (training rows too: pass their kernel rows).

    ``theta``, ``sigma``: (n, n) operators of NTK and NNGP. ``y`` (n,) or (n, k). ``theta_cross``,
    ``sigma_cross``: (m, n) kernel rows of the points, ``sigma_diag`` (m,) = Σ(x*, x*); m is a block size,
    so stream large test sets in blocks of tens. ``sigma_upper`` ≥ λ_max(Σ) and ``lambda_lower`` ≤ λ_min(Θ)
    serve the bounds.
    """
    targets = np.asarray(y, np.float64)
    targets = targets[:, None] if targets.ndim == 1 else targets
    cross, prior = np.asarray(theta_cross, np.float64), np.asarray(sigma_cross, np.float64)
    diagonal, t = np.asarray(sigma_diag, np.float64), checked_times(times)
    if cross.shape != prior.shape or cross.shape != (len(diagonal), len(targets)):
        raise InputError(
            f"kernel rows must both be ({len(diagonal)}, {len(targets)}), got {cross.shape} and {prior.shape}"
        )
    run = dynamics(theta, cross.T, t, lambda_lower=lambda_lower, rtol=rtol, max_passes=max_passes)
    gains = run.dual(t)
    slack = dual_error(run, t)
    mean, variance, half = [], [], []
    for gain, off in zip(gains, slack, strict=True):
        pulled = np.asarray(sigma.matmat(gain), np.float64)
        mean.append(gain.T @ targets)
        variance.append(diagonal + (gain * (pulled - 2.0 * prior.T)).sum(axis=0))
        slope = 2.0 * np.linalg.norm(pulled - prior.T, axis=0)
        rounding = 64.0 * 2.0**-53 * (diagonal + np.abs(gain * pulled).sum(axis=0))
        half.append(np.where(off > 0.0, off * (slope + sigma_upper * off), 0.0) + rounding)
    centre, spread = np.stack(variance), np.stack(half)
    middle = np.stack(mean)
    reach = slack[:, :, None] * np.linalg.norm(targets, axis=0)
    return Ensemble(
        t,
        Band(middle, middle - reach, middle + reach),
        # A variance is not negative, whatever the bound's width.
        Band(centre, np.maximum(centre - spread, 0.0), centre + spread),
    )

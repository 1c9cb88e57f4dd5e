"""Discrete gradient descent with step η: the loss after j steps, from the same Krylov space.

One step f ← f − ηΘ(f − y) multiplies the residual by I − ηΘ, so r_j = (I − ηΘ)ʲ r_0, and the space gives
Q(I − ηT)ʲQᵀr_0, exactly for j below its number of steps. After that the defect leaves through the last
block and the error obeys ‖e_{j+1}‖ ≤ ρ‖e_j‖ + η‖d_j‖, ρ = max(|1 − ηλ_min|, |1 − ηλ_max|). Cost: no
operator pass; O(steps·M) arithmetic.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ntkdist.errors import InputError
from ntkdist.theory.dynamics import Band, Dynamics, LossCurve

CHUNK = 256
MOST_STEPS = 50_000
"""Steps summed one by one for the error bound; later ones fall back on the envelope ρ^{2j} L(0)."""

DESCENT = "after j steps f <- f - eta Theta (f - y), eta = {eta:g}; for the mean loss L/n use eta n"


def descent_curve(dynamics: Dynamics, steps: ArrayLike, eta: float, lambda_upper: float) -> LossCurve:
    """L after ``steps`` (T,) whole steps of size ``eta``, with bounds; ``times`` of the result are the steps.

    ``lambda_upper`` ≥ λ_max(Θ). A step at or beyond 2/λ_max is allowed and shown diverging. Raises
    InputError for negative or fractional steps or η ≤ 0.
    """
    asked = np.atleast_1d(np.asarray(steps, np.float64))
    if asked.ndim != 1 or bool((asked < 0).any()) or bool((asked != np.floor(asked)).any()):
        raise InputError("steps must be a list of whole numbers >= 0")
    if not (eta > 0.0 and math.isfinite(eta)) or not lambda_upper >= dynamics.lambda_lower:
        raise InputError(f"descent needs eta > 0 and lambda_upper >= lambda_lower, got {eta}, {lambda_upper}")
    space = dynamics.space
    initial = 0.5 * (dynamics.residual0**2).sum(axis=0)
    factor = 1.0 - eta * space.theta
    rho = max(abs(1.0 - eta * dynamics.lambda_lower), abs(1.0 - eta * lambda_upper))
    with np.errstate(over="ignore"):
        norms = np.stack([np.linalg.norm((factor**j)[:, None] * space.start, axis=0) for j in asked])
        envelope = np.array([rho ** (2.0 * j) for j in asked])
        error = _errors(dynamics, asked, eta, factor, rho)
        upper = np.minimum(0.5 * (norms + error) ** 2, envelope[:, None] * initial * (1.0 + 1e-12))
    known = np.isfinite(error) & np.isfinite(norms)
    least = np.where(known, np.maximum(np.where(known, norms, 0.0) - np.where(known, error, 0.0), 0.0), 0.0)
    lower = np.minimum(0.5 * least**2, upper)
    per = Band(0.5 * norms**2, lower, upper)
    total = Band(per.value.sum(axis=1), per.lower.sum(axis=1), per.upper.sum(axis=1))
    return LossCurve(asked, total, per, envelope * initial.sum(), DESCENT.format(eta=eta))


def _errors(
    dynamics: Dynamics, asked: NDArray[np.float64], eta: float, factor: NDArray[np.float64], rho: float
) -> NDArray[np.float64]:
    """‖r_j − Q(I − ηT)ʲQᵀr_0‖ ≤ this, (T, k); infinite beyond MOST_STEPS."""
    space = dynamics.space
    k = space.start.shape[1]
    bound = np.full((len(asked), k), np.inf)
    bound[asked == 0] = 0.0
    if not len(factor):
        return np.zeros_like(bound)
    error, now = np.zeros(k), space.start
    limit = int(min(asked.max(initial=0.0), MOST_STEPS))
    wanted = set(asked[asked <= limit].astype(int).tolist())
    for first in range(0, limit, CHUNK):
        count = min(CHUNK, limit - first)
        powers = factor[None, :] ** np.arange(count)[:, None]
        coefficients = powers[:, :, None] * now
        leaving = np.linalg.norm(space.coupling @ coefficients, axis=1)
        leaving += space.leak * np.linalg.norm(coefficients, axis=1)
        for i in range(count):
            error = rho * error + eta * leaving[i]
            if first + i + 1 in wanted:
                bound[asked == first + i + 1] = error
        now = (factor**count)[:, None] * now
    return bound

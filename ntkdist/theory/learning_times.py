"""Which parts of the labels are learned when: one time 1/λ per eigendirection, with the energy it carries.

Gradient flow shrinks the residual along an eigenvector of Θ as e^{−λt}, so a direction is learned after
about 1/λ and the loss is a sum over directions, L(t) = ½ Σ_i e^{−2λ_i t} (q_iᵀr(0))². From a Krylov space
the pairs (θ, energy) are Ritz values and their weights: they reproduce the curve and the extreme
directions, not every interior eigenvalue. Cost: none beyond the space or the spectrum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ntkdist.errors import InputError
from ntkdist.theory.dynamics import Dynamics


@dataclass(frozen=True)
class LearningTimes:
    """Directions from fast to slow, arrays (M,).

    ``eigenvalue`` descending, ``time`` = 1/λ (∞ where λ is zero to rounding: never learned), ``energy``:
    share of ‖r(0)‖² along the direction, ``learned``: share learned by then if faster directions are done
    (cumulative). ``kind``: "eigenvalues" or "ritz".
    """

    eigenvalue: NDArray[np.float64]
    time: NDArray[np.float64]
    energy: NDArray[np.float64]
    learned: NDArray[np.float64]
    kind: str


def learning_times(dynamics: Dynamics) -> LearningTimes:
    """Times and energies of the Ritz directions of a training run."""
    return _ordered(dynamics.space.theta, (dynamics.space.start**2).sum(axis=1), dynamics.space.null, "ritz")


def learning_times_exact(eigenvalues: ArrayLike, vectors: ArrayLike, residual0: ArrayLike) -> LearningTimes:
    """The same from a dense decomposition: ``eigenvalues`` (n,), ``vectors`` (n, n), ``residual0`` (n, k)."""
    values, q = np.asarray(eigenvalues, np.float64), np.asarray(vectors, np.float64)
    r = np.asarray(residual0, np.float64)
    r = r[:, None] if r.ndim == 1 else r
    if q.shape != (len(r), len(values)):
        raise InputError(f"vectors must be ({len(r)}, {len(values)}), got {q.shape}")
    null = len(values) * 2.0**-53 * float(values.max(initial=0.0))
    return _ordered(values, ((q.T @ r) ** 2).sum(axis=1), null, "eigenvalues")


def _ordered(values: NDArray[np.float64], energy: NDArray[np.float64], null: float, kind: str) -> LearningTimes:
    order = np.argsort(values)[::-1]
    total = float(energy.sum())
    share = energy[order] / total if total > 0.0 else np.zeros(len(order))
    sorted_values = values[order]
    time = np.where(sorted_values > null, 1.0 / np.where(sorted_values > null, sorted_values, 1.0), np.inf)
    return LearningTimes(sorted_values, time, share, np.cumsum(share), kind)

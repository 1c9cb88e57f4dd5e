"""Leave-one-out error and generalised cross-validation in closed form, for one ridge or a whole grid.

With K = Θ + ρI and α = K⁻¹y, leaving row i out changes its prediction so that y_i − f_{−i}(x_i) =
α_i/(K⁻¹)_ii exactly (Allen 1974; Rasmussen & Williams 2006, eq. 5.12). GCV replaces the diagonal by its
mean, (1/n)‖α‖²/((1/n) tr K⁻¹)² (Golub, Heath & Wahba 1979); both have limits as ρ → 0, and neither sees a
test score. The effective dimension is d(ρ) = tr Θ(Θ + ρI)⁻¹. Cost: O(nk) from α and diag K⁻¹; O(n²k) per
ridge from one eigendecomposition.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ntkdist.errors import InputError, Unresolvable


@dataclass(frozen=True)
class LeaveOneOut:
    """``residuals`` (n, k) = y − ``predictions`` (n, k) of left-out rows; ``mse`` over rows and outputs."""

    residuals: NDArray[np.float64]
    predictions: NDArray[np.float64]
    mse: float

    def accuracy(self) -> float:
        """Share of rows whose largest left-out output is that of the largest target (one-hot codings)."""
        targets = self.predictions + self.residuals
        if targets.shape[1] < 2:
            raise InputError("leave-one-out accuracy needs one output per class")
        return float(np.mean(self.predictions.argmax(axis=1) == targets.argmax(axis=1)))


@dataclass(frozen=True)
class RidgePath:
    """Scores along a grid, arrays (R,); an unresolved ridge has ``resolved`` False and infinite
    scores.

    ``loo`` and ``gcv`` mean squared errors, ``effective_dimension``; ``best_loo``, ``best_gcv``: chosen
    ridges.
    """

    ridges: NDArray[np.float64]
    loo: NDArray[np.float64]
    gcv: NDArray[np.float64]
    effective_dimension: NDArray[np.float64]
    resolved: NDArray[np.bool_]
    best_loo: float
    best_gcv: float


def leave_one_out(y: ArrayLike, alpha: ArrayLike, inverse_diagonal: ArrayLike) -> LeaveOneOut:
    """From ``alpha`` (n, k) = K⁻¹y and ``inverse_diagonal`` (n,) = diag K⁻¹, with ``y`` (n, k).

    An estimated diagonal gives an estimated error: say so. Raises InputError for shapes that disagree and
    Unresolvable if the diagonal is not positive.
    """
    targets, weights = (_columns(a) for a in (y, alpha))
    diagonal = np.asarray(inverse_diagonal, np.float64)
    if targets.shape != weights.shape or diagonal.shape != (len(targets),):
        raise InputError(f"leave_one_out got y {targets.shape}, alpha {weights.shape}, diagonal {diagonal.shape}")
    if not (np.isfinite(diagonal).all() and bool((diagonal > 0.0).all())):
        raise Unresolvable("diag K^-1 is not positive and finite: the kernel is singular to rounding; add a ridge")
    residuals = weights / diagonal[:, None]
    return LeaveOneOut(residuals, targets - residuals, float(np.mean(residuals**2)))


def gcv(alpha: ArrayLike, inverse_trace: float) -> float:
    """(1/n)‖α‖²/((1/n) tr K⁻¹)², averaged over outputs, from ``alpha`` (n, k) and tr K⁻¹ > 0."""
    weights = _columns(alpha)
    if not (inverse_trace > 0.0 and math.isfinite(inverse_trace)):
        raise Unresolvable(f"tr K^-1 is {inverse_trace}: the kernel is singular to rounding; add a ridge")
    return float(np.mean(weights**2) / (inverse_trace / len(weights)) ** 2)


def effective_dimension(eigenvalues: ArrayLike, ridge: float) -> float:
    """d(ρ) = Σ λ/(λ + ρ) over ``eigenvalues`` (n,); at ρ = 0 the rank to rounding."""
    values = np.asarray(eigenvalues, np.float64)
    if ridge < 0.0:
        raise InputError(f"a ridge is not negative, got {ridge}")
    seen = values[values > null_level(values)]
    return float((seen / (seen + ridge)).sum())


def ridge_path(eigenvalues: ArrayLike, vectors: ArrayLike, y: ArrayLike, ridges: Sequence[float]) -> RidgePath:
    """Leave-one-out, GCV and effective dimension at every ridge from one decomposition Θ = Q diag(λ) Qᵀ.

    ``eigenvalues`` (n,), ``vectors`` (n, n), ``y`` (n, k), ``ridges`` (R,) ≥ 0. A ridge too small for a
    singular kernel is unresolved, not wrong. Raises Unresolvable if no ridge is resolved.
    """
    values, q = np.asarray(eigenvalues, np.float64), np.asarray(vectors, np.float64)
    targets, grid = _columns(y), np.asarray(ridges, np.float64)
    if q.shape != (len(targets), len(values)) or grid.ndim != 1 or not len(grid) or bool((grid < 0.0).any()):
        raise InputError("ridge_path needs vectors (n, n), y (n, k) and a list of ridges >= 0")
    rotated, squared = q.T @ targets, q**2
    floor = null_level(values)
    loo, score = np.full(len(grid), np.inf), np.full(len(grid), np.inf)
    resolved = values.min() + grid > floor
    for i in np.nonzero(resolved)[0]:
        inverse = 1.0 / (values + grid[i])
        alpha = q @ (inverse[:, None] * rotated)
        loo[i] = leave_one_out(targets, alpha, squared @ inverse).mse
        score[i] = gcv(alpha, float(inverse.sum()))
    if not resolved.any():
        raise Unresolvable("the kernel is singular to rounding at every ridge of the grid; add larger ridges")
    dimension = np.array([effective_dimension(values, float(r)) for r in grid])
    return RidgePath(grid, loo, score, dimension, resolved, float(grid[loo.argmin()]), float(grid[score.argmin()]))


def null_level(values: NDArray[np.float64]) -> float:
    """Eigenvalues up to this are zero to the rounding of a dense solver: n·u·λ_max."""
    return len(values) * 2.0**-53 * float(np.abs(values).max(initial=0.0))


def _columns(a: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(a, np.float64)
    return x[:, None] if x.ndim == 1 else x

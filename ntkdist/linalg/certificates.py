"""Certificates: what the ends of λ_min and λ_max are worth.

*residual*: some eigenvalue lies within ‖Kv − θv‖ of θ. The Rayleigh quotient bounds λ_min from above (and
λ_max from below); nothing is proved on the other side, and the reason says so. *probabilistic*: a lower bound
of λ_min from a Krylov space with Gaussian starts that fails with a stated probability (Kuczyński &
Woźniakowski 1992). *rigorous*: the float64 Cholesky factorization of K − σI runs to its end, which proves
λ_min > σ minus a bound on its own rounding (Demmel 1989; Rump 2006). To every end the norm of the error of
the matrix itself is added (Weyl).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotrf

from ntkdist.errors import InputError
from ntkdist.linalg.eigenpair import Eigenpair, Interval
from ntkdist.linalg.operator import Operator, dense
from ntkdist.linalg.probabilistic import FAILURE, probabilistic_lower_bound
from ntkdist.linalg.rpcholesky import LowRankPreconditioner

Array = NDArray[Any]
GRADES = ("residual", "probabilistic", "rigorous")
LARGEST_DENSE = 32_766  # above it 32-bit LAPACK interfaces are a trap
_U = 2.0**-53
# Ten-fold steps from n·u to beyond the norm: a finite matrix is always certified, however poor the start.
_ATTEMPTS = 28


def certify(
    op: Operator,
    smallest: Eigenpair,
    largest: Eigenpair,
    *,
    grade: str = "rigorous",
    error_norm: float = 0.0,
    preconditioner: LowRankPreconditioner | None = None,
    duplicates: list[Array] | None = None,
) -> tuple[Interval, Interval]:
    """Intervals of (λ_min, λ_max) of the exact matrix, which differs from ``op`` by at most ``error_norm`` in
    norm."""
    if grade not in GRADES:
        raise InputError(f"Unknown certificate {grade!r}; choose {', '.join(GRADES)}.")
    trace = float(np.sum(op.diagonal()))
    # A Rayleigh quotient computed in float64 is wrong by at most γ_2n ‖|K|‖ ≤ γ_2n tr K.
    slack = 2 * op.shape[0] * _U * trace * 1.01 + error_norm
    if duplicates:
        low = _singular(duplicates)
    elif grade == "rigorous" and _fits(op):
        low = _rigorous_min(op, smallest, slack, error_norm)
    elif grade == "probabilistic" and preconditioner is not None:
        low = _probabilistic_min(op, smallest, preconditioner, slack, error_norm)
    else:
        low = _residual_min(smallest, slack, _why_weaker(op, grade))
    if grade == "rigorous" and _fits(op):
        return low, _rigorous_max(op, largest, slack, error_norm)
    return low, _residual_max(largest, slack, trace + error_norm, _why_weaker(op, grade))


def _fits(op: Operator) -> bool:
    n = op.shape[0]
    return n <= LARGEST_DENSE and 16 * n * n < 0.8 * psutil.virtual_memory().available


def _why_weaker(op: Operator, grade: str) -> str:
    if grade == "rigorous":
        n = op.shape[0]
        return f"the rigorous grade needs {16 * n * n / 1e9:.3g} GB for a dense factorization and was not possible; "
    return ""


def _singular(duplicates: list[Array]) -> Interval:
    rows = "; ".join(" = ".join(str(int(r)) for r in group[:3]) for group in duplicates[:3])
    more = f" and {len(duplicates) - 3} more groups" if len(duplicates) > 3 else ""
    reason = f"equal training rows ({rows}{more}) make the matrix exactly singular"
    return Interval(0.0, 0.0, 0.0, "rigorous", reason)


def _residual_min(pair: Eigenpair, slack: float, why: str) -> Interval:
    reason = (
        f"{why}some eigenvalue lies within the residual norm "
        f"{pair.residual_norm:.2g} of the value, and λ_min is not "
        "above the upper end; the lower end is not proved to bound λ_min itself"
    )
    return Interval(pair.value, pair.value - pair.residual_norm - slack, pair.value + slack, "residual", reason)


def _residual_max(pair: Eigenpair, slack: float, trace: float, why: str) -> Interval:
    reason = (
        f"{why}λ_max is not below the lower end (Rayleigh quotient); "
        f"some eigenvalue lies within the residual norm "
        f"{pair.residual_norm:.2g}; proved upper bound: the trace, {trace:.6g}"
    )
    return Interval(pair.value, pair.value - slack, pair.value + pair.residual_norm + slack, "residual", reason)


def _probabilistic_min(
    op: Operator, pair: Eigenpair, preconditioner: LowRankPreconditioner, slack: float, error_norm: float
) -> Interval:
    bound = probabilistic_lower_bound(op, preconditioner)
    if bound <= 0:
        return _residual_min(pair, slack, "the probabilistic bound is not positive after its passes; ")
    reason = f"lower end by random-start Krylov space, failure probability {FAILURE:g}; upper end Rayleigh quotient"
    lower = min(bound - error_norm, pair.value)
    return Interval(pair.value, lower, pair.value + slack, "probabilistic", reason)


def _rigorous_min(op: Operator, pair: Eigenpair, slack: float, error_norm: float) -> Interval:
    theta = float(pair.value)
    # Relative steps from |θ|, but never finer than what float64 resolves of the matrix.
    floor = op.shape[0] * _U * float(np.max(np.abs(op.diagonal()), initial=0.0))
    matrix = dense(op)
    if not np.isfinite(matrix).all():
        return _residual_min(pair, slack, "the matrix holds entries that are not finite; ")
    margin = max(1e-8 * abs(theta), floor, np.finfo(np.float64).tiny)
    for _ in range(_ATTEMPTS):
        sigma = theta - margin
        attempt = attempt_shifted_cholesky(matrix.copy(order="F"), sigma)
        if attempt.lower is not None:
            lower = math.nextafter(attempt.lower - error_norm, -math.inf)
            reason = (
                f"Cholesky of K − σI in float64 completed at σ = {sigma:.10g}; rounding and entry errors "
                f"(norm {error_norm:.2g}) are subtracted"
            )
            if lower <= 0:
                reason += "; the arithmetic does not resolve λ_min from zero"
            return Interval(theta, min(lower, theta), theta + slack, "rigorous", reason)
        if attempt.witness is not None:
            # The breakdown hands us a vector with a smaller Rayleigh quotient: start again from it.
            theta = min(theta, _quotient(op, attempt.witness))
        margin *= 10
    return _residual_min(pair, slack, f"no Cholesky factorization of K − σI completed in {_ATTEMPTS} attempts; ")


def _quotient(op: Operator, v: Array) -> float:
    unit = v / np.linalg.norm(v)
    return float(unit @ op.matmat(unit[:, None])[:, 0])


def _rigorous_max(op: Operator, pair: Eigenpair, slack: float, error_norm: float) -> Interval:
    theta = float(pair.value)
    margin = max(1e-8 * abs(theta), op.shape[0] * _U * float(np.max(np.abs(op.diagonal()), initial=0.0)))
    matrix = -dense(op)
    for _ in range(_ATTEMPTS):
        sigma = theta + margin
        bound = shifted_cholesky_bound(matrix.copy(order="F"), -sigma)
        if bound is not None:
            upper = math.nextafter(-bound + error_norm, math.inf)
            reason = f"Cholesky of σI − K in float64 completed at σ = {sigma:.10g}; errors are added"
            return Interval(theta, theta - slack, max(upper, theta), "rigorous", reason)
        margin = max(10 * margin, np.finfo(np.float64).tiny)
    return _residual_max(pair, slack, math.inf, f"no Cholesky of σI − K completed in {_ATTEMPTS} attempts; ")


@dataclass(frozen=True)
class Attempt:
    """A proved lower bound of λ_min(A), or a vector (n,) with a Rayleigh quotient of about σ or less, or
    neither."""

    lower: float | None
    witness: Array | None


def shifted_cholesky_bound(matrix: Array, sigma: float) -> float | None:
    """A proved lower bound of λ_min(A) if the Cholesky factorization of A − σI completes, else None."""
    return attempt_shifted_cholesky(matrix, sigma).lower


def attempt_shifted_cholesky(matrix: Array, sigma: float) -> Attempt:
    """Factorize A − σI; ``matrix`` (n, n) float64 is overwritten.

    Any summation order is covered: h_j = j + 2 rounding errors in row j (j from one) give
    λ_min(A) ≥ σ − u·max|ã_jj| − Σ_j h_j u/(1 − 2 h_j u)·ã_jj. Where the pivot j is not positive, the vector
    [−L₁₁⁻ᵀ l_j; 1; 0] shows it.
    """
    n = matrix.shape[0]
    shifted = np.diagonal(matrix) - sigma
    if not np.isfinite(shifted).all():
        return Attempt(None, None)
    if np.any(shifted <= 0):
        return Attempt(None, np.eye(1, n, int(np.argmin(shifted)))[0])
    matrix[np.diag_indices(n)] = shifted
    factor, info = dpotrf(np.asfortranarray(matrix), lower=1, overwrite_a=1, clean=0)
    if info > 0:
        return Attempt(None, _witness(factor, info - 1))
    pivots = np.diagonal(factor)
    if info != 0 or not np.isfinite(pivots).all() or np.any(pivots <= 0):
        return Attempt(None, None)
    h = np.arange(1, n + 1) + 2.0
    phi = float(np.sum(h * _U / (1 - 2 * h * _U) * shifted)) * (1 + 4 * n * _U)
    lost = math.nextafter(_U * float(shifted.max()) * (1 + 4 * _U) + phi, math.inf)
    return Attempt(math.nextafter(sigma - lost, -math.inf), None)


def _witness(factor: Array, j: int) -> Array | None:
    """The direction of no positive curvature that pivot ``j`` of a broken factorization stands for."""
    v = np.zeros(len(factor))
    v[j] = 1.0
    if j:
        # LAPACK leaves rows of finished block columns factorized; row j before the pivot is final.
        v[:j] = -solve_triangular(factor[:j, :j], factor[j, :j], lower=True, trans=1, check_finite=False)
    return v if np.isfinite(v).all() else None

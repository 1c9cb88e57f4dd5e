"""Certificates: what the ends of λ_min and λ_max are worth.

*residual*: some eigenvalue lies within ‖Kv − θv‖ of θ. The Rayleigh quotient bounds λ_min from above (and
λ_max from below); nothing is proved on the other side, and the reason says so. *probabilistic*: a lower bound
of λ_min from a Krylov space with Gaussian starts that fails with a stated probability (Kuczyński &
Woźniakowski 1992). *rigorous*: the float64 Cholesky factorization of K − σI runs to its end, which proves
λ_min > σ minus a bound on its own rounding (:mod:`ntkdist.linalg.shifted_cholesky`); λ_max is bounded through the
Frobenius norm where it stands clear of the rest (:mod:`ntkdist.linalg.largest_bound`), else by the factorization of
σI − K. To every end the norm of the error of the matrix itself is added (Weyl).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.linalg.eigenpair import Eigenpair, Interval
from ntkdist.linalg.largest_bound import frobenius_squared, frobenius_upper_bound
from ntkdist.linalg.memory import fits_dense
from ntkdist.linalg.operator import Operator, dense_lower, tiles_of
from ntkdist.linalg.probabilistic import FAILURE, probabilistic_lower_bound
from ntkdist.linalg.rpcholesky import LowRankPreconditioner
from ntkdist.linalg.shifted_cholesky import Attempt, attempt_shifted_cholesky, attempt_tiled
from ntkdist.linalg.tile_store import TileMapping
from ntkdist.linalg.tiled_cholesky import Factorise, Tell, factorise

Array = NDArray[Any]
GRADES = ("residual", "probabilistic", "rigorous")
_U = 2.0**-53
# Ten-fold steps from n·u to beyond the norm: a finite matrix is always certified, however poor the start.
_ATTEMPTS = 28


Scratch = Callable[[], AbstractContextManager[TileMapping]]


def certify(
    op: Operator,
    smallest: Eigenpair,
    largest: Eigenpair,
    *,
    grade: str = "rigorous",
    error_norm: float = 0.0,
    preconditioner: LowRankPreconditioner | None = None,
    duplicates: list[Array] | None = None,
    scratch: Scratch | None = None,
    by: Factorise = factorise,
    progress: Tell | None = None,
) -> tuple[Interval, Interval]:
    """Intervals of (λ_min, λ_max) of the exact matrix, which differs from ``op`` by at most ``error_norm`` in
    norm.

    Parameters
    ----------
    preconditioner : low-rank one, needed by the probabilistic grade.
    duplicates : groups of equal rows; with any, λ_min is zero and nothing is factorized for it.
    scratch : opens a store for the tiles of a factor that does not fit in memory; without one, the rigorous grade
        falls back to residual there.
    by : the tile-by-tile factorization to use with ``scratch`` (a distributed one, for instance).
    """
    if grade not in GRADES:
        raise InputError(f"Unknown certificate {grade!r}; choose {', '.join(GRADES)}.")
    trace = float(np.sum(op.diagonal()))
    possible = grade == "rigorous" and (fits_dense(op.shape[0]) or scratch is not None)
    # ‖|K|‖₂ is at most tr K for a positive semidefinite matrix, and ‖K‖_F for any.
    frobenius = math.sqrt(frobenius_squared(op)) if possible else 0.0
    if not math.isfinite(frobenius):
        why = "the matrix holds entries that are not finite; "
        return _residual_min(smallest, math.inf, why), _residual_max(largest, math.inf, math.inf, why)
    size = max(trace, frobenius)
    # A Rayleigh quotient computed in float64 is wrong by at most γ_2n ‖|K|‖.
    slack = 2 * op.shape[0] * _U * size * 1.01 + error_norm
    if duplicates:
        low = _singular(duplicates)
    elif possible:
        low = _rigorous_min(op, smallest, slack, error_norm, _factorisation(op, scratch, by, progress))
    elif grade == "probabilistic" and preconditioner is not None:
        low = _probabilistic_min(op, smallest, preconditioner, slack, error_norm)
    else:
        low = _residual_min(smallest, slack, _why_weaker(op, grade))
    if possible:
        return low, _rigorous_max(op, largest, slack, error_norm)
    return low, _residual_max(largest, slack, trace + error_norm, _why_weaker(op, grade))


def _factorisation(
    op: Operator, scratch: Scratch | None, by: Factorise, progress: Tell | None
) -> tuple[Callable[[float], Attempt], str]:
    """How K − σI is factorized here, and the words for it."""
    if fits_dense(op.shape[0]):

        def whole(sigma: float) -> Attempt:
            return attempt_shifted_cholesky(dense_lower(op), sigma)

        return whole, "in float64"
    assert scratch is not None

    def by_tiles(sigma: float) -> Attempt:
        with scratch() as store:
            return attempt_tiled(tiles_of(op), op.diagonal(), sigma, store=store, by=by, progress=progress)

    return by_tiles, "in float64, tile by tile,"


def _why_weaker(op: Operator, grade: str) -> str:
    if grade == "rigorous":
        n = op.shape[0]
        return f"the rigorous grade needs {8 * n * n / 1e9:.3g} GB for a dense factorization and was not possible; "
    if grade == "probabilistic":
        return "the probabilistic grade needs the low-rank preconditioner; "
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


def _rigorous_min(
    op: Operator,
    pair: Eigenpair,
    slack: float,
    error_norm: float,
    how: tuple[Callable[[float], Attempt], str],
) -> Interval:
    theta = float(pair.value)
    factorisation, words = how
    # Relative steps from |θ|, but never finer than what float64 resolves of the matrix.
    floor = op.shape[0] * _U * float(np.max(np.abs(op.diagonal()), initial=0.0))
    margin = max(1e-8 * abs(theta), floor, np.finfo(np.float64).tiny)
    for _ in range(_ATTEMPTS):
        sigma = theta - margin
        attempt = factorisation(sigma)
        if attempt.lower is not None:
            lower = math.nextafter(attempt.lower - error_norm, -math.inf)
            reason = (
                f"Cholesky of K − σI {words} completed at σ = {sigma:.10g}; rounding and entry errors "
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


def _rigorous_max(op: Operator, given: Eigenpair, slack: float, error_norm: float) -> Interval:
    pair = _measured(op, given)
    theta = float(pair.value)
    upper = frobenius_upper_bound(op, pair, slack)
    if upper is not None:
        reason = (
            "‖K‖²_F − θ² shows that the other eigenvalues are smaller, so λ_max ≤ θ + ‖Kv − θv‖ "
            f"({pair.residual_norm:.2g}); rounding and entry errors are added"
        )
        return Interval(theta, theta - slack, upper + error_norm, "rigorous", reason)
    if not fits_dense(op.shape[0]):
        why = "λ_max does not stand clear of the rest, and the factorization of σI − K does not fit; "
        return _residual_max(pair, slack, math.inf, why)
    margin = max(1e-8 * abs(theta), op.shape[0] * _U * float(np.max(np.abs(op.diagonal()), initial=0.0)))
    for _ in range(_ATTEMPTS):
        sigma = theta + margin
        matrix = dense_lower(op)
        np.negative(matrix, out=matrix)
        bound = attempt_shifted_cholesky(matrix, -sigma).lower
        if bound is not None:
            reason = f"Cholesky of σI − K in float64 completed at σ = {sigma:.10g}; errors are added"
            upper = max(math.nextafter(-bound + error_norm, math.inf), theta)
            return Interval(theta, theta - slack, upper, "rigorous", reason)
        margin = max(10 * margin, np.finfo(np.float64).tiny)
    return _residual_max(pair, slack, math.inf, f"no Cholesky of σI − K completed in {_ATTEMPTS} attempts; ")


def _measured(op: Operator, pair: Eigenpair) -> Eigenpair:
    """The pair with its Rayleigh quotient and residual norm made afresh from its vector."""
    v = pair.vector / np.linalg.norm(pair.vector)
    image = op.matmat(v[:, None])[:, 0]
    theta = float(v @ image)
    return replace(pair, value=theta, vector=v, residual_norm=float(np.linalg.norm(image - theta * v)))

"""Preconditioned block conjugate gradients that survive rank-deficient right-hand sides (BCGrQ).

The residual block is kept as Q C with Q orthonormal in the P⁻¹ inner product (Dubrulle 2001). Each step first
takes a Householder QR of the residual block, which is orthonormal even where the block has lost rank (one-hot
labels, equal columns, a column that has converged), and only then a Cholesky QR in the P⁻¹ product:

    S = Z;  repeat  ξ = (Sᵀ A S)⁻¹;  X += S ξ C;  (Q, Z, ζ) = qr_P(Q − A S ξ);  C = ζ C;  S = Z + S ζᵀ

Stopping is per column, on the true relative residual ‖b − (K + ridge·I)x‖/‖b‖ recomputed in float64; where
the recursive residual was too optimistic, the iteration restarts from the true one (iterative refinement).
Cost: one pass K·V per step, and one per check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from threadpoolctl import threadpool_limits

from ntkdist.errors import InputError
from ntkdist.linalg.operator import Operator

Array = NDArray[Any]
Tell = Callable[[int, int | None, float], None]
State = Mapping[str, Array]
# Residuals of CG may grow by √κ before they fall; only a long drought is a stall.
_PATIENCE = 400


class Preconditioner(Protocol):
    """A symmetric positive definite P ≈ K + ridge·I that applies its inverse."""

    def apply(self, r: Array, ridge: float = 0.0) -> Array:
        """P⁻¹ R for R (n, s)."""


@dataclass(frozen=True)
class Solve:
    """Solutions x (n, k) with their true relative residuals (k,), the passes spent, and why the solver
    stopped."""

    x: Array
    residual_norms: Array
    passes: int
    converged: bool
    reason: str
    history: list[tuple[int, float]] = field(default_factory=list)


def block_cg(
    op: Operator,
    b: Array,
    *,
    preconditioner: Preconditioner | None = None,
    ridge: float = 0.0,
    rtol: float = 1e-8,
    max_passes: int = 2000,
    x0: Array | None = None,
    progress: Tell | None = None,
    checkpoint: Callable[[dict[str, Array]], None] | None = None,
    resume: State | None = None,
) -> Solve:
    """Solve (K + ridge·I) X = B for B (n, k), all columns at once.

    ``checkpoint`` is called about every ten passes with a small dict of arrays (the iterate and the passes
    spent); handing one of them back as ``resume`` goes on from that iterate. A zero column has the solution
    zero and residual zero. If progress ends before ``rtol`` is reached (the matrix is singular, indefinite,
    or too ill-conditioned for float64), ``converged`` is False, ``reason`` says why and x is the best iterate
    seen; x never holds NaN.

    Raises
    ------
    InputError
        B is not (n, k), or B or the ridge is not finite, or the ridge is negative.
    """
    target = np.asarray(b, dtype=np.float64)
    if target.ndim != 2 or target.shape[0] != op.shape[0]:
        raise InputError(f"block_cg: b must have shape ({op.shape[0]}, k), not {target.shape}.")
    if not np.isfinite(target).all() or not np.isfinite(ridge) or ridge < 0:
        raise InputError("block_cg: b and ridge must be finite and ridge ≥ 0; check the targets.")
    # Columns are scaled to unit length: neither 1e-150 nor 1e150 may under- or overflow in the products.
    largest = np.max(np.abs(target), axis=0, initial=0.0)
    unit = np.where(largest > 0, largest, 1.0)
    lengths = np.linalg.norm(target / unit, axis=0)
    live = np.flatnonzero(lengths > 0)
    norms = lengths[live] * unit[live]
    x = np.zeros_like(target)
    if not live.size:
        return Solve(x, np.zeros(target.shape[1]), 0, True, "all right-hand sides are zero")
    sweeps = _Sweeps(op, preconditioner, ridge, max_passes, progress, checkpoint, norms)
    start = x0
    if resume is not None:
        start, sweeps.passes = resume["x"], int(resume["passes"])
    with threadpool_limits(1), np.errstate(all="ignore"):
        begin = None if start is None else np.asarray(start, dtype=np.float64)[:, live] / norms
        best, reached, reason = sweeps.solve(target[:, live] / norms, begin, rtol)
    x[:, live] = best * norms
    true = np.zeros(target.shape[1])
    true[live] = reached
    return Solve(x, true, sweeps.passes, bool(np.all(true <= rtol)), reason, sweeps.history)


class _Sweeps:
    """Sweeps of BCGrQ on right-hand sides of unit length, with refinement between them; counts passes."""

    def __init__(
        self,
        op: Operator,
        preconditioner: Preconditioner | None,
        ridge: float,
        limit: int,
        tell: Tell | None,
        save: Callable[[dict[str, Array]], None] | None,
        norms: Array,
    ) -> None:
        self.op, self.preconditioner, self.ridge, self.limit = op, preconditioner, ridge, limit
        self.tell, self.save, self.norms = tell, save, norms
        self.passes = 0
        self.history: list[tuple[int, float]] = []

    def multiply(self, v: Array) -> Array:
        """(K + ridge·I) V."""
        self.passes += 1
        return self.op.matmat(v) + self.ridge * v

    def solve(self, b: Array, x0: Array | None, rtol: float) -> tuple[Array, Array, str]:
        """Refine until every column's true residual is below rtol; (x, true residuals, reason)."""
        best = np.zeros_like(b)
        residual, reached = b, np.ones(b.shape[1])
        if x0 is not None and np.isfinite(x0).all():
            warm = b - self.multiply(x0)
            norms = np.linalg.norm(warm, axis=0)
            if np.isfinite(norms).all():
                best, residual, reached = x0.copy(), warm, norms
        x = best
        while reached.max() > rtol:
            if self.passes >= self.limit:
                return (
                    best,
                    reached,
                    (f"stopped after {self.passes} passes (max_passes) at residual {reached.max():.2g}"),
                )
            correction, why = self._sweep(residual, x, 0.5 * rtol)
            x = best + correction
            fresh = b - self.multiply(x)
            norms = np.linalg.norm(fresh, axis=0)
            finite = bool(np.isfinite(norms).all())
            self.history.append((self.passes, float(norms.max()) if finite else np.inf))
            before = float(reached.max())
            if finite and norms.max() < before:
                best, residual, reached = x, fresh, norms
            spent = self.passes >= self.limit
            if not spent and reached.max() > rtol and not (finite and norms.max() <= 0.5 * before):
                why = why or "the matrix is singular or too ill-conditioned for float64 without a ridge"
                return best, reached, f"stalled at residual {reached.max():.2g}: {why}"
        return best, reached, f"true relative residual below {rtol:g} in every column"

    def _sweep(self, b: Array, base: Array, goal: float) -> tuple[Array, str]:
        """BCGrQ from zero for B until each column's recursive residual is below ``goal``; (X, why it broke
        down)."""
        x = np.zeros_like(b)
        parts = self._orthonormal(b)
        if parts is None:
            return x, "the preconditioner is not positive definite or not finite"
        q, s, coefficients, _, _ = parts
        best, since, lowest = np.inf, 0, x
        while self.passes < self.limit:
            product = self.multiply(s)
            curvature = s.T @ product
            xi = _inverse((curvature + curvature.T) / 2)
            if xi is None:
                return (
                    lowest,
                    "a direction of no positive curvature was met, so the matrix is singular or indefinite",
                )
            x = x + s @ (xi @ coefficients)
            parts = self._orthonormal(q - product @ xi)
            if parts is None:
                return lowest, "the residual block is not finite any more"
            q, z, zeta, c0, _ = parts
            left = float(np.linalg.norm(c0 @ coefficients, axis=0).max())
            coefficients = zeta @ coefficients
            self._report(left, base + x)
            since = 0 if left < 0.9 * best else since + 1
            if left < best:
                best, lowest = left, x
            if left <= goal or since > _PATIENCE:
                break
            s = z + s @ zeta.T
        return lowest, ""

    def _orthonormal(self, r: Array) -> tuple[Array, Array, Array, Array, Array] | None:
        """R = Q·ζ with QᵀP⁻¹Q = I; returns (Q, Z = P⁻¹Q, ζ = C₁C₀, C₀, C₁), None where P⁻¹ is not definite on
        R."""
        if not np.isfinite(r).all():
            return None
        q0, c0 = np.linalg.qr(r)
        z0 = q0 if self.preconditioner is None else self.preconditioner.apply(q0, self.ridge)
        metric = q0.T @ z0
        try:
            lower = np.linalg.cholesky((metric + metric.T) / 2)
        except np.linalg.LinAlgError:
            return None
        if not np.isfinite(lower).all():
            return None
        q = solve_triangular(lower, q0.T, lower=True).T
        z = solve_triangular(lower, z0.T, lower=True).T
        return q, z, lower.T @ c0, c0, lower.T

    def _report(self, residual: float, x: Array) -> None:
        self.history.append((self.passes, residual))
        if self.tell is not None:
            self.tell(self.passes, None, residual)
        if self.save is not None and self.passes % 10 == 0:
            self.save({"x": x * self.norms, "passes": np.array(self.passes)})


def _inverse(curvature: Array) -> Array | None:
    """The inverse of SᵀAS, or None where it is not positive definite."""
    scale = np.sqrt(np.diagonal(curvature))
    if not np.isfinite(scale).all() or np.any(scale <= 0):
        return None
    try:
        lower = np.linalg.cholesky(curvature / np.outer(scale, scale))
    except np.linalg.LinAlgError:
        return None
    half = solve_triangular(lower, np.diag(1 / scale), lower=True)
    return np.asarray(half.T @ half)

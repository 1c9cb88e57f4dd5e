"""Preconditioned block conjugate gradients that survive rank-deficient right-hand sides (BCGrQ).

The residual block is kept as Q C with orthonormal Q (Dubrulle 2001), first by a Householder QR of B, which is safe
for rank-deficient B (one-hot labels, equal columns), then in the P⁻¹ inner product with lost directions dropped. Stopping is per
column, on the true relative residual ‖b − (K + ridge·I)x‖/‖b‖ recomputed in float64; if the recursive residual was
too optimistic, the iteration restarts from the true one (iterative refinement). Cost: one pass K·V per step, and one
to check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from threadpoolctl import threadpool_limits

from ntkdist.linalg.operator import Operator
from ntkdist.linalg.rpcholesky import LowRankPreconditioner

Array = NDArray[Any]
Tell = Callable[[int, int | None, float], None]


@dataclass(frozen=True)
class Solve:
    """Solutions x (n, k) with their true relative residuals (k,), the passes spent, and why the solver stopped."""

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
    preconditioner: LowRankPreconditioner | None = None,
    ridge: float = 0.0,
    rtol: float = 1e-8,
    max_passes: int = 2000,
    x0: Array | None = None,
    progress: Tell | None = None,
) -> Solve:
    """Solve (K + ridge·I) X = B for B (n, k), all columns at once.

    A zero column has the solution zero and residual zero. If progress ends before ``rtol`` is reached (the matrix is
    singular, indefinite, or too ill-conditioned for float64), ``converged`` is False and ``reason`` says why.
    """
    target = np.asarray(b, dtype=np.float64)
    norms = np.linalg.norm(target, axis=0)
    nonzero = norms > 0
    x = np.zeros_like(target) if x0 is None else np.array(x0, dtype=np.float64)
    x[:, ~nonzero] = 0.0
    state = _State(op, preconditioner, ridge, progress, max_passes)
    if not nonzero.any():
        return Solve(x, np.zeros(target.shape[1]), 0, True, "all right-hand sides are zero")
    with threadpool_limits(1):
        residual = target - state.multiply(x) if x0 is not None else target.copy()
        best = float(np.max(np.linalg.norm(residual, axis=0)[nonzero] / norms[nonzero]))
        best_x = x.copy()
        reason = f"true relative residual below {rtol:g} in every column"
        while best > rtol:
            if state.passes >= max_passes:
                reason = f"stopped after {state.passes} passes (max_passes) at residual {best:.2g}"
                break
            goal = rtol * norms[nonzero] * 0.5
            correction, why = state.sweep(residual[:, nonzero], goal)
            x[:, nonzero] += correction
            residual = target - state.multiply(x)
            reached = float(np.max(np.linalg.norm(residual, axis=0)[nonzero] / norms[nonzero]))
            state.history.append((state.passes, reached))
            stalled = not np.isfinite(reached) or reached > 0.5 * best
            if np.isfinite(reached) and reached < best:
                best, best_x = reached, x.copy()
            if best > rtol and stalled:
                reason = why or (
                    f"stalled at residual {best:.2g}: the matrix is singular or too ill-conditioned for float64 "
                    "without a ridge"
                )
                break
        final = target - state.multiply(best_x)
    true = np.divide(np.linalg.norm(final, axis=0), norms, out=np.zeros_like(norms), where=nonzero)
    return Solve(best_x, true, state.passes, bool(np.all(true <= rtol)), reason, state.history)


class _State:
    """The operator with its ridge, counting passes."""

    def __init__(
        self,
        op: Operator,
        preconditioner: LowRankPreconditioner | None,
        ridge: float,
        tell: Tell | None,
        limit: int,
    ) -> None:
        self.op, self.preconditioner, self.ridge, self.tell, self.limit = (
            op,
            preconditioner,
            ridge,
            tell,
            limit,
        )
        self.passes = 0
        self.history: list[tuple[int, float]] = []

    def multiply(self, v: Array) -> Array:
        """(K + ridge·I) V."""
        self.passes += 1
        return self.op.matmat(v) + self.ridge * v

    def precondition(self, r: Array) -> Array:
        """P⁻¹ R."""
        return r.copy() if self.preconditioner is None else self.preconditioner.apply(r, self.ridge)

    def sweep(self, b: Array, goal: Array) -> tuple[Array, str]:
        """BCGrQ from zero for B until each column's recursive residual is below ``goal``; (X, why it broke down)."""
        x = np.zeros_like(b)
        scale = np.linalg.norm(b, axis=0)
        q0, c0 = np.linalg.qr(b)
        q, z, c1 = _orthonormal(q0, self.precondition(q0))
        if q is None or z is None:
            return x, "the preconditioned residual block lost rank"
        coefficients, s = c1 @ c0, z
        best, since = np.inf, 0
        while self.passes < self.limit:
            product = self.multiply(s)
            curvature = s.T @ product
            try:
                factor = cho_factor((curvature + curvature.T) / 2, lower=True)
            except np.linalg.LinAlgError:
                return x, "a direction of no positive curvature: the matrix is singular or indefinite"
            xi = cho_solve(factor, np.eye(len(curvature)))
            x += s @ (xi @ coefficients)
            raw = q - product @ xi
            q_next, z_next, zeta = _orthonormal(raw, self.precondition(raw))
            coefficients = zeta @ coefficients
            if q_next is None or z_next is None:
                return x, ""
            # q is orthonormal in the P⁻¹ product; the Euclidean norm of a column of Q·C is computed directly.
            left = np.linalg.norm(q_next @ coefficients, axis=0)
            worst = float(np.max(left / np.maximum(goal, np.finfo(np.float64).tiny)))
            self._report(float(np.max(left / scale)))
            since = 0 if worst < 0.9 * best else since + 1
            best = min(best, worst)
            if worst <= 1.0 or since > 60:
                return x, ""
            s = z_next + s @ zeta.T
            q, z = q_next, z_next
        return x, ""

    def _report(self, residual: float) -> None:
        self.history.append((self.passes, residual))
        if self.tell is not None:
            self.tell(self.passes, None, residual)


def _orthonormal(q: Array, z: Array) -> tuple[Array | None, Array | None, Array]:
    """Make Q orthonormal in the P⁻¹ inner product, given Z = P⁻¹Q; returns (Q, Z, C) with Q_in ≈ Q·C.

    Directions lost in rounding (a column has converged, or the Krylov space is exhausted) are dropped: the block
    gets narrower, and what they held is picked up by the next sweep from the true residual.
    """
    gram = q.T @ z
    values, vectors = np.linalg.eigh((gram + gram.T) / 2)
    keep = values > 1e-15 * max(float(values[-1]), np.finfo(np.float64).tiny)
    if not np.isfinite(values).all() or not keep.any():
        return None, None, np.zeros_like(gram)
    root = np.sqrt(values[keep])
    basis = vectors[:, keep]
    return q @ (basis / root), z @ (basis / root), root[:, None] * basis.T

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

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.kernels.blas import one_blas_thread
from ntkdist.linalg.operator import Operator, SinglePrecision
from ntkdist.linalg.sweep import SINGLE_BELOW, SINGLE_FLOOR, Sweep

Array = NDArray[Any]
Tell = Callable[[int, int | None, float], None]
State = Mapping[str, Array]
# Residuals of CG may grow by √κ before they fall; only a long drought is a stall.
_PATIENCE = 400
_SAVE_EVERY = 60.0


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

    ``checkpoint`` is called every ten passes (and every minute) with a dict of arrays, the whole state of the
    iteration; handing one of them back as ``resume``, with the same arguments, goes on to the same bits. A zero
    column has the solution zero and residual zero. If progress ends before ``rtol`` is reached (the matrix is
    singular, indefinite, or too ill-conditioned for float64), ``converged`` is False, ``reason`` says why and x is
    the best iterate seen; x never holds NaN. Where the operator holds float32 entries and offers
    ``matmat_single``, later passes of a sweep multiply in float32; residuals are of the entries as they are stored.

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
    sweeps = _Sweeps(op, preconditioner, ridge, max_passes, progress, checkpoint)
    unit_b = target[:, live] / norms
    with one_blas_thread(), np.errstate(all="ignore"):
        if resume is not None:
            outer, sweep = sweeps.resume(resume)
            if outer.best.shape != unit_b.shape:
                raise InputError(
                    f"block_cg: the checkpoint holds columns of shape {outer.best.shape}, not {unit_b.shape}."
                )
            outer, reason = sweeps.solve(unit_b, outer, rtol, sweep)
        else:
            begin = None if x0 is None else np.asarray(x0, dtype=np.float64)[:, live] / norms
            outer, reason = sweeps.solve(unit_b, sweeps.start(unit_b, begin), rtol)
    x[:, live] = outer.best * norms
    true = np.zeros(target.shape[1])
    true[live] = outer.reached
    return Solve(x, true, sweeps.passes, bool(np.all(true <= rtol)), reason, sweeps.history)


@dataclass
class Outer:
    """Where refinement stands: the best iterate, its true residual block and the residual's norms (k,)."""

    best: Array
    residual: Array
    reached: Array

    @property
    def start(self) -> float:
        """The largest residual norm."""
        return float(self.reached.max())


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
    ) -> None:
        self.op, self.preconditioner, self.ridge, self.limit = op, preconditioner, ridge, limit
        self.tell, self.save = tell, save
        self.passes = 0
        self.saved = time.monotonic()
        self.history: list[tuple[int, float]] = []

    def multiply(self, v: Array, *, fast: bool = False) -> Array:
        """(K + ridge·I) V, in float32 where that will do."""
        self.passes += 1
        if fast:
            assert isinstance(self.op, SinglePrecision)
            return self.op.matmat_single(v) + self.ridge * v
        return self.op.matmat(v) + self.ridge * v

    def precondition(self, r: Array) -> Array:
        """P⁻¹ R."""
        return r if self.preconditioner is None else self.preconditioner.apply(r, self.ridge)

    def start(self, b: Array, x0: Array | None) -> Outer:
        """Zero, or ``x0`` where that is finite and better than nothing is known of it."""
        if x0 is not None and np.isfinite(x0).all():
            warm = b - self.multiply(x0)
            norms = np.linalg.norm(warm, axis=0)
            if np.isfinite(norms).all():
                return Outer(x0.copy(), warm, norms)
        return Outer(np.zeros_like(b), b, np.ones(b.shape[1]))

    def resume(self, state: State) -> tuple[Outer, Sweep]:
        """What a checkpoint holds."""
        self.passes = int(state["passes"][0])
        self.history = [(int(p), float(r)) for p, r in state["history"]]
        outer = Outer(*(np.asarray(state[name]) for name in ("best", "residual", "reached")))
        return outer, Sweep.restore(state)

    def solve(self, b: Array, outer: Outer, rtol: float, sweep: Sweep | None = None) -> tuple[Outer, str]:
        """Refine until every column's true residual is below rtol; (where it ended, why)."""
        while outer.start > rtol:
            if self.passes >= self.limit:
                return outer, f"stopped after {self.passes} passes (max_passes) at residual {outer.start:.2g}"
            sweep = sweep or Sweep.begin(outer.residual, self.precondition)
            if sweep is None:
                correction, why = np.zeros_like(b), "the preconditioner is not positive definite or not finite"
            else:
                correction, why = self._sweep(sweep, outer, 0.5 * rtol)
            sweep = None
            x = outer.best + correction
            fresh = b - self.multiply(x)
            norms = np.linalg.norm(fresh, axis=0)
            finite = bool(np.isfinite(norms).all())
            self.history.append((self.passes, float(norms.max()) if finite else np.inf))
            before = outer.start
            if finite and norms.max() < before:
                outer = Outer(x, fresh, norms)
            spent = self.passes >= self.limit
            if not spent and outer.start > rtol and not (finite and norms.max() <= 0.5 * before):
                why = why or "the matrix is singular or too ill-conditioned for float64 without a ridge"
                return outer, f"stalled at residual {outer.start:.2g}: {why}"
        return outer, f"true relative residual below {rtol:g} in every column"

    def _sweep(self, sweep: Sweep, outer: Outer, goal: float) -> tuple[Array, str]:
        """Step until the recursive residual is below ``goal``; (the correction, why it broke down)."""
        single = isinstance(self.op, SinglePrecision) and self.op.dtype == np.float32
        goal = max(goal, SINGLE_FLOOR * outer.start) if single else goal
        while self.passes < self.limit:
            fast = single and sweep.left <= SINGLE_BELOW * outer.start
            why = sweep.step(self.multiply(sweep.s, fast=fast), self.precondition)
            if why:
                return sweep.lowest, why
            self._report(sweep, outer)
            if sweep.left <= goal or sweep.since > _PATIENCE:
                break
        return sweep.lowest, ""

    def _report(self, sweep: Sweep, outer: Outer) -> None:
        self.history.append((self.passes, sweep.left))
        if self.tell is not None:
            self.tell(self.passes, None, sweep.left)
        if self.save is None:
            return
        now = time.monotonic()
        if self.passes % 10 == 0 or now - self.saved > _SAVE_EVERY:
            self.saved = now
            history = np.array(self.history, dtype=np.float64).reshape(-1, 2)
            outer_state = {"best": outer.best, "residual": outer.residual, "reached": outer.reached}
            self.save({**outer_state, **sweep.state(), "passes": np.array([self.passes]), "history": history})

"""One block of right-hand sides, many ridges: per-ridge solves from Galerkin starts, or one shared Krylov
space.

Krylov spaces do not move when K is shifted, so an unpreconditioned block Krylov space serves every ridge at
once (the passes are those of its hardest shift); preconditioned systems are not shift-invariant, and there
each solve starts from the Galerkin solution in the span of all earlier ones, ridges descending.
Well-conditioned, high-dimensional data favour the first, hard spectra the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.kernels.blas import one_blas_thread
from ntkdist.linalg.block_cg import Preconditioner, Solve, block_cg
from ntkdist.linalg.eigenpair import orthonormal
from ntkdist.linalg.operator import Operator

Array = NDArray[Any]


def solve_ridges(
    op: Operator,
    b: Array,
    ridges: Sequence[float],
    *,
    preconditioner: Preconditioner | None = None,
    rtol: float = 1e-8,
    max_passes: int = 2000,
    span: Array | None = None,
) -> tuple[Solve, ...]:
    """One Solve per ridge, in the order given; each starts from the span of those with larger ridges (and of the
    columns ``span`` (n, m), solutions that are known already)."""
    _check(ridges)
    found: dict[int, Solve] = {}
    span = np.empty((op.shape[0], 0)) if span is None or not span.any() else orthonormal(span)
    image = op.matmat(span) if span.shape[1] else span
    for at in sorted(range(len(ridges)), key=lambda i: -ridges[i]):
        ridge, start = ridges[at], None
        if span.shape[1]:
            small = span.T @ image + ridge * np.eye(span.shape[1])
            start = span @ np.linalg.lstsq((small + small.T) / 2, span.T @ b, rcond=1e-13)[0]
        solve = block_cg(op, b, preconditioner=preconditioner, ridge=ridge, rtol=rtol, max_passes=max_passes, x0=start)
        found[at] = solve
        fresh = orthonormal(solve.x, span) if solve.x.any() else span[:, :0]
        if fresh.shape[1]:
            span, image = np.hstack([span, fresh]), np.hstack([image, op.matmat(fresh)])
    return tuple(found[i] for i in range(len(ridges)))


def solve_ridges_shared(
    op: Operator, b: Array, ridges: Sequence[float], *, rtol: float = 1e-8, max_passes: int = 100
) -> tuple[Solve, ...]:
    """All ridges from one block Krylov space of B (Galerkin in it), kept whole: n·rank(B)·passes float64.

    Residuals are true ones, ‖b − (K + ridge·I)x‖/‖b‖ from the stored images of the space.
    """
    _check(ridges)
    norms = np.linalg.norm(b, axis=0)
    live = norms > 0
    unit = b[:, live] / norms[live]
    basis, image = np.empty((op.shape[0], 0)), np.empty((op.shape[0], 0))
    new = orthonormal(unit) if live.any() else unit
    passes, residuals = 0, [np.ones(int(live.sum())) for _ in ridges]
    solutions = [np.zeros_like(unit) for _ in ridges]
    with one_blas_thread():
        while new.shape[1] and passes < max_passes and max(r.max() for r in residuals) > rtol:
            product = op.matmat(new)
            passes += 1
            basis, image = np.hstack([basis, new]), np.hstack([image, product])
            small = basis.T @ image
            values, vectors = np.linalg.eigh((small + small.T) / 2)
            rhs = vectors.T @ (basis.T @ unit)
            for k, ridge in enumerate(ridges):
                shifted = values + ridge
                weights = np.divide(1.0, shifted, out=np.zeros_like(shifted), where=shifted > 0)
                y = vectors @ (weights[:, None] * rhs)
                solutions[k] = basis @ y
                residuals[k] = np.linalg.norm(unit - image @ y - ridge * solutions[k], axis=0)
            new = orthonormal(product, basis)
    out = []
    for x, left in zip(solutions, residuals, strict=True):
        whole, true = np.zeros_like(b, dtype=np.float64), np.zeros(b.shape[1])
        whole[:, live], true[live] = x * norms[live], left
        good = bool((true <= rtol).all())
        reason = f"shared Krylov space of {passes} passes" + ("" if good else ", not enough for this ridge")
        out.append(Solve(whole, true, passes, good, reason))
    return tuple(out)


def _check(ridges: Sequence[float]) -> None:
    if not ridges or any(not np.isfinite(r) or r < 0 for r in ridges):
        raise InputError("ridges must be a non-empty list of finite numbers ≥ 0.")

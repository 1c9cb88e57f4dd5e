"""The direct path: a Cholesky factorization in float64, dense where that fits and tile by tile where it does not,
refined on the true residual."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve
from scipy.linalg.lapack import dpotrf

from ntkdist.kernels.blas import blas_threads, factorization_threads
from ntkdist.linalg.block_cg import Solve
from ntkdist.linalg.memory import fits_dense
from ntkdist.linalg.operator import Operator, dense_lower, tiles_of
from ntkdist.linalg.tile_store import TileMapping
from ntkdist.linalg.tiled_cholesky import Breakdown, Factorise, Tell, factorise

Array = NDArray[Any]
Backsolve = Callable[[Array], Array]


def cholesky_solve(
    op: Operator,
    b: Array,
    *,
    ridge: float = 0.0,
    rtol: float = 1e-8,
    store: TileMapping | None = None,
    by: Factorise = factorise,
    progress: Tell | None = None,
) -> Solve:
    """Solve (K + ridge·I) X = B for B (n, k) by factorization; residuals are true and relative.

    With ``store`` the factor's tiles go there when a dense matrix does not fit, made by ``by``. A matrix that is not
    positive definite in float64 gives ``converged=False`` and NaN weights, with the reason.
    """
    target = np.asarray(b, dtype=np.float64)
    norms = np.linalg.norm(target, axis=0)
    if store is None or fits_dense(op.shape[0]):
        back, row = _dense(op, ridge)
    else:
        back, row = _tiled(op, ridge, store, by, progress)
    if back is None:
        reason = f"the Cholesky factorization broke down at row {row}: the matrix is singular or indefinite in float64"
        return Solve(np.full_like(target, np.nan), np.full(len(norms), np.inf), 0, False, reason)
    x = np.zeros_like(target)
    residual, passes, reached = target, 0, np.inf
    history = []
    for _ in range(3):
        x = x + back(residual)
        residual = target - (op.matmat(x) + ridge * x)
        passes += 1
        true = np.divide(np.linalg.norm(residual, axis=0), norms, out=np.zeros_like(norms), where=norms > 0)
        reached = float(true.max(initial=0.0))
        history.append((passes, reached))
        if progress is not None:
            progress(passes, None, reached)
        if reached <= rtol:
            break
    good = reached <= rtol
    reason = f"true relative residual {reached:.1e}" + (
        "" if good else ": too ill-conditioned for float64 without a ridge"
    )
    return Solve(x, true, passes, good, reason, history)


def _dense(op: Operator, ridge: float) -> tuple[Backsolve | None, int]:
    matrix = dense_lower(op)
    matrix[np.diag_indices_from(matrix)] += ridge
    threads = factorization_threads(len(matrix))
    with blas_threads(threads):
        factor, info = dpotrf(matrix, lower=1, overwrite_a=1, clean=0)
    if info != 0:
        return None, int(info) - 1

    def back(r: Array) -> Array:
        with blas_threads(threads):
            return np.asarray(cho_solve((factor, True), r, check_finite=False))

    return back, 0


def _tiled(
    op: Operator, ridge: float, store: TileMapping, by: Factorise, progress: Tell | None
) -> tuple[Backsolve | None, int]:
    found = by(tiles_of(op), shift=ridge, store=store, progress=progress)
    if isinstance(found, Breakdown):
        return None, found.row
    return found.solve, 0

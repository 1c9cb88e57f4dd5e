"""The direct path: one dense Cholesky factorization in float64, refined on the true residual."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve
from scipy.linalg.lapack import dpotrf

from ntkdist.linalg.block_cg import Solve
from ntkdist.linalg.operator import Operator, dense

Array = NDArray[Any]


def cholesky_solve(op: Operator, b: Array, *, ridge: float = 0.0, rtol: float = 1e-8) -> Solve:
    """Solve (K + ridge·I) X = B for B (n, k) by factorization; residuals are true and relative.

    A matrix that is not positive definite in float64 gives ``converged=False`` and NaN weights, with the
    reason.
    """
    target = np.asarray(b, dtype=np.float64)
    norms = np.linalg.norm(target, axis=0)
    matrix = dense(op)
    matrix[np.diag_indices_from(matrix)] += ridge
    factor, info = dpotrf(matrix, lower=1, overwrite_a=1, clean=0)
    if info != 0:
        reason = (
            f"the Cholesky factorization broke down at row {info - 1}: the matrix is singular or indefinite in float64"
        )
        return Solve(np.full_like(target, np.nan), np.full(len(norms), np.inf), 0, False, reason)
    x = np.zeros_like(target)
    residual, passes, reached = target, 0, np.inf
    history = []
    for _ in range(3):
        x = x + cho_solve((factor, True), residual)
        residual = target - (op.matmat(x) + ridge * x)
        passes += 1
        true = np.divide(np.linalg.norm(residual, axis=0), norms, out=np.zeros_like(norms), where=norms > 0)
        reached = float(true.max(initial=0.0))
        history.append((passes, reached))
        if reached <= rtol:
            break
    good = reached <= rtol
    reason = f"true relative residual {reached:.1e}" + (
        "" if good else ": too ill-conditioned for float64 without a ridge"
    )
    return Solve(x, true, passes, good, reason, history)

"""λ_max by block Lanczos with full reorthogonalisation from a random start (Golub & Underwood 1977).

The top of an NTK spectrum is well separated, so about ten to twenty passes reach 1e-9. The basis is kept,
which costs n·s·steps float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.kernels.blas import one_blas_thread
from ntkdist.linalg.eigenpair import Eigenpair, orthonormal
from ntkdist.linalg.operator import Operator

Array = NDArray[Any]
Tell = Callable[[int, int | None, float], None]


def lambda_max(
    op: Operator,
    *,
    rtol: float = 1e-9,
    block: int = 4,
    max_passes: int = 80,
    seed: int = 1,
    progress: Tell | None = None,
) -> Eigenpair:
    """The largest eigenvalue; converged when its residual is below ``rtol`` times itself."""
    n = op.shape[0]
    rng = np.random.default_rng(seed)
    basis = np.empty((n, 0))
    image = np.empty((n, 0))
    new = orthonormal(rng.standard_normal((n, min(block, n))))
    value, vector, residual, passes = 0.0, new[:, 0], np.inf, 0
    with one_blas_thread():
        while new.shape[1] and passes < max_passes:
            product = op.matmat(new)
            passes += 1
            basis, image = np.hstack([basis, new]), np.hstack([image, product])
            projected = basis.T @ image
            values, vectors = np.linalg.eigh((projected + projected.T) / 2)
            value, small = float(values[-1]), vectors[:, -1]
            vector = basis @ small
            residual = float(np.linalg.norm(image @ small - value * vector))
            if progress is not None:
                progress(passes, None, residual / abs(value) if value else residual)
            if residual <= rtol * abs(value):
                break
            new = orthonormal(product, basis)
    converged = residual <= rtol * abs(value) or basis.shape[1] >= n
    reason = f"relative residual {residual / abs(value):.1e}" if value else "the matrix is zero"
    return Eigenpair(value, vector / np.linalg.norm(vector), residual, passes, converged, reason)

"""The k largest eigenpairs by block Lanczos, and how much of the targets lies in their directions.

Full reorthogonalisation; each pass multiplies one block. Target alignment is the share of ‖y‖² in each
eigendirection, (vᵢᵀy)²/‖y‖² (Arora et al. 2019): labels that lie in the top directions are learned first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.kernels.blas import one_blas_thread
from ntkdist.linalg.eigenpair import Eigenpair, orthonormal
from ntkdist.linalg.operator import Operator

Array = NDArray[Any]
Tell = Callable[[int, int | None, float], None]


@dataclass(frozen=True)
class Leading:
    """The largest eigenvalues (k,) descending, unit vectors (n, k), residual norms (k,), passes."""

    values: Array
    vectors: Array
    residual_norms: Array
    passes: int
    converged: bool

    def largest(self) -> Eigenpair:
        """The first pair."""
        residual, value = float(self.residual_norms[0]), float(self.values[0])
        reason = f"relative residual {residual / abs(value):.1e}" if value else "the matrix is zero"
        vector = self.vectors[:, 0] / np.linalg.norm(self.vectors[:, 0])
        return Eigenpair(value, vector, residual, self.passes, self.converged, reason)


def leading_eigenpairs(
    op: Operator,
    k: int,
    *,
    rtol: float = 1e-8,
    block: int = 8,
    max_passes: int = 120,
    seed: int = 6,
    progress: Tell | None = None,
) -> Leading:
    """The ``k`` largest eigenpairs; converged when every residual is below ``rtol``·λ_max."""
    n = op.shape[0]
    if not 1 <= k <= n:
        raise InputError(f"leading_eigenpairs: k must be between 1 and {n}, not {k}.")
    new = orthonormal(np.random.default_rng(seed).standard_normal((n, min(block, n))))
    basis, image = np.empty((n, 0)), np.empty((n, 0))
    passes = 0
    while True:
        with one_blas_thread():
            product = op.matmat(new)
            passes += 1
            basis, image = np.hstack([basis, new]), np.hstack([image, product])
            small = basis.T @ image
            values, vectors = np.linalg.eigh((small + small.T) / 2)
            top = vectors[:, ::-1][:, :k]
            theta = values[::-1][:k]
            x = basis @ top
            residual = np.linalg.norm(image @ top - x * theta, axis=0)
            converged = len(theta) == k and bool(residual.max() <= rtol * abs(theta[0]))
            if progress is not None:
                progress(passes, None, float(residual.max()) / max(abs(float(theta[0])), 1e-300))
            new = orthonormal(product, basis) if basis.shape[1] < n else new[:, :0]
        if len(theta) == k and (converged or passes >= max_passes or not new.shape[1]):
            return Leading(theta, x, residual, passes, converged or basis.shape[1] >= n)
        if not new.shape[1]:
            # An invariant space smaller than k: go on in a fresh direction.
            new = orthonormal(np.random.default_rng(seed + passes).standard_normal((n, 1)), basis)


def target_alignment(vectors: Array, y: Array) -> Array:
    """Share of ‖y‖² in every direction, (m, k) for orthonormal ``vectors`` (n, m) and y (n, k); 0 for zero
    columns."""
    energy = np.einsum("ij,ij->j", y, y)
    share = (vectors.T @ y) ** 2 / np.where(energy > 0, energy, 1.0)
    return np.asarray(share)

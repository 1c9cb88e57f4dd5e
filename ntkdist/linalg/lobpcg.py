"""λ_min by preconditioned LOBPCG (Knyazev 2001) with a whitened basis.

Each pass multiplies the preconditioned residuals; the basis [X W P] is whitened with small directions
dropped, which is what keeps the method stable close to convergence. The start mixes smallest eigenvectors of
the principal submatrix of the rows closest to others (small eigenvalues of kernel matrices are local) with
random columns, so that an eigenvector that is not local is not missed. Below ``dense_below`` rows LAPACK does
it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from ntkdist.errors import InputError, Unresolvable
from ntkdist.kernels.blas import one_blas_thread
from ntkdist.linalg.block_cg import Preconditioner
from ntkdist.linalg.eigenpair import Eigenpair, orthonormal
from ntkdist.linalg.operator import Operator, SinglePrecision, dense

Array = NDArray[Any]
Tell = Callable[[int, int | None, float], None]
DENSE_BELOW = 400
_SINGLE_UNTIL = 1e-5


def lambda_min(
    op: Operator,
    preconditioner: Preconditioner,
    *,
    rtol: float = 1e-9,
    block: int = 8,
    max_passes: int = 300,
    seed: int = 2,
    dense_below: int = DENSE_BELOW,
    progress: Tell | None = None,
) -> Eigenpair:
    """The smallest eigenvalue; converged when it moved by less than ``rtol`` relative in two passes running.

    The residual norm is recomputed from the final vector. Its vector's Rayleigh quotient is an upper bound of
    λ_min.
    """
    return smallest_eigenpairs(
        op,
        preconditioner,
        1,
        rtol=rtol,
        block=block,
        max_passes=max_passes,
        seed=seed,
        dense_below=dense_below,
        progress=progress,
    )[0]


def smallest_eigenpairs(
    op: Operator,
    preconditioner: Preconditioner,
    k: int,
    *,
    rtol: float = 1e-9,
    block: int = 8,
    max_passes: int = 300,
    seed: int = 2,
    dense_below: int = DENSE_BELOW,
    progress: Tell | None = None,
) -> list[Eigenpair]:
    """The ``k`` smallest eigenvalues, ascending; each counts as found like λ_min in :func:`lambda_min`.

    On float32 entries with ``matmat_single``, products are in float32 until the values move by less than 1e-5
    relative; then they are made afresh in float64.
    """
    n = op.shape[0]
    if not 1 <= k <= n:
        raise InputError(f"smallest_eigenpairs: k must be between 1 and {n}, not {k}.")
    block = max(block, k + 3)
    if n <= max(dense_below, 4 * block):
        matrix = dense(op)
        if not np.isfinite(matrix).all():
            raise Unresolvable("The smallest eigenvalues: the matrix holds entries that are not finite.")
        _, vectors = eigh(matrix, subset_by_index=[0, k - 1])
        return _measured(op, vectors, 0, True, "dense LAPACK")
    single = op if isinstance(op, SinglePrecision) and op.dtype == np.float32 else None
    with one_blas_thread():
        x = orthonormal(np.hstack([_local_start(op, block - 2), _random(n, 2, seed)]))
        kx = op.matmat(x) if single is None else single.matmat_single(x)
        passes, quiet, previous = 1, 0, np.full(k, np.inf)
        p = kp = np.empty((n, 0))
        converged = False
        while passes < max_passes:
            if not np.isfinite(kx).all():
                raise Unresolvable("The smallest eigenvalues: a product K·V is not finite; a tile holds NaN or Inf.")
            values, vectors = np.linalg.eigh(_symmetric(x.T @ kx))
            x, kx = x @ vectors, kx @ vectors
            residual = kx - x * values
            theta = values[:k]
            moved = np.abs(previous - theta) / np.where(theta == 0, 1e-300, np.abs(theta))
            previous = theta
            if progress is not None:
                progress(passes, None, float(np.linalg.norm(residual[:, 0])) / max(abs(float(theta[0])), 1e-300))
            if single is not None and moved.max() < _SINGLE_UNTIL:
                single = None
                kx = op.matmat(x)
                passes += 1
                p = kp = np.empty((n, 0))
                continue
            quiet = quiet + 1 if moved.max() < rtol else 0
            if quiet >= 2:
                converged = True
                break
            w = orthonormal(preconditioner.apply(residual), x)
            if not w.shape[1]:
                converged = True
                break
            kw = op.matmat(w) if single is None else single.matmat_single(w)
            passes += 1
            x, kx, p, kp = _rayleigh_ritz(x, kx, w, kw, p, kp)
    reason = f"Rayleigh quotient steady to {rtol:g} relative" if converged else f"stopped after {passes} passes"
    return _measured(op, x[:, :k], passes, converged, reason)


def _rayleigh_ritz(x: Array, kx: Array, w: Array, kw: Array, p: Array, kp: Array) -> tuple[Array, ...]:
    """The best ``block`` vectors of span[X W P], their images, and the new directions P."""
    width = x.shape[1]
    basis, image = np.hstack([x, w, p]), np.hstack([kx, kw, kp])
    metric = _symmetric(basis.T @ basis)
    scale = 1 / np.sqrt(np.diag(metric))
    values, vectors = np.linalg.eigh(metric * np.outer(scale, scale))
    keep = values > 1e-10 * values[-1]
    white = scale[:, None] * vectors[:, keep] / np.sqrt(values[keep])
    _, ritz = np.linalg.eigh(_symmetric(white.T @ (basis.T @ image) @ white))
    chosen = white @ ritz[:, :width]
    direction = chosen.copy()
    direction[:width] = 0.0
    return basis @ chosen, image @ chosen, basis @ direction, image @ direction


def _local_start(op: Operator, count: int) -> Array:
    """Smallest eigenvectors of the principal submatrix of rows that are closest to another row (of a
    sample)."""
    n = op.shape[0]
    rng = np.random.default_rng(0)
    sample = np.sort(rng.choice(n, size=min(n, 256), replace=False))
    columns, diagonal = op.columns(sample), op.diagonal()
    distance = diagonal[:, None] + diagonal[sample][None, :] - 2 * columns
    distance[sample, np.arange(len(sample))] = np.inf
    partner = sample[distance.argmin(axis=1)]
    closest = np.argsort(distance.min(axis=1), kind="stable")[: min(n, 200)]
    rows = np.unique(np.concatenate([closest, partner[closest]]))
    _, vectors = np.linalg.eigh(op.block(rows, rows))
    start = np.zeros((n, min(count, len(rows))))
    start[rows] = vectors[:, : start.shape[1]]
    return start


def _measured(op: Operator, vectors: Array, passes: int, converged: bool, reason: str) -> list[Eigenpair]:
    v = vectors / np.linalg.norm(vectors, axis=0)
    image = op.matmat(v)
    theta = np.einsum("ij,ij->j", v, image)
    residual = np.linalg.norm(image - theta * v, axis=0)
    return [
        Eigenpair(float(theta[j]), v[:, j], float(residual[j]), passes + 1, converged, reason)
        for j in np.argsort(theta, kind="stable")
    ]


def _random(n: int, count: int, seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal((n, count))


def _symmetric(a: Array) -> Array:
    return np.asarray((a + a.T) / 2)

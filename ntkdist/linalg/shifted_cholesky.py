"""A proved lower bound of λ_min(A) from a Cholesky factorization of A − σI that runs to its end.

Ã = fl(A − σI) differs from A − σI on the diagonal only, by at most u·|ã_jj|. If the float64 factorization of Ã
completes with finite positive pivots, R̂ᵀR̂ = Ã + Δ with |Δ_ij| ≤ √(φ_i φ_j), so ‖Δ‖₂ ≤ Σ φ_j and

    λ_min(A) ≥ σ − u·max|ã_jj| − Σ_j φ_j,   φ_j = h_j u/(1 − 2 h_j u)·ã_jj,   u = 2⁻⁵³

(Demmel 1989; Rump 2006). h_j counts the roundings behind row j (j from one): j + 2 for any order of summation
(LAPACK), min(j, b) + ⌈j/b⌉ + 3 for tiles of width b whose products are formed by themselves and then subtracted.
Strassen, emulated float64 and inverses of diagonal blocks are not covered. The sums are rounded outwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotrf

from ntkdist.linalg.operator import TileAccess
from ntkdist.linalg.tile_store import TileMapping
from ntkdist.linalg.tiled_cholesky import Breakdown, Factorise, Tell, factorise

Array = NDArray[Any]
_U = 2.0**-53


@dataclass(frozen=True)
class Attempt:
    """A proved lower bound of λ_min(A), or a vector (n,) with a Rayleigh quotient of about σ or less, or
    neither."""

    lower: float | None
    witness: Array | None


def rounding_bound(shifted: Array, tile: int | None = None) -> float:
    """u·max|ã_jj| + Σ φ_j, rounded up, for the diagonal ``shifted`` (n,) of Ã; ``tile`` where it was tiled."""
    n = len(shifted)
    j = np.arange(1, n + 1, dtype=np.float64)
    h = j + 2.0 if tile is None else np.minimum(j, tile) + np.ceil(j / tile) + 3.0
    phi = float(np.sum(h * _U / (1 - 2 * h * _U) * shifted)) * (1 + 4 * n * _U)
    return math.nextafter(_U * float(shifted.max()) * (1 + 4 * _U) + phi, math.inf)


def shifted_cholesky_bound(matrix: Array, sigma: float) -> float | None:
    """A proved lower bound of λ_min(A) if the Cholesky factorization of A − σI completes, else None."""
    return attempt_shifted_cholesky(matrix, sigma).lower


def attempt_shifted_cholesky(matrix: Array, sigma: float) -> Attempt:
    """Factorize A − σI with LAPACK; ``matrix`` (n, n) float64, of which the lower triangle counts, is
    overwritten."""
    n = matrix.shape[0]
    shifted = np.diagonal(matrix) - sigma
    hopeless = _hopeless(shifted)
    if hopeless is not None:
        return hopeless
    matrix[np.diag_indices(n)] = shifted
    factor, info = dpotrf(np.asfortranarray(matrix), lower=1, overwrite_a=1, clean=0)
    if info > 0:
        return Attempt(None, _witness(factor, info - 1))
    pivots = np.diagonal(factor)
    if info != 0 or not np.isfinite(pivots).all() or np.any(pivots <= 0):
        return Attempt(None, None)
    return Attempt(math.nextafter(sigma - rounding_bound(shifted), -math.inf), None)


def attempt_tiled(
    access: TileAccess,
    diagonal: Array,
    sigma: float,
    *,
    store: TileMapping | None = None,
    by: Factorise = factorise,
    progress: Tell | None = None,
) -> Attempt:
    """The same tile by tile, in memory or out of core; ``diagonal`` (n,) is diag A as the tiles hold it."""
    shifted = diagonal - sigma
    hopeless = _hopeless(shifted)
    if hopeless is not None:
        return hopeless
    found = by(access, shift=-sigma, store=store, progress=progress)
    if isinstance(found, Breakdown):
        return Attempt(None, found.witness)
    return Attempt(math.nextafter(sigma - rounding_bound(shifted, access.tile_size), -math.inf), None)


def _hopeless(shifted: Array) -> Attempt | None:
    """What the shifted diagonal says by itself: an entry that is not positive is its own witness."""
    if not np.isfinite(shifted).all():
        return Attempt(None, None)
    if np.any(shifted <= 0):
        return Attempt(None, np.eye(1, len(shifted), int(np.argmin(shifted)))[0])
    return None


def _witness(factor: Array, j: int) -> Array | None:
    """The direction of no positive curvature that pivot ``j`` of a broken factorization stands for."""
    v = np.zeros(len(factor))
    v[j] = 1.0
    if j:
        # LAPACK leaves rows of finished block columns factorized; row j before the pivot is final.
        v[:j] = -solve_triangular(factor[:j, :j], factor[j, :j], lower=True, trans=1, check_finite=False)
    return v if np.isfinite(v).all() else None

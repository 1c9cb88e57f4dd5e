"""Left-looking tiled Cholesky K + shift·I = L Lᵀ over lower tiles, with its triangular solves and
log-determinant.

Tile column k: L_kk = chol(K_kk − Σ_j L_kj L_kjᵀ), then L_ik = (K_ik − Σ_j L_ij L_kjᵀ) L_kk⁻ᵀ for i > k. Only
tiles of K and of L are touched, through functions, so both may live on disk or in other processes; ``run``
maps a function over the independent tiles of one column (a thread pool's map, for instance). Every product is
formed in a scratch tile (beta = 0) and then subtracted, which is what the rounding bound h_j = min(j, b) + ⌈j/b⌉
+ 3 assumes (see :mod:`ntkdist.linalg.shifted_cholesky`). Cost n³/3 flops; out of core about n³/(3b) entries are
read again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.linalg.blas import dgemm, dsyrk, dtrsm
from scipy.linalg.lapack import dpotrf

from ntkdist.errors import InputError, Unresolvable
from ntkdist.linalg.operator import TileAccess
from ntkdist.linalg.tile_store import TileMapping
from ntkdist.tiling import Tiling

Array = NDArray[Any]
Run = Callable[[Callable[[int], None], Iterable[int]], Iterable[None]]
Tell = Callable[[int, int | None, float], None]


@dataclass(frozen=True)
class TiledFactor:
    """The tiles of L and their tiling; ``read`` returns tile (i, j), i ≥ j, in float64."""

    tiling: Tiling
    read: Callable[[int, int], Array]

    def solve(self, b: Array) -> Array:
        """(L Lᵀ)⁻¹ B for B (n, s)."""
        x, tiling = np.array(b, dtype=np.float64), self.tiling
        if x.ndim != 2 or len(x) != tiling.n:
            raise InputError(f"TiledFactor.solve: b must have shape ({tiling.n}, s), not {x.shape}.")
        for i in range(tiling.bands):
            rows = tiling.rows(i)
            for j in range(i):
                x[rows] -= self.read(i, j) @ x[tiling.rows(j)]
            x[rows] = solve_triangular(self.read(i, i), x[rows], lower=True, check_finite=False)
        return self.solve_transposed(x, tiling.bands)

    def solve_transposed(self, x: Array, bands: int) -> Array:
        """L⁻ᵀ X for the leading ``bands`` bands of L, in place; X (n, s) or longer than these bands."""
        tiling = self.tiling
        for i in reversed(range(bands)):
            rows = tiling.rows(i)
            for j in range(i + 1, bands):
                x[rows] -= self.read(j, i).T @ x[tiling.rows(j)]
            x[rows] = solve_triangular(self.read(i, i), x[rows], lower=True, trans=1, check_finite=False)
        return x

    def logdet(self) -> float:
        """log det of L Lᵀ."""
        return 2 * sum(float(np.sum(np.log(np.diagonal(self.read(i, i))))) for i in range(self.tiling.bands))


@dataclass(frozen=True)
class Breakdown:
    """A pivot that is not positive: its row, and v (n,) with vᵀ(K + shift·I)v ≤ rounding (None if not finite)."""

    row: int
    witness: Array | None


class Factorise(Protocol):
    """A way to factorize tile by tile: in this process, or spread over others."""

    def __call__(
        self,
        op: TileAccess,
        *,
        shift: float = 0.0,
        store: TileMapping | None = None,
        progress: Tell | None = None,
    ) -> TiledFactor | Breakdown:
        """K + shift·I = L Lᵀ, or where it broke down."""


def factorise(
    op: TileAccess,
    *,
    shift: float = 0.0,
    store: TileMapping | None = None,
    run: Run = map,
    progress: Tell | None = None,
) -> TiledFactor | Breakdown:
    """Factorize K + shift·I tile by tile; a pivot that is not positive ends it with its witness."""
    tiling = Tiling(op.shape[0], op.tile_size)
    kept: TileMapping = {} if store is None else store
    factor = TiledFactor(tiling, lambda i, j: kept[i, j])
    for k in range(tiling.bands):
        lower, info = diagonal_factor(op, kept, k, shift)
        if info != 0 or not np.isfinite(np.diagonal(lower)).all():
            return breakdown(factor, k, lower, info)
        kept[k, k] = lower

        def panel(i: int, k: int = k, lower: Array = lower) -> None:
            kept[i, k] = panel_tile(op, kept, i, k, lower)

        for _ in run(panel, range(k + 1, tiling.bands)):
            pass
        if progress is not None:
            progress(k + 1, tiling.bands, 0.0)
    return factor


def tiled_cholesky(
    op: TileAccess,
    *,
    ridge: float = 0.0,
    store: TileMapping | None = None,
    run: Run = map,
    progress: Tell | None = None,
) -> TiledFactor:
    """Factorize K + ridge·I; ``store`` (any mutable mapping, on disk if wished) receives the tiles of L.

    Raises
    ------
    Unresolvable
        A pivot is not positive: K + ridge·I is singular or indefinite in float64.
    """
    found = factorise(op, shift=ridge, store=store, run=run, progress=progress)
    if isinstance(found, Breakdown):
        raise Unresolvable(
            f"Cholesky broke down at row {found.row}: the matrix is singular or indefinite in float64; add a ridge."
        )
    return found


def diagonal_factor(op: TileAccess, kept: TileMapping, k: int, shift: float) -> tuple[Array, int]:
    """(L_kk, LAPACK's info) from the finished tiles of band k."""
    tile = np.array(op.tile(k, k), dtype=np.float64, order="F")
    # Only the diagonal is shifted, and before anything is subtracted: Ã = fl(K + shift·I).
    tile[np.diag_indices_from(tile)] += shift
    for j in range(k):
        tile -= dsyrk(1.0, kept[k, j], lower=1)
    lower, info = dpotrf(tile, lower=1, overwrite_a=1, clean=1)
    return lower, int(info)


def panel_tile(op: TileAccess, kept: TileMapping, i: int, k: int, lower: Array) -> Array:
    """L_ik from the finished tiles of bands i and k and the diagonal factor L_kk."""
    tile = np.array(op.tile(i, k), dtype=np.float64, order="F")
    for j in range(k):
        tile -= dgemm(1.0, kept[i, j], kept[k, j], trans_b=1)
    return np.asarray(dtrsm(1.0, lower, tile, side=1, lower=1, trans_a=1, overwrite_b=1))


def breakdown(factor: TiledFactor, k: int, lower: Array, info: int) -> Breakdown:
    """v = [−L₁₁⁻ᵀ l_p; 1; 0] for the pivot p at which the diagonal tile of band k broke down."""
    tiling = factor.tiling
    local = max(info - 1, 0)
    start = tiling.rows(k).start
    if info <= 0 or not np.isfinite(lower[local, :local]).all():
        return Breakdown(start + local, None)
    v = np.zeros((tiling.n, 1))
    v[start + local] = 1.0
    if local:
        head = solve_triangular(lower[:local, :local], lower[local, :local], lower=True, trans=1, check_finite=False)
        v[start : start + local, 0] = -head
    for i in range(k):
        tile = factor.read(k, i)
        v[tiling.rows(i), 0] = -tile[local] - tile[:local].T @ v[start : start + local, 0]
    factor.solve_transposed(v, k)
    return Breakdown(start + local, v[:, 0] if np.isfinite(v).all() else None)

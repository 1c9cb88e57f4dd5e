"""Left-looking tiled Cholesky K + ridge·I = L Lᵀ over lower tiles, with its triangular solves and
log-determinant.

Tile column k: L_kk = chol(K_kk − Σ_j L_kj L_kjᵀ), then L_ik = (K_ik − Σ_j L_ij L_kjᵀ) L_kk⁻ᵀ for i > k. Only
tiles of K and of L are touched, through functions, so both may live on disk or in other processes; ``run``
maps a function over the independent tiles of one column (a thread pool's map, for instance). Products are
formed in a scratch tile and then subtracted, which is what the tighter rounding bound h_j = min(j, b) + ⌈j/b⌉
+ 3 assumes. Cost n³/3 flops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotrf

from ntkdist.errors import InputError, Unresolvable
from ntkdist.tiling import Tiling

Array = NDArray[Any]
Run = Callable[[Callable[[int], None], Iterable[int]], Iterable[None]]


class TileAccess(Protocol):
    """Lower tiles of a symmetric matrix."""

    shape: tuple[int, int]

    @property
    def tile_size(self) -> int:
        """Rows of a tile."""

    @property
    def tile(self) -> Callable[[int, int], Array]:
        """Getter of tile (i, j), i ≥ j."""


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
            x[rows] = solve_triangular(self.read(i, i), x[rows], lower=True)
        for i in reversed(range(tiling.bands)):
            rows = tiling.rows(i)
            for j in range(i + 1, tiling.bands):
                x[rows] -= self.read(j, i).T @ x[tiling.rows(j)]
            x[rows] = solve_triangular(self.read(i, i), x[rows], lower=True, trans=1)
        return x

    def logdet(self) -> float:
        """log det of L Lᵀ."""
        return 2 * sum(float(np.sum(np.log(np.diagonal(self.read(i, i))))) for i in range(self.tiling.bands))


def tiled_cholesky(
    op: TileAccess,
    *,
    ridge: float = 0.0,
    store: dict[tuple[int, int], Array] | None = None,
    run: Run = map,
    progress: Callable[[int, int | None, float], None] | None = None,
) -> TiledFactor:
    """Factorize; ``store`` (any mutable mapping, on disk if wished) receives the tiles of L.

    Raises
    ------
    Unresolvable
        A pivot is not positive: K + ridge·I is singular or indefinite in float64.
    """
    tiling = Tiling(op.shape[0], op.tile_size)
    kept: dict[tuple[int, int], Array] = {} if store is None else store
    for k in range(tiling.bands):
        diagonal = _reduced(op, kept, k, k)
        diagonal[np.diag_indices_from(diagonal)] += ridge
        factor, info = dpotrf(diagonal, lower=1, overwrite_a=1, clean=1)
        if info != 0 or not np.isfinite(np.diagonal(factor)).all():
            row = tiling.rows(k).start + max(info - 1, 0)
            raise Unresolvable(
                f"Cholesky broke down at row {row}: the matrix is singular or indefinite in float64; add a ridge."
            )
        kept[k, k] = factor

        def panel(i: int, k: int = k, factor: Array = factor) -> None:
            kept[i, k] = np.asarray(solve_triangular(factor, _reduced(op, kept, i, k).T, lower=True)).T

        for _ in run(panel, range(k + 1, tiling.bands)):
            pass
        if progress is not None:
            progress(k + 1, tiling.bands, 0.0)
    return TiledFactor(tiling, lambda i, j: kept[i, j])


def _reduced(op: TileAccess, kept: dict[tuple[int, int], Array], i: int, k: int) -> Array:
    """K_ik − Σ_j<k L_ij L_kjᵀ, in a fresh tile."""
    tile = np.array(op.tile(i, k), dtype=np.float64, order="F")
    for j in range(k):
        tile -= kept[i, j] @ kept[k, j].T
    return tile

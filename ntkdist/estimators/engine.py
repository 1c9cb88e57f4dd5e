"""What both estimators stand on: a Gram matrix whose tiles are remembered, the weights, predictions by blocks.

More rows extend the matrix: tiles between old rows are kept, tiles that touch a new row are computed. Arithmetic is
float64 throughout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.kernels import Kernel
from ntkdist.pipeline.gram_matrix import Gram
from ntkdist.pipeline.library import library_gram
from ntkdist.pipeline.risk import auto_ridges, score_ridges
from ntkdist.pipeline.second_kernel import Kept
from ntkdist.pipeline.solve import solve_weights

Array = NDArray[Any]
TILE = 512
_BLOCK = 2048
_DENSE_ROWS = 2000


@dataclass(frozen=True)
class Fit:
    """A fitted kernel machine: rows (n, d), weights (n, k), the ridge used, and the Gram matrix's tiles."""

    rows: Array
    weights: Array
    ridge: float
    gram: Gram

    def predict(self, x: Array, kernel: Kernel, which: str) -> Array:
        """f(x) = K(x, X) α by blocks of rows: (m, k)."""
        out = np.empty((len(x), self.weights.shape[1]))
        for start in range(0, len(x), _BLOCK):
            some = np.ascontiguousarray(x[start : start + _BLOCK], dtype=np.float64)
            out[start : start + _BLOCK] = kernel.cross(some, self.rows, which=which) @ self.weights
        return out


def fit_machine(
    rows: Array, y: Array, kernel: Kernel, *, which: str, ridge: float | str, rtol: float, earlier: Gram | None = None
) -> Fit:
    """Weights of (K + ridge·I)⁻¹ y for y (n, k); ``earlier`` is the matrix of the first rows, whose tiles are kept."""
    rows = np.ascontiguousarray(rows, dtype=np.float64)
    gram = remembered_gram(rows, kernel, which, {} if earlier is None else whole_tiles(earlier))
    if isinstance(ridge, str):
        if ridge not in ("loo", "gcv"):
            raise InputError(f"ridge must be a number, 'loo' or 'gcv', not {ridge!r}.")
        scores = score_ridges(gram, y, auto_ridges(gram), dense_rows=_DENSE_ROWS)
        best = scores.best_loo if ridge == "loo" else scores.best_gcv
        if best is None:
            raise InputError(f"ridge={ridge!r} found no ridge for {gram.n} rows; use 'gcv', or a number.")
        ridge = best
    if not ridge >= 0.0:
        raise InputError(f"ridge must be zero or positive, not {ridge}.")
    solve, _, _ = solve_weights(gram, y, ridge=float(ridge), rtol=rtol)
    return Fit(rows, solve.x, float(ridge), gram)


def remembered_gram(rows: Array, kernel: Kernel, which: str, known: dict[tuple[int, int], Array] | None = None) -> Gram:
    """The Gram matrix of ``rows``, each tile made at its first use; ``known`` tiles are not made again."""
    gram = library_gram(rows, kernel, None, None, which=which, tile=TILE, storage=None, mode="recomputed")
    gram.operator.tile = Kept(gram.operator.tile, known)
    return gram


def whole_tiles(gram: Gram) -> dict[tuple[int, int], Array]:
    """The tiles of a matrix that stay as they are when rows are appended: those of full bands."""
    tile = gram.operator.tile
    assert isinstance(tile, Kept)
    full = gram.n // TILE
    return {(i, j): made for (i, j), made in tile.tiles.items() if i < full and j < full}

"""Adaptive factorised Nyström: landmarks eliminated exactly, a sparse inverse factor on the rest.

On low-dimensional data what a low-rank factor leaves is local: row i of the Schur complement S = K₂₂ − F₂F₂ᵀ
is nearly explained by a few neighbours. G, with GᵀG ≈ S⁻¹, gets row i from its m nearest *earlier* rows J in
a random order: solve S_JJ g = e_last and divide by √g_last (FSAI; Zhao, Xu, Huang, Chow & Xi 2024). Applied
as y₁ = L₁₁⁻¹r₁, y₂ = G(r₂ − F₂y₁), x₂ = Gᵀy₂, x₁ = L₁₁⁻ᵀ(y₁ − F₂ᵀx₂). It needs one scan of K for the
neighbours. On CIFAR-10 it gains nothing; on d ≤ 10 it saves up to ten times the passes, so
:func:`choose_preconditioner` samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.sparse import csr_array

from ntkdist.linalg.operator import Operator
from ntkdist.linalg.rpcholesky import LowRankPreconditioner

Array = NDArray[Any]
LOCAL_BELOW = 0.75
_PANEL = 512
_JITTER = 1e-12


class FactorisedNystrom:
    """P with P⁻¹ from landmarks (exact) and a sparse inverse factor G of their Schur complement."""

    def __init__(self, op: Operator, low_rank: LowRankPreconditioner, *, neighbours: int = 32, seed: int = 0) -> None:
        self._op, self._neighbours, self._seed = op, neighbours, seed
        self._pivots = low_rank.pivots
        self._ridge = 0.0
        self._prepare()

    @property
    def rank(self) -> int:
        """Number of landmarks."""
        return len(self._pivots)

    def _prepare(self) -> None:
        op, pivots = self._op, self._pivots
        rest = np.setdiff1d(np.arange(op.shape[0]), pivots)
        self._rest = np.random.default_rng(self._seed).permutation(rest)
        block = op.block(pivots, pivots)
        self._landmarks = _factor(block, self._ridge)
        cross = op.columns(pivots)[self._rest]
        self._factor = solve_triangular(self._landmarks, cross.T, lower=True).T
        nearest = _earlier_neighbours(op, self._rest, self._neighbours)
        order = np.arange(len(self._rest))
        self._g, _ = sparse_inverse_rows(op, self._rest, self._factor, order, nearest, self._ridge)

    def apply(self, r: Array, ridge: float = 0.0) -> Array:
        """P⁻¹ R for R (n, s); a new ridge rebuilds the factors."""
        if ridge != self._ridge:
            self._ridge = ridge
            self._prepare()
        y1 = solve_triangular(self._landmarks, r[self._pivots], lower=True)
        x2 = self._g.T @ (self._g @ (r[self._rest] - self._factor @ y1))
        out = np.empty_like(r)
        out[self._rest] = x2
        out[self._pivots] = solve_triangular(self._landmarks, y1 - self._factor.T @ x2, lower=True, trans=1)
        return out


def sparse_inverse_rows(
    op: Operator, rest: Array, factor: Array, which: Array, nearest: list[Array], ridge: float = 0.0
) -> tuple[csr_array, Array]:
    """Rows ``which`` of G and their conditional variances 1/g²; ``nearest[k]`` are earlier positions for
    which[k]."""
    indices, values, pointer, variances = [], [], [0], np.empty(len(which))
    for k, i in enumerate(which):
        at = np.append(nearest[k], i)
        local = op.block(rest[at], rest[at]) - factor[at] @ factor[at].T
        lower = _factor(local, ridge)
        # S_JJ⁻¹ e_last = L⁻ᵀ e_last / L_last, so g = L⁻ᵀ e_last after dividing by √g_last.
        unit = np.zeros(len(at))
        unit[-1] = 1.0
        indices.append(at)
        values.append(solve_triangular(lower, unit, lower=True, trans=1))
        pointer.append(pointer[-1] + len(at))
        variances[k] = lower[-1, -1] ** 2
    shape = (len(which), len(rest))
    g = csr_array(
        (np.concatenate(values or [np.empty(0)]), np.concatenate(indices or [np.empty(0, int)]), pointer),
        shape,
    )
    return g, variances


def locality(
    op: Operator, low_rank: LowRankPreconditioner, *, neighbours: int = 32, sample: int = 128, seed: int = 0
) -> float:
    """Median ratio of the conditional variance given neighbours to the residual diagonal, on late sampled
    rows."""
    rest = np.random.default_rng(seed).permutation(np.setdiff1d(np.arange(op.shape[0]), low_rank.pivots))
    if len(rest) < 2:
        return 1.0
    which = np.arange(max(0, len(rest) - sample), len(rest))
    columns = op.columns(rest[which])[rest]
    nearest = [_top(columns[:i, k], neighbours) for k, i in enumerate(which)]
    factor = low_rank.factor[rest]
    _, variances = sparse_inverse_rows(op, rest, factor, which, nearest)
    residual = op.diagonal()[rest[which]] - np.einsum("ij,ij->i", factor[which], factor[which])
    positive = residual > 0
    return float(np.median(variances[positive] / residual[positive])) if positive.any() else 1.0


def choose_preconditioner(
    op: Operator, low_rank: LowRankPreconditioner, *, neighbours: int = 32, seed: int = 0
) -> tuple[LowRankPreconditioner | FactorisedNystrom, str]:
    """The low-rank form, or the factorised one where the remainder is local; with the reason in words."""
    ratio = locality(op, low_rank, neighbours=neighbours, seed=seed)
    if ratio < LOCAL_BELOW:
        chosen = FactorisedNystrom(op, low_rank, neighbours=neighbours, seed=seed)
        return chosen, f"neighbours explain the remainder (variance ratio {ratio:.2f} < {LOCAL_BELOW}): AFN"
    return low_rank, f"neighbours do not explain the remainder (variance ratio {ratio:.2f}): low rank"


def _earlier_neighbours(op: Operator, rest: Array, count: int) -> list[Array]:
    nearest: list[Array] = []
    for start in range(0, len(rest), _PANEL):
        stop = min(len(rest), start + _PANEL)
        columns = op.columns(rest[start:stop])[rest]
        nearest += [_top(columns[:i, i - start], count) for i in range(start, stop)]
    return nearest


def _top(row: Array, count: int) -> Array:
    if len(row) <= count:
        return np.arange(len(row))
    return np.sort(np.argpartition(row, -count)[-count:])


def _factor(matrix: Array, ridge: float) -> Array:
    """Cholesky factor of a small block, with the smallest tried jitter that makes it definite."""
    scale = float(np.max(np.diagonal(matrix), initial=np.finfo(np.float64).tiny))
    jitter = 0.0
    while True:
        try:
            return np.asarray(cholesky(matrix + (ridge + jitter * scale) * np.eye(len(matrix)), lower=True))
        except np.linalg.LinAlgError:
            jitter = max(_JITTER, 10 * jitter)
            assert jitter < 1e6

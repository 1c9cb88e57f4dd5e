"""Adaptive factorised Nyström: landmarks eliminated exactly, a sparse inverse factor on the rest.

On low-dimensional data what a low-rank factor leaves is local: row i of the Schur complement S = K₂₂ − F₂F₂ᵀ
is nearly explained by a few neighbours. G, with GᵀG ≈ S⁻¹, gets row i from its m nearest *earlier* rows J in
a random order: solve S_JJ g = e_last and divide by √g_last (FSAI; Zhao, Xu, Huang, Chow & Xi 2024). Applied
as y₁ = L₁₁⁻¹r₁, y₂ = G(r₂ − F₂y₁), x₂ = Gᵀy₂, x₁ = L₁₁⁻ᵀ(y₁ − F₂ᵀx₂). It needs one scan of K for the
neighbours. On CIFAR-10 it gains nothing; on d ≤ 10 it saves up to ten times the passes, so
:func:`choose_preconditioner` samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.sparse import csr_array

from ntkdist.linalg.neighbours import correlation_scale, earlier_neighbours, entries
from ntkdist.linalg.operator import Operator
from ntkdist.linalg.rpcholesky import LowRankPreconditioner

Array = NDArray[Any]
LOCAL_BELOW = 0.75
_BATCH = 512
_JITTER = 1e-12
# A pivot of a local block below this share of its diagonal is rounding; it is lifted to it.
_PIVOT_FLOOR = 1e-14


class FactorisedNystrom:
    """P with P⁻¹ from landmarks (exact) and a sparse inverse factor G of their Schur complement."""

    def __init__(
        self,
        op: Operator,
        low_rank: LowRankPreconditioner,
        *,
        neighbours: int = 32,
        seed: int = 0,
        nearest: Array | None = None,
    ) -> None:
        self._op = op
        self.low_rank = low_rank
        self._pivots = low_rank.pivots
        rest = np.setdiff1d(np.arange(op.shape[0]), low_rank.pivots)
        self._rest = np.random.default_rng(seed).permutation(rest)
        self.nearest = earlier_neighbours(op, self._rest, neighbours) if nearest is None else nearest
        self._ridge = 0.0
        self._prepare()

    @property
    def rank(self) -> int:
        """Number of landmarks."""
        return len(self._pivots)

    @property
    def neighbours(self) -> int:
        """Neighbours per row of G."""
        return int(self.nearest.shape[1])

    def arrays(self) -> dict[str, Array]:
        """What :meth:`from_arrays` needs beside the operator: the low-rank part and the neighbours."""
        return {**self.low_rank.arrays(), "nearest": self.nearest}

    @classmethod
    def from_arrays(cls, op: Operator, arrays: Mapping[str, Array], *, seed: int = 0) -> FactorisedNystrom:
        """Rebuild without scanning the operator for neighbours again."""
        return cls(op, LowRankPreconditioner.from_arrays(arrays), seed=seed, nearest=np.asarray(arrays["nearest"]))

    def _prepare(self) -> None:
        op, pivots = self._op, self._pivots
        self._landmarks = _factor(op.block(pivots, pivots), self._ridge)
        cross = op.columns(pivots)[self._rest]
        self._factor = np.ascontiguousarray(solve_triangular(self._landmarks, cross.T, lower=True).T)
        order = np.arange(len(self._rest))
        self._g, _ = sparse_inverse_rows(op, self._rest, self._factor, order, self.nearest, self._ridge)
        self._gt = csr_array(self._g.T)

    def apply(self, r: Array, ridge: float = 0.0) -> Array:
        """P⁻¹ R for R (n, s); a new ridge rebuilds the factors."""
        if ridge != self._ridge:
            self._ridge = ridge
            self._prepare()
        y1 = solve_triangular(self._landmarks, r[self._pivots], lower=True)
        x2 = self._gt @ (self._g @ (r[self._rest] - self._factor @ y1))
        out = np.empty_like(r)
        out[self._rest] = x2
        out[self._pivots] = solve_triangular(self._landmarks, y1 - self._factor.T @ x2, lower=True, trans=1)
        return out


def sparse_inverse_rows(
    op: Operator, rest: Array, factor: Array, which: Array, nearest: Array, ridge: float = 0.0
) -> tuple[csr_array, Array]:
    """Rows ``which`` of G (len(which), len(rest)) and their conditional variances 1/g².

    ``rest`` are rows of K in elimination order, ``factor`` (len(rest), k) their part of F, ``nearest`` (len(which), m)
    earlier positions for each of ``which``, −1 where there is none.
    """
    width = nearest.shape[1] + 1
    members = np.concatenate([nearest, which[:, None]], axis=1)
    values, variances = np.empty((len(which), width)), np.empty(len(which))
    for start in range(0, len(which), _BATCH):
        part = members[start : start + _BATCH]
        there = np.maximum(part, 0)
        left, right = np.repeat(there, width, axis=1), np.tile(there, (1, width))
        below = np.broadcast_to(np.tri(width, dtype=bool).ravel(), left.shape)
        local = np.zeros((len(part), width * width))
        local[below] = entries(op, rest[left[below]], rest[right[below]])
        f = factor[there]
        local = local.reshape(len(part), width, width) - f @ f.transpose(0, 2, 1)
        _inverse_rows(local, part < 0, ridge, values[start : start + _BATCH], variances[start : start + _BATCH])
    kept = members >= 0
    pointer = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    return csr_array((values[kept], members[kept], pointer), shape=(len(which), len(rest))), variances


@njit(nogil=True, cache=True)
def _inverse_rows(local, absent, ridge, values, variances):  # type: ignore[no-untyped-def]
    """g = L⁻ᵀ e_last for LLᵀ = S_JJ + ridge·I (its lower half in ``local``); S_JJ⁻¹ e_last = L⁻ᵀ e_last / L_last."""
    count, width = absent.shape
    for t in range(count):
        a = local[t]
        for i in range(width):
            if absent[t, i]:
                a[i, : i + 1] = 0.0
                a[i:, i] = 0.0
                a[i, i] = 1.0
            else:
                a[i, i] += ridge
        for j in range(width):
            pivot = a[j, j]
            floor = max(pivot * _PIVOT_FLOOR, 1e-300)
            for k in range(j):
                pivot -= a[j, k] * a[j, k]
            pivot = np.sqrt(max(pivot, floor))
            a[j, j] = pivot
            for i in range(j + 1, width):
                total = a[i, j]
                for k in range(j):
                    total -= a[i, k] * a[j, k]
                a[i, j] = total / pivot
        last = width - 1
        variances[t] = a[last, last] ** 2
        for i in range(last, -1, -1):
            total = 1.0 if i == last else 0.0
            for k in range(i + 1, width):
                total -= a[k, i] * values[t, k]
            values[t, i] = total / a[i, i]


def locality(
    op: Operator, low_rank: LowRankPreconditioner, *, neighbours: int = 32, sample: int = 256, seed: int = 0
) -> float:
    """Median ratio of the conditional variance given neighbours to the residual diagonal, on late sampled
    rows."""
    rest = np.random.default_rng(seed).permutation(np.setdiff1d(np.arange(op.shape[0]), low_rank.pivots))
    if len(rest) < 2:
        return 1.0
    which = np.arange(max(0, len(rest) - sample), len(rest))
    columns = op.columns(rest[which])[rest] * correlation_scale(op)[rest][:, None]
    nearest = np.full((len(which), neighbours), -1, dtype=np.int64)
    for k, i in enumerate(which):
        found = _top(columns[:i, k], neighbours)
        if len(found):
            nearest[k, -len(found) :] = found
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

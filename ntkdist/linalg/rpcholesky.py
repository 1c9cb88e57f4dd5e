"""Accelerated randomly pivoted Cholesky: a low-rank preconditioner from a few columns of K.

Pivots are drawn with probability proportional to the residual diagonal, in blocks, with a rejection step
inside the block that makes the result equal in law to drawing them one by one (Chen, Epperly, Tropp & Webber
2023; Epperly, Tropp & Webber 2024). With K ≈ F Fᵀ and μ the mean of the positive residual diagonal, the
preconditioner is P = F Fᵀ + (μ + ridge) I, applied as P⁻¹r = (r − W Wᵀ r)/(μ + ridge). Cost: k columns of K
and O(n k²) flops.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from ntkdist.linalg.operator import Operator

Array = NDArray[Any]


def default_rank(n: int, memory: float | None = None) -> int:
    """Rank n/20, at least 200 and at most 1,000, never more than n/4: the optimum is flat, and 6nk² flops of setup
    stay small beside the passes they save. With ``memory`` bytes at hand, F and W (n·k float64 each) take a quarter."""
    rank = max(1, min(n // 4, max(200, min(1000, n // 20))))
    return rank if memory is None else max(1, min(rank, int(0.25 * memory / (16 * n))))


class LowRankPreconditioner:
    """P = F Fᵀ + (μ + ridge) I for a factor F (n, k)."""

    def __init__(self, factor: Array, mu: float, pivots: Array) -> None:
        self.factor = factor
        self.mu = mu
        self.pivots = pivots
        self._cached: tuple[float, Array] | None = None

    def arrays(self) -> dict[str, Array]:
        """Everything it is, as arrays."""
        return {"factor": self.factor, "mu": np.array([self.mu]), "pivots": self.pivots}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> LowRankPreconditioner:
        """Rebuild from :meth:`arrays`."""
        return cls(np.asarray(arrays["factor"]), float(arrays["mu"][0]), np.asarray(arrays["pivots"]))

    @property
    def rank(self) -> int:
        """Number of columns of F."""
        return int(self.factor.shape[1])

    def apply(self, r: Array, ridge: float = 0.0) -> Array:
        """P⁻¹ R for R (n, s)."""
        shift = self.mu + ridge
        w = self._whitened(shift)
        return np.asarray((r - w @ (w.T @ r)) / shift)

    def _whitened(self, shift: float) -> Array:
        # W = F L⁻ᵀ with L Lᵀ = FᵀF + shift·I, so that P⁻¹ = (I − W Wᵀ)/shift.
        if self._cached is None or self._cached[0] != shift:
            gram = self.factor.T @ self.factor
            gram[np.diag_indices_from(gram)] += shift
            lower = cholesky(gram, lower=True)
            self._cached = (shift, solve_triangular(lower, self.factor.T, lower=True).T)
        return self._cached[1]


def rpcholesky(op: Operator, rank: int, *, seed: int = 0) -> LowRankPreconditioner:
    """Build the preconditioner of rank at most ``rank``; the same seed gives the same pivots."""
    n = op.shape[0]
    rng = np.random.default_rng(seed)
    diagonal = op.diagonal()
    residual = np.maximum(diagonal, 0.0)
    factor = np.zeros((n, rank))
    pivots: list[int] = []
    tolerance = 1e-14 * float(diagonal.max(initial=0.0))
    while len(pivots) < rank and float(residual.max()) > tolerance:
        k = len(pivots)
        proposals = rng.choice(n, size=min(rank - k, max(1, rank // 10)), p=residual / residual.sum())
        proposals = np.unique(proposals)
        rng.shuffle(proposals)
        local = op.block(proposals, proposals) - factor[proposals, :k] @ factor[proposals, :k].T
        accepted, lower = _accept(local, residual[proposals], rng)
        chosen = proposals[accepted]
        columns = op.columns(chosen) - factor[:, :k] @ factor[chosen, :k].T
        fresh = solve_triangular(lower, columns.T, lower=True).T
        factor[:, k : k + len(chosen)] = fresh
        residual = np.maximum(residual - np.einsum("ij,ij->i", fresh, fresh), 0.0)
        residual[chosen] = 0.0
        pivots += [int(p) for p in chosen]
    left = residual[residual > tolerance]
    mu = float(left.mean()) if len(left) else max(tolerance, np.finfo(np.float64).tiny)
    return LowRankPreconditioner(np.ascontiguousarray(factor[:, : len(pivots)]), mu, np.array(pivots, dtype=np.intp))


def nystrom(op: Operator, rank: int, *, seed: int = 0) -> LowRankPreconditioner:
    """Plain Nyström for comparison: the same form with landmarks drawn uniformly (Williams & Seeger 2001)."""
    n = op.shape[0]
    pivots = np.sort(np.random.default_rng(seed).choice(n, size=min(rank, n), replace=False))
    columns, diagonal = op.columns(pivots), op.diagonal()
    core = columns[pivots]
    # Landmarks close to one another make the core singular in float64: lift it by n·u of its trace.
    core[np.diag_indices_from(core)] += n * 2.0**-53 * float(np.trace(core))
    factor = solve_triangular(cholesky(core, lower=True), columns.T, lower=True).T
    residual = np.maximum(diagonal - np.einsum("ij,ij->i", factor, factor), 0.0)
    left = residual[residual > 1e-14 * diagonal.max()]
    mu = float(left.mean()) if len(left) else max(1e-14 * float(diagonal.max()), np.finfo(np.float64).tiny)
    return LowRankPreconditioner(np.ascontiguousarray(factor), mu, pivots)


def _accept(local: Array, proposed: Array, rng: np.random.Generator) -> tuple[list[int], Array]:
    """Rejection inside a block: keep a proposal with probability (its residual now)/(its residual when
    proposed)."""
    size = len(proposed)
    lower = np.zeros((size, size))
    accepted: list[int] = []
    for i in range(size):
        k = len(accepted)
        row = solve_triangular(lower[:k, :k], local[i, accepted], lower=True) if k else np.empty(0)
        remaining = local[i, i] - float(row @ row)
        # The first is always kept, so that every round makes progress.
        if k == 0 or rng.random() * proposed[i] < remaining:
            if remaining <= 1e-15 * max(proposed[i], 1e-300) and k > 0:
                continue
            lower[k, :k] = row
            lower[k, k] = np.sqrt(max(remaining, np.finfo(np.float64).tiny))
            accepted.append(i)
    return accepted, lower[: len(accepted), : len(accepted)]

"""Stochastic Lanczos quadrature: traces of functions of K with error bars (Ubaru, Chen & Saad 2017).

tr f(K) ≈ the mean over Rademacher probes z of zᵀf(K)z, each by a short Lanczos space. The error bar is the
standard error over the probes; it is statistical and proves nothing. Cost: ``steps`` passes of ``probes`` columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal

from ntkdist.errors import InputError, Unresolvable
from ntkdist.kernels.blas import one_blas_thread
from ntkdist.linalg.operator import Operator

Array = NDArray[Any]
Tell = Callable[[int, int | None, float], None]


@dataclass(frozen=True)
class Estimate:
    """A mean over probes with its standard error."""

    value: float
    error: float


@dataclass(frozen=True)
class SpectralSample:
    """Nodes and weights (probes, steps) of K's spectral measure; every probe's weights sum to n."""

    nodes: tuple[Array, ...]
    weights: tuple[Array, ...]
    n: int

    def trace(self, f: Callable[[Array], Array]) -> Estimate:
        """tr f(K)."""
        each = np.array([w @ f(x) for x, w in zip(self.nodes, self.weights, strict=True)])
        return Estimate(float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each))))

    def logdet(self, ridge: float = 0.0) -> Estimate:
        """log det(K + ridge·I); raises Unresolvable where a Ritz value is not positive."""
        resolved = self.n * 2.0**-53 * max(float(x.max()) for x in self.nodes)
        if min(float(x.min()) for x in self.nodes) + ridge <= resolved:
            raise Unresolvable("log det: K + ridge·I is not positive definite to working precision; add a ridge.")
        return self.trace(lambda x: np.log(x + ridge))

    def effective_dimension(self, ridge: float) -> Estimate:
        """tr K(K + ridge·I)⁻¹, for ridge > 0."""
        if ridge <= 0:
            raise InputError(f"effective_dimension needs a positive ridge, not {ridge:g}.")
        return self.trace(lambda x: x / (x + ridge))

    def density(self, edges: Array) -> tuple[Array, Array]:
        """Eigenvalues between consecutive ``edges`` (m+1,): counts (m,) and their standard errors (m,)."""
        each = np.array([np.histogram(x, edges, weights=w)[0] for x, w in zip(self.nodes, self.weights, strict=True)])
        return each.mean(axis=0), each.std(axis=0, ddof=1) / np.sqrt(len(each))


def spectral_sample(
    op: Operator, *, probes: int = 16, steps: int = 40, seed: int = 4, progress: Tell | None = None
) -> SpectralSample:
    """Sample the spectral measure of K with ``probes`` ≥ 2 Rademacher vectors.

    All probes take their step in one pass of ``probes`` columns, each in its own Lanczos space with full
    reorthogonalisation: ``steps`` passes, n·probes·steps float64 kept.
    """
    if probes < 2:
        raise InputError("spectral_sample needs at least two probes: one has no error bar.")
    n, rng = op.shape[0], np.random.default_rng(seed)
    steps = min(steps, n)
    v = rng.choice([-1.0, 1.0], (n, probes)) / np.sqrt(n)
    basis = np.zeros((probes, steps, n))
    alpha, beta = np.zeros((probes, steps)), np.zeros((probes, steps))
    length = np.full(probes, steps)
    size = 0.0
    with one_blas_thread():
        for k in range(steps):
            basis[:, k] = v.T
            w = op.matmat(v)
            size = max(size, float(np.linalg.norm(w, axis=0).max()))
            alpha[:, k] = np.einsum("np,np->p", v, w)
            for p in range(probes):
                space = basis[p, : k + 1]
                for _ in range(2):
                    w[:, p] -= space.T @ (space @ w[:, p])
            beta[:, k] = np.linalg.norm(w, axis=0)
            # Below rounding level the direction is noise: that probe's space is invariant.
            ended = (beta[:, k] <= 10 * np.sqrt(n) * 2.0**-53 * size) | (length <= k)
            length = np.where(ended & (length > k), k + 1, length)
            v = np.where(ended, 0.0, w / np.where(ended, 1.0, beta[:, k]))
            if progress is not None:
                progress(k + 1, steps, 0.0)
            if ended.all():
                break
    nodes, weights = [], []
    for p in range(probes):
        m = int(length[p])
        values, vectors = eigh_tridiagonal(alpha[p, :m], beta[p, : m - 1])
        nodes.append(values)
        weights.append(n * vectors[0] ** 2)
    return SpectralSample(tuple(nodes), tuple(weights), n)

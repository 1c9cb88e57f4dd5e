"""Lanczos spaces and the quadratures read off them: Gauss from below, Gauss–Radau from above.

After m steps from y, yᵀf(K)y ≈ ‖y‖² e₁ᵀf(T_m)e₁ (Gauss) and, with a node a ≤ λ_min prescribed, Gauss–Radau.
For f with f⁽²ᵏ⁾ > 0 and f⁽²ᵏ⁺¹⁾ < 0 on the spectrum (1/x, 1/(x+λ)², e^{−tx}) Gauss is a lower and Radau at a
an upper bound (Golub & Meurant 2010). The basis is reorthogonalised twice, so the bounds hold up to m·u; they
are widened by ten times that. Cost: one pass per step, n·m float64 kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal

from ntkdist.errors import InputError
from ntkdist.kernels.blas import one_blas_thread
from ntkdist.linalg.operator import Operator

Array = NDArray[Any]
_U = 2.0**-53


@dataclass(frozen=True)
class LanczosSpace:
    """Orthonormal basis (n, m), T as its diagonal (m,) and off-diagonal (m,); the last off-diagonal is the
    defect."""

    basis: Array
    alpha: Array
    beta: Array
    norm: float

    @property
    def steps(self) -> int:
        """Dimension m of the space."""
        return len(self.alpha)

    def ritz(self) -> tuple[Array, Array]:
        """Nodes (m,) and weights (m,) of the Gauss rule; weights sum to one."""
        values, vectors = eigh_tridiagonal(self.alpha, self.beta[:-1])
        return values, vectors[0] ** 2

    def function(self, f: Callable[[Array], Array]) -> Array:
        """f(K) y ≈ ‖y‖ V f(T) e₁, (n,)."""
        values, vectors = eigh_tridiagonal(self.alpha, self.beta[:-1])
        return np.asarray(self.basis @ (vectors @ (f(values) * vectors[0]) * self.norm))

    def gauss(self, f: Callable[[Array], Array]) -> float:
        """The Gauss value of yᵀf(K)y."""
        values, weights = self.ritz()
        return float(self.norm**2 * (weights @ f(values)))

    def radau(self, f: Callable[[Array], Array], node: float) -> float:
        """The Gauss–Radau value of yᵀf(K)y with one node at ``node`` ≤ λ_min."""
        if self.beta[-1] == 0.0:
            return self.gauss(f)
        # The last diagonal entry that gives T_{m+1} the eigenvalue ``node`` (Golub 1973).
        lower = _solve_tridiagonal(self.alpha - node, self.beta[:-1], self.beta[-1] ** 2)
        values, vectors = eigh_tridiagonal(np.append(self.alpha, node + lower), self.beta)
        return float(self.norm**2 * (vectors[0] ** 2 @ f(values)))

    def bracket(self, f: Callable[[Array], Array], lambda_lower: float) -> tuple[float, float]:
        """(lower, upper) of yᵀf(K)y for completely monotone f; ``lambda_lower`` must be a proved bound."""
        values, _ = self.ritz()
        if self.steps and lambda_lower > values[0]:
            raise InputError(
                f"lambda_lower = {lambda_lower:g} lies above the Ritz value {values[0]:g}, so it cannot bound λ_min."
            )
        lower = self.gauss(f)
        upper = self.radau(f, lambda_lower)
        slack = 10 * (self.steps + 1) * _U
        return lower - slack * abs(lower), upper + slack * abs(upper)


def _solve_tridiagonal(diagonal: Array, off: Array, last: float) -> float:
    """Last entry of the solution of a positive definite tridiagonal system with right-hand side last·e_m."""
    pivot = diagonal[0]
    for k in range(1, len(diagonal)):
        pivot = diagonal[k] - off[k - 1] ** 2 / pivot
    return float(last / pivot)


def lanczos_space(op: Operator, y: Array, steps: int) -> LanczosSpace:
    """The Krylov space of K from y (n,), with at most ``steps`` dimensions; ends early where it is
    invariant."""
    start = np.asarray(y, dtype=np.float64)
    if start.shape != (op.shape[0],) or not np.isfinite(start).all() or steps < 1:
        raise InputError(f"lanczos_space: y must be {op.shape[0]} finite numbers and steps ≥ 1.")
    norm = float(np.linalg.norm(start))
    if norm == 0.0:
        raise InputError("lanczos_space: y is zero, so its Krylov space is empty; leave zero targets out.")
    steps = min(steps, len(start))
    basis = np.empty((len(start), steps), order="F")
    alpha, beta = np.empty(steps), np.empty(steps)
    v, size = start / norm, 0.0
    with one_blas_thread():
        for k in range(steps):
            basis[:, k] = v
            w = op.matmat(v[:, None])[:, 0]
            size = max(size, float(np.linalg.norm(w)))
            alpha[k] = v @ w
            for _ in range(2):
                w -= basis[:, : k + 1] @ (basis[:, : k + 1].T @ w)
            beta[k] = np.linalg.norm(w)
            # Below rounding level the direction is noise: the space is invariant.
            if beta[k] <= 10 * len(start) ** 0.5 * _U * size or k + 1 == len(start):
                beta[k] = 0.0
                return LanczosSpace(basis[:, : k + 1], alpha[: k + 1], beta[: k + 1], norm)
            v = w / beta[k]
    return LanczosSpace(basis, alpha, beta, norm)

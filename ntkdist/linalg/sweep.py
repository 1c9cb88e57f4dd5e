"""The inner iteration of :mod:`ntkdist.linalg.block_cg`: one sweep of BCGrQ as a state that can be put away.

A sweep is its block (X, Q, S, C) and a few numbers; :meth:`Sweep.state` and :meth:`Sweep.restore` carry all of it, so
that a killed solve goes on with the same bits. Products are in float64 until the residual block has fallen to 3e-4 of
its start and, where the operator offers it, in float32 afterwards: Krylov methods tolerate products whose error grows
as the residual falls (Simoncini & Szyld 2003), and float32 from the start would stall near 1e-5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

Array = NDArray[Any]
SINGLE_BELOW = 3e-4
# float32 products lose about this much of the sweep's start: further down the recursive residual is a fiction.
SINGLE_FLOOR = 2e-8


@dataclass
class Sweep:
    """BCGrQ from zero for one block of right-hand sides; arrays (n, k) and (k, k)."""

    x: Array
    q: Array
    s: Array
    coefficients: Array
    lowest: Array
    left: float = 1.0
    best: float = np.inf
    since: int = 0

    @classmethod
    def begin(cls, b: Array, precondition: Callable[[Array], Array]) -> Sweep | None:
        """The sweep at its start, or None where the preconditioner is not definite on B or not finite."""
        parts = orthonormal_in(b, precondition)
        if parts is None:
            return None
        q, z, coefficients, _ = parts
        return cls(np.zeros_like(b), q, z, coefficients, np.zeros_like(b))

    def step(self, product: Array, precondition: Callable[[Array], Array]) -> str:
        """One step with A·S in ``product``; why the sweep broke down, or ''."""
        curvature = self.s.T @ product
        xi = _inverse((curvature + curvature.T) / 2)
        if xi is None:
            return "a direction of no positive curvature was met, so the matrix is singular or indefinite"
        self.x = self.x + self.s @ (xi @ self.coefficients)
        parts = orthonormal_in(self.q - product @ xi, precondition)
        if parts is None:
            return "the residual block is not finite any more"
        self.q, z, zeta, c0 = parts
        self.left = float(np.linalg.norm(c0 @ self.coefficients, axis=0).max())
        self.coefficients = zeta @ self.coefficients
        self.since = 0 if self.left < 0.9 * self.best else self.since + 1
        if self.left < self.best:
            self.best, self.lowest = self.left, self.x
        self.s = z + self.s @ zeta.T
        return ""

    def state(self) -> dict[str, Array]:
        """Everything, as arrays."""
        numbers = np.array([self.left, self.best, float(self.since)])
        return {
            "sweep_x": self.x,
            "sweep_q": self.q,
            "sweep_s": self.s,
            "sweep_c": self.coefficients,
            "sweep_lowest": self.lowest,
            "sweep_numbers": numbers,
        }

    @classmethod
    def restore(cls, state: Mapping[str, Array]) -> Sweep:
        """The sweep that :meth:`state` put away."""
        left, best, since = (float(v) for v in state["sweep_numbers"])
        x, q, s, c, lowest = (np.asarray(state[f"sweep_{name}"]) for name in ("x", "q", "s", "c", "lowest"))
        return cls(x, q, s, c, lowest, left, best, int(since))


def orthonormal_in(r: Array, precondition: Callable[[Array], Array]) -> tuple[Array, Array, Array, Array] | None:
    """R = Q·ζ with QᵀP⁻¹Q = I: (Q, Z = P⁻¹Q, ζ = C₁C₀, C₀), or None where P⁻¹ is not definite on R."""
    if not np.isfinite(r).all():
        return None
    q0, c0 = np.linalg.qr(r)
    z0 = precondition(q0)
    metric = q0.T @ z0
    try:
        lower = np.linalg.cholesky((metric + metric.T) / 2)
    except np.linalg.LinAlgError:
        return None
    if not np.isfinite(lower).all():
        return None
    q = solve_triangular(lower, q0.T, lower=True).T
    z = solve_triangular(lower, z0.T, lower=True).T
    return q, z, lower.T @ c0, c0


def _inverse(curvature: Array) -> Array | None:
    """The inverse of SᵀAS, or None where it is not positive definite."""
    scale = np.sqrt(np.diagonal(curvature))
    if not np.isfinite(scale).all() or np.any(scale <= 0):
        return None
    try:
        lower = np.linalg.cholesky(curvature / np.outer(scale, scale))
    except np.linalg.LinAlgError:
        return None
    half = solve_triangular(lower, np.diag(1 / scale), lower=True)
    return np.asarray(half.T @ half)

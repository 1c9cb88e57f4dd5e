"""One block Krylov space of the kernel matrix, from which every moment of training is read.

Block Lanczos with full reorthogonalisation builds an orthonormal basis Q of span{R, ΘR, …, Θ^{m−1}R} and
the projection T = QᵀΘQ, so that ΘQ = QT + Q₊BEᵀ: only the last block couples to the outside (Golub & Van
Loan 2013, §10.3). Blocks are orthonormalised by SVD, so right-hand sides of deficient rank (one-hot labels
are) and exhausted directions are dropped with their size on record. Cost: one operator pass per step, O(n
M²) flops and n·M numbers for a basis of M columns; nothing of size n².
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh

from ntkdist.errors import InputError, Unresolvable

UNIT = 2.0**-53
ROUNDING = 64.0 * UNIT
"""Allowance for rounding in one product and its orthogonalisation, relative to ‖Θ‖."""


class MatMat(Protocol):
    """What this room asks of an operator: a shape and a product with a block of vectors."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        ...

    def matmat(self, v: NDArray[np.float64], /) -> NDArray[np.float64]:
        """The product with (n, s) vectors."""
        ...


@dataclass(frozen=True)
class KrylovSpace:
    """The space in its own eigenbasis: everything later is arithmetic on vectors of length M.

    ``basis`` (n, M): orthonormal columns Q. ``vectors`` (M, M), ``theta`` (M,): T = S diag(θ) Sᵀ, θ
    ascending and not negative. ``start`` (M, k): SᵀQᵀR. ``coupling`` (p, M): B·(last rows of S), what
    leaves the space. ``leak``: bound of ‖ΘQ − QT − Q₊BEᵀ‖ (dropped directions and rounding). ``null``: θ up
    to this are zero to rounding. ``passes``: operator products used.
    """

    basis: NDArray[np.float64]
    vectors: NDArray[np.float64]
    theta: NDArray[np.float64]
    start: NDArray[np.float64]
    coupling: NDArray[np.float64]
    leak: float
    null: float
    passes: int

    def expand(self, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        """(M, k) coefficients in the eigenbasis to (n, k) vectors."""
        return np.asarray(self.basis @ (self.vectors @ coefficients))


class BlockLanczos:
    """Grows a Krylov space one operator pass at a time; :meth:`space` gives what stands so far.

    ``op``: (n, n) symmetric positive semi-definite. ``start``: (n, k) block, of any rank but not all zero.
    ``drop``: directions below ``drop``·‖Θ‖ (or ·‖R‖ at the start) are dropped and recorded.
    """

    def __init__(self, op: MatMat, start: ArrayLike, *, drop: float = 1e-13) -> None:
        block = np.asarray(start, np.float64)
        if block.ndim != 2 or block.shape[0] != op.shape[0]:
            raise InputError(f"the start block must be ({op.shape[0]}, k), got {block.shape}")
        if not np.isfinite(block).all():
            raise InputError("the start block has NaN or infinite entries")
        self._op, self._drop = op, drop
        self._basis = np.empty((len(block), 0))
        self._projected = np.empty((0, 0))
        self._dropped = 0.0
        self.passes = 0
        left, size, _ = np.linalg.svd(block, full_matrices=False)
        keep = size > drop * size[0] if size[0] > 0.0 else np.zeros(len(size), bool)
        self._next = np.asarray(left[:, keep])
        self._start = np.asarray(self._next.T @ block)
        self._edge = np.empty((0, 0))
        self.exhausted = not keep.any()

    def advance(self) -> None:
        """One pass: the next block joins the basis and its image is orthogonalised against all of it."""
        assert not self.exhausted, "the space is invariant: there is nothing to add"
        image = np.asarray(self._op.matmat(self._next), np.float64)
        self.passes += 1
        if not np.isfinite(image).all():
            raise Unresolvable("the kernel's product has NaN or infinite entries")
        basis = np.hstack((self._basis, self._next))
        column = basis.T @ image
        image = image - basis @ column
        for _ in range(2):  # twice is enough (Kahan); the second keeps the basis orthonormal to rounding
            again = basis.T @ image
            image -= basis @ again
            column += again
        m, p = basis.shape[1], self._next.shape[1]
        projected = np.zeros((m, m))
        projected[: m - p, : m - p] = self._projected
        projected[:, m - p :] = column
        projected[m - p :, :] = column.T
        projected[m - p :, m - p :] = 0.5 * (column[m - p :] + column[m - p :].T)
        self._basis, self._projected = basis, projected
        scale = float(np.linalg.norm(projected, 2)) if m < 64 else self._scale(projected)
        left, size, right = np.linalg.svd(image, full_matrices=False)
        keep = (size > self._drop * scale) & (np.arange(len(size)) < basis.shape[0] - m)
        self._dropped = float(np.hypot(self._dropped, np.linalg.norm(size[~keep])))
        fresh = left[:, keep] - basis @ (basis.T @ left[:, keep])
        self._next = np.linalg.qr(fresh)[0] if fresh.shape[1] else fresh
        self._edge = np.asarray(self._next.T @ ((left * size) @ right))
        self.exhausted = not keep.any()

    @property
    def columns(self) -> int:
        """Columns of the basis so far."""
        return self._basis.shape[1]

    @staticmethod
    def _scale(projected: NDArray[np.float64]) -> float:
        # The Frobenius norm is within √M of the 2-norm and costs nothing; it only sets a drop tolerance.
        return float(np.linalg.norm(projected)) / math.sqrt(len(projected))

    def space(self) -> KrylovSpace:
        """The space so far. Raises Unresolvable if Θ shows an eigenvalue negative beyond rounding."""
        m = self._projected.shape[0]
        theta, vectors = eigh(self._projected) if m else (np.empty(0), np.empty((0, 0)))
        top = float(theta[-1]) if m else 0.0
        null = max(len(self._basis), 16) * UNIT * max(top, 0.0)
        if m and theta[0] < -1e4 * null - 1e-300:
            raise Unresolvable(
                f"the kernel matrix has a Ritz value {theta[0]:.3g} below zero, more than rounding explains: "
                "training would diverge along it; compute the kernel in float64 or add a ridge"
            )
        last = self._edge.shape[1]
        start = np.zeros((m, self._start.shape[1]))
        start[: self._start.shape[0]] = self._start[: m or 0]
        return KrylovSpace(
            basis=self._basis,
            vectors=vectors,
            theta=np.maximum(theta, 0.0),  # Θ ⪰ 0: what is below zero here is rounding, as just checked
            start=vectors.T @ start,
            coupling=self._edge @ vectors[m - last :],
            leak=self._dropped + ROUNDING * top,
            null=null,
            passes=self.passes,
        )

"""What the theory's tests share: a kernel matrix with its truth, an interval, a bracket."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ntkdist.theory.two_layer import two_layer_kernel


@dataclass(frozen=True)
class Problem:
    """Θ on n training rows, its dense eigenpairs, targets, and the kernel to m test rows."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    theta: NDArray[np.float64]
    cross: NDArray[np.float64]
    cross_diag: NDArray[np.float64]
    y_test: NDArray[np.float64]
    eigenvalues: NDArray[np.float64]
    vectors: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int]:
        return self.theta.shape

    def matmat(self, v: NDArray[np.float64], /) -> NDArray[np.float64]:
        return self.theta @ v


@dataclass(frozen=True)
class Ends:
    """An interval as a certificate gives it."""

    value: float
    lower: float
    upper: float
    grade: str = "rigorous"
    reason: str = "dense"


@dataclass(frozen=True)
class Forms:
    """A bracket of quadratic forms, per output."""

    value: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]


def problem(x: NDArray[np.float64], y: NDArray[np.float64], train: int) -> Problem:
    theta = two_layer_kernel(x[:train])
    values, vectors = np.linalg.eigh(theta)
    cross = two_layer_kernel(x[train:], x[:train])
    diag = 0.5 * (x[train:] ** 2).sum(axis=1)
    return Problem(x[:train], y[:train], theta, cross, diag, y[train:], values, vectors)

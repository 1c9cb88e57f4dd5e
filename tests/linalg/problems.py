"""Matrices with known answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

Array = NDArray[np.float64]


def relu_ntk(x: Array, depth: int = 3) -> Array:
    """The He ReLU NTK in plain NumPy, written independently of the package."""
    norms = np.sqrt(np.outer((x * x).sum(1), (x * x).sum(1)))
    sigma = x @ x.T
    theta = sigma.copy()
    for _ in range(depth):
        rho = np.clip(sigma / norms, -1, 1)
        angle = np.arccos(rho)
        sigma = norms * (np.sin(angle) + (np.pi - angle) * rho) / np.pi
        theta = theta * (np.pi - angle) / np.pi + sigma
    return (theta + theta.T) / 2


def with_spectrum(values: Array, seed: int = 0) -> Array:
    """Q diag(values) Qᵀ with a random orthogonal Q."""
    q, _ = qr(np.random.default_rng(seed).standard_normal((len(values), len(values))))
    matrix = (q * values) @ q.T
    return np.asarray((matrix + matrix.T) / 2)


def rows(n: int, d: int, seed: int = 0) -> Array:
    """Rows on the unit sphere."""
    x = np.random.default_rng(seed).standard_normal((n, d))
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))

"""Matrices with known spectra, and an independent ReLU NTK in ten lines of NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def relu_ntk(x: Array, depth: int = 3) -> Array:
    """The depth-``depth`` ReLU NTK (σ_w² = 2) of unit-normalised rows."""
    x = x / np.linalg.norm(x, axis=1)[:, None]
    sigma = np.clip(x @ x.T, -1, 1)
    np.fill_diagonal(sigma, 1.0)
    theta = sigma.copy()
    for _ in range(depth):
        angle = np.arccos(np.clip(sigma, -1, 1))
        slope = (np.pi - angle) / np.pi
        sigma = (np.sin(angle) + (np.pi - angle) * sigma) / np.pi
        theta = theta * slope + sigma
    return (theta + theta.T) / 2


def spectrum(kind: str, n: int, kappa: float, rng: np.random.Generator) -> Array:
    """Eigenvalues in [1/κ, 1] as SLATE's matgen names them."""
    low = 1 / kappa
    values = {
        "logrand": np.exp(rng.uniform(np.log(low), 0, n)),
        "arith": np.linspace(low, 1, n),
        "geo": np.geomspace(low, 1, n),
        "cluster0": np.r_[1.0, np.full(n - 1, low)],
        "cluster1": np.r_[np.full(n - 1, 1.0), low],
    }[kind]
    return np.asarray(values[:n])


def with_spectrum(values: Array, rng: np.random.Generator) -> Array:
    """Q·diag(values)·Qᵀ with a random orthogonal Q, symmetric to the last bit."""
    q, _ = np.linalg.qr(rng.standard_normal((len(values), len(values))))
    a = (q * values) @ q.T
    return (a + a.T) / 2


def one_hot(n: int, rng: np.random.Generator, classes: int = 10) -> Array:
    """Centred one-hot labels: rank ``classes`` − 1."""
    return np.eye(classes)[rng.integers(0, classes, n)] - 1 / classes

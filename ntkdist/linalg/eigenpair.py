"""An eigenpair as a solver leaves it, and the interval a certificate makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Eigenpair:
    """A Ritz value with its unit vector (n,), its residual norm ‖Kv − θv‖ and the passes spent."""

    value: float
    vector: NDArray[np.float64]
    residual_norm: float
    passes: int
    converged: bool
    reason: str


@dataclass(frozen=True)
class Interval:
    """An eigenvalue between ``lower`` and ``upper``; ``grade`` and ``reason`` say how far the ends are
    proved."""

    value: float
    lower: float
    upper: float
    grade: str
    reason: str


def orthonormal(block: NDArray[Any], against: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """An orthonormal basis of ``block`` minus its part in ``against``; dependent directions are dropped."""
    v = block
    for _ in range(2):
        if against is not None and against.shape[1]:
            v = v - against @ (against.T @ v)
        lengths = np.linalg.norm(v, axis=0)
        v = v[:, lengths > 0] / lengths[lengths > 0]
        if not v.shape[1]:
            return np.asarray(v)
        values, vectors = np.linalg.eigh(v.T @ v)
        keep = values > 1e-10 * values[-1]
        v = v @ (vectors[:, keep] / np.sqrt(values[keep]))
    return np.asarray(v)

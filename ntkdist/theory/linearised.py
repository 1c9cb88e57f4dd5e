"""Gradient descent of the linearised network, in function space.

With the kernel frozen at Θ, a step of size η on L = ½ Σ (f − y)² multiplies the residual by (I − ηΘ), and moves the
prediction elsewhere by −η Θ(x*, X) (f − y) (Lee et al. 2019, eqs. 8–10, in discrete time).  One product with Θ a step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Linearised:
    """``f`` (n, k) and ``f_test`` (m, k) after the last step; ``losses`` (steps + 1,) before each and after it."""

    f: Floats
    f_test: Floats
    losses: Floats


def linearised_descent(
    theta: Floats, cross: Floats, y: Floats, f0: Floats, f0_test: Floats, step: float, steps: int
) -> Linearised:
    """Make ``steps`` steps of size ``step``.

    ``theta`` is (n, n), one kernel for every output, or (n, n, k, k); ``cross`` is Θ(x*, X), (m, n) or (m, n, k, k).
    """
    n, k = y.shape
    matrix, test = _flat(theta, n, n, k), _flat(cross, len(f0_test), n, k)
    residual = (f0 - y).reshape(matrix.shape[1], -1)
    total = np.zeros_like(residual)
    losses = [0.5 * float(np.sum(residual**2))]
    for _ in range(steps):
        total += residual
        residual = residual - step * (matrix @ residual)
        losses.append(0.5 * float(np.sum(residual**2)))
    moved = (test @ total).reshape(len(f0_test), k)
    return Linearised(y + residual.reshape(n, k), f0_test - step * moved, np.array(losses))


def _flat(kernel: Floats, rows: int, columns: int, k: int) -> Floats:
    """(rows·k, columns·k) of a kernel between outputs; a kernel without outputs stays as it is."""
    if kernel.ndim == 2:
        return kernel
    return np.ascontiguousarray(kernel.transpose(0, 2, 1, 3)).reshape(rows * k, columns * k)

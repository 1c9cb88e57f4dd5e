"""Polynomial activations as finite Hermite series: exact for every pair of norms.

x^m = Σ_j m!/(2^i i! √j!) h_j(x) over j = m − 2i, so φ(√q z) = Σ_m c_m q^{m/2} z^m has a_j(q) = Σ_m c_m B[m,
j] q^{m/2}.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ntkdist.kernels.activation import SERIES, Activation


class PolynomialCoefficients:
    """The map q (n,) → Hermite coefficients (n, degree + 1), as a class because closures do not pickle."""

    def __init__(self, coefficients: list[float]) -> None:
        self.powers = np.asarray(coefficients, dtype=np.float64)
        size = self.powers.size
        self.basis = np.zeros((size, size))
        for m in range(size):
            for i in range(m // 2 + 1):
                j = m - 2 * i
                self.basis[m, j] = math.factorial(m) / (2**i * math.factorial(i) * math.sqrt(math.factorial(j)))

    def __call__(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a_j(q), shape (n, degree + 1)."""
        # A matrix product would round a row differently in a batch of another size.
        root = np.sqrt(q)
        power = np.ones_like(root)
        result = np.zeros((q.size, self.powers.size))
        for m, value in enumerate(self.powers):
            result += (value * power)[:, None] * self.basis[m]
            power = power * root
        return result


def polynomial_activation(text: str, coefficients: list[float]) -> Activation:
    """Return φ(x) = Σ c_m x^m as an activation."""
    nonzero = [m for m, value in enumerate(coefficients) if value != 0]
    return Activation(
        text,
        SERIES,
        (float(len(coefficients)),),
        degree=float(nonzero[0]) if len(nonzero) == 1 else None,
        terms=len(coefficients),
        coefficients=PolynomialCoefficients(coefficients),
    )

"""An activation φ as the kernel needs it: which dual computes E φφ, with which parameters, and what is known
of φ.

An activation is written as a name (``relu``), a name with parameters (``leaky_relu(0.2)``), or, for the
user's own function, ``module:function``.  The same text is its identity in fingerprints and stores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# Codes of the dual functions, in the order in which ``recursion.step`` tries them.
RECTIFIER, SIGN, ERROR_FUNCTION, GELU, SINUSOID, EXPONENTIAL, BELL, RECTIFIED_POWER, SERIES, TABULATED = range(10)


@dataclass(frozen=True)
class Activation:
    """One activation with its parameters bound.

    ``text`` is the spec string; ``op`` the code of its dual; ``par`` the numbers the dual reads; ``degree``
    the d of φ(λx) = λᵈ φ(x) for λ > 0, or None; ``has_ntk`` is False where E φ′φ′ does not exist.  For
    series, ``terms`` is the number of Hermite coefficients and ``coefficients(q)`` returns them, (n,) → (n,
    terms); ``error`` bounds what the truncation leaves out, relative to the diagonal.
    """

    text: str
    op: int
    par: tuple[float, ...] = ()
    degree: float | None = None
    has_ntk: bool = True
    terms: int = 0
    coefficients: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = field(default=None, compare=False)
    error: float = 0.0
    summary: str = ""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Family:
    """A named family of activations: how to bind its parameters, their names, and one line that says what
    it is.
    """

    name: str
    bind: Callable[..., Activation]
    parameters: Mapping[str, float]
    summary: str


def spell(name: str, values: tuple[float, ...]) -> str:
    """Return the spec string of ``name`` with ``values``: every digit that matters and none more."""
    if not values:
        return name
    return f"{name}({','.join(repr(int(v)) if float(v).is_integer() else repr(float(v)) for v in values)})"


def legendre(count: int) -> tuple[float, ...]:
    """Return the nodes, then the weights, of Gauss–Legendre quadrature on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return tuple(((nodes + 1) / 2).tolist()) + tuple((weights / 2).tolist())


def double_factorial(n: int) -> float:
    """Return n!! (1 for n ≤ 0)."""
    return math.prod(range(n, 0, -2)) if n > 0 else 1.0

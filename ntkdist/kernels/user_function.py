"""The user's own activation, written ``module:function``: importing it, checking it, expanding it.

Its Hermite coefficients a_k(q) = E φ(√q z) h_k(z) come from Gauss–Hermite quadrature; the error is measured
by doubling the degree and refining the quadrature at unit variance and around it, and a function whose series
does not reach the tolerance is refused, not approximated.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import roots_hermitenorm

from ntkdist.errors import InputError, Unresolvable
from ntkdist.kernels.activation import SERIES, Activation

TOLERANCE = 1e-12
DEGREES = (32, 64, 128)
NODES = 400
_SCALES = (0.25, 1.0, 2.0)
Floats = NDArray[np.float64]


class HermiteCoefficients:
    """The map q (n,) → a_k(q), (n, terms), by quadrature of a vectorised function."""

    def __init__(self, function: Callable[[Floats], Any], terms: int, nodes: int = NODES) -> None:
        self.function, self.terms, self.nodes = function, terms, nodes

    def __call__(self, q: Floats) -> Floats:
        """Return the coefficients of every row; equal norms are computed once and have equal bits."""
        values, places = np.unique(q, return_inverse=True)
        z, weights = roots_hermitenorm(self.nodes)
        keep = weights > 0
        z, weights = z[keep], weights[keep] / weights.sum()
        table = np.empty((values.size, self.terms))
        for i, value in enumerate(values):
            phi = np.asarray(self.function(np.sqrt(value) * z), dtype=np.float64) * weights
            before, now = np.zeros_like(z), np.ones_like(z)
            for k in range(self.terms):
                table[i, k] = np.sum(phi * now)
                before, now = now, (z * now - np.sqrt(k) * before) / np.sqrt(k + 1)
        return table[places]


def user_activation(text: str, allow_import: bool = True) -> Activation:
    """Return the activation ``module:function``; refuse if it cannot be imported, is not finite, or is not
    smooth.
    """
    if not allow_import:
        raise InputError(
            f"this kernel uses the function {text!r}, which is not imported from a store: name it yourself"
        )
    module, _, name = text.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"activation {text!r} cannot be imported: {error}") from error
    return expand(function, text)


def expand(function: Callable[[Floats], Any], text: str, tolerance: float = TOLERANCE) -> Activation:
    """Return φ = ``function`` (vectorised over a float64 array) as an activation named ``text``."""
    probe = np.linspace(-30.0, 30.0, 601)
    try:
        values = np.asarray(function(probe), dtype=np.float64)
    except Exception as error:
        raise InputError(f"activation {text!r} failed on an array of floats: {error}") from error
    if values.shape != probe.shape or not np.all(np.isfinite(values)):
        raise InputError(f"activation {text!r} must return one finite number for each input between −30 and 30")
    q = np.array(_SCALES)
    missed = 0.0
    for terms in DEGREES:
        fine = HermiteCoefficients(function, 2 * terms, 2 * NODES // 3)(q)
        coarse = HermiteCoefficients(function, terms)(q)
        order = np.arange(2 * terms)
        # The NTK weighs term k by k, so its tail decides.
        scale = np.sum(fine**2 * (order + 1), axis=1)
        change = np.sum((order[:terms] + 1) * np.abs(fine[:, :terms] ** 2 - coarse**2), axis=1)
        tail = np.sum(fine[:, terms:] ** 2 * (order[terms:] + 1), axis=1)
        missed = float(np.max((change + tail) / scale))
        if missed <= tolerance:
            return Activation(
                text, SERIES, (float(terms),), terms=terms,
                coefficients=HermiteCoefficients(function, terms), error=missed,
            )  # fmt: skip
    raise Unresolvable(
        f"activation {text!r}: its Hermite series misses the tolerance {tolerance:g} (reached {missed:.1g} at"
        f" {DEGREES[-1]} terms); it has a kink or is too steep"
    )

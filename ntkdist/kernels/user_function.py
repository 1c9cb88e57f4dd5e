"""The user's own activation, written ``module:function``: importing it and checking what it may be asked.

The callable maps a float64 array to an array of the same shape; it may carry three attributes: ``kinks`` (where it
is not smooth; they are otherwise found), ``derivative`` (φ′, a callable of the same kind; the table is otherwise
differentiated) and ``degree`` (d where φ(λx) = λᵈ φ(x) for λ > 0, which is checked, and lets the kernel collapse).
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from ntkdist.errors import InputError
from ntkdist.kernels.activation import Activation
from ntkdist.kernels.piecewise import TOLERANCE, Function, evaluate, piecewise
from ntkdist.kernels.tabulated import tabulated_activation


def user_activation(text: str, allow_import: bool = True, tolerance: float | None = None) -> Activation:
    """Return the activation ``module:function``.

    Raises ``InputError`` where it cannot be imported, is not finite or fails on an array, and ``Unresolvable``
    where its error misses ``tolerance``.
    """
    if not allow_import:
        raise InputError(
            f"this kernel uses the function {text!r}, which is not imported from a store: name it yourself"
        )
    module, _, name = text.partition(":")
    try:
        function: Any = importlib.import_module(module)
        for part in name.split("."):
            function = getattr(function, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"activation {text!r} cannot be imported: {error}") from error
    if not callable(function):
        raise InputError(f"activation {text!r} is not a function of an array but {type(function).__name__}")
    return expand(function, text, TOLERANCE if tolerance is None else tolerance)


def expand(function: Function, text: str, tolerance: float = TOLERANCE) -> Activation:
    """Return φ = ``function`` (vectorised over a float64 array) as an activation named ``text``."""
    kinks = getattr(function, "kinks", ())
    try:
        places = [float(t) for t in kinks]
    except (TypeError, ValueError):
        raise InputError(f"activation {text!r}: its attribute kinks must be a list of numbers") from None
    if not np.all(np.isfinite(places)):
        raise InputError(f"activation {text!r}: its attribute kinks must be finite numbers")
    degree = getattr(function, "degree", None)
    if degree is not None:
        degree = _checked_degree(function, text, degree)
    table = piecewise(function, text, getattr(function, "derivative", None), places)
    return tabulated_activation(text, function, table, tolerance, degree)


def _checked_degree(function: Function, text: str, degree: Any) -> float:
    x = np.array([-3.7, -1.1, -0.3, 0.4, 1.3, 2.9])
    try:
        power = float(degree)
    except (TypeError, ValueError):
        raise InputError(f"activation {text!r}: its attribute degree must be a number") from None
    big, small = evaluate(function, 2.5 * x, text), evaluate(function, x, text)
    if not np.allclose(big, 2.5**power * small, rtol=1e-12, atol=0):
        raise InputError(f"activation {text!r} is not homogeneous of the degree {power:g} that it declares")
    return power

"""φ and φ′ of the named activations as functions of arrays, NumPy's or CuPy's.

The infinite-width kernel knows an activation by its dual alone; a real network evaluates it.  φ′ of a kinked φ at
its kink is the value left of it, as in the networks people train.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from array_api_compat import array_namespace
from numpy.polynomial import hermite_e
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.kernels.catalog import FAMILIES, parse
from ntkdist.kernels.finite_width.portable_curves import CURVES, elu

Array = NDArray[Any]
Function = Callable[[Array], Array]


@dataclass(frozen=True)
class Pointwise:
    """φ and its derivative, each (…) → (…)."""

    text: str
    value: Function
    slope: Function


def pointwise(text: str, allow_import: bool = True) -> Pointwise:
    """Return φ and φ′ of a spec string.

    A user's ``module:function`` needs an attribute ``derivative``, a function of the same kind.  Raises
    ``InputError`` for an unknown activation, one without a derivative (``sign``), or a missing ``derivative``.
    """
    if ":" in text:
        return _user(text, allow_import)
    spelled = str(parse(text))
    name, _, inside = spelled.partition("(")
    given = [float(v) for v in inside.rstrip(")").split(",")] if inside else []
    if name == "polynomial":
        return _polynomial(spelled, given)
    if name in CURVES:
        return Pointwise(spelled, *CURVES[name])
    defaults = list(FAMILIES[name].parameters.values())
    if name not in _BUILD:
        raise InputError(f"activation {text!r} has no derivative, so no network with it can be trained")
    value, slope = _BUILD[name](*given, *defaults[len(given) :])
    return Pointwise(spelled, value, slope)


def _rectifier(a: float, b: float) -> tuple[Function, Function]:
    def value(x: Array) -> Array:
        found: Array = array_namespace(x).where(x > 0, b * x, a * x)
        return found

    def slope(x: Array) -> Array:
        xp: Any = array_namespace(x)
        found: Array = (b - a) * xp.astype(x > 0, x.dtype) + a
        return found

    return value, slope


def _special(x: Array) -> Any:
    """scipy.special, or CuPy's for its arrays."""
    return importlib.import_module("cupyx.scipy.special" if "cupy" in type(x).__module__ else "scipy.special")


def _erf(b: float) -> tuple[Function, Function]:
    scale = 2 * b / math.sqrt(math.pi)
    return (
        lambda x: _special(x).erf(b * x),
        lambda x: scale * array_namespace(x).exp(-((b * x) ** 2)),
    )


def _sigmoid_like() -> tuple[Function, Function]:
    value, slope = _erf(1 / 2.4020563531719796)
    return lambda x: 0.5 * value(x) + 0.5, lambda x: 0.5 * slope(x)


def _gelu() -> tuple[Function, Function]:
    def cdf(x: Array) -> Any:
        return 0.5 * _special(x).erfc(-x * math.sqrt(0.5))

    def density(x: Array) -> Any:
        return array_namespace(x).exp(-0.5 * x * x) / math.sqrt(2 * math.pi)

    return lambda x: x * cdf(x), lambda x: cdf(x) + x * density(x)


def _sin(a: float, b: float, c: float) -> tuple[Function, Function]:
    return (
        lambda x: a * array_namespace(x).sin(b * x + c),
        lambda x: a * b * array_namespace(x).cos(b * x + c),
    )


def _rbf(gamma: float) -> tuple[Function, Function]:
    return _sin(math.sqrt(2), math.sqrt(2 * gamma), math.pi / 4)


def _exp(a: float, b: float) -> tuple[Function, Function]:
    return lambda x: a * array_namespace(x).exp(b * x), lambda x: a * b * array_namespace(x).exp(b * x)


def _gaussian(a: float, b: float) -> tuple[Function, Function]:
    return (
        lambda x: a * array_namespace(x).exp(b * x * x),
        lambda x: 2 * a * b * x * array_namespace(x).exp(b * x * x),
    )


def _monomial(order: float) -> tuple[Function, Function]:
    n = int(order)
    return lambda x: x**n, lambda x: n * x ** (n - 1)


def _hermite(order: float) -> tuple[Function, Function]:
    n = int(order)
    power = hermite_e.herme2poly([0.0] * n + [1.0]) / math.sqrt(math.factorial(n))
    made = _polynomial("hermite", [float(v) for v in power])
    return made.value, made.slope


def _rectified_monomial(order: float) -> tuple[Function, Function]:
    n = int(order)
    if n == 0:
        raise InputError("rectified_monomial(0) has no derivative, so no network with it can be trained")

    def positive(x: Array) -> Any:
        return array_namespace(x).astype(x > 0, x.dtype)

    return lambda x: positive(x) * x**n, lambda x: positive(x) * n * x ** (n - 1)


def _polynomial(text: str, coefficients: list[float]) -> Pointwise:
    slopes = [k * c for k, c in enumerate(coefficients)][1:]

    def horner(x: Array, numbers: list[float]) -> Array:
        total = 0 * x + numbers[-1]
        for number in reversed(numbers[:-1]):
            total = total * x + number
        return total

    return Pointwise(text, lambda x: horner(x, coefficients), lambda x: horner(x, slopes))


def _user(text: str, allow_import: bool) -> Pointwise:
    if not allow_import:
        raise InputError(
            f"this network uses the function {text!r}, which is not imported from a store: name it yourself"
        )
    module, _, name = text.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"activation {text!r} cannot be imported: {error}") from error
    slope = getattr(function, "derivative", None)
    if not callable(slope):
        raise InputError(f"activation {text!r} needs a function as its attribute .derivative to be used in a network")
    return Pointwise(text, function, slope)


_BUILD: dict[str, Callable[..., tuple[Function, Function]]] = {
    "relu": lambda: _rectifier(0.0, 1.0),
    "leaky_relu": lambda alpha: _rectifier(alpha, 1.0),
    "abrelu": _rectifier,
    "abs": lambda: _rectifier(-1.0, 1.0),
    "linear": lambda: _rectifier(1.0, 1.0),
    "erf": _erf,
    "sigmoid_like": _sigmoid_like,
    "gelu": _gelu,
    "sin": _sin,
    "cos": lambda a, b, c: _sin(a, b, c + math.pi / 2),
    "rbf": _rbf,
    "exp": _exp,
    "gaussian": _gaussian,
    "monomial": _monomial,
    "hermite": _hermite,
    "rectified_monomial": _rectified_monomial,
    "elu": elu,
}

"""The named activations.  ``ACTIVATIONS["relu"]`` is bound with its default parameters; ``parse`` reads spec
strings.

Closed forms: Cho & Saul 2009 (arc-cosine), Williams 1997 (erf), Tsuchida et al. 2021 (GELU), Rahimi & Recht
2007 (Gaussian kernel), Han et al. 2022 (table of duals).  Every one is checked against quadrature in the
tests.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType

from ntkdist.errors import InputError
from ntkdist.kernels import activation as act
from ntkdist.kernels.activation import Activation, Family, spell
from ntkdist.kernels.duals.rectified_power import arc_cosine_polynomials
from ntkdist.kernels.named_functions import SMOOTH, SUMMARY, elu, named
from ntkdist.kernels.polynomial import polynomial_activation

MAX_RECTIFIED_POWER = 12


def _rectifier(name: str, a: float, b: float, values: tuple[float, ...]) -> Activation:
    if a == 0 and b == 0:
        raise InputError(f"activation {spell(name, values)} is zero everywhere; give it a slope")
    return Activation(spell(name, values), act.RECTIFIER, (a, b), degree=1.0)


def _relu() -> Activation:
    return _rectifier("relu", 0.0, 1.0, ())


def _leaky_relu(alpha: float) -> Activation:
    return _rectifier("leaky_relu", alpha, 1.0, (alpha,))


def _abrelu(a: float, b: float) -> Activation:
    return _rectifier("abrelu", a, b, (a, b))


def _abs() -> Activation:
    return _rectifier("abs", -1.0, 1.0, ())


def _linear() -> Activation:
    return _rectifier("linear", 1.0, 1.0, ())


def _sign() -> Activation:
    return Activation("sign", act.SIGN, degree=0.0, has_ntk=False)


def _erf(b: float) -> Activation:
    return Activation(spell("erf", (b,)) if b != 1 else "erf", act.ERROR_FUNCTION, (1.0, b * b, 0.0))


def _sigmoid_like() -> Activation:
    b = 1 / 2.4020563531719796
    return Activation("sigmoid_like", act.ERROR_FUNCTION, (0.25, b * b, 0.25))


def _gelu() -> Activation:
    return Activation("gelu", act.GELU, (10.0, *act.legendre(10)))


def _sin(a: float, b: float, c: float) -> Activation:
    text = "sin" if (a, b, c) == (1, 1, 0) else spell("sin", (a, b, c))
    return Activation(text, act.SINUSOID, (a * a / 2, b * b, math.cos(2 * c)))


def _cos(a: float, b: float, c: float) -> Activation:
    text = "cos" if (a, b, c) == (1, 1, 0) else spell("cos", (a, b, c))
    return Activation(text, act.SINUSOID, (a * a / 2, b * b, -math.cos(2 * c)))


def _rbf(gamma: float) -> Activation:
    if gamma <= 0:
        raise InputError(f"activation rbf({gamma:g}): gamma must be positive")
    return Activation(spell("rbf", (gamma,)), act.SINUSOID, (1.0, 2 * gamma, 0.0))


def _exp(a: float, b: float) -> Activation:
    return Activation("exp" if (a, b) == (1, 1) else spell("exp", (a, b)), act.EXPONENTIAL, (a * a, b * b))


def _gaussian(a: float, b: float) -> Activation:
    if b >= 0:
        raise InputError(f"activation gaussian({a:g},{b:g}) is a·exp(b·x²) and needs b < 0 to be finite on average")
    text = "gaussian" if (a, b) == (1, -1) else spell("gaussian", (a, b))
    return Activation(text, act.BELL, (a * a, -2 * b))


def _rectified_monomial(order: float) -> Activation:
    n = int(order)
    if n != order or not 0 <= n <= MAX_RECTIFIED_POWER:
        raise InputError(
            f"activation rectified_monomial({order:g}): the order must be a whole number from 0 to"
            f" {MAX_RECTIFIED_POWER}"
        )
    text = spell("rectified_monomial", (n,))
    if n == 0:
        # max(x, 0)⁰ is the unit step, ½(1 + sign x): F = ¼ F_sign + ¼.
        return Activation(text, act.RECTIFIED_POWER, _arc_cosine_table(0), degree=0.0, has_ntk=False)
    if n == 1:
        return Activation(text, act.RECTIFIER, (0.0, 1.0), degree=1.0)
    return Activation(text, act.RECTIFIED_POWER, _arc_cosine_table(n), degree=float(n))


def _arc_cosine_table(n: int) -> tuple[float, ...]:
    tables = [arc_cosine_polynomials(n), arc_cosine_polynomials(max(n - 1, 0))]
    numbers = [float(v) for pair in tables for half in pair for v in half]
    return (float(n), 12.0, *act.legendre(12), *numbers)


def _monomial(order: float) -> Activation:
    n = int(order)
    if n != order or not 1 <= n <= 20:
        raise InputError(f"activation monomial({order:g}): the order must be a whole number from 1 to 20")
    return polynomial_activation(spell("monomial", (n,)), [0.0] * n + [1.0])


def _hermite(order: float) -> Activation:
    n = int(order)
    if n != order or not 1 <= n <= 20:
        raise InputError(f"activation hermite({order:g}): the order must be a whole number from 1 to 20")
    low, high = [1.0], [0.0, 1.0]
    for j in range(1, n):
        grown = [0.0, *high]
        for i, value in enumerate(low):
            grown[i] -= j * value
        low, high = high, grown
    return polynomial_activation(spell("hermite", (n,)), [v / math.sqrt(math.factorial(n)) for v in high])


def _polynomial(*coefficients: float) -> Activation:
    return polynomial_activation(spell("polynomial", coefficients), list(coefficients))


FAMILIES = MappingProxyType(
    {
        family.name: family
        for family in (
            Family("relu", _relu, {}, "max(x, 0)"),
            Family("leaky_relu", _leaky_relu, {"alpha": 0.01}, "x above 0, alpha·x below"),
            Family("abrelu", _abrelu, {"a": 0.0, "b": 1.0}, "a·min(x, 0) + b·max(x, 0)"),
            Family("abs", _abs, {}, "|x|"),
            Family("linear", _linear, {}, "x"),
            Family("erf", _erf, {"b": 1.0}, "erf(b·x)"),
            Family("sigmoid_like", _sigmoid_like, {}, "½ erf(x/2.402) + ½"),
            Family("gelu", _gelu, {}, "x·Φ(x), exactly"),
            Family("sin", _sin, {"a": 1.0, "b": 1.0, "c": 0.0}, "a·sin(b·x + c)"),
            Family("cos", _cos, {"a": 1.0, "b": 1.0, "c": 0.0}, "a·cos(b·x + c)"),
            Family("rbf", _rbf, {"gamma": 1.0}, "√2·sin(√(2γ)·x + π/4): the Gaussian kernel"),
            Family("exp", _exp, {"a": 1.0, "b": 1.0}, "a·exp(b·x)"),
            Family("gaussian", _gaussian, {"a": 1.0, "b": -1.0}, "a·exp(b·x²), b < 0"),
            Family("sign", _sign, {}, "sign(x); NNGP only"),
            Family("monomial", _monomial, {"order": 2.0}, "xⁿ"),
            Family("polynomial", _polynomial, {}, "c0 + c1·x + c2·x² + …"),
            Family("hermite", _hermite, {"order": 2.0}, "the Hermite polynomial Heₙ(x)/√n!"),
            Family("rectified_monomial", _rectified_monomial, {"order": 2.0}, "max(x, 0)ⁿ"),
            Family("elu", elu, {"alpha": 1.0}, "x above 0, alpha·(eˣ − 1) below"),
            *(Family(name, partial(named, name), {}, SUMMARY[name]) for name in SMOOTH),
        )
    }
)
ALIASES = MappingProxyType(
    {"swish": "silu", "hardtanh": "hard_tanh", "leakyrelu": "leaky_relu", "logistic": "sigmoid", "identity": "linear"}
)
_SPEC = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\(([^()]*)\))?\s*\Z")


def parse(text: str) -> Activation:
    """Return the activation a spec string names.

    Raises ``InputError`` for an unknown name (with the nearest valid ones) or wrong parameters.
    """
    found = _SPEC.match(text)
    if found is not None and found[1].lower() in ALIASES and not found[2]:
        return parse(ALIASES[found[1].lower()])
    if found is None or found[1] not in FAMILIES:
        name = found[1] if found else text
        near = difflib.get_close_matches(name.lower(), FAMILIES, n=3, cutoff=0.4) or sorted(FAMILIES)
        raise InputError(
            f"unknown activation {text!r}; did you mean {', '.join(near)}?"
            " (your own function is written module:function)"
        )
    family = FAMILIES[found[1]]
    try:
        given = [float(v) for v in found[2].split(",")] if found[2] and found[2].strip() else []
    except ValueError:
        raise InputError(f"activation {text!r}: its parameters must be numbers separated by commas") from None
    if not all(math.isfinite(v) for v in given):
        raise InputError(f"activation {text!r}: its parameters must be finite")
    if family.name == "polynomial":
        if not given or not any(given[1:]):
            raise InputError(f"activation {text!r}: give at least two coefficients, c0, c1, …, not all zero after c0")
        return family.bind(*given)
    if len(given) > len(family.parameters):
        raise InputError(
            f"activation {text!r}: {family.name} takes {len(family.parameters)} parameters"
            f" ({', '.join(family.parameters) or 'none'}), not {len(given)}"
        )
    defaults = list(family.parameters.values())
    return family.bind(*given, *defaults[len(given) :])


class _Catalog(Mapping[str, Activation]):
    """Every family bound with its default parameters; built when asked for, because some cost a table."""

    def __getitem__(self, name: str) -> Activation:
        if name not in FAMILIES:
            raise KeyError(name)
        return parse("polynomial(0,1,0.5)" if name == "polynomial" else name)

    def __iter__(self) -> Iterator[str]:
        return iter(FAMILIES)

    def __len__(self) -> int:
        return len(FAMILIES)


ACTIVATIONS: Mapping[str, Activation] = _Catalog()

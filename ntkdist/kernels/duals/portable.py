"""The few functions that dual activations are written in, for Numba; ``mp_twin`` gives the same code to
mpmath.

Cost: a call of ``sin_excess`` is one sine and one cosine, or ten multiplications near zero.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import Any

import mpmath
from numba import njit

PI = math.pi
sqrt = math.sqrt
atan2 = math.atan2
sin = math.sin
cos = math.cos
exp = math.exp
expm1 = math.expm1
erf = math.erf


@njit(nogil=True, error_model="numpy", cache=True)
def sin_excess(x: float) -> float:
    """Return sin x − x cos x without cancellation: its series x³/3 − x⁵/30 + … below 0.5."""
    if x > 0.5:
        return sin(x) - x * cos(x)
    y = x * x
    tail = 1.0 / 3.0 - y * (
        1.0 / 30.0 - y * (1.0 / 840.0 - y * (1.0 / 45360.0 - y * (1.0 / 3991680.0 - y / 518918400.0)))
    )
    return x * y * tail


@njit(nogil=True, error_model="numpy", cache=True)
def positive(x: float) -> float:
    """Return x, or 0 where rounding made a squared length negative."""
    return x if x > 0.0 else 0.0


@njit(nogil=True, error_model="numpy", cache=True)
def gap_of(q1: float, q2: float) -> float:
    """Return (√q1 − √q2)²; the difference of the roots is as exact as that of the arguments."""
    total = sqrt(q1) + sqrt(q2)
    if total > 0.0:
        return (q1 - q2) / total * ((q1 - q2) / total)
    return 0.0 * total


@njit(nogil=True, error_model="numpy", cache=True)
def geometric_mean(q1: float, q2: float) -> float:
    """Return √(q1 q2) without overflow, and q1 itself where the two are equal."""
    return q1 if q1 == q2 else sqrt(q1) * sqrt(q2)


def _mp_sin_excess(x: Any) -> Any:
    """Sin x − x cos x with enough guard digits that the cancellation at small x costs nothing."""
    with mpmath.workprec(2 * mpmath.mp.prec):
        return mpmath.sin(x) - x * mpmath.cos(x)


def _mp_positive(x: Any) -> Any:
    """The mpmath twin of ``positive``."""
    return x if x > 0 else mpmath.mpf(0)


def mp_twin(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the same portable function reading mpmath's sqrt, atan2, … instead of the C library's.

    ``function`` is a Numba dispatcher or a plain function; functions it calls are twinned in turn.
    """
    plain = getattr(function, "py_func", function)
    names: dict[str, Any] = {
        "sqrt": mpmath.sqrt,
        "atan2": mpmath.atan2,
        "sin": mpmath.sin,
        "cos": mpmath.cos,
        "exp": mpmath.exp,
        "expm1": mpmath.expm1,
        "erf": mpmath.erf,
        "PI": mpmath.pi,
        "sin_excess": _mp_sin_excess,
        "positive": _mp_positive,
    }
    scope: dict[str, Any] = {"__builtins__": __builtins__}
    for name in plain.__code__.co_names:
        if name in names:
            scope[name] = names[name]
        elif hasattr(plain.__globals__.get(name), "py_func"):
            scope[name] = mp_twin(plain.__globals__[name])
        elif name in plain.__globals__:
            scope[name] = plain.__globals__[name]
    return types.FunctionType(plain.__code__, scope, plain.__name__, plain.__defaults__)

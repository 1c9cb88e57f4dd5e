"""φ and φ′ of the activations without a closed-form dual, for NumPy and CuPy arrays, stable at both ends.

The exact kernel reads these from tables (:mod:`ntkdist.kernels.named_functions`); a network evaluates them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from array_api_compat import array_namespace
from numpy.typing import NDArray

from ntkdist.kernels.named_functions import SELU_ALPHA, SELU_SCALE

Array = NDArray[Any]
Function = Callable[[Array], Array]


def _logistic(x: Array) -> Any:
    return 0.5 * (1 + array_namespace(x).tanh(0.5 * x))


def _logistic_slope(x: Array) -> Any:
    s = _logistic(x)
    return s * _logistic(-x)


def _tanh_slope(x: Array) -> Any:
    return 4 * _logistic_slope(2 * x)


def _softplus(x: Array) -> Any:
    xp: Any = array_namespace(x)
    return xp.log1p(xp.exp(-xp.abs(x))) + xp.where(x > 0, x, 0 * x)


def _mish(x: Array) -> Any:
    return x * array_namespace(x).tanh(_softplus(x))


def _mish_slope(x: Array) -> Any:
    t = array_namespace(x).tanh(_softplus(x))
    return t + x * (1 - t * t) * _logistic(x)


def _silu_slope(x: Array) -> Any:
    s = _logistic(x)
    return s * (1 + x * _logistic(-x))


def _softsign_slope(x: Array) -> Any:
    return 1 / (1 + array_namespace(x).abs(x)) ** 2


def elu(alpha: float, scale: float = 1.0) -> tuple[Function, Function]:
    """Scale times x above 0, alpha (eˣ − 1) below."""

    def value(x: Array) -> Any:
        xp: Any = array_namespace(x)
        return scale * xp.where(x > 0, x, alpha * xp.expm1(xp.where(x > 0, 0 * x, x)))

    def slope(x: Array) -> Any:
        xp: Any = array_namespace(x)
        return scale * xp.where(x > 0, 0 * x + 1, alpha * xp.exp(xp.where(x > 0, 0 * x, x)))

    return value, slope


def _clip(low: float, high: float) -> tuple[Function, Function]:
    def value(x: Array) -> Any:
        xp: Any = array_namespace(x)
        return xp.where(x < low, 0 * x + low, xp.where(x > high, 0 * x + high, x))

    def slope(x: Array) -> Any:
        xp: Any = array_namespace(x)
        return xp.astype((x > low) & (x < high), x.dtype)

    return value, slope


CURVES: dict[str, tuple[Function, Function]] = {
    "tanh": (lambda x: array_namespace(x).tanh(x), _tanh_slope),
    "sigmoid": (_logistic, _logistic_slope),
    "silu": (lambda x: x * _logistic(x), _silu_slope),
    "softplus": (_softplus, _logistic),
    "mish": (_mish, _mish_slope),
    "softsign": (lambda x: x / (1 + array_namespace(x).abs(x)), _softsign_slope),
    "selu": elu(SELU_ALPHA, SELU_SCALE),
    "hard_tanh": _clip(-1.0, 1.0),
    "relu6": _clip(0.0, 6.0),
}

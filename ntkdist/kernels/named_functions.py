"""Common activations whose duals have no short closed form: φ, φ′ and the kinks, for the table of ``tabulated``.

Derivatives are given, because a differentiated table has lost two digits; every one is checked against
differences in the tests.  Tables are built once per process and parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ntkdist.errors import InputError
from ntkdist.kernels.activation import Activation, spell
from ntkdist.kernels.piecewise import piecewise
from ntkdist.kernels.tabulated import tabulated_activation

Floats = NDArray[np.float64]
Curve = Callable[[Floats], Floats]
EXACT = 1e-12
# Klambauer et al. 2017: the constants that keep mean 0 and variance 1.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def _softplus(x: Floats) -> Floats:
    return np.logaddexp(0.0, x)


def _mish_slope(x: Floats) -> Floats:
    t = np.tanh(_softplus(x))
    return np.asarray(t + x * (1 - t * t) * expit(x))


def _silu_slope(x: Floats) -> Floats:
    s = expit(x)
    return s * (1 + x * (1 - s))


def _elu(alpha: float, scale: float = 1.0) -> tuple[Curve, Curve, tuple[float, ...]]:
    def value(x: Floats) -> Floats:
        return np.asarray(scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0))))

    def slope(x: Floats) -> Floats:
        return np.asarray(scale * np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0.0))))

    return value, slope, (0.0,)


def _clip(low: float, high: float) -> tuple[Curve, Curve, tuple[float, ...]]:
    def value(x: Floats) -> Floats:
        return np.clip(x, low, high)

    def slope(x: Floats) -> Floats:
        return np.asarray(((x > low) & (x < high)).astype(np.float64))

    return value, slope, (low, high)


def _logistic() -> tuple[Curve, Curve, tuple[float, ...]]:
    return expit, lambda x: expit(x) * expit(-x), ()


SMOOTH: Mapping[str, tuple[Curve, Curve, tuple[float, ...]]] = MappingProxyType(
    {
        "tanh": (np.tanh, lambda x: 1 / np.cosh(np.minimum(np.abs(x), 350.0)) ** 2, ()),
        "sigmoid": _logistic(),
        "silu": (lambda x: x * expit(x), _silu_slope, ()),
        "softplus": (_softplus, expit, ()),
        "mish": (lambda x: x * np.tanh(_softplus(x)), _mish_slope, ()),
        "softsign": (lambda x: x / (1 + np.abs(x)), lambda x: 1 / (1 + np.abs(x)) ** 2, (0.0,)),
        "selu": _elu(SELU_ALPHA, SELU_SCALE),
        "hard_tanh": _clip(-1.0, 1.0),
        "relu6": _clip(0.0, 6.0),
    }
)
SUMMARY = MappingProxyType(
    {
        "tanh": "tanh x",
        "sigmoid": "1/(1 + e⁻ˣ)",
        "silu": "x/(1 + e⁻ˣ), also called swish",
        "softplus": "log(1 + eˣ)",
        "mish": "x·tanh(log(1 + eˣ))",
        "softsign": "x/(1 + |x|)",
        "selu": "1.0507·(x above 0, 1.6733·(eˣ − 1) below)",
        "hard_tanh": "x cut to [−1, 1]",
        "relu6": "x cut to [0, 6]",
    }
)


@lru_cache(maxsize=32)
def named(name: str) -> Activation:
    """Return one of ``SMOOTH`` as an activation."""
    value, slope, kinks = SMOOTH[name]
    return tabulated_activation(name, value, piecewise(value, name, slope, kinks), EXACT)


@lru_cache(maxsize=32)
def elu(alpha: float) -> Activation:
    """Return x above 0, alpha (eˣ − 1) below (Clevert et al. 2016)."""
    text = "elu" if alpha == 1 else spell("elu", (alpha,))
    if not 0 < alpha < math.inf:
        raise InputError(f"activation elu({alpha:g}): alpha must be positive")
    value, slope, kinks = _elu(alpha)
    return tabulated_activation(text, value, piecewise(value, text, slope, kinks), EXACT)

"""One layer: an activation and the affine map that follows it.

Σ ← σ_w² F(Σ) + σ_b² and Θ ← Θ σ_w² Ḟ(Σ) + Σ.  A frozen layer's weights are not trained, so it adds nothing to
Θ; a residual layer adds its result to what came in, Σ ← Σ + σ_w² F(Σ) + σ_b²; layernorm divides Σ and Θ by
√((ε + q1)(ε + q2)) before the activation (inside the branch of a residual layer).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ntkdist.errors import InputError
from ntkdist.kernels.activation import Activation
from ntkdist.kernels.catalog import parse


@dataclass(frozen=True)
class Layer:
    """One activation layer of a fully connected network.

    ``activation`` is a spec string (``relu``, ``leaky_relu(0.2)``, ``package.module:function``) or an
    ``Activation``; ``sigma_w`` > 0 and ``sigma_b`` ≥ 0 are the standard deviations of the affine map after
    it; ``epsilon`` belongs to ``layernorm``.  Raises ``InputError`` for anything else.
    """

    activation: str | Activation = "relu"
    sigma_w: float = 2**0.5
    sigma_b: float = 0.0
    frozen: bool = False
    residual: bool = False
    layernorm: bool = False
    epsilon: float = 0.0

    def __post_init__(self) -> None:
        positive_number("sigma_w", self.sigma_w)
        nonnegative_number("sigma_b", self.sigma_b)
        nonnegative_number("epsilon", self.epsilon)
        if isinstance(self.activation, str) and ":" not in self.activation:
            # The canonical spelling, so that swish and silu are one kernel.
            object.__setattr__(self, "activation", parse(self.activation).text)

    def spec(self) -> dict[str, Any]:
        """Return the layer as plain JSON values."""
        return {
            "activation": str(self.activation),
            "sigma_w": float(self.sigma_w),
            "sigma_b": float(self.sigma_b),
            "frozen": bool(self.frozen),
            "residual": bool(self.residual),
            "layernorm": bool(self.layernorm),
            "epsilon": float(self.epsilon),
        }


def positive_number(name: str, value: float) -> float:
    """Return ``value`` as a float, or raise ``InputError`` unless it is finite and above zero."""
    if not _real(value) or not math.isfinite(value) or value <= 0:
        raise InputError(f"{name} must be a finite number above zero, not {value!r}")
    return float(value)


def nonnegative_number(name: str, value: float) -> float:
    """Return ``value`` as a float, or raise ``InputError`` unless it is finite and not below zero."""
    if not _real(value) or not math.isfinite(value) or value < 0:
        raise InputError(f"{name} must be a finite number, zero or above, not {value!r}")
    return float(value)


def _real(value: object) -> bool:
    return hasattr(value, "__float__") and not isinstance(value, (str, bytes, complex))

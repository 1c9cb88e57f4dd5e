"""A fully connected network of finite width: its architecture, its weights, its forward and backward pass.

With L hidden layers of width m in an abc-parameterization (:mod:`.parameterization`),

    h¹ = c_1 w¹ x̃ + β_1 b¹,   h^{l+1} = c_{l+1} w^{l+1} φ(h^l) + β_{l+1} b^{l+1},   f = h^{L+1},

where c_l = σ_w m^{−a_l} (the input layer has ``first_sigma_w`` and the factor √s of the input scaling), w^l ~
N(0, m^{−2b_l}) are trained, and so are the biases where σ_b > 0.  A bias has the exponents of the input layer, whose
fan-in does not grow either; the output's bias has a = max(a_1, −c/2), which keeps its part of the kernel bounded.  As
m → ∞ the NTK at initialisation tends to the kernel of ``Kernel(depth=L, …)`` with the same σ's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_cupy_array
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.kernels.finite_width.parameterization import Parameterization, parameterization
from ntkdist.kernels.finite_width.pointwise import Pointwise, pointwise
from ntkdist.kernels.kernel import SCALINGS, Kernel
from ntkdist.kernels.layer import nonnegative_number, positive_number
from ntkdist.kernels.presets import check_choice

Array = NDArray[Any]


@dataclass(frozen=True)
class Architecture:
    """Everything but the weights: L = ``depth`` hidden layers of ``width`` m, k = ``outputs``, σ's, exponents."""

    depth: int = 3
    width: int = 1024
    outputs: int = 1
    activation: str = "relu"
    sigma_w: float = 2**0.5
    sigma_b: float = 0.0
    input_scaling: str = "none"
    first_sigma_w: float = 1.0
    first_bias: float = 0.0
    parameterization: Parameterization | str = "ntk"
    allow_import: bool = True

    def __post_init__(self) -> None:
        for name in ("depth", "width", "outputs"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise InputError(f"{name} of a network must be a whole number, 1 or more, not {value!r}")
        positive_number("sigma_w", self.sigma_w)
        nonnegative_number("sigma_b", self.sigma_b)
        positive_number("first_sigma_w", self.first_sigma_w)
        nonnegative_number("first_bias", self.first_bias)
        check_choice("input_scaling", self.input_scaling, SCALINGS)
        object.__setattr__(self, "parameterization", parameterization(self.parameterization, self.depth))
        object.__setattr__(self, "activation", self.function.text)

    @cached_property
    def function(self) -> Pointwise:
        """φ and φ′."""
        return pointwise(self.activation, self.allow_import)

    @property
    def abc(self) -> Parameterization:
        """The exponents."""
        assert isinstance(self.parameterization, Parameterization)
        return self.parameterization

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "function"}

    def with_width(self, width: int) -> Architecture:
        """The same architecture of another width."""
        return replace(self, width=width)

    def infinite(self) -> Kernel:
        """The exact kernel that Θ at initialisation tends to in the NTK parameterization."""
        return Kernel(
            self.depth,
            self.activation,
            self.sigma_w,
            self.sigma_b,
            self.input_scaling,
            first_sigma_w=self.first_sigma_w,
            first_bias=self.first_bias,
            allow_import=self.allow_import,
        )

    def factor(self, layer: int, d: int) -> float:
        """c_l of layer ``layer`` = 1 … L+1 for inputs of ``d`` features."""
        scale = self.power(-self.abc.a[layer - 1])
        if layer > 1:
            return self.sigma_w * scale
        return self.first_sigma_w * scale * (d**-0.5 if self.input_scaling == "1/d" else 1.0)

    def bias_factor(self, layer: int) -> float:
        """β_l; zero where the layer has no bias."""
        sigma = self.first_bias if layer == 1 else self.sigma_b
        return sigma * self.power(-self._bias_exponent(layer))

    def _bias_exponent(self, layer: int) -> Fraction:
        first = self.abc.a[0]
        return first if layer <= self.depth else max(first, -self.abc.c / 2)

    def power(self, exponent: Fraction) -> float:
        """m to the power ``exponent``."""
        return float(self.width ** float(exponent))

    @property
    def step_factor(self) -> float:
        """m^{−c}: the size of a step for η = 1."""
        return self.power(-self.abc.c)

    def spread(self, layer: int) -> float:
        """m^{−b_l}: the standard deviation of the weights w^l at initialisation."""
        return self.power(-self.abc.b[layer - 1])

    def shape(self, layer: int, d: int) -> tuple[int, int]:
        """(outputs, inputs) of the weight matrix of a layer."""
        return (
            self.width if layer <= self.depth else self.outputs,
            d if layer == 1 else self.width,
        )

    def parameters(self, d: int) -> int:
        """How many numbers are trained."""
        total = 0
        for layer in range(1, self.depth + 2):
            rows, columns = self.shape(layer, d)
            total += rows * columns + (rows if self.bias_factor(layer) else 0)
        return total

    def draw(self, d: int, seed: int, dtype: Any = np.float64) -> Network:
        """A network for ``d`` features with weights from ``seed``: the same numbers on every machine."""
        weights: list[Array] = []
        biases: list[Array | None] = []
        streams = np.random.SeedSequence(seed).spawn(2 * (self.depth + 1))
        for layer in range(1, self.depth + 2):
            shape = self.shape(layer, d)
            draws = np.random.default_rng(streams[2 * layer - 2]).standard_normal(shape)
            weights.append((self.spread(layer) * draws).astype(dtype, copy=False))
            of_bias = self.power(self._bias_exponent(layer))
            if self.bias_factor(layer):
                drawn = np.random.default_rng(streams[2 * layer - 1]).standard_normal(shape[0])
                biases.append((of_bias * drawn).astype(dtype, copy=False))
            else:
                biases.append(None)
        return Network(self, tuple(weights), tuple(biases))

    def spec(self) -> dict[str, Any]:
        """Plain JSON values from which ``from_spec`` makes the same architecture."""
        return {
            "depth": int(self.depth),
            "width": int(self.width),
            "outputs": int(self.outputs),
            "activation": self.activation,
            "sigma_w": float(self.sigma_w),
            "sigma_b": float(self.sigma_b),
            "input_scaling": self.input_scaling,
            "first_sigma_w": float(self.first_sigma_w),
            "first_bias": float(self.first_bias),
            "parameterization": self.abc.spec(),
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], allow_import: bool = True) -> Architecture:
        """The architecture of a ``spec()``; raises ``InputError`` for what is not one."""
        try:
            tree = dict(spec)
            exponents = parameterization(tree.pop("parameterization"), int(tree["depth"]))
            return cls(**tree, parameterization=exponents, allow_import=allow_import)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"this is not an architecture: {error}") from error


@dataclass(frozen=True)
class Forward:
    """A forward pass of n rows: ``activations`` A_0 … A_L (n, m_l), ``slopes`` φ′(h^l) l = 1 … L, ``f`` (n, k)."""

    activations: tuple[Array, ...]
    slopes: tuple[Array, ...]
    f: Array


@dataclass(frozen=True)
class Network:
    """An architecture with weights w^l (outputs, inputs) and biases b^l (outputs,) or None, all raw parameters."""

    architecture: Architecture
    weights: tuple[Array, ...]
    biases: tuple[Array | None, ...]

    @property
    def features(self) -> int:
        """The number d of input features."""
        return int(self.weights[0].shape[1])

    def astype(self, dtype: Any) -> Network:
        """The network with its parameters rounded to ``dtype``."""
        xp = array_namespace(self.weights[0])
        return Network(
            self.architecture,
            tuple(xp.astype(w, dtype) for w in self.weights),
            tuple(None if b is None else xp.astype(b, dtype) for b in self.biases),
        )

    def on_device_of(self, x: Array) -> Network:
        """The network with its parameters where ``x`` is (NumPy or CuPy)."""
        if not is_cupy_array(x) or is_cupy_array(self.weights[0]):
            return self
        xp = array_namespace(x)
        return Network(
            self.architecture,
            tuple(xp.asarray(w) for w in self.weights),
            tuple(None if b is None else xp.asarray(b) for b in self.biases),
        )

    def scaled_inputs(self, x: Array) -> Array:
        """Rows as the input layer sees them: divided by their length for ``unit``.

        Raises ``InputError`` for rows of another length than the network's, and for zero rows under ``unit``.
        """
        if x.ndim != 2 or x.shape[1] != self.features:
            raise InputError(f"the network takes rows of {self.features} features, not an array of shape {x.shape}")
        if self.architecture.input_scaling != "unit":
            return x
        xp: Any = array_namespace(x)
        lengths = xp.sqrt(xp.sum(x * x, axis=1))
        if not bool(xp.all(lengths > 0)):
            row = int(xp.argmin(lengths))
            raise InputError(f"row {row} is zero and has no direction (input_scaling 'unit')")
        scaled: Array = x / lengths[:, None]
        return scaled

    def forward(self, x: Array) -> Forward:
        """Evaluate the network on rows x (n, d)."""
        of, d = self.architecture, self.features
        activations, slopes = [self.scaled_inputs(x)], []
        for layer in range(1, of.depth + 2):
            h = activations[-1] @ self.weights[layer - 1].T
            h *= of.factor(layer, d)
            bias = self.biases[layer - 1]
            if bias is not None:
                h += of.bias_factor(layer) * bias
            if layer <= of.depth:
                activations.append(of.function.value(h))
                slopes.append(of.function.slope(h))
        return Forward(tuple(activations), tuple(slopes), h)

    def __call__(self, x: Array) -> Array:
        """f(x), (n, k)."""
        return self.forward(x).f

    def sensitivities(self, forward: Forward) -> tuple[Array, ...]:
        """D_l = ∂f_k/∂h^l for l = 1 … L, each (n, k, m); that of the output layer is the identity."""
        of, d = self.architecture, self.features
        n, k = forward.f.shape
        backward = of.factor(of.depth + 1, d) * self.weights[-1]
        found = [backward[None, :, :] * forward.slopes[-1][:, None, :]]
        for layer in range(of.depth, 1, -1):
            back = found[-1].reshape(n * k, -1) @ self.weights[layer - 1]
            back *= of.factor(layer, d)
            found.append(back.reshape(n, k, -1) * forward.slopes[layer - 2][:, None, :])
        return tuple(reversed(found))

"""The kernel of an infinitely wide fully connected network, NTK or NNGP, as a function of two sets of rows.

Σ⁰ = s x·x′ (+ σ_b² with a first-layer bias), Θ⁰ = Σ⁰; then for each layer Σ ← σ_w² F(Σ) + σ_b² and
Θ ← Θ σ_w² Ḟ(Σ) + Σ (Jacot, Gabriel & Hongler 2018; Lee et al. 2018 for Σ alone).  Everything that fixes the
convention is in ``Kernel.spec()``, and its SHA-256 is ``Kernel.fingerprint``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.kernels import tile as tiles
from ntkdist.kernels.activation import Activation
from ntkdist.kernels.catalog import parse
from ntkdist.kernels.device.tile import device_diagonal, device_tile, on_device
from ntkdist.kernels.error import EntryError, entry_error
from ntkdist.kernels.layer import Layer, nonnegative_number, positive_number
from ntkdist.kernels.presets import PRESETS, check_choice
from ntkdist.kernels.program import Program, lower

Array = NDArray[Any]
SPEC_VERSION = 1
SCALINGS = ("none", "1/d", "unit")
PARAMETERIZATIONS = ("ntk", "standard")


class Kernel:
    """An exact infinite-width kernel.

    ``Kernel(depth=3, activation="relu", sigma_w=√2, sigma_b=0)`` repeats one layer;
    ``Kernel(layers=[Layer(...), …])`` gives each its own; ``Kernel(preset="arora", depth=3)`` starts from a
    convention of the literature (jacot, nt, arora, leoyu).  ``input_scaling`` is ``none`` (x·x′), ``1/d`` or
    ``unit`` (rows divided by their length); ``first_sigma_w`` and ``first_bias`` belong to the input layer,
    which is trained unless ``first_frozen``. ``parameterization="standard"`` needs a ``width``.
    ``tolerance`` is the largest relative error accepted of activations without a closed form (1e-11).  Raises
    ``InputError``, or ``Unresolvable`` for a tolerance that is not reached, in one sentence.
    """

    def __init__(
        self,
        depth: int | None = None,
        activation: str | Activation | None = None,
        sigma_w: float | None = None,
        sigma_b: float | None = None,
        input_scaling: str | None = None,
        *,
        layers: Sequence[Layer] | None = None,
        preset: str | None = None,
        first_sigma_w: float | None = None,
        first_bias: float | None = None,
        first_frozen: bool = False,
        parameterization: str = "ntk",
        width: float | None = None,
        tolerance: float | None = None,
        allow_import: bool = True,
    ) -> None:
        start = PRESETS[check_choice("preset", preset, PRESETS)] if preset is not None else PRESETS["default"]
        if layers is None:
            depth = 3 if depth is None else depth
            if isinstance(depth, bool) or not isinstance(depth, (int, np.integer)) or depth < 1:
                raise InputError(f"depth must be a whole number of activation layers, 1 or more, not {depth!r}")
            layer = Layer(
                activation if activation is not None else "relu",
                start.sigma_w if sigma_w is None else sigma_w,
                start.sigma_b if sigma_b is None else sigma_b,
            )
            layers = [layer] * int(depth)
        elif depth is not None or activation is not None or sigma_w is not None or sigma_b is not None:
            raise InputError("give either layers or depth, activation, sigma_w and sigma_b, not both")
        elif not layers:
            raise InputError("layers is empty; a kernel needs at least one activation layer")
        self.layers: tuple[Layer, ...] = tuple(layers)
        scaling = start.input_scaling if input_scaling is None else input_scaling
        self.input_scaling = check_choice("input_scaling", scaling, SCALINGS)
        self.first_sigma_w = positive_number(
            "first_sigma_w", start.first_sigma_w(self.layers[0]) if first_sigma_w is None else first_sigma_w
        )
        self.first_bias = nonnegative_number(
            "first_bias", start.first_bias(self.layers[0]) if first_bias is None else float(first_bias)
        )
        self.first_frozen = bool(first_frozen)
        self.parameterization = check_choice("parameterization", parameterization, PARAMETERIZATIONS)
        if (width is None) == (parameterization == "standard"):
            raise InputError("width goes with parameterization='standard', and must be given there")
        self.width = None if width is None else positive_number("width", width)
        self.tolerance = None if tolerance is None else positive_number("tolerance", tolerance)
        bound = {layer.activation: None for layer in self.layers}
        # A user's function is imported and tabulated once, however many layers name it.
        known = {given: _activation(given, allow_import, self.tolerance) for given in bound}
        self.activations: tuple[Activation, ...] = tuple(known[layer.activation] for layer in self.layers)

    @property
    def depth(self) -> int:
        """The number L of activation layers."""
        return len(self.layers)

    def spec(self) -> dict[str, Any]:
        """Return everything that fixes the kernel as a plain JSON-able dictionary."""
        extra = {} if self.tolerance is None else {"tolerance": self.tolerance}
        return {
            **extra,
            "version": SPEC_VERSION,
            "convention": "Sigma0 = s x.x' + b0^2, Theta0 = Sigma0;"
            " Sigma <- sw^2 F + sb^2, Theta <- Theta sw^2 F' + Sigma",
            "input_scaling": self.input_scaling,
            "first_sigma_w": self.first_sigma_w,
            "first_bias": self.first_bias,
            "first_frozen": self.first_frozen,
            "parameterization": self.parameterization,
            "width": self.width,
            "layers": [layer.spec() for layer in self.layers],
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], allow_import: bool = True) -> Kernel:
        """Return the kernel of a ``spec()``; without ``allow_import`` it imports no user code."""
        try:
            if spec["version"] != SPEC_VERSION:
                raise InputError(f"this kernel was written by another version of the format ({spec['version']!r})")
            return cls(
                layers=[Layer(**layer) for layer in spec["layers"]],
                input_scaling=spec["input_scaling"],
                first_sigma_w=spec["first_sigma_w"],
                first_bias=spec["first_bias"],
                first_frozen=spec["first_frozen"],
                parameterization=spec["parameterization"],
                width=spec["width"],
                tolerance=spec.get("tolerance"),
                allow_import=allow_import,
            )
        except (KeyError, TypeError) as error:
            raise InputError(f"this is not a kernel specification: {error}") from error

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 (hex) of the canonical specification: equal kernels have equal fingerprints."""
        text = json.dumps(self.spec(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def __str__(self) -> str:
        first = self.layers[0]
        same = all(layer == first for layer in self.layers)
        body = _describe(first) + (f" × {self.depth}" if self.depth > 1 else "")
        if not same:
            body = " → ".join(_describe(layer) for layer in self.layers)
        scale = {"none": "x·x'", "1/d": "x·x'/d", "unit": "cos(x,x')"}[self.input_scaling]
        front = "" if self.first_sigma_w == 1 else f"{self.first_sigma_w**2:.6g}·"
        bias = f" + {self.first_bias**2:.6g}" if self.first_bias else ""
        theta = "0" if self.first_frozen else "Σ⁰"
        tail = f", standard parameterization (width {self.width:g})" if self.width is not None else ""
        return f"Kernel: Σ⁰ = {front}{scale}{bias}, Θ⁰ = {theta}; {body}{tail}"

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Kernel) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "program"}

    @cached_property
    def program(self) -> Program:
        """The kernel lowered to arrays (rebuilt in each process, never pickled)."""
        return lower(self.layers, self.activations, width=self.width, trained_input=not self.first_frozen)

    @cached_property
    def needs_direction(self) -> bool:
        """Whether a zero row is refused or has an all-zero kernel row."""
        if self.input_scaling == "unit":
            return True
        try:
            value = tiles.diagonal(self, np.zeros((1, 1)), "nngp")
        except InputError:
            return True
        return bool(value[0] == 0)

    @property
    def is_zonal(self) -> bool:
        """True: an entry is a function of the two lengths and of the angle alone."""
        return True

    @property
    def has_ntk(self) -> bool:
        """Whether every activation's derivative has a finite variance, so that there is an NTK."""
        return all(activation.has_ntk for activation in self.activations)

    def for_inputs(self, shape: tuple[int, ...]) -> Self:
        """Return the kernel itself: examples of any shape are flat rows to it."""
        return self

    def tile(
        self,
        x_rows: Array,
        x_cols: Array | None = None,
        which: str = "ntk",
        out: Array | None = None,
        threads: int = 1,
    ) -> Array:
        """Return K(x_rows, x_cols), shape (n1, n2), in the dtype of its inputs (float32 or float64).

        Every entry depends on its two rows alone up to rounding, equal rows give exactly the diagonal value,
        and a tile of rows with themselves is exactly symmetric.  ``threads`` shares row panels out; it
        changes no bit.
        """
        self.check_which(which)
        other = x_rows if x_cols is None else x_cols
        if on_device(x_rows):
            on: Array = device_tile(self, x_rows, other, which, out)
            return on
        return tiles.tile(self, x_rows, other, which, out, threads)

    def __call__(self, x: Array, z: Array | None = None) -> Array:
        """Return the NTK tile K(x, z), so that a kernel is a kernel function for scikit-learn."""
        return self.tile(x, z)

    def cross(self, x_test: Array, x_train: Array, which: str = "ntk", threads: int = 1) -> Array:
        """Return K(x_test, x_train), shape (n_test, n_train)."""
        return self.tile(x_test, x_train, which, threads=threads)

    def diagonal(self, x: Array, which: str = "ntk") -> Array:
        """Return K(x_i, x_i), shape (n,), from the exact one-dimensional recursion."""
        self.check_which(which)
        on: Array = device_diagonal(self, x, which) if on_device(x) else tiles.diagonal(self, x, which)
        return on

    def entry_error(self, dtype: Any = np.float64, which: str = "ntk") -> EntryError:
        """Return the bound on an entry's error when tiles are computed in ``dtype``."""
        self.check_which(which)
        name = np.dtype(dtype).name
        if name not in ("float32", "float64"):
            raise InputError(f"kernels are computed in float32 or float64, not {name}")
        return entry_error(name, self.depth, tiles.approximation(self, which, name))

    def work(self, n1: int, n2: int, d: int) -> float:
        """Return the floating-point operations of a tile: the matrix product and the pass."""
        return float(n1) * float(n2) * (2.0 * d + tiles.pass_cost(self))

    def check_which(self, which: str) -> None:
        """Raise ``InputError`` unless ``which`` is a kernel this architecture has."""
        check_choice("which", which, ("ntk", "nngp"))
        if which == "ntk":
            for number, activation in enumerate(self.activations, 1):
                if not activation.has_ntk:
                    raise InputError(
                        f"the derivative of {activation} (layer {number}) has no finite variance, so it"
                        " has an NNGP kernel but no NTK: use which='nngp'"
                    )


def _activation(given: str | Activation, allow_import: bool, tolerance: float | None) -> Activation:
    if isinstance(given, Activation):
        return given
    if ":" in given:
        from ntkdist.kernels.user_function import user_activation

        return user_activation(given, allow_import, tolerance)
    return parse(given)


def _describe(layer: Layer) -> str:
    marks = [name for name in ("frozen", "residual", "layernorm") if getattr(layer, name)]
    bias = f", σ_b²={layer.sigma_b**2:.6g}" if layer.sigma_b else ""
    return f"[{layer.activation}, σ_w²={layer.sigma_w**2:.6g}{bias}{', ' if marks else ''}{', '.join(marks)}]"

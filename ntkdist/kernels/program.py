"""A kernel lowered to arrays of numbers, the form in which the compiled passes read it.

``Program`` holds one entry per layer: the code and parameters of its dual, σ_w², σ_b², and the three numbers
of the tangent map Θ ← t Ḟ Θ + α F + β, which cover frozen layers (α = β = 0) and the standard
parameterization (α = width, β = 1).  ``Rows`` is what depends on the data one row at a time: the norms q_l of
every layer (the exact one-dimensional recursion that also gives the diagonal) and the rows' Hermite
coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError, NtkdistError
from ntkdist.kernels.activation import Activation
from ntkdist.kernels.layer import Layer
from ntkdist.kernels.recursion import norm_step

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Program:
    """The layers as arrays, all of length L except ``par`` (all parameters, end to end)."""

    ops: NDArray[np.int64]
    where: NDArray[np.int64]
    series: NDArray[np.int64]
    par: Floats
    numbers: Floats
    activations: tuple[Activation, ...]
    terms: int
    trained_input: bool

    @property
    def depth(self) -> int:
        """The number of activation layers L."""
        return int(self.ops.size)


def lower(
    layers: Sequence[Layer], activations: Sequence[Activation], *, width: float | None, trained_input: bool
) -> Program:
    """Lower layers to a ``Program``; ``width`` is None for the NTK parameterization."""
    where: list[int] = []
    series: list[int] = []
    par: list[float] = []
    numbers: list[list[float]] = []
    terms = 0
    for layer, activation in zip(layers, activations, strict=True):
        where.append(len(par))
        par.extend(activation.par)
        series.append(terms)
        terms += activation.terms
        w2, b2 = layer.sigma_w**2, layer.sigma_b**2
        trained = 0.0 if layer.frozen else 1.0
        alpha = trained * (w2 if width is None else width)
        beta = trained * (b2 if width is None else float(b2 > 0))
        norm = 1.0 if layer.layernorm else 0.0
        skip = 1.0 if layer.residual else 0.0
        numbers.append([w2, b2, w2, alpha, beta, norm, layer.epsilon, skip])
    return Program(
        np.array([a.op for a in activations], dtype=np.int64),
        np.array(where, dtype=np.int64),
        np.array(series, dtype=np.int64),
        np.array([*par, 0.0], dtype=np.float64),
        np.array(numbers, dtype=np.float64),
        tuple(activations),
        terms,
        trained_input,
    )


@dataclass(frozen=True)
class Rows:
    """Per row: ``q`` (n, L) is the norm entering each layer, ``image`` (n, L) the E φ² of its activation,
    ``coefficients`` (n, terms).
    """

    q: Floats
    image: Floats
    coefficients: Floats


def row_tables(program: Program, q0: Floats) -> Rows:
    """Run the one-dimensional recursion on the norms ``q0`` (n,).

    Raises ``InputError`` naming the layer where a norm overflows, or where a zero norm meets a LayerNorm.
    """
    # What depends on a norm alone is computed once for every different norm.
    norms_of, places = np.unique(q0, return_inverse=True)
    if norms_of.size < q0.size:
        single = row_tables(program, norms_of)
        return Rows(single.q[places], single.image[places], single.coefficients[places])
    n, depth = q0.size, program.depth
    q, image = np.empty((n, depth)), np.empty((n, depth))
    norms = np.empty(n)
    coefficients = np.zeros((n, program.terms + 1))
    state = q0.astype(np.float64, copy=True)
    for l in range(depth):
        w2, _b2, _t, _alpha, _beta, norm, epsilon, _skip = program.numbers[l]
        q[:, l] = state
        if norm and epsilon == 0 and not np.all(state > 0):
            row = int(np.argmin(state > 0))
            raise InputError(f"row {row} has zero length at the LayerNorm of layer {l + 1}, which has no direction")
        activation = program.activations[l]
        if activation.coefficients is not None:
            inner = state / (state + epsilon) if norm else state
            first = int(program.series[l])
            try:
                coefficients[:, first : first + activation.terms] = activation.coefficients(inner)
            except NtkdistError as error:
                raise type(error)(f"layer {l + 1}: {error}") from error
        with np.errstate(over="ignore", invalid="ignore"):
            norm_step(
                state, norms, int(program.ops[l]), int(program.where[l]), int(program.series[l]),
                program.par, program.numbers[l], coefficients,
            )  # fmt: skip
        image[:, l] = norms
        if not np.all(np.isfinite(state)):
            raise InputError(
                f"the kernel overflows at layer {l + 1} ({activation}, sigma_w = {w2**0.5:g}):"
                " scale the inputs down or choose a smaller sigma_w"
            )
    return Rows(q, image, coefficients)

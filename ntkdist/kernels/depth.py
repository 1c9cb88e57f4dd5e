"""What depth does to a kernel: f(cos θ) layer by layer, the fixed point of the correlation, and χ₁.

On rows of length √q* (the fixed point of q → σ_w² F(q, q) + σ_b²) the correlation obeys ρ ← C(ρ); ρ = 1 is
always a fixed point, with slope χ₁ = σ_w² Ḟ(q*, q*, q*).  χ₁ < 1 is order (all inputs become one), χ₁ > 1
chaos (they decorrelate to a fixed point below 1), χ₁ = 1 the edge (Poole et al. 2016; Schoenholz et al.
2017). Cost: one dual per layer and angle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.kernels.kernel import Kernel
from ntkdist.kernels.layer import Layer
from ntkdist.kernels.program import Program
from ntkdist.kernels.recursion import norm_step, step

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DepthProfile:
    """``nngp`` and ``ntk`` (depths, angles) are divided by their value at θ = 0; ``cosines`` (angles,)."""

    depths: tuple[int, ...]
    cosines: Floats
    nngp: Floats
    ntk: Floats


@dataclass(frozen=True)
class CorrelationFixedPoint:
    """``rho`` is where ρ ← C(ρ) settles, ``chi`` the slope at ρ = 1, ``q`` the squared length it holds at.

    ``phase`` is ordered, chaotic or edge; ``steps`` how many layers it took.
    """

    rho: float
    chi: float
    q: float
    phase: str
    steps: int


def with_depth(kernel: Kernel, depth: int) -> Kernel:
    """Return ``kernel`` with its layers repeated cyclically to ``depth``."""
    spec = kernel.spec()
    layers = [spec["layers"][l % kernel.depth] for l in range(depth)]
    return Kernel.from_spec({**spec, "layers": layers})


def depth_profile(kernel: Kernel, depths: tuple[int, ...], cosines: Floats) -> DepthProfile:
    """Return f(cos θ) of unit rows for every depth, normalised by f(1).

    A two-dimensional pair of unit rows stands for each angle.  Raises ``InputError`` where f(1) = 0.
    """
    rho = np.asarray(cosines, dtype=np.float64)
    if rho.ndim != 1 or not np.all(np.abs(rho) <= 1):
        raise InputError("cosines must be a list of numbers from −1 to 1")
    pole = np.array([[1.0, 0.0]])
    circle = np.stack([rho, np.sqrt(1 - rho * rho)], axis=1)
    values: dict[str, list[Floats]] = {"nngp": [], "ntk": []}
    for depth in depths:
        deep = with_depth(kernel, depth)
        for which, rows in values.items():
            if which == "ntk" and not all(a.has_ntk for a in deep.activations):
                rows.append(np.full(rho.size, np.nan))
                continue
            top = float(deep.diagonal(pole, which)[0])
            if top == 0:
                raise InputError(f"the {which} kernel of depth {depth} is zero on unit rows")
            rows.append(np.asarray(deep.tile(pole, circle, which)[0] / top))
    return DepthProfile(tuple(depths), rho, np.array(values["nngp"]), np.array(values["ntk"]))


def correlation_fixed_point(
    layer: Layer, q: float = 1.0, rtol: float = 1e-12, steps: int = 20000
) -> CorrelationFixedPoint:
    """Return where repeating ``layer`` sends lengths and correlations, starting from ``q`` and ρ = ½.

    Where no length is stable (ReLU at σ_w² = 2 keeps every length; below, it shrinks to zero) the correlation
    is followed at the current length.  Raises ``InputError`` if the lengths overflow.
    """
    program = Kernel(layers=[layer]).program
    rho = 0.5
    taken = 0
    for taken in range(1, steps + 1):
        new_q, new_rho, _ = _advance(program, q, rho)
        if not np.isfinite(new_q):
            raise InputError(f"the squared length grows without bound after {taken} layers; choose a smaller sigma_w")
        settled = abs(new_rho - rho) <= rtol and abs(new_q - q) <= rtol * new_q
        rho = new_rho
        if new_q < 1e-200 or new_q > 1e200:
            break
        q = new_q
        if settled:
            break
    _, _, chi = _advance(program, q, 1.0)
    phase = "edge" if abs(chi - 1) < 1e-6 else ("ordered" if chi < 1 else "chaotic")
    return CorrelationFixedPoint(rho, chi, q, phase, taken)


def _advance(program: Program, q: float, rho: float) -> tuple[float, float, float]:
    """Return (q, ρ) after one layer, and dρ′/dρ = Ḟ σ_w² q/q′ at ρ."""
    rows = np.zeros(program.terms + 1)
    activation = program.activations[0]
    if activation.coefficients is not None:
        rows[: activation.terms] = activation.coefficients(np.array([q]))[0]
    lack = 1 - rho
    state, image = np.array([q]), np.empty(1)
    norm_step(state, image, int(program.ops[0]), 0, 0, program.par, program.numbers[0], rows[None])
    new_q, g = state[0], image[0]
    c, _, _, tangent = step(
        int(program.ops[0]), 0, 0, q, q, g, g, q * rho, 2 * q * lack, 4 * q - 2 * q * lack, 1.0,
        program.par, program.numbers[0], rows, rows,
    )  # fmt: skip
    if not math.isfinite(new_q):
        return math.inf, math.nan, math.nan
    w2, b2, _, alpha, beta = (float(v) for v in program.numbers[0, :5])
    slope = tangent - beta - alpha / w2 * (c - b2)
    return float(new_q), float(c / new_q), float(slope * q / new_q)

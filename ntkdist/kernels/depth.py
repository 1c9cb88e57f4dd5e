"""What depth does to a kernel: f(cos θ) layer by layer, the fixed point of the correlation, and χ₁.

On rows of length √q* (the fixed point of q → σ_w² F(q, q) + σ_b²) the correlation obeys ρ ← C(ρ); ρ = 1 is
always a fixed point, with slope χ₁ = σ_w² Ḟ(q*, q*, q*).  χ₁ < 1 is order (all inputs become one), χ₁ > 1
chaos (they decorrelate to a fixed point below 1), χ₁ = 1 the edge (Poole et al. 2016; Schoenholz et al.
2017). Cost: one dual per layer and angle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.kernels.error import CLOSE
from ntkdist.kernels.kernel import Kernel
from ntkdist.kernels.layer import Layer
from ntkdist.kernels.program import Program
from ntkdist.kernels.recursion import norm_step, opening, step
from ntkdist.kernels.tile import check_rows, heat, prepare

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
    """Return ``kernel`` with its layers repeated cyclically, or cut, to ``depth``."""
    spec = kernel.spec()
    layers = [spec["layers"][l % kernel.depth] for l in range(depth)]
    return Kernel.from_spec({**spec, "layers": layers})


def depth_profile(kernel: Kernel, depths: tuple[int, ...], cosines: Floats, q: float = 1.0) -> DepthProfile:
    """Return f(cos θ) of rows with squared length ``q`` after the input scaling, for every depth, over f(1).

    One run of the recursion to the largest depth passes through all the others.  Raises ``InputError`` where
    f(1) = 0.
    """
    rho = np.asarray(cosines, dtype=np.float64)
    if rho.ndim != 1 or not np.all(np.abs(rho) <= 1):
        raise InputError("cosines must be a list of numbers from −1 to 1")
    # A pole and a circle: two-dimensional rows stand for each angle, exact at both ends.
    at = np.stack([np.append(rho, 1.0), np.sqrt(np.append(1 - rho * rho, 0.0))], axis=1) * q**0.5
    flat = Kernel.from_spec({**kernel.spec(), "input_scaling": "none", "first_sigma_w": 1.0})
    pole = np.array([[q**0.5, 0.0]])
    values: dict[str, Floats] = {}
    for which in ("nngp", "ntk"):
        if which == "ntk" and not kernel.has_ntk:
            values[which] = np.full((len(depths), rho.size), np.nan)
            continue
        tiles = tiles_by_depth(flat, pole, at, depths, which)[:, 0]
        for depth, top in zip(depths, tiles[:, -1], strict=True):
            if top == 0:
                raise InputError(f"the {which} kernel of depth {depth} is zero on the diagonal")
        values[which] = tiles[:, :-1] / tiles[:, -1:]
    return DepthProfile(tuple(depths), rho, values["nngp"], values["ntk"])


def tiles_by_depth(kernel: Kernel, x: Floats, z: Floats, depths: tuple[int, ...], which: str) -> Floats:
    """Return K_L(x, z), shape (depths, n1, n2), for the kernel's layers repeated to every depth L, in float64."""
    if min(depths) < 1:
        raise InputError("every depth must be 1 or more")
    deep = with_depth(kernel, max(depths))
    program = deep.program
    left, right = (prepare(deep, check_rows(v, "x")) for v in (np.asarray(x, float), np.asarray(z, float)))
    out = np.empty((len(depths), x.shape[0], z.shape[0]))
    _tiles_pass(
        out, np.array(depths), which == "ntk", heat(deep), deep.first_bias**2, CLOSE["float64"],
        left.x @ right.x.T, left.x, right.x, left.lengths, right.lengths,
        program.ops, program.where, program.series, program.par, program.numbers,
        left.rows.q, right.rows.q, left.rows.image, right.rows.image, left.rows.coefficients, right.rows.coefficients,
    )  # fmt: skip
    return out


@njit(nogil=True, error_model="numpy", cache=True)
def _tiles_pass(
    out: Any, depths: Any, tangent: bool, heat: float, shift: float, close: float, dots: Any, x: Any, z: Any,
    n1: Any, n2: Any, ops: Any, where: Any, places: Any, par: Any, numbers: Any,
    q1: Any, q2: Any, g1: Any, g2: Any, rows1: Any, rows2: Any
) -> None:  # fmt: skip
    """Write the entry of every depth on the way to the last layer."""
    for i in range(x.shape[0]):
        for j in range(z.shape[0]):
            c, v, w = opening(shift, close, dots[i, j], x[i], z[j], n1[i], n2[j])
            theta = heat * c
            for l in range(ops.size):
                c, v, w, theta = step(
                    ops[l], where[l], places[l], q1[i, l], q2[j, l], g1[i, l], g2[j, l], c, v, w, theta,
                    par, numbers[l], rows1[i], rows2[j],
                )  # fmt: skip
                for d in range(depths.size):
                    if depths[d] == l + 1:
                        out[d, i, j] = theta if tangent else c


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
    # Frozen, so that Θ carries Ḟ alone: beside a Σ of 1e200 it would be lost.
    frozen = program.numbers[0].copy()
    frozen[3] = frozen[4] = 0.0
    c, _, _, slope = step(
        int(program.ops[0]), 0, 0, q, q, g, g, q * rho, 2 * q * lack, 4 * q - 2 * q * lack, 1.0,
        program.par, frozen, rows, rows,
    )  # fmt: skip
    if not math.isfinite(new_q):
        return math.inf, math.nan, math.nan
    return float(new_q), float(c / new_q), float(slope * q / new_q)

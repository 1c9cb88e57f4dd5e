"""Where to initialise: the line χ₁ = 1 in the plane of (σ_w, σ_b), and the depth a network trains at beside it.

At the squared length q* that the layers keep, χ₁ = σ_w² E φ′(√q* z)² multiplies gradients per layer (Poole et al.
2016; Schoenholz et al. 2017).  The line is traced by q*: σ_w² = 1/E φ′², σ_b² = q* − σ_w² E φ², where that is not
negative.  Away from it gradients change by a factor e over ξ = 1/|ln χ₁| layers, and networks are found to train up to
about 6 ξ layers (Schoenholz et al. 2017, fig. 5), a rule of thumb.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.kernels.depth import correlation_fixed_point
from ntkdist.kernels.kernel import Kernel
from ntkdist.kernels.layer import Layer

Floats = NDArray[np.float64]
TRAINABLE_SCALES = 6.0
_LENGTHS = (1e-8, 1e8)


@dataclass(frozen=True)
class CriticalLine:
    """Points of χ₁ = 1: ``q`` (p,), ``sigma_w`` (p,), ``sigma_b`` (p,); one point where the line is one (ReLU).

    ``stable`` (p,): whether lengths near q* return to it; where they do not, depth leads away from the point.
    """

    q: Floats
    sigma_w: Floats
    sigma_b: Floats
    stable: NDArray[np.bool_]


@dataclass(frozen=True)
class DepthScale:
    """χ₁ at (σ_w, σ_b): ``scale`` ξ in layers (None: unlimited, on the line), ``trainable`` 6 ξ, and the phase.

    Where lengths explode too fast for χ₁ to be evaluated, ``phase`` is unbounded and there are no numbers.
    """

    chi: float | None
    q: float | None
    phase: str
    scale: float | None
    trainable: float | None
    note: str = ""


def critical_line(activation: str, q: Floats | None = None) -> CriticalLine:
    """Trace χ₁ = 1 for a named activation over squared lengths ``q`` (default 10⁻³ … 10²).

    Raises ``InputError`` for an activation without a derivative.
    """
    lengths = np.geomspace(1e-3, 1e2, 81) if q is None else np.asarray(q, np.float64)
    mean_square, slope_square = _moments(activation, lengths)
    sigma_w2 = 1 / slope_square
    h = 1e-4
    above, below = (_moments(activation, lengths * (1 + s))[0] for s in (h, -h))
    length_slope = sigma_w2 * (above - below) / (2 * h * lengths)
    sigma_b2 = lengths - sigma_w2 * mean_square
    sigma_b2 = np.where(np.abs(sigma_b2) < 1e-9 * lengths, 0.0, sigma_b2)
    kept = sigma_b2 >= 0
    w, b = np.sqrt(sigma_w2[kept]), np.sqrt(sigma_b2[kept])
    points = np.round(np.stack([w, b], axis=1), 10)
    _, first = np.unique(points, axis=0, return_index=True)
    order = np.sort(first)
    return CriticalLine(lengths[kept][order], w[order], b[order], (length_slope[kept] < 1 + 1e-6)[order])


def depth_scale(activation: str, sigma_w: float, sigma_b: float) -> DepthScale:
    """χ₁ and the depth scale of one initialisation."""
    try:
        q = correlation_fixed_point(Layer(activation, sigma_w, sigma_b)).q
    except InputError:
        q = math.inf
    at = float(np.clip(q, *_LENGTHS))
    try:
        chi = sigma_w**2 * float(_moments(activation, np.array([at]))[1][0])
    except InputError as error:
        return DepthScale(None, None, "unbounded", None, None, f"lengths grow without bound: {error}")
    note = ""
    if at != q:
        what = "shrink to zero" if at > q else "grow without bound"
        note = f"lengths {what} with depth; χ₁ is taken at squared length {at:g}"
    if abs(chi - 1) < 1e-6:
        return DepthScale(chi, at, "edge", None, None, note)
    scale = 1 / abs(math.log(chi))
    return DepthScale(chi, at, "ordered" if chi < 1 else "chaotic", scale, TRAINABLE_SCALES * scale, note)


def _moments(activation: str, q: Floats) -> tuple[Floats, Floats]:
    """E φ(√q z)² and E φ′(√q z)², (p,) each, from the exact kernel's diagonal."""
    unit = Kernel(1, activation, 1.0, 0.0)
    rows = np.sqrt(q)[:, None]
    square = np.asarray(unit.diagonal(rows, "nngp"), np.float64)
    return square, (np.asarray(unit.diagonal(rows, "ntk"), np.float64) - square) / q

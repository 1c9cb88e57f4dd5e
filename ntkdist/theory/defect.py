"""How far the Krylov space's training curve can be from the true one: the defect and its integral.

The curve r_m(t) = Q e^{−Tt} Qᵀr(0) solves the equation of training up to a defect that leaves through the
last block, r_m' = −Θ r_m + d(t), ‖d(t)‖ = ‖B (e^{−Tt} Qᵀr(0))_last‖. So the error obeys e' = −Θe − d and,
with λ ≤ λ_min(Θ),

    ‖e(t)‖ ≤ E(t) = ∫₀ᵗ e^{−λ(t−s)} ‖d(s)‖ ds,        w(t) = ∫₀ᵗ e = −Θ⁻¹(D(t) + e(t)),   D = ∫₀ᵗ d,
    ‖w(t)‖_Θ ≤ (‖D‖ + E)/√λ   and   ‖w(t)‖²_Θ ≤ ½ ∫₀ᵗ ‖D(s)‖² ds,

the last from d/dt ½‖w‖²_Θ = −‖Θw‖² − (Θw)ᵀD ≤ ¼‖D‖² (Hochbruck & Lubich 1997 for the defect; Botchev, Grimm
& Hochbruck 2013 for its use as an error bound). ‖d‖ is a short sum of exponentials: its integral is taken
panel by panel on a logarithmic grid. What was dropped or rounded enters as ``leak``·‖r_m‖. Cost: no
operator pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ntkdist.theory.krylov import KrylovSpace

PANEL_NODES = 8
PANEL_RATIO = 2.0
WIDEN = 1.01
"""Factor on every bound for the quadrature of the defect, whose own error is far below it."""


@dataclass(frozen=True)
class DefectBound:
    """Error bounds at the asked times, each (T, k), per output.

    ``residual``: E(t) ≥ ‖r(t) − r_m(t)‖₂. ``energy``: ≥ ‖∫₀ᵗ (r − r_m)‖_Θ, which bounds predictions: off the
    training set they err by at most √Θ(x*, x*) times it. ``dual``: ≥ ‖∫₀ᵗ (r − r_m)‖₂.
    """

    residual: NDArray[np.float64]
    energy: NDArray[np.float64]
    dual: NDArray[np.float64]


def defect_bound(space: KrylovSpace, times: NDArray[np.float64], lambda_lower: float) -> DefectBound:
    """Error bounds at finite ``times`` (T,), ascending, given λ_min(Θ) ≥ ``lambda_lower`` ≥ 0."""
    k = space.start.shape[1]
    bounds = [np.zeros((len(times), k)) for _ in range(3)]
    if len(space.theta) == 0 or len(times) == 0 or times[-1] <= 0.0:
        return DefectBound(*bounds)
    edges = _panels(times, float(space.theta[-1]))
    nodes, weights = np.polynomial.legendre.leggauss(PANEL_NODES)
    left, right = edges[:-1], edges[1:]
    grid = left[:, None] + (right - left)[:, None] * (nodes + 1.0) / 2.0
    share = (right - left)[:, None] * weights / 2.0
    error, dual, drifted = np.zeros(k), np.zeros(k), np.zeros(k)
    wanted = np.searchsorted(edges, times)
    for i in range(len(left)):
        defect, drift = _leaving(space, grid[i])
        fade = np.exp(-lambda_lower * (right[i] - grid[i]))[:, None]
        kept = float(np.exp(-lambda_lower * (right[i] - left[i])))
        # Inside the panel E is at most its start plus all the defect of the panel.
        dual = dual + (right[i] - left[i]) * (error + share[i] @ defect)
        error = kept * error + share[i] @ (fade * defect)
        drifted = drifted + share[i] @ drift**2
        here = np.nonzero(wanted == i + 1)[0]
        if len(here):
            energy = np.sqrt(0.5 * drifted)
            shrunk = dual
            if lambda_lower > 0.0:
                _, at_end = _leaving(space, right[i : i + 1])
                energy = np.minimum(energy, (at_end[0] + error) / lambda_lower**0.5)
                shrunk = np.minimum(dual, energy / lambda_lower**0.5)
            for bound, now in zip(bounds, (error, energy, shrunk), strict=True):
                bound[here] = WIDEN * now
    return DefectBound(*bounds)


def limit_bound(space: KrylovSpace, lambda_lower: float) -> tuple[NDArray[np.float64], ...]:
    """The three bounds at t = ∞, each (k,): with λ_min > 0 known the residual is zero there, else unknown."""
    stays = np.where(space.theta[:, None] <= space.null, space.start, 0.0)
    remains = np.linalg.norm(stays, axis=0)
    if lambda_lower <= 0.0:
        unknown = np.full(len(remains), np.inf)
        return remains + np.linalg.norm(space.start, axis=0), unknown, unknown
    weights = integrated(space.theta, np.array([np.inf]), space.null)[0][:, None] * space.start
    drift = np.linalg.norm(space.coupling @ weights, axis=0) + space.leak * np.linalg.norm(weights, axis=0)
    return WIDEN * remains, WIDEN * drift / lambda_lower**0.5, WIDEN * drift / lambda_lower


def decay(theta: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """e^{−θt} for every time and θ: (T, M)."""
    return np.asarray(np.exp(-np.multiply.outer(times, theta)))


def integrated(theta: NDArray[np.float64], times: NDArray[np.float64], null: float) -> NDArray[np.float64]:
    """(1 − e^{−θt})/θ: (T, M), and 0 where θ ≤ ``null``: no kernel row reaches those directions."""
    safe = np.where(theta > null, theta, 1.0)
    return np.asarray(np.where(theta > null, -np.expm1(-np.multiply.outer(times, safe)) / safe, 0.0))


def _leaving(space: KrylovSpace, s: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds per time and output, each (S, k): of ‖d(s)‖ and of ‖D(s)‖ = ‖∫₀ˢ d‖."""
    now = decay(space.theta, s)[:, :, None] * space.start
    positive = np.where(space.theta > 0.0, space.theta, 1.0)
    past = -np.expm1(-np.multiply.outer(s, space.theta)) / positive
    gone = np.where(space.theta > 0.0, past, s[:, None])[:, :, None] * space.start
    out, drift = (
        np.linalg.norm(space.coupling @ c, axis=1) + space.leak * np.linalg.norm(c, axis=1) for c in (now, gone)
    )
    return out, drift


def _panels(times: NDArray[np.float64], top: float) -> NDArray[np.float64]:
    """Panel edges from 0 through every time, growing by PANEL_RATIO from the fastest time scale 1/θ_max."""
    last = float(times[-1])
    first = min(0.5 / top, last) if top > 0.0 else last
    count = max(int(np.ceil(np.log(last / first) / np.log(PANEL_RATIO))), 0)
    ladder = first * PANEL_RATIO ** np.arange(count + 1)
    return np.unique(np.concatenate(([0.0], ladder[ladder < last], times[times > 0.0])))

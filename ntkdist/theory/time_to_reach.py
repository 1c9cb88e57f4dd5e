"""The time at which the training loss reaches ε, from the curve itself rather than its envelope.

The loss of gradient flow never rises, so L_upper(t) ≤ ε shows that ε was reached by t, and L_lower(t) > ε
that it was not. Both crossings are found by refining a logarithmic grid; ln(L(0)/ε)/(2λ_min) is where the
envelope gets there, often much later, because the labels put little energy on the slowest directions. Cost:
no operator pass.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.theory.dynamics import Dynamics
from ntkdist.theory.statement import GRADIENT_FLOW, Assumption, Statement

GRID = 33
ROUNDS = 5


def time_to_reach(dynamics: Dynamics, epsilon: float, *, grade: str = "estimate") -> Statement:
    """When L(t) = ½ Σ (f − y)² falls to ``epsilon``: value, not before ``lower``, by ``upper``.

    ``grade``: of the lower bound of λ_min the dynamics were made with. Raises InputError unless ε > 0.
    """
    if not (epsilon > 0.0 and math.isfinite(epsilon)):
        raise InputError(f"epsilon must be a positive loss, got {epsilon}")
    loss0 = 0.5 * float((dynamics.residual0**2).sum())
    top = float(dynamics.space.theta[-1]) if len(dynamics.space.theta) else 0.0
    found: list[float | None] = [0.0, 0.0, 0.0]
    note = f"the loss starts at {loss0:g}" if loss0 <= epsilon else ""
    if loss0 > epsilon:
        horizon = _horizon(dynamics, loss0 / epsilon, top)
        found = [_crossing(dynamics, epsilon, end, 0.01 / top, horizon) for end in ("value", "lower", "upper")]
        if found[0] is None:
            note = f"the curve does not come down to {epsilon:g} by t = {horizon:.3g}"
        elif found[2] is None:
            note = f"the curve's upper bound does not come down to {epsilon:g}: more passes would tell"
    value, lower, upper = found
    return Statement(
        key="time_to_reach",
        name=f"Time at which the training loss reaches {epsilon:g}",
        value=value,
        lower=lower if lower is not None or loss0 <= epsilon else 0.0,
        upper=upper,
        unit="time",
        formula="L(t) = 1/2 ||exp(-Theta t)(y - f(0))||^2 = epsilon",
        source="Jacot, Gabriel & Hongler 2018 (NeurIPS); Lee et al. 2019 (NeurIPS)",
        convention=GRADIENT_FLOW,
        assumptions=(
            Assumption("the kernel stays constant during training (infinite width, NTK parameterization)", None),
        ),
        grade=grade,
        note=note,
    )


def _horizon(dynamics: Dynamics, ratio: float, top: float) -> float:
    """A time by which the envelope is below ε, or without a rate the longest time float64 can tell apart."""
    slow = dynamics.lambda_lower
    return 1.01 * math.log(ratio) / (2.0 * slow) if slow > 0.0 else 1e10 / top


def _crossing(dynamics: Dynamics, epsilon: float, end: str, left: float, right: float) -> float | None:
    """Where one edge of the band crosses ε: for the upper edge a time after, for the lower a time before."""
    right = max(right, 2.0 * left)
    low = 0.0
    for _ in range(ROUNDS):
        grid = np.geomspace(left, right, GRID)
        edge: NDArray[np.float64] = getattr(dynamics.loss(grid).loss, end)
        below = np.nonzero(edge <= epsilon)[0]
        if len(below) == 0:
            # The grid's right end is a valid "not before" even where no crossing is in sight.
            return float(right) if end == "lower" else None
        first = int(below[0])
        if first == 0:
            right, left, low = float(grid[0]), float(grid[0]) * 1e-3, low
            continue
        left = low = float(grid[first - 1])
        right = float(grid[first])
    if end == "lower":
        return low
    return right if end == "upper" else math.sqrt(max(left, 1e-300) * right)

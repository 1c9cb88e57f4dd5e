"""The kernel H^∞ of a two-layer ReLU network with only its first layer trained, and Arora et al.'s bound.

H^∞_ij = E_w[x_i·x_j 1{w·x_i ≥ 0} 1{w·x_j ≥ 0}] = x_i·x_j (π − arccos(x_i·x_j))/(2π) on unit-norm rows.
Arora, Du, Hu, Li & Wang 2019 (ICML), Theorem 5.1: a wide enough such network, trained by gradient descent
to the end, has expected loss at most √(2 yᵀ(H^∞)⁻¹y/n) + O(√(log(n/(λ₀δ))/n)) for every 1-Lipschitz loss in
[0, 1] that is zero at zero error. The theorem is about this kernel, whatever the depth of the network
analysed beside it. Cost: O(n² d) for the matrix.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ntkdist.errors import InputError
from ntkdist.theory.generalization import INFINITE
from ntkdist.theory.interval import BracketLike, IntervalLike, bracket_ends, finite, up
from ntkdist.theory.statement import Assumption, Statement

UNIT_NORM_TOLERANCE = 1e-6
"""Rows count as unit-norm when every norm is within this of one (float32 rows normalised in float32 are)."""


def two_layer_kernel(x: ArrayLike, z: ArrayLike | None = None) -> NDArray[np.float64]:
    """H^∞ between the rows of ``x`` (n, d) and ``z`` (m, d), default ``x`` itself: (n, m), float64.

    Angles come from half-chords, θ = 2 atan2(‖x̂ − ẑ‖, ‖x̂ + ẑ‖), because arccos of a product near one
    loses half the digits; where rows are close the chord comes from the difference of the rows. Rows of any
    norm are accepted: H^∞ = ‖x‖‖z‖ cos θ (π − θ)/(2π). Raises InputError for zero rows or unequal widths.
    """
    a = np.asarray(x, np.float64)
    b = a if z is None else np.asarray(z, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise InputError(f"two_layer_kernel needs two tables with the same columns, got {a.shape} and {b.shape}")
    norm_a, norm_b = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    if not (norm_a.all() and norm_b.all()):
        raise InputError("two_layer_kernel needs a direction for every row: remove the zero rows")
    unit_a, unit_b = a / norm_a[:, None], b / norm_b[:, None]
    cosine = unit_a @ unit_b.T
    minus = np.sqrt(np.maximum(2.0 - 2.0 * cosine, 0.0))
    plus = np.sqrt(np.maximum(2.0 + 2.0 * cosine, 0.0))
    for chord, sign in ((minus, -1.0), (plus, 1.0)):
        rows, columns = np.nonzero(chord < 0.1)
        chord[rows, columns] = np.linalg.norm(unit_a[rows] + sign * unit_b[columns], axis=1)
    angle = 2.0 * np.arctan2(minus, plus)
    return np.asarray(norm_a[:, None] * norm_b * np.cos(angle) * (math.pi - angle) / (2.0 * math.pi))


def arora(
    x: ArrayLike,
    y: ArrayLike,
    quad_form: BracketLike,
    *,
    lambda_min: IntervalLike | None = None,
    delta: float = 0.05,
    grade: str = "estimate",
) -> Statement:
    """√(2 yᵀ(H^∞)⁻¹y/n), the leading term of Theorem 5.1, with its premises checked on this data.

    ``x``: (n, d) rows, or their norms (n,); ``y``: (n,) or (n, k) labels; ``quad_form``: bracket of
    y_kᵀ(H^∞)⁻¹y_k per output, H^∞ from :func:`two_layer_kernel`; ``lambda_min``: interval of λ_min(H^∞), the
    theorem's λ₀. The value is that of the worst output, as the theorem is for one output; ``series`` has all.
    """
    rows, labels = np.asarray(x, np.float64), np.asarray(y, np.float64)
    n = len(labels)
    lower, value, upper = bracket_ends(quad_form)
    if rows.ndim not in (1, 2) or len(rows) != n or (labels.shape[1] if labels.ndim == 2 else 1) != len(value):
        raise InputError(f"arora needs one row per label and one form per output: {rows.shape}, {labels.shape}")
    if not 0.0 < delta < 1.0:
        raise InputError(f"delta is a failure probability in (0, 1), got {delta}")
    norms = rows if rows.ndim == 1 else np.linalg.norm(rows, axis=1)
    off_norm = float(np.abs(norms - 1.0).max())
    largest = float(np.abs(labels).max())
    roots = [np.sqrt(2.0 * np.maximum(q, 0.0) / n) for q in (lower, value, upper)]
    worst = [float(r.max()) for r in roots]
    smallest_known = lambda_min is not None and lambda_min.lower > 0.0
    if not math.isfinite(worst[1]):
        note = INFINITE
    elif worst[1] >= 1.0:
        note = "vacuous: the leading term alone is at least 1"
    else:
        note = "leading term only; the theorem adds O(sqrt(log(n/(lambda_0 delta))/n)), constant not stated"
    if smallest_known and lambda_min is not None:
        size = math.sqrt(max(math.log(n / (lambda_min.lower * delta)), 0.0) / n)
        note += f"; that term is {size:.3g} times its constant"
    return Statement(
        key="arora_bound",
        name="Arora et al. bound for the two-layer ReLU network, sqrt(2 y^T H^-1 y / n)",
        value=finite(worst[1]),
        lower=finite(worst[0]),
        upper=finite(up(worst[2])),
        unit="loss in [0, 1]",
        formula="sqrt(2 y^T (H^inf)^-1 y / n) + O(sqrt(log(n/(lambda_0 delta))/n)), confidence 1 - delta",
        source="Arora, Du, Hu, Li & Wang 2019 (ICML), Thm 5.1",
        convention=f"1-Lipschitz loss in [0, 1]; worst of {len(value)} outputs; delta = {delta:g} per output",
        assumptions=(
            Assumption(
                "the rows have unit norm",
                off_norm <= UNIT_NORM_TOLERANCE,
                f"largest distance of a row's norm from 1 is {off_norm:.3g}",
            ),
            Assumption("|y| <= 1", largest <= 1.0, f"largest |y| is {largest:.6g}"),
            Assumption(
                "lambda_min(H^inf) > 0",
                None if lambda_min is None else True if smallest_known else (False if lambda_min.upper <= 0 else None),
                "not given" if lambda_min is None else f"interval [{lambda_min.lower:.6g}, {lambda_min.upper:.6g}]",
            ),
            Assumption("two layers, ReLU, only the first trained; width poly(n, 1/lambda_0, 1/delta)", None),
            Assumption("independent rows from one distribution", None),
        ),
        grade=grade,
        note=note,
        series={
            f"{name} per output": tuple(finite(float(r)) for r in root)
            for name, root in zip(("lower", "value", "upper"), roots, strict=True)
        },
    )

"""Cao & Gu's bound for deep ReLU networks trained by one pass of stochastic gradient descent.

Cao & Gu 2019 (NeurIPS), Corollary 3.10: for a wide enough L-layer ReLU network on unit-norm rows with
labels ±1 the expected 0-1 error of the averaged iterates is at most Õ(L √(ỹᵀΘ⁻¹ỹ/n)) + O(√(log(1/δ)/n)),
with the infimum over ỹ_i y_i ≥ 1, for which ỹ = y is one candidate. The constants and logarithms are not
stated by the paper, so the number here is an order of magnitude, not a bound. Cost: none beyond yᵀΘ⁻¹y.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from ntkdist.errors import InputError
from ntkdist.theory.generalization import INFINITE
from ntkdist.theory.interval import BracketLike, bracket_ends, finite, up
from ntkdist.theory.statement import Assumption, Statement

ORDER = "order of magnitude: constants and logarithms are not stated"


def cao_gu(
    y: ArrayLike,
    quad_form: BracketLike,
    *,
    layers: int,
    rows_unit_norm: bool | None = None,
    relu_without_bias: bool | None = None,
    delta: float = 0.05,
    grade: str = "estimate",
) -> Statement:
    """L √(yᵀΘ⁻¹y/n), the leading term of Corollary 3.10 without its constants and logarithms.

    ``y``: (n,) or (n, k) labels ±1; ``quad_form``: bracket of y_kᵀΘ⁻¹y_k per output; ``layers``: number of
    weight matrices L (hidden depth + 1). The value is that of the worst output. Raises InputError if shapes
    disagree.
    """
    labels = np.asarray(y, np.float64)
    n = len(labels)
    ends = bracket_ends(quad_form)
    if (labels.shape[1] if labels.ndim == 2 else 1) != len(ends[1]) or layers < 2 or not 0.0 < delta < 1.0:
        raise InputError("cao_gu needs one form per column of y, at least 2 layers and delta in (0, 1)")
    worst = [layers * math.sqrt(max(float(q.max()), 0.0) / n) for q in ends]
    signs = bool((np.abs(labels) == 1.0).all())
    return Statement(
        key="cao_gu_bound",
        name="Cao & Gu leading term for deep ReLU networks, L sqrt(y^T Theta^-1 y / n)",
        value=finite(worst[1]),
        lower=finite(worst[0]),
        upper=finite(up(worst[2])),
        unit="1",
        formula="O~(L sqrt(y^T Theta^-1 y / n)) + O(sqrt(log(1/delta)/n))",
        source="Cao & Gu 2019 (NeurIPS), Cor. 3.10",
        convention=(
            f"L = {layers} weight matrices; worst of {len(ends[1])} outputs; delta = {delta:g}; Theta in the "
            "normalisation given (the paper's differs by a constant factor, which its O~ absorbs)"
        ),
        assumptions=(
            Assumption("the rows have unit norm", rows_unit_norm),
            Assumption("the labels are +1 or -1", signs),
            Assumption("fully connected ReLU network without biases, He initialisation", relu_without_bias),
            Assumption("one pass of SGD on the cross-entropy loss, width above an unstated m*", None),
            Assumption("independent rows from one distribution", None),
        ),
        grade="estimate" if math.isfinite(worst[1]) else grade,
        note=ORDER if math.isfinite(worst[1]) else INFINITE,
    )

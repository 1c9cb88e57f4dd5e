"""How wide the theorems ask a network to be, given λ_min: orders of magnitude, because their constants are
not known.

Du, Zhai, Poczos & Singh 2019 (ICLR), Thm 3.2: m = Ω(n⁶/(λ₀⁴δ³)) for the first-layer-only two-layer ReLU
network. Arora, Du, Hu, Li & Wang 2019 (ICML), Thm 4.1: m = Ω(n⁷/(λ₀⁴κ²δ⁴ε²)) with initialisation of scale κ
= O(εδ/√n). λ₀ is λ_min(H^∞) on unit-norm rows. Nguyen, Mondelli & Montúfar 2021 (ICML): for deep ReLU
networks on rows of norm about √d, λ_min(Θ) = Θ(d) with high probability, and one layer of about n neurons
(up to logarithms) is enough for a finite network. Cost: none.
"""

from __future__ import annotations

import math

from ntkdist.errors import InputError
from ntkdist.theory.interval import IntervalLike, finite
from ntkdist.theory.statement import Assumption, Statement

CONSTANT = "order of magnitude: the constant in Omega(...) is not stated; it is taken as one"


def widths(
    lambda_zero: IntervalLike,
    n: int,
    *,
    delta: float = 0.05,
    epsilon: float = 0.1,
    rows_unit_norm: bool | None = None,
) -> tuple[Statement, Statement, Statement]:
    """Widths asked for by Du et al. and Arora et al. from λ_min(H^∞), and by Nguyen et al. from n.

    ``lambda_zero``: interval of λ_min(H^∞) (:func:`ntkdist.theory.two_layer.two_layer_kernel`); ``delta``
    failure probability, ``epsilon`` accuracy of Arora et al. Raises InputError for δ, ε outside (0, 1) or n
    < 1.
    """
    if not (0.0 < delta < 1.0 and 0.0 < epsilon < 1.0) or n < 1:
        raise InputError(f"widths needs n >= 1 and delta, epsilon in (0, 1), got {n}, {delta}, {epsilon}")
    scale = epsilon * delta / math.sqrt(n)
    du = _line(
        "width_du", "Width asked for by Du et al.", n**6 / delta**3, lambda_zero, rows_unit_norm,
        f"n^6 / (lambda_0^4 delta^3), delta = {delta:g}", "Du, Zhai, Poczos & Singh 2019 (ICLR), Thm 3.2",
    )  # fmt: skip
    arora = _line(
        "width_arora", "Width asked for by Arora et al.",
        n**7 / (scale**2 * delta**4 * epsilon**2), lambda_zero, rows_unit_norm,
        f"n^7 / (lambda_0^4 kappa^2 delta^4 epsilon^2), kappa = epsilon delta/sqrt(n), epsilon = {epsilon:g}",
        "Arora, Du, Hu, Li & Wang 2019 (ICML), Thm 4.1",
    )  # fmt: skip
    nguyen = Statement(
        key="width_nguyen",
        name="Width of one layer asked for by Nguyen, Mondelli & Montúfar",
        value=float(n),
        lower=None,
        upper=None,
        unit="neurons",
        formula="n, up to logarithms",
        source="Nguyen, Mondelli & Montúfar 2021 (ICML), Thm 4.1",
        convention="one layer of this width; the others may be much narrower",
        assumptions=(
            Assumption("independent rows of norm about sqrt(d), Lipschitz concentrated", None),
            Assumption("n grows slower than exponentially in d", None),
        ),
        grade="estimate",
        note="order of magnitude: constant and logarithms are not stated",
    )
    return du, arora, nguyen


def lambda_min_scaling(lambda_min: IntervalLike, mean_squared_norm: float) -> Statement:
    """λ_min(Θ)/mean‖x‖², which Nguyen et al. 2021 (Thm 3.2) show to be of order one for ReLU on such data.

    ``mean_squared_norm``: mean of ‖x‖² over the rows, in the scaling in which Θ was computed.
    """
    if not mean_squared_norm > 0.0:
        raise InputError(f"mean_squared_norm must be positive, got {mean_squared_norm}")
    return Statement(
        key="lambda_min_scaling",
        name="Smallest eigenvalue in units of the mean squared norm of a row",
        value=lambda_min.value / mean_squared_norm,
        lower=lambda_min.lower / mean_squared_norm,
        upper=lambda_min.upper / mean_squared_norm,
        unit="1",
        formula="lambda_min(Theta) / mean ||x||^2 = Theta(1)",
        source="Nguyen, Mondelli & Montúfar 2021 (ICML), Thm 3.2",
        convention="the theorem scales rows to norm about sqrt(d), where lambda_min = Theta(d)",
        assumptions=(
            Assumption("independent rows of norm about sqrt(d), Lipschitz concentrated", None),
            Assumption("ReLU network without biases", None),
        ),
        grade=lambda_min.grade,
        note="far below one means rows less spread than the theorem assumes: near-duplicates, few dimensions",
    )


def _line(
    key: str,
    name: str,
    numerator: float,
    smallest: IntervalLike,
    unit_norm: bool | None,
    formula: str,
    source: str,
) -> Statement:
    def asked(eigenvalue: float) -> float | None:
        return finite(numerator / eigenvalue**4) if eigenvalue > 1e-60 else None

    known = smallest.lower > 0.0
    value = asked(smallest.value) if known else None
    return Statement(
        key=key,
        name=name,
        value=value,
        lower=asked(smallest.upper),
        upper=asked(smallest.lower),
        unit="neurons",
        formula=formula,
        source=source,
        convention="lambda_0 = lambda_min(H^inf) of the two-layer ReLU network, first layer trained",
        assumptions=(
            Assumption("the rows have unit norm", unit_norm),
            Assumption("|y| of order one", None),
            Assumption("lambda_0 > 0", known or None, f"[{smallest.lower:.6g}, {smallest.upper:.6g}]"),
        ),
        grade="estimate",
        note=CONSTANT if value is not None else f"lambda_0 is not separated from zero; {CONSTANT}",
    )  # fmt: skip

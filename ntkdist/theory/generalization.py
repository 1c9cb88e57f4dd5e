"""Generalization of the trained network from ‖f*‖²_H = yᵀΘ⁻¹y, with every constant written out.

The minimum-norm interpolant of the labels has ‖f*‖²_H = yᵀΘ⁻¹y. Two short forms are quoted everywhere,
‖f*‖²_H/n and √(2 yᵀΘ⁻¹y/n). The bound that holds as stated is the one of Rademacher complexity: for the ball
of radius B in the kernel's space the empirical complexity is at most B √(tr Θ)/n, so with probability 1 − δ

    E ℓ ≤ (1/n) Σ ℓ + 2 (Σ_k B_k) √(tr Θ)/n + 3 √(ln(2/δ')/(2n)),   ℓ = min(1, Σ_k |f_k − y_k|)

(Bartlett & Mendelson 2002; Mohri, Rostamizadeh & Talwalkar 2018, Thms 3.3 and 6.12, Lemma 5.7). For one-hot
targets ℓ is at least the classification error. B_k is seen only after the data, so it is rounded up to a
geometric grid fixed beforehand and δ is shared out over the grid: that is δ'. Cost: none beyond yᵀΘ⁻¹y.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ntkdist.errors import InputError
from ntkdist.theory.interval import BracketLike, bracket_ends, finite, up
from ntkdist.theory.statement import Assumption, Statement

GRID_RATIO = 1.05
"""Ratio of the grid of radii: B is over-estimated by at most 5%."""

RADEMACHER = "Bartlett & Mendelson 2002 (JMLR 3); Mohri, Rostamizadeh & Talwalkar 2018, Thms 3.3, 6.12, Lemma 5.7"
INFINITE = "the labels do not lie in the range of the kernel (equal rows, different labels): the norm is infinite"
TARGETS = "y as solved for (its coding and centring included); outputs are summed"


def generalization(
    y: ArrayLike,
    quad_form: BracketLike,
    trace: float,
    n: int,
    *,
    delta: float = 0.05,
    rows_unit_norm: bool | None = None,
    kernel: str = "the kernel Theta",
    grade: str = "estimate",
    ridge: float = 0.0,
    empirical_loss: float = 0.0,
) -> tuple[Statement, ...]:
    """‖f*‖²_H/n, √(2 yᵀΘ⁻¹y/n) and the Rademacher bound with all constants.

    ``y``: (n,) or (n, k) targets as solved for. ``quad_form``: bracket of y_kᵀ(Θ + ridge·I)⁻¹y_k per output
    k. ``trace``: tr Θ. ``delta``: failure probability. ``rows_unit_norm``: whether every input row has norm
    one. ``kernel``: what Θ is, in words. ``grade``: the certificate the bracket's upper end rests on (the
    lower bound of λ_min). ``empirical_loss``: mean over training rows of min(1, Σ_k |f_k − y_k|), zero for
    an interpolant.

    Raises InputError for shapes that disagree, a negative form or trace, or δ outside (0, 1).
    """
    targets = np.asarray(y, np.float64)
    targets = targets[:, None] if targets.ndim == 1 else targets
    lower, value, upper = bracket_ends(quad_form)
    if targets.ndim != 2 or targets.shape != (n, len(value)):
        raise InputError(f"y must have {n} rows and one column per quadratic form ({len(value)}), got {targets.shape}")
    if not 0.0 < delta < 1.0:
        raise InputError(f"delta is a failure probability in (0, 1), got {delta}")
    if not (trace > 0.0 and math.isfinite(trace)) or bool((upper < 0.0).any()) or not 0.0 <= empirical_loss <= 1.0:
        raise InputError("generalization needs trace > 0, quadratic forms >= 0 and an empirical loss in [0, 1]")
    lower = np.maximum(lower, 0.0)  # a quadratic form of Θ⁻¹ ⪰ 0: a negative lower end says no more than zero
    norms = _norm_lines(lower, value, upper, n, rows_unit_norm, kernel, grade, ridge)
    return (*norms, _rademacher(lower, value, upper, trace, n, delta, kernel, grade, empirical_loss))


def _norm_lines(
    lower: NDArray[np.float64],
    value: NDArray[np.float64],
    upper: NDArray[np.float64],
    n: int,
    rows_unit_norm: bool | None,
    kernel: str,
    grade: str,
    ridge: float,
) -> tuple[Statement, Statement]:
    def total(f: NDArray[np.float64]) -> float:
        return float(f.sum())

    note = "" if math.isfinite(total(upper)) else INFINITE if not math.isfinite(total(value)) else "no upper bound"
    base = Assumption("f* interpolates the labels (no ridge)", ridge == 0.0, f"ridge {ridge:g}")
    norm = Statement(
        key="norm_per_row",
        name="Squared RKHS norm of the interpolant per row, ||f*||^2/n",
        value=finite(total(value) / n),
        lower=finite(total(lower) / n),
        upper=finite(up(total(upper) / n)),
        unit="1",
        formula="sum_k y_k^T Theta^-1 y_k / n",
        source="kernel ridge(less) regression; Bartlett & Mendelson 2002 (JMLR 3)",
        convention=TARGETS,
        assumptions=(base,),
        grade=grade,
        note=note,
        series=_per_output(lower / n, value / n, upper / n),
    )
    root = Statement(
        key="sqrt_bound",
        name="Complexity of the labels, sqrt(2 y^T Theta^-1 y / n)",
        value=finite(math.sqrt(max(2.0 * total(value) / n, 0.0))),
        lower=finite(math.sqrt(2.0 * total(lower) / n)),
        upper=finite(up(math.sqrt(2.0 * total(upper) / n))),
        unit="1",
        formula="sqrt(2 sum_k y_k^T Theta^-1 y_k / n)",
        source="form of Arora, Du, Hu, Li & Wang 2019 (ICML), Thm 5.1",
        convention=TARGETS,
        assumptions=(
            base,
            Assumption("the rows have unit norm", rows_unit_norm),
            Assumption(
                "the kernel is the theorem's: two-layer ReLU network, only its first layer trained",
                False,
                f"{kernel}: read it as a measure of complexity; the bound itself is stated with H-infinity",
            ),
        ),
        grade=grade,
        note=note,
        series=_per_output(*(np.sqrt(np.maximum(2.0 * q / n, 0.0)) for q in (lower, value, upper))),
    )
    return norm, root


def _rademacher(
    lower: NDArray[np.float64],
    value: NDArray[np.float64],
    upper: NDArray[np.float64],
    trace: float,
    n: int,
    delta: float,
    kernel: str,
    grade: str,
    empirical_loss: float,
) -> Statement:
    def bound(forms: NDArray[np.float64]) -> float:
        if not np.isfinite(forms).all():
            return math.inf
        radii, share = stratified_radii(np.sqrt(np.maximum(forms, 0.0)))
        confidence = 3.0 * math.sqrt((math.log(2.0 / delta) - share) / (2.0 * n))
        return empirical_loss + 2.0 * float(radii.sum()) * math.sqrt(trace) / n + confidence

    ends = [bound(q) for q in (lower, value, upper)]
    if math.isfinite(ends[2]):
        verdict = "vacuous: the loss never exceeds 1" if ends[2] >= 1.0 else "not vacuous: below 1"
    else:
        verdict = INFINITE if not math.isfinite(ends[1]) else "no upper bound of the norm, hence no bound"
    return Statement(
        key="rademacher_bound",
        name=f"Bound on the expected loss min(1, sum_k |f_k - y_k|), confidence {1 - delta:g}",
        value=finite(ends[1]),
        lower=finite(ends[0]),
        upper=finite(up(ends[2])),
        unit="loss in [0, 1]",
        formula=(
            "(1/n) sum loss + 2 sum_k B_k sqrt(tr Theta)/n + 3 sqrt(ln(2/delta')/(2n)), B_k^2 = y_k^T Theta^-1 y_k"
        ),
        source=RADEMACHER,
        convention=(
            "loss min(1, sum_k |f_k - y_k|), at least the classification error when the targets of two "
            f"classes differ by 1; radii rounded up to powers of {GRID_RATIO}, delta = {delta:g} shared over "
            "the powers; quote `upper`: `lower` and `value` are the formula at the other ends of the norm"
        ),
        assumptions=(
            Assumption("the rows are drawn independently from one distribution, the test rows from the same", None),
            Assumption("the kernel was fixed before the data was seen", None, kernel),
            Assumption("the network is infinitely wide and trained to the end, so that it is f*", None),
        ),
        grade=grade,
        note=verdict,
    )


def stratified_radii(radii: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Radii rounded up to the fixed grid GRID_RATIO^j, and the logarithm of δ'/δ they pay for it.

    ``radii``: (k,) non-negative. The j of each output is numbered 0, 1, −1, 2, −2, … as i and gets the share
    1/((i+1)(i+2)), which sums to one; outputs multiply.
    """
    powers = np.ceil(np.log(np.maximum(radii, 1e-300)) / math.log(GRID_RATIO))
    index = np.where(powers > 0, 2 * powers - 1, -2 * powers)
    share = -float((np.log(index + 1.0) + np.log(index + 2.0)).sum())
    return np.maximum(GRID_RATIO**powers, radii), share


def _per_output(*ends: NDArray[np.float64]) -> dict[str, tuple[float | None, ...]]:
    named = zip(("lower", "value", "upper"), ends, strict=True)
    return {f"{name} per output": tuple(finite(float(q)) for q in end) for name, end in named}

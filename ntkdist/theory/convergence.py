"""How fast the infinitely wide network trains: rates, times and steps from the ends of the spectrum.

Under gradient flow on L = ½ Σ (f − y)² the training residual obeys r(t) = e^{−Θt} r(0), hence
e^{−2 λ_max t} L(0) ≤ L(t) ≤ e^{−2 λ_min t} L(0) (Jacot, Gabriel & Hongler 2018; Du et al. 2019); one step of
gradient descent multiplies the residual by I − ηΘ, which contracts iff η < 2/λ_max and fastest at
η = 2/(λ_min + λ_max). Every bound is evaluated at the end of the eigenvalue's interval that keeps it true:
times with the lower end of λ_min, steps with the upper end of λ_max. Cost: none, scalars in, scalars out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ntkdist.errors import InputError
from ntkdist.theory.interval import IntervalLike, down, finite, up
from ntkdist.theory.statement import GRADIENT_FLOW, Assumption, Statement, weakest

JACOT = "Jacot, Gabriel & Hongler 2018 (NeurIPS); Du, Zhai, Poczos & Singh 2019 (ICLR), Thm 3.2"
DESCENT = "gradient descent on a quadratic, e.g. Nesterov 2004, Thm 2.1.15"
STEP = (
    "gradient descent f <- f - eta Theta (f - y) on L = 1/2 sum (f - y)^2; "
    "with the mean loss L/n the step is n times longer: {scaled}"
)
UNSEPARATED = "the interval of lambda_min reaches zero: no finite bound follows from it"


@dataclass(frozen=True)
class _Ends:
    """``lower <= value <= upper``; infinities stand for what is not bounded."""

    lower: float
    value: float
    upper: float


def convergence(
    lambda_min: IntervalLike,
    lambda_max: IntervalLike,
    loss0: float,
    *,
    n: int,
    epsilon: float = 1e-3,
) -> tuple[Statement, ...]:
    """Rate, half-life, time to loss ε, stable and best step, condition number, steps to ε.

    ``lambda_min``, ``lambda_max``: intervals of the extreme eigenvalues of the (n, n) matrix Θ (with the
    ridge, if training has one). ``loss0`` = ½ Σ (f(0) − y)² over rows and outputs, e.g. ½‖y‖² for f(0) = 0;
    ``epsilon`` is the absolute loss to reach, in the same convention. Times are in units of gradient flow.

    Raises InputError for ends that are crossed or not finite, λ_max ≤ 0, loss0 < 0, ε ≤ 0 or n < 1.
    Source: Jacot, Gabriel & Hongler 2018; Du et al. 2019.
    """
    low, high = _ordered("lambda_min", lambda_min), _ordered("lambda_max", lambda_max)
    if high.lower <= 0.0:
        raise InputError(f"lambda_max must be positive, its lower end is {high.lower:g}; is the kernel zero?")
    if not (loss0 >= 0.0 and math.isfinite(loss0)) or not epsilon > 0.0 or n < 1:
        raise InputError(f"convergence needs loss0 >= 0, epsilon > 0 and n >= 1, got {loss0}, {epsilon}, {n}")
    # Θ is a Gram matrix, so a negative end (rounding, a wide certificate) says no more than zero does.
    floor = max(low.lower, 0.0)
    low = _Ends(floor, max(low.value, floor), max(low.upper, floor))
    premises = _premises(low, lambda_min)
    log_ratio = math.log(loss0 / epsilon) if loss0 > epsilon else 0.0
    at_min, at_max = lambda_min.grade, weakest(lambda_min.grade, lambda_max.grade)

    def line(key: str, name: str, ends: _Ends, unit: str, formula: str, source: str, **more: str) -> Statement:
        resolved = math.isfinite(ends.value)
        note = more.get("note", "")
        if not math.isfinite(ends.upper):
            note = f"{note}; {UNSEPARATED}" if note else UNSEPARATED
        return Statement(
            key=key,
            name=name,
            value=ends.value if resolved else None,
            lower=finite(ends.lower),
            upper=finite(ends.upper),
            unit=unit,
            formula=formula,
            source=source,
            convention=more.get("convention", GRADIENT_FLOW),
            assumptions=premises,
            grade=more.get("grade", at_min),
            note=note,
        )

    half = _over(math.log(2.0) / 2.0, low)
    slowest = _over(log_ratio / 2.0, low)
    reach = _Ends(down(log_ratio / 2.0 / high.upper) if log_ratio else 0.0, slowest.value, slowest.upper)
    stable = _over(2.0, high)
    best = _over(2.0, _Ends(low.lower + high.lower, low.value + high.value, low.upper + high.upper))
    kappa = _Ends(
        max(1.0, down(high.lower / low.upper)) if low.upper > 0 else math.inf,
        high.value / low.value if low.lower > 0 else math.inf,
        up(high.upper / low.lower) if low.lower > 0 else math.inf,
    )
    steps = _Ends(*(_descent_steps(k, log_ratio) for k in (kappa.lower, kappa.value, kappa.upper)))
    reach_note = (
        f"the loss is below {epsilon:g} from `upper` on and not before `lower`"
        if log_ratio
        else f"the loss starts at {loss0:g}, already below {epsilon:g}"
    )
    return (
        line(
            "rate", "Exponential rate of the training residual", low, "1/time",
            "L(t) <= exp(-2 lambda_min t) L(0)", JACOT,
        ),
        line(
            "half_life", "Time in which the training loss at least halves", half, "time",
            "ln 2 / (2 lambda_min)", JACOT,
        ),
        line(
            "time_to_epsilon", f"Time after which the training loss is below {epsilon:g}", reach, "time",
            "ln(L(0)/epsilon) / (2 lambda_min)", JACOT, note=reach_note, grade=at_max,
        ),
        line(
            "stable_step", "Largest stable step of gradient descent", stable, "time",
            "eta < 2 / lambda_max", DESCENT, grade=lambda_max.grade,
            convention=STEP.format(scaled=f"2n/lambda_max = {n * stable.value:.6g}"),
            note="steps up to `lower` are stable for certain",
        ),
        line(
            "best_step", "Fastest constant step of gradient descent", best, "time",
            "eta = 2 / (lambda_min + lambda_max)", DESCENT, grade=at_max,
            convention=STEP.format(scaled=f"2n/(lambda_min + lambda_max) = {n * best.value:.6g}"),
        ),
        line(
            "condition_number", "Condition number of the kernel matrix", kappa, "1",
            "lambda_max / lambda_min", DESCENT, grade=at_max, convention="2-norm condition number",
        ),
        line(
            "steps_to_epsilon", f"Steps at the best step to a loss below {epsilon:g}", steps, "steps",
            "ln(L(0)/epsilon) / (2 ln((kappa + 1)/(kappa - 1)))", DESCENT, grade=at_max,
            convention=STEP.format(scaled="the number of steps stays"),
            note="steps that suffice for any labels; the loss of given labels may fall faster",
        ),
    )  # fmt: skip


def _ordered(name: str, interval: IntervalLike) -> _Ends:
    ends = _Ends(float(interval.lower), float(interval.value), float(interval.upper))
    if not (ends.lower <= ends.value <= ends.upper and math.isfinite(ends.upper - ends.lower)):
        raise InputError(
            f"{name} must be finite with lower <= value <= upper, got {ends.lower}, {ends.value}, {ends.upper}"
        )
    return ends


def _over(numerator: float, x: _Ends) -> _Ends:
    """numerator / x for x ≥ 0, outward; the value is unresolved (infinite) where x reaches zero."""
    if numerator == 0.0:
        return _Ends(0.0, 0.0, 0.0)
    return _Ends(
        down(numerator / x.upper) if x.upper > 0 else math.inf,
        numerator / x.value if x.lower > 0 else math.inf,
        up(numerator / x.lower) if x.lower > 0 else math.inf,
    )


def _descent_steps(kappa: float, log_ratio: float) -> float:
    """Steps until ((κ−1)/(κ+1))^{2k} L(0) ≤ ε; log1p keeps its digits where κ is large."""
    if log_ratio == 0.0:
        return 0.0
    if kappa <= 1.0:
        return 1.0
    if not math.isfinite(kappa):
        return math.inf
    return float(math.ceil(up(log_ratio / (2.0 * math.log1p(2.0 / (kappa - 1.0))))))


def _premises(low: _Ends, lambda_min: IntervalLike) -> tuple[Assumption, ...]:
    positive = True if low.lower > 0.0 else (False if low.upper <= 0.0 else None)
    proven = {"exact": True, "rigorous": True}.get(lambda_min.grade)
    return (
        Assumption("the kernel stays constant during training (infinite width, NTK parameterization)", None),
        Assumption("lambda_min > 0", positive, f"interval [{low.lower:.6g}, {low.upper:.6g}]"),
        Assumption(
            "the lower end of lambda_min is proven, not estimated",
            proven,
            f"{lambda_min.grade}: {lambda_min.reason}",
        ),
    )

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from theory_problems import Ends, Problem

from ntkdist.errors import InputError
from ntkdist.theory.convergence import convergence
from ntkdist.theory.statement import Assumption, Statement, weakest


def by_key(statements: tuple[Statement, ...]) -> dict[str, Statement]:
    return {s.key: s for s in statements}


def exact(value: float, grade: str = "rigorous") -> Ends:
    return Ends(value, value * (1 - 1e-9), value * (1 + 1e-9), grade)


def test_rates_times_and_steps_of_digits_equal_the_dense_formulas(digits: Problem) -> None:
    low, high = digits.eigenvalues[0], digits.eigenvalues[-1]
    loss0 = 0.5 * float((digits.y**2).sum())
    s = by_key(convergence(exact(low), exact(high), loss0, n=600, epsilon=1e-3))
    truth = {
        "rate": low,
        "half_life": np.log(2) / (2 * low),
        "time_to_epsilon": np.log(loss0 / 1e-3) / (2 * low),
        "stable_step": 2 / high,
        "best_step": 2 / (low + high),
        "condition_number": high / low,
    }
    for key, value in truth.items():
        line = s[key]
        assert line.value == pytest.approx(value, rel=1e-12)
        assert line.lower is not None
        assert line.upper is not None
        assert line.lower <= value <= line.upper
    assert s["rate"].holds is None
    kappa = high / low
    factor = (kappa - 1) / (kappa + 1)
    steps = s["steps_to_epsilon"].upper
    assert steps is not None
    assert factor ** (2 * steps) * loss0 <= 1e-3 * (1 + 1e-9)


def test_the_loss_of_digits_is_below_epsilon_at_the_promised_time(digits: Problem) -> None:
    loss0 = 0.5 * float((digits.y**2).sum())
    line = by_key(convergence(exact(digits.eigenvalues[0]), exact(digits.eigenvalues[-1]), loss0, n=600))[
        "time_to_epsilon"
    ]
    energy = (digits.vectors.T @ digits.y) ** 2
    for time, below in ((line.upper, True), (line.lower, False)):
        assert time is not None
        loss = 0.5 * float((np.exp(-2 * digits.eigenvalues * time)[:, None] * energy).sum())
        assert (loss <= 1e-3) is below


@settings(deadline=None, max_examples=60)
@given(
    st.floats(1e-8, 1.0),
    st.floats(0.0, 0.5),
    st.floats(1.0, 1e6),
    st.floats(0.0, 0.5),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
)
def test_every_end_is_on_the_right_side_for_any_eigenvalue_in_its_interval(
    low: float, low_width: float, high: float, high_width: float, a: float, b: float
) -> None:
    lower = Ends(low, low * (1 - low_width), low * (1 + low_width))
    upper = Ends(high, high * (1 - high_width), high * (1 + high_width)) if high_width < 0.4 else exact(high)
    s = by_key(convergence(lower, upper, 10.0, n=5))
    true_low = lower.lower + a * (lower.upper - lower.lower)
    true_high = upper.lower + b * (upper.upper - upper.lower)
    for key, truth in (
        ("rate", true_low),
        ("half_life", np.log(2) / 2 / true_low),
        ("stable_step", 2 / true_high),
        ("best_step", 2 / (true_low + true_high)),
        ("condition_number", max(1.0, true_high / true_low)),
    ):
        line = s[key]
        assert line.lower is not None
        assert line.lower <= truth * (1 + 1e-15)
        assert line.upper is not None
        assert truth <= line.upper * (1 + 1e-15)
    upper_time, lower_time = s["time_to_epsilon"].upper, s["time_to_epsilon"].lower
    assert upper_time is not None
    assert upper_time >= np.log(1e4) / 2 / true_low * (1 - 1e-14)
    assert lower_time is not None
    assert lower_time <= np.log(1e4) / 2 / true_high


@pytest.mark.parametrize("low", [Ends(0.0, 0.0, 0.0), Ends(1e-9, -1e-3, 1e-3, "residual"), Ends(-1e-12, -2e-12, 0.0)])
def test_a_singular_kernel_gives_words_instead_of_nan(low: Ends) -> None:
    s = by_key(convergence(low, exact(5.0), 1.0, n=3))
    for key in ("half_life", "time_to_epsilon", "condition_number", "steps_to_epsilon"):
        assert s[key].value is None
        assert s[key].upper is None
        assert "zero" in s[key].note
    assert s["stable_step"].value == pytest.approx(0.4)
    json.dumps([line.to_dict() for line in s.values()], allow_nan=False)


def test_a_loss_already_below_epsilon_needs_no_time() -> None:
    s = by_key(convergence(exact(1.0), exact(1.0), 1e-4, n=2))
    assert s["time_to_epsilon"].value == 0.0
    assert s["steps_to_epsilon"].value == 0.0
    one = by_key(convergence(Ends(1.0, 1.0, 1.0), Ends(1.0, 1.0, 1.0), 1.0, n=2))["steps_to_epsilon"]
    assert one.lower == 1.0


def test_a_statement_carries_the_grade_of_its_weakest_certificate() -> None:
    s = by_key(convergence(exact(1.0, "residual"), exact(2.0, "rigorous"), 1.0, n=2))
    assert s["rate"].grade == s["condition_number"].grade == "residual"
    assert s["stable_step"].grade == "rigorous"
    assert weakest("rigorous", "unheard of") == "unheard of"


def test_a_failed_premise_fails_the_statement() -> None:
    base = by_key(convergence(exact(1.0), exact(2.0), 1.0, n=2))["rate"]
    held = Statement(**{**vars(base), "assumptions": (Assumption("a", True),)})
    broken = Statement(**{**vars(base), "assumptions": (Assumption("a", True), Assumption("b", False))})
    assert held.holds is True
    assert broken.holds is False


@pytest.mark.parametrize(
    ("low", "high", "loss0", "epsilon"),
    [
        (Ends(1, 2, 3), exact(5.0), 1.0, 1e-3),
        (exact(1.0), Ends(0.0, 0.0, 0.0), 1.0, 1e-3),
        (exact(1.0), exact(2.0), -1.0, 1e-3),
        (exact(1.0), exact(2.0), 1.0, 0.0),
        (exact(1.0), Ends(2.0, 1.0, float("inf")), 1.0, 1e-3),
    ],
)
def test_impossible_input_is_refused(low: Ends, high: Ends, loss0: float, epsilon: float) -> None:
    with pytest.raises(InputError):
        convergence(low, high, loss0, n=2, epsilon=epsilon)

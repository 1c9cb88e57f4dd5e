from __future__ import annotations

import json
import math

import mpmath
import numpy as np
import pytest
from theory_problems import Ends, Forms, Problem

from ntkdist.errors import InputError
from ntkdist.theory.cao_gu import cao_gu
from ntkdist.theory.generalization import generalization, stratified_radii
from ntkdist.theory.two_layer import arora, two_layer_kernel
from ntkdist.theory.widths import lambda_min_scaling, widths


def forms(p: Problem, width: float = 1e-6) -> Forms:
    q = (p.y * np.linalg.solve(p.theta, p.y)).sum(axis=0)
    return Forms(q, q * (1 - width), q * (1 + width))


def test_norm_and_root_of_digits_equal_the_dense_formulas(digits: Problem) -> None:
    q = float(np.trace(digits.y.T @ np.linalg.inv(digits.theta) @ digits.y))
    norm, root, bound = generalization(digits.y, forms(digits), float(np.trace(digits.theta)), 600)
    assert norm.value == pytest.approx(q / 600, rel=1e-9)
    assert root.value == pytest.approx(math.sqrt(2 * q / 600), rel=1e-9)
    for line in (norm, root):
        assert line.lower < line.value < line.upper
    assert root.holds is False
    assert "vacuous" in bound.note
    json.dumps([line.to_dict() for line in (norm, root, bound)], allow_nan=False)


def test_the_rademacher_bound_is_the_formula_with_its_constants() -> None:
    n, trace, q, delta = 1_000_000, 5e5, 9.0, 0.1
    line = generalization(np.ones(n), Forms(*(np.array([q]),) * 3), trace, n, delta=delta)[2]
    power = math.ceil(math.log(3.0) / math.log(1.05))
    share = 1.0 / ((2 * power) * (2 * power + 1))
    radius = 1.05**power
    truth = 2 * radius * math.sqrt(trace) / n + 3 * math.sqrt(math.log(2 / (delta * share)) / (2 * n))
    assert line.upper == pytest.approx(truth, rel=1e-12)
    assert "not vacuous" in line.note


def test_the_shares_of_the_grid_sum_to_no_more_than_one() -> None:
    radii = 1.05 ** np.arange(-2000.0, 2000.0)
    shares = [math.exp(stratified_radii(np.array([r]))[1]) for r in radii * 0.99]
    assert sum(shares) <= 1.0
    rounded = np.array([float(stratified_radii(np.array([r * 0.99]))[0][0]) for r in radii[1900:2100]])
    assert (rounded >= radii[1900:2100] * 0.99).all()
    assert (rounded <= radii[1900:2100] * 0.99 * 1.051).all()


def test_the_rademacher_bound_holds_on_fresh_rows_in_every_trial() -> None:
    rng = np.random.default_rng(1)
    for _ in range(10):
        x = rng.standard_normal((300, 3))
        x /= np.linalg.norm(x, axis=1)[:, None]
        y = x[:, :1]
        theta = two_layer_kernel(x[:200])
        alpha = np.linalg.solve(theta, y[:200])
        q = np.array([float((y[:200] * alpha).sum())])
        line = generalization(y[:200], Forms(q, q, q), float(np.trace(theta)), 200)[2]
        loss = np.minimum(np.abs(two_layer_kernel(x[200:], x[:200]) @ alpha - y[200:]), 1.0).mean()
        assert line.upper is not None
        assert loss <= line.upper


def test_labels_outside_the_range_of_the_kernel_are_said_in_words(concrete: Problem) -> None:
    infinite = Forms(np.array([np.inf]), np.array([5.0]), np.array([np.inf]))
    lines = generalization(concrete.y, infinite, 10.0, 500)
    for line in lines:
        assert line.value is None
        assert line.upper is None
        assert "range of the kernel" in line.note
    assert arora(concrete.x, concrete.y, infinite).value is None
    assert cao_gu(concrete.y, infinite, layers=3).value is None
    open_ended = generalization(concrete.y, Forms(np.array([6.0]), np.array([5.0]), np.array([np.inf])), 10.0, 500)
    assert open_ended[0].value == pytest.approx(6 / 500)
    assert "no upper bound" in open_ended[2].note


def test_the_two_layer_kernel_agrees_with_mpmath_and_with_random_networks() -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((5, 4))
    x[1] = x[0] * (1 + 1e-9)
    x[2] = x[0] + 1e-7 * rng.standard_normal(4)
    x[3] = -x[0]
    kernel = two_layer_kernel(x)
    with mpmath.workdps(40):
        rows = [[mpmath.mpf(float(v)) for v in r] for r in x]
        for i in range(5):
            for j in range(5):
                dot = mpmath.fsum(a * b for a, b in zip(rows[i], rows[j], strict=True))
                size = mpmath.sqrt(mpmath.fsum(a * a for a in rows[i]) * mpmath.fsum(a * a for a in rows[j]))
                angle = mpmath.acos(min(max(dot / size, mpmath.mpf(-1)), mpmath.mpf(1)))
                truth = dot * (mpmath.pi - angle) / (2 * mpmath.pi)
                assert abs(float(truth) - kernel[i, j]) < 1e-14
    w = rng.standard_normal((4, 200_000))
    gate = (x @ w > 0).astype(float)
    np.testing.assert_allclose((x @ x.T) * (gate @ gate.T) / 200_000, kernel, atol=0.02)
    for bad in (np.zeros((2, 3)), np.ones(3)):
        with pytest.raises(InputError):
            two_layer_kernel(bad)


def test_aroras_premises_are_checked_on_the_data(digits: Problem, concrete: Problem) -> None:
    low = digits.eigenvalues[0]
    line = arora(digits.x, digits.y, forms(digits), lambda_min=Ends(low, low * 0.9, low * 1.1))
    assert [a.holds for a in line.assumptions] == [True, True, True, None, None]
    worst = np.sqrt(2 * forms(digits).value.max() / 600)
    assert line.value == pytest.approx(worst)
    q = Forms(np.array([5e3]), np.array([4e3]), np.array([6e3]))
    broken = arora(concrete.x, concrete.y, q, lambda_min=Ends(0.0, 0.0, 0.0))
    assert [a.holds for a in broken.assumptions][:3] == [False, False, False]
    assert "vacuous" in broken.note
    with pytest.raises(InputError):
        arora(digits.x[:5], digits.y, forms(digits))
    with pytest.raises(InputError):
        arora(digits.x, digits.y, forms(digits), delta=2.0)


def test_cao_gu_is_an_order_of_magnitude_and_checks_signs(digits: Problem) -> None:
    signs = np.sign(digits.y)
    line = cao_gu(signs, forms(digits), layers=4, rows_unit_norm=True)
    assert line.value == pytest.approx(4 * np.sqrt(forms(digits).value.max() / 600))
    assert line.grade == "estimate"
    assert [a.holds for a in line.assumptions][:2] == [True, True]
    assert cao_gu(digits.y, forms(digits), layers=4).holds is False
    with pytest.raises(InputError):
        cao_gu(signs, forms(digits), layers=1)


def test_widths_scale_as_the_theorems_say() -> None:
    du, arora_width, nguyen = widths(Ends(0.1, 0.05, 0.2), 100, delta=0.1, epsilon=0.1)
    assert du.value == pytest.approx(100**6 / (0.1**4 * 0.1**3))
    assert du.lower < du.value < du.upper
    assert arora_width.value == pytest.approx(100**7 / (0.1**4 * (0.01 / 10) ** 2 * 0.1**4 * 0.1**2))
    assert nguyen.value == 100.0
    unresolved = widths(Ends(0.0, 0.0, 0.0), 100)[0]
    assert unresolved.value is None
    assert "zero" in unresolved.note
    assert lambda_min_scaling(Ends(2.0, 1.0, 4.0), 8.0).value == 0.25
    with pytest.raises(InputError):
        widths(Ends(1.0, 1.0, 1.0), 100, delta=0.0)
    with pytest.raises(InputError):
        lambda_min_scaling(Ends(2.0, 1.0, 4.0), 0.0)


@pytest.mark.parametrize(
    ("y", "bracket", "trace", "delta"),
    [
        (np.ones(3), Forms(np.ones(2), np.ones(2), np.ones(2)), 1.0, 0.1),
        (np.ones(3), Forms(np.ones(1), np.ones(1), np.ones(1)), 0.0, 0.1),
        (np.ones(3), Forms(np.ones(1), np.ones(1), np.ones(1)), 1.0, 1.0),
        (np.ones(3), Forms(np.ones(1), np.full(1, 2.0), np.ones(1)), 1.0, 0.1),
        (np.ones(3), Forms(np.ones(1), np.ones(2), np.ones(1)), 1.0, 0.1),
    ],
)
def test_inconsistent_input_is_refused(y: np.ndarray, bracket: Forms, trace: float, delta: float) -> None:
    with pytest.raises(InputError):
        generalization(y, bracket, trace, 3, delta=delta)

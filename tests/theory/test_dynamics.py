from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from theory_problems import Problem

from ntkdist.errors import InputError, Unresolvable
from ntkdist.theory.descent import descent_curve
from ntkdist.theory.dynamics import dynamics
from ntkdist.theory.ensemble import ensemble
from ntkdist.theory.learning_times import learning_times, learning_times_exact
from ntkdist.theory.time_to_reach import time_to_reach
from ntkdist.theory.times import (
    auto_times,
    checked_times,
    descent_steps,
    mean_loss_time,
    neural_tangents_time,
)

SLACK = 1e-11


def losses(p: Problem, times: NDArray[np.float64], r0: NDArray[np.float64]) -> NDArray[np.float64]:
    energy = ((p.vectors.T @ r0) ** 2).sum(axis=1)
    values = np.maximum(p.eigenvalues, 0.0)
    return np.array([0.5 * (np.exp(-2 * values * t) * energy).sum() for t in times])


@pytest.mark.parametrize("passes", [1, 4, 12, 24, 60])
def test_loss_and_predictions_of_digits_lie_in_their_bounds_after_any_number_of_passes(
    digits: Problem, passes: int
) -> None:
    low, high = digits.eigenvalues[[0, -1]]
    times = auto_times(low, high, 20)
    run = dynamics(digits, digits.y, times, lambda_lower=low * (1 - 1e-9), max_passes=passes, rtol=1e-6)
    curve = run.loss(times)
    truth = losses(digits, times, digits.y)
    truth[-1] = 0.0
    assert run.passes <= passes
    assert (curve.loss.lower <= truth * (1 + SLACK)).all()
    assert (truth <= curve.loss.upper * (1 + SLACK)).all()
    assert (curve.loss.upper <= curve.envelope * (1 + SLACK)).all()
    rotated = digits.vectors.T @ digits.y
    learned = -np.expm1(-np.multiply.outer(times, digits.eigenvalues)) / digits.eigenvalues
    f = np.stack([digits.cross @ (digits.vectors @ (g[:, None] * rotated)) for g in learned])
    band = run.predict(digits.cross, times, digits.cross_diag)
    assert (band.lower - SLACK <= f).all()
    assert (f <= band.upper + SLACK).all()
    fit = np.stack([digits.y - digits.vectors @ (np.exp(-digits.eigenvalues * t)[:, None] * rotated) for t in times])
    train = run.train(times)
    assert (train.lower - SLACK <= fit).all()
    assert (fit <= train.upper + SLACK).all()


def test_enough_passes_give_the_loss_to_the_asked_accuracy(digits: Problem) -> None:
    low, high = digits.eigenvalues[[0, -1]]
    times, seen = auto_times(low, high, 12), []
    run = dynamics(
        digits,
        digits.y,
        times,
        lambda_lower=low,
        rtol=1e-3,
        callback=lambda passes, width: seen.append(passes),
    )
    assert run.converged
    assert run.passes < 60
    assert seen == sorted(seen)
    np.testing.assert_allclose(run.loss(times[:-1]).loss.value, losses(digits, times[:-1], digits.y), rtol=1e-3)
    np.testing.assert_allclose(run.dual([np.inf])[0], np.linalg.solve(digits.theta, digits.y), atol=1e-5)


def test_the_curve_starts_at_the_start_and_ends_at_the_targets(digits: Problem) -> None:
    f0 = np.random.default_rng(0).standard_normal(digits.y.shape)
    run = dynamics(digits, digits.y, [0.0, 1e5, np.inf], f0=f0, lambda_lower=digits.eigenvalues[0], max_passes=60)
    train = run.train([0.0, np.inf]).value
    np.testing.assert_allclose(train[0], f0, atol=1e-12)
    np.testing.assert_allclose(train[1], digits.y, atol=1e-12)
    assert run.loss([np.inf]).loss.upper[0] == pytest.approx(0.0, abs=1e-20)
    start = run.predict(digits.cross, [0.0], digits.cross_diag, f0=1.5)
    np.testing.assert_allclose(start.value, 1.5)


def test_training_agrees_with_an_ode_integrator(digits: Problem) -> None:
    y = digits.y[:, :1]
    end = 3.0
    solved = solve_ivp(lambda t, f: -digits.theta @ (f - y[:, 0]), (0, end), np.zeros(len(y)), rtol=1e-9, atol=1e-11)
    run = dynamics(digits, y, [end], lambda_lower=digits.eigenvalues[0], rtol=1e-9)
    np.testing.assert_allclose(run.train([end]).value[0, :, 0], solved.y[:, -1], atol=1e-7)


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.9])
def test_descent_agrees_with_gradient_descent_on_the_kernel_machine(digits: Problem, scale: float) -> None:
    low, high = digits.eigenvalues[[0, -1]]
    eta = scale / high
    run = dynamics(digits, digits.y, [300 * eta], lambda_lower=low, rtol=1e-12, max_passes=16)
    f, truth = np.zeros_like(digits.y), []
    for _ in range(301):
        truth.append(0.5 * ((f - digits.y) ** 2).sum())
        f = f - eta * digits.theta @ (f - digits.y)
    steps = [0, 1, 2, 10, 100, 300]
    curve = descent_curve(run, steps, eta, high)
    assert (curve.loss.lower <= np.array(truth)[steps] * (1 + SLACK)).all()
    assert (np.array(truth)[steps] <= curve.loss.upper * (1 + SLACK)).all()
    np.testing.assert_allclose(curve.loss.value, np.array(truth)[steps], rtol=0.05)


def test_a_step_beyond_the_stable_one_diverges(digits: Problem) -> None:
    high = digits.eigenvalues[-1]
    run = dynamics(digits, digits.y, [1.0], max_passes=8)
    curve = descent_curve(run, [0, 200, 100_000], 2.1 / high, high)
    assert curve.loss.value[1] > 100 * curve.loss.value[0]
    with pytest.raises(InputError):
        descent_curve(run, [0.5], 0.1, high)
    with pytest.raises(InputError):
        descent_curve(run, [1], -0.1, high)


def test_equal_rows_with_different_targets_keep_their_loss_and_give_no_nan(concrete: Problem) -> None:
    assert concrete.eigenvalues[0] < 1e-12 * concrete.eigenvalues[-1]
    times = auto_times(0.0, concrete.eigenvalues[-1], 15)
    run = dynamics(concrete, concrete.y, times, rtol=1e-3, max_passes=150)
    curve = run.loss(times)
    truth = losses(concrete, times[:-1], concrete.y)
    assert (curve.loss.lower[:-1] <= truth * (1 + 1e-9)).all()
    assert (truth <= curve.loss.upper[:-1] * (1 + 1e-9)).all()
    for band in (curve.loss, run.train(times), run.predict(concrete.cross, times[:-1], concrete.cross_diag)):
        assert not any(np.isnan(a).any() for a in (band.value, band.lower, band.upper))
    assert np.isinf(learning_times(run).time).any() or run.space.theta[0] > run.space.null


def test_time_to_reach_brackets_the_crossing_of_the_dense_curve(digits: Problem) -> None:
    run = dynamics(digits, digits.y, [50.0], lambda_lower=digits.eigenvalues[0], rtol=1e-9, max_passes=60)
    for epsilon in (100.0, 1.0, 1e-2):
        s = time_to_reach(run, epsilon)
        assert s.lower is not None
        assert s.upper is not None
        assert s.value is not None
        assert losses(digits, np.array([s.lower]), digits.y)[0] >= epsilon * (1 - 1e-9)
        assert losses(digits, np.array([s.upper]), digits.y)[0] <= epsilon * (1 + 1e-9)
        assert s.value == pytest.approx(s.upper, rel=1e-3)
    assert time_to_reach(run, 1e6).value == 0.0
    with pytest.raises(InputError):
        time_to_reach(run, 0.0)


def test_time_to_reach_says_so_when_the_loss_never_comes_down(concrete: Problem) -> None:
    unfinished = time_to_reach(dynamics(concrete, concrete.y, [1.0], max_passes=12), 1e-9)
    assert unfinished.upper is None
    assert "more passes" in unfinished.note

    class Singular:
        shape = (2, 2)

        def matmat(self, v: NDArray[np.float64], /) -> NDArray[np.float64]:
            return np.diag([1.0, 0.0]) @ v

    never = time_to_reach(dynamics(Singular(), np.ones(2), [1.0]), 1e-9)
    assert never.value is None
    assert never.upper is None
    assert "does not come down" in never.note


def test_learning_times_carry_all_energy_and_reproduce_the_curve(digits: Problem) -> None:
    run = dynamics(digits, digits.y, [1.0], lambda_lower=digits.eigenvalues[0], rtol=1e-8)
    ritz = learning_times(run)
    dense = learning_times_exact(digits.eigenvalues, digits.vectors, digits.y)
    for table in (ritz, dense):
        assert table.learned[-1] == pytest.approx(1.0)
        assert (np.diff(table.eigenvalue) <= 0).all()
        half = (np.exp(-2 * table.eigenvalue) * table.energy).sum() * 0.5 * (digits.y**2).sum()
        assert half == pytest.approx(losses(digits, np.array([1.0]), digits.y)[0], rel=1e-6)
    assert ritz.time[0] == pytest.approx(dense.time[0])
    with pytest.raises(InputError):
        learning_times_exact(digits.eigenvalues, digits.vectors[:5], digits.y)


def test_the_ensemble_agrees_with_trained_draws_from_the_prior(digits: Problem) -> None:
    sigma = digits.theta + 0.5 * (digits.x @ digits.x.T)  # any other kernel serves as the prior
    rows = np.arange(4)
    cross, prior = digits.theta[rows], sigma[rows]
    low, times = digits.eigenvalues[0], np.array([0.0, 0.5, 40.0, np.inf])
    top = np.linalg.eigvalsh(sigma)[-1]
    op = type(digits)(*[sigma if name == "theta" else value for name, value in vars(digits).items()])
    out = ensemble(
        digits,
        op,
        digits.y,
        times,
        theta_cross=cross,
        sigma_cross=prior,
        sigma_diag=np.diag(sigma)[rows],
        sigma_upper=top,
        lambda_lower=low,
        rtol=1e-9,
    )
    for i, t in enumerate(times):
        gain = digits.vectors[rows] * -np.expm1(-digits.eigenvalues * t) @ digits.vectors.T
        # (I − gain) f0 + gain y for f0 ~ N(0, Σ)
        left = np.eye(600)[rows] - gain
        variance = np.einsum("ij,jk,ik->i", left, sigma, left)
        np.testing.assert_allclose(out.mean.value[i], gain @ digits.y, atol=1e-5)
        assert (out.variance.lower[i] <= variance + 1e-10).all()
        assert (variance <= out.variance.upper[i] + 1e-10).all()
        np.testing.assert_allclose(out.variance.value[i], variance, atol=1e-5)
    with pytest.raises(InputError):
        ensemble(
            digits,
            op,
            digits.y,
            times,
            theta_cross=cross,
            sigma_cross=prior[:2],
            sigma_diag=np.diag(sigma)[rows],
            sigma_upper=top,
        )


def test_clocks_convert_into_one_another() -> None:
    t = [0.0, 2.0, np.inf]
    np.testing.assert_array_equal(mean_loss_time(t, 10), [0.0, 20.0, np.inf])
    np.testing.assert_array_equal(descent_steps(t, 0.5), [0.0, 4.0, np.inf])
    np.testing.assert_array_equal(neural_tangents_time(t, 10, 3), [0.0, 60.0, np.inf])
    for bad in ([-1.0], [float("nan")], [[1.0]]):
        with pytest.raises(InputError):
            checked_times(bad)
    with pytest.raises(InputError):
        descent_steps(t, 0.0)
    with pytest.raises(InputError):
        auto_times(2.0, 1.0)


def test_bad_kernels_and_targets_are_refused(digits: Problem) -> None:
    class Indefinite:
        shape = (3, 3)

        def matmat(self, v: NDArray[np.float64], /) -> NDArray[np.float64]:
            return np.diag([1.0, 2.0, -1.0]) @ v

    class Broken(Indefinite):
        def matmat(self, v: NDArray[np.float64], /) -> NDArray[np.float64]:
            return v * np.nan

    with pytest.raises(Unresolvable):
        dynamics(Indefinite(), np.ones(3), [1.0])
    with pytest.raises(Unresolvable):
        dynamics(Broken(), np.ones(3), [1.0])
    for y, lower in (
        (np.ones((3, 1, 1)), 0.0),
        (np.full(3, np.nan), 0.0),
        (np.ones(3), -1.0),
        (np.ones(4), 0.0),
    ):
        with pytest.raises(InputError):
            dynamics(Indefinite(), y, [1.0], lambda_lower=lower)
    with pytest.raises(InputError):
        dynamics(digits, digits.y, [1.0], max_passes=4).predict(np.ones((2, 3)), [1.0], np.ones(2))


def test_a_start_at_the_targets_needs_no_pass(digits: Problem) -> None:
    run = dynamics(digits, digits.y, [1.0, np.inf], f0=digits.y)
    assert run.passes == 0
    assert run.converged
    np.testing.assert_array_equal(run.loss([0.0, 1.0]).loss.upper, 0.0)
    np.testing.assert_array_equal(descent_curve(run, [0, 5], 0.1, 1.0).loss.value, 0.0)
    assert run.loss([]).loss.value.shape == (0,)

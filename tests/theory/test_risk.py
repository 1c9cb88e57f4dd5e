from __future__ import annotations

import numpy as np
import pytest
from theory_problems import Problem

from ntkdist.errors import InputError, Unresolvable
from ntkdist.theory.eigenframework import learning_curve
from ntkdist.theory.leave_one_out import effective_dimension, gcv, leave_one_out, ridge_path
from ntkdist.theory.posterior import posterior
from ntkdist.theory.scores import accuracy, argmax_probabilities, calibration, coverage, regression


@pytest.mark.parametrize("ridge", [0.0, 0.01, 1.0])
def test_leave_one_out_equals_refitting_without_each_row(digits: Problem, ridge: float) -> None:
    n = 60
    k, y = digits.theta[:n, :n] + ridge * np.eye(n), digits.y[:n]
    inverse = np.linalg.inv(k)
    out = leave_one_out(y, inverse @ y, np.diag(inverse))
    for i in range(n):
        rest = np.arange(n) != i
        refit = digits.theta[i, :n][rest] @ np.linalg.solve(k[np.ix_(rest, rest)], y[rest])
        np.testing.assert_allclose(out.predictions[i], refit, atol=1e-10)
    assert out.accuracy() == np.mean(out.predictions.argmax(axis=1) == y.argmax(axis=1))


def test_the_ridge_path_equals_dense_formulas_and_picks_its_minimum(digits: Problem) -> None:
    ridges = [0.0, 1e-3, 1e-1, 10.0]
    path = ridge_path(digits.eigenvalues, digits.vectors, digits.y, ridges)
    for i, ridge in enumerate(ridges):
        k = digits.theta + ridge * np.eye(600)
        inverse = np.linalg.inv(k)
        hat = digits.theta @ inverse
        if ridge:
            residual = digits.y - hat @ digits.y
            slow = np.mean(residual**2) / (np.trace(np.eye(600) - hat) / 600) ** 2
            assert path.gcv[i] == pytest.approx(slow, rel=1e-8)
        assert path.loo[i] == pytest.approx(leave_one_out(digits.y, inverse @ digits.y, np.diag(inverse)).mse)
        assert path.effective_dimension[i] == pytest.approx(np.trace(hat), rel=1e-9)
    assert path.best_loo == ridges[int(np.argmin(path.loo))]
    assert path.best_gcv == ridges[int(np.argmin(path.gcv))]


def test_a_singular_kernel_leaves_only_the_zero_ridge_unresolved(concrete: Problem) -> None:
    path = ridge_path(concrete.eigenvalues, concrete.vectors, concrete.y, [0.0, 0.1])
    assert path.resolved[1]
    assert np.isfinite(path.loo[1])
    assert path.best_loo == 0.1
    singular = np.diag([1.0, 0.0])
    with pytest.raises(Unresolvable):
        ridge_path([1.0, 0.0], singular, np.ones(2), [0.0])
    with pytest.raises(Unresolvable):
        leave_one_out(np.ones(2), np.ones(2), [1.0, 0.0])
    with pytest.raises(Unresolvable):
        gcv(np.ones(2), 0.0)
    assert effective_dimension([1.0, 0.0], 0.0) == 1.0


@pytest.mark.parametrize("ridge", [0.0, 0.05])
def test_the_predicted_learning_curve_follows_the_measured_one(digits: Problem, ridge: float) -> None:
    sizes = [100, 250, 450]
    energy = ((digits.vectors.T @ digits.y) ** 2).sum(axis=1)
    curve = learning_curve(digits.eigenvalues, energy, sizes, ridge=ridge)
    rng = np.random.default_rng(0)
    for i, size in enumerate(sizes):
        measured, seen = [], curve.unseen_mse[i] if ridge == 0.0 else curve.population_mse[i]
        for _ in range(4):
            # The theory draws with replacement; without a ridge repeats would make the matrix singular.
            drawn = rng.integers(0, 600, size) if ridge else rng.permutation(600)[:size]
            test = np.arange(600) if ridge else np.setdiff1d(np.arange(600), drawn)
            kernel = digits.theta[np.ix_(drawn, drawn)] + ridge * np.eye(size)
            error = digits.theta[np.ix_(test, drawn)] @ np.linalg.solve(kernel, digits.y[drawn]) - digits.y[test]
            measured.append((error**2).sum() / len(test))
        assert seen == pytest.approx(np.mean(measured), rel=0.2)
    kappa = curve.kappa[0]
    spectrum = digits.eigenvalues / 600
    assert (spectrum / (spectrum + kappa)).sum() + ridge / kappa == pytest.approx(100, rel=1e-9)


def test_the_learning_curve_at_the_rank_diverges_and_weights_stand_for_repeats() -> None:
    curve = learning_curve([1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [2, 3])
    assert np.isinf(curve.population_mse[0])
    assert np.isfinite(curve.population_mse[1])
    plain = learning_curve([2.0, 1.0, 1.0], [1.0, 0.5, 0.5], 2)
    merged = learning_curve([2.0, 1.0], [1.0, 1.0], 2, weights=[1.0, 2.0])
    np.testing.assert_allclose(plain.population_mse, merged.population_mse)
    for bad in ({"n": 3}, {"n": 0}, {"n": 1, "ridge": -1.0}, {"n": 1, "weights": [1.0]}):
        with pytest.raises(InputError):
            learning_curve([2.0, 1.0, 1.0], [1.0, 0.5, 0.5], **bad)


def test_posterior_variance_lies_in_its_bounds_for_unfinished_solves(digits: Problem) -> None:
    k = digits.theta + 0.01 * np.eye(600)
    exact = np.linalg.solve(k, digits.cross.T)
    truth = digits.cross_diag - (digits.cross.T * exact).sum(axis=0)
    alpha = np.linalg.solve(k, digits.y)
    rng = np.random.default_rng(0)
    for noise in (0.0, 1e-6, 1e-3):
        z = exact + noise * rng.standard_normal(exact.shape)
        out = posterior(digits.cross, digits.cross_diag, alpha, z, digits.cross.T - k @ z, 0.01)
        assert (out.variance.lower <= truth + 1e-14).all()
        assert (truth <= out.variance.upper + 1e-14).all()
        np.testing.assert_allclose(out.mean, digits.cross @ alpha)
    blind = posterior(digits.cross, digits.cross_diag, alpha, exact, digits.cross.T - k @ exact, 0.0)
    assert (blind.variance.lower == 0.0).all()
    with pytest.raises(InputError):
        posterior(digits.cross, digits.cross_diag[:3], alpha, exact, exact, 0.0)


def test_scores_equal_scikit_learns_and_hand_counts() -> None:
    from sklearn.metrics import r2_score

    rng = np.random.default_rng(0)
    y, f = rng.standard_normal((50, 3)), rng.standard_normal((50, 3))
    out = regression(f, y)
    assert out.r2 == pytest.approx(r2_score(y, f))
    assert out.rmse == pytest.approx(np.sqrt(((f - y) ** 2).mean()))
    assert regression(np.ones(3), np.ones(3)).r2 is None
    assert accuracy([[0.1, 0.9], [0.8, 0.2], [0.5, 0.5]], [1, 1, 0]) == pytest.approx(2 / 3)
    sure = calibration([[1.0, 0.0], [1.0, 0.0], [0.4, 0.6]], [0, 1, 1], bins=10)
    assert sure.error == pytest.approx((2 * 0.5 + 0.4) / 3)
    assert sure.count.sum() == 3
    draws = rng.standard_normal((20_000, 1)) * 3.0
    covered = coverage(np.zeros_like(draws), np.full(20_000, 9.0), draws)
    assert covered.observed == pytest.approx(covered.promised, abs=0.01)
    assert covered.log_likelihood == pytest.approx(-0.5 * np.log(2 * np.pi * 9.0) - 0.5, abs=0.03)


@pytest.mark.parametrize(
    "call",
    [
        lambda: accuracy(np.ones(3), [1, 1, 1]),
        lambda: regression(np.ones(3), np.ones(2)),
        lambda: calibration(np.ones((2, 2)), [0, 1]),
        lambda: coverage(np.ones((2, 1)), np.zeros(2), np.ones((2, 1))),
        lambda: leave_one_out(np.ones(3), np.ones(2), np.ones(3)),
        lambda: leave_one_out(np.ones(3), np.ones(3), np.ones(3)).accuracy(),
        lambda: ridge_path(np.ones(3), np.eye(3), np.ones(3), [-1.0]),
        lambda: effective_dimension(np.ones(3), -1.0),
    ],
)
def test_impossible_requests_are_refused(call: object) -> None:
    assert callable(call)
    with pytest.raises(InputError):
        call()


def test_argmax_probabilities_are_those_of_sampled_gaussians() -> None:
    rng = np.random.default_rng(0)
    mean, variance = rng.standard_normal((4, 5)), np.array([0.1, 1.0, 4.0, 1e-6])
    exact = argmax_probabilities(mean, variance)
    drawn = mean[:, None] + np.sqrt(variance)[:, None, None] * rng.standard_normal((4, 40_000, 5))
    sampled = np.stack([np.bincount(d.argmax(axis=1), minlength=5) / 40_000 for d in drawn])
    np.testing.assert_allclose(exact, sampled, atol=0.012)
    np.testing.assert_allclose(exact.sum(axis=1), 1.0)
    with pytest.raises(InputError):
        argmax_probabilities(mean, np.zeros(4))

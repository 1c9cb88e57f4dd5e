"""Power laws, alignment, criticality, linearised descent and limits against closed forms and dense algebra."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import linregress

from ntkdist.errors import InputError
from ntkdist.kernels import Kernel
from ntkdist.kernels.finite_width import Architecture
from ntkdist.kernels.finite_width.limit import limit_kernel
from ntkdist.theory.alignment import alignment, portrait
from ntkdist.theory.criticality import critical_line, depth_scale
from ntkdist.theory.linearised import linearised_descent
from ntkdist.theory.power_law import fit_power_law
from ntkdist.theory.step_check import check_step
from ntkdist.theory.width_measures import WidthProblem, measure

RNG = np.random.default_rng(0)


def test_a_fitted_exponent_is_the_regressions_and_covers_the_truth() -> None:
    widths = np.repeat([64, 128, 256, 512, 1024], 3)
    covered = 0
    for seed in range(200):
        noise = np.random.default_rng(seed).standard_normal(len(widths))
        law = fit_power_law(widths, 3 * widths**-0.5 * np.exp(0.1 * noise))
        covered += law.lower <= -0.5 <= law.upper
        if seed == 0:
            reference = linregress(np.log(widths), np.log(3 * widths**-0.5) + 0.1 * noise)
            assert law.exponent == pytest.approx(reference.slope)
            assert law.intercept == pytest.approx(reference.intercept)
            low, high = law.band(widths)
            assert np.all((low < law(widths)) & (law(widths) < high))
    assert 180 <= covered <= 199  # 95% of 200, four standard deviations wide


def test_an_exponent_needs_points() -> None:
    with pytest.raises(InputError, match="three values"):
        fit_power_law([1, 2], [1, 2])
    with pytest.raises(InputError, match="two or more widths"):
        fit_power_law([2, 2, 2], [1, 2, 3])
    with pytest.raises(InputError, match="positive"):
        fit_power_law([1, 2, 3], [1, 0, 3])


def test_alignment_is_one_for_the_targets_own_kernel_and_centring_removes_a_constant() -> None:
    y = RNG.standard_normal((12, 2))
    assert alignment(y @ y.T, y).plain == pytest.approx(1.0)
    h = np.eye(12) - 1 / 12
    k = RNG.standard_normal((12, 12))
    k = k @ k.T
    dense = np.sum((h @ k @ h) * (h @ y @ y.T @ h))
    dense /= np.linalg.norm(h @ k @ h) * np.linalg.norm(h @ y @ y.T @ h)
    assert alignment(k, y).centred == pytest.approx(dense)
    assert alignment(k + 100, y).centred == pytest.approx(dense)
    assert alignment(k, y[:, 0]).plain == pytest.approx(y[:, 0] @ k @ y[:, 0] / np.linalg.norm(k) / (y[:, 0] @ y[:, 0]))
    with pytest.raises(InputError, match="not defined"):
        alignment(k, np.ones(12))
    with pytest.raises(InputError, match="target per row"):
        alignment(k, y[:5])


def test_a_portrait_is_the_dense_spectrum() -> None:
    y = RNG.standard_normal((9, 1))
    k = np.diag([9.0, 3, 1, 1, 1, 1, 1, 1, 0])
    found = portrait(k, y, leading=2)
    assert (found.lambda_max, found.condition) == (9.0, None)
    assert found.effective_rank == pytest.approx(18**2 / (81 + 9 + 6))
    assert found.learned_share == pytest.approx(float(np.sum(y[:2] ** 2) / np.sum(y**2)))
    assert portrait(k + np.eye(9), y).condition == pytest.approx(10.0)


@pytest.mark.parametrize("activation", ["erf", "sin"])
def test_points_of_the_critical_line_are_critical(activation: str) -> None:
    line = critical_line(activation, np.array([0.05, 0.4, 1.5]))
    assert np.all(line.stable)
    for q, w, b in zip(line.q, line.sigma_w, line.sigma_b, strict=True):
        found = depth_scale(activation, float(w), float(b))
        assert (found.phase, found.scale) == ("edge", None)
        assert found.q == pytest.approx(q, rel=1e-6)
    assert depth_scale(activation, float(w) * 1.3, float(b)).phase == "chaotic"
    ordered = depth_scale(activation, float(w) * 0.7, float(b))
    assert ordered.phase == "ordered"
    assert ordered.trainable == pytest.approx(6 * ordered.scale)
    assert ordered.scale == pytest.approx(-1 / np.log(ordered.chi))


def test_relu_has_one_critical_point_and_gelus_line_is_unstable_at_small_lengths() -> None:
    relu = critical_line("relu")
    assert (len(relu.q), relu.sigma_b[0]) == (1, 0.0)
    assert relu.sigma_w[0] == pytest.approx(2**0.5)
    gelu = critical_line("gelu", np.array([0.3, 30.0]))
    assert gelu.stable.tolist() == [False, True]
    kept = depth_scale("gelu", float(gelu.sigma_w[1]), float(gelu.sigma_b[1]))
    assert kept.q == pytest.approx(30.0, rel=1e-3)
    assert depth_scale("gelu", float(gelu.sigma_w[0]), float(gelu.sigma_b[0])).q != pytest.approx(0.3, rel=0.5)
    shrinking = depth_scale("gelu", 2**0.5, 0.0)
    assert shrinking.chi == pytest.approx(0.5, rel=1e-3)
    assert "shrink to zero" in shrinking.note
    growing = depth_scale("leaky_relu(0.2)", 2**0.5, 0.0)
    assert growing.chi == pytest.approx(1.04)
    assert "grow without bound" in growing.note
    assert "grow without bound" in depth_scale("exp", 2.0, 0.0).note


@pytest.mark.parametrize("outputs", [1, 3])
def test_linearised_descent_is_the_power_of_its_matrix(outputs: int) -> None:
    n, m, k, steps, step = 5, 4, outputs, 7, 0.05
    big = RNG.standard_normal((n * k, n * k))
    big = big @ big.T / (n * k)
    theta = big.reshape(n, k, n, k).transpose(0, 2, 1, 3) if k > 1 else big
    cross = RNG.standard_normal((m * k, n * k))
    flat = cross.reshape(m, k, n, k).transpose(0, 2, 1, 3) if k > 1 else cross
    y, f0, g0 = RNG.standard_normal((n, k)), RNG.standard_normal((n, k)), RNG.standard_normal((m, k))
    found = linearised_descent(theta, flat, y, f0, g0, step, steps)
    decay = np.linalg.matrix_power(np.eye(n * k) - step * big, steps)
    residual = decay @ (f0 - y).ravel()
    np.testing.assert_allclose((found.f - y).ravel(), residual, atol=1e-12)
    moved = cross @ np.linalg.solve(big, (np.eye(n * k) - decay) @ (f0 - y).ravel())
    np.testing.assert_allclose(found.f_test.ravel(), g0.ravel() - moved, atol=1e-9)
    assert found.losses[-1] == pytest.approx(0.5 * residual @ residual)


def test_limits_are_known_for_the_presets_in_any_exponents() -> None:
    of = Architecture(2, 8, sigma_b=0.0)
    theta = of.infinite()
    for name in ("ntk", "mup", "mean-field"):
        assert limit_kernel(Architecture(2, 8, parameterization=name)) == theta
    assert limit_kernel(Architecture(2, 8, parameterization="standard")) == Kernel(2, first_frozen=True)
    assert limit_kernel(Architecture(2, 8, sigma_b=0.1, parameterization="standard")) is None
    own = {"a": [0.5, 1, 1], "b": [-0.5, -0.5, -0.5], "c": -1}
    assert limit_kernel(Architecture(2, 8, parameterization=own)) == theta  # type: ignore[arg-type]
    odd = {"a": [0, 1, 1], "b": [0, 0, 0], "c": 0}
    assert limit_kernel(Architecture(2, 8, parameterization=odd)) is None  # type: ignore[arg-type]


def test_measures_of_a_network_that_diverges_are_absent_and_of_one_that_does_not_move_are_zero() -> None:
    x, y = RNG.standard_normal((6, 3)), RNG.standard_normal((6, 1))
    problem = WidthProblem(x, y, x[:0], y[:0], False)
    of = Architecture(1, 20, 1)
    still = measure(of, 0, problem, of.infinite().tile(x), step=0.0, steps=2, epsilon=0.1).trained
    assert still is not None
    assert (still.raw, still.drift, still.effective, still.representation) == (0.0, 0.0, 0.0, 0.0)
    assert (still.test_loss, still.accuracy, still.steps_to_epsilon) == (None, None, None)
    wild = measure(of, 0, problem, None, step=1e3, steps=50, epsilon=0.1)
    assert wild.initial.kernel_distance is None
    assert wild.trained is not None
    assert (wild.trained.stopped, wild.trained.loss) == ("diverged", None)
    assert measure(of, 0, problem, None, step=1.0, steps=1, epsilon=0.1, training=False).trained is None


def test_a_step_that_is_too_long_is_found_out() -> None:
    x, y = RNG.standard_normal((10, 8)), RNG.standard_normal((10, 1))
    of = Architecture(1, 2000, 1, input_scaling="1/d")
    assert check_step(of, 0, x, y, 0.9).verdict == "converges"
    above = check_step(of, 0, x, y, 1.2)
    assert above.verdict == "diverges"
    assert above.growth == pytest.approx(1.96, rel=0.1)

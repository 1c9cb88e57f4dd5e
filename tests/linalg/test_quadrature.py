from __future__ import annotations

import numpy as np
import pytest
from problems import relu_ntk, with_spectrum

from ntkdist.errors import InputError, Unresolvable
from ntkdist.linalg import (
    DenseOperator,
    estimate_inverse_diagonal,
    inverse_diagonal,
    inverse_form,
    lanczos_space,
    leading_eigenpairs,
    rpcholesky,
    spectral_sample,
    target_alignment,
)

N = 200


@pytest.fixture(scope="module")
def kernel():
    return relu_ntk(np.random.default_rng(0).standard_normal((N, 40)))


@pytest.fixture(scope="module")
def eigen(kernel):
    return np.linalg.eigh(kernel)


FUNCTIONS = {
    "inverse": lambda x: 1 / x,
    "ridge squared": lambda x: 1 / (x + 0.1) ** 2,
    "decay": lambda x: np.exp(-2 * x),
}


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 10, 30, 100, 200])
@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_gauss_and_radau_are_on_the_right_sides(kernel, eigen, steps, name):
    w, u = eigen
    f = FUNCTIONS[name]
    for seed in range(5):
        y = np.random.default_rng(seed).standard_normal(N)
        low, high = lanczos_space(DenseOperator(kernel), y, steps).bracket(f, w[0] * (1 - 1e-9))
        truth = float((u.T @ y) ** 2 @ f(w))
        assert low <= truth * (1 + 1e-13)
        assert high >= truth * (1 - 1e-13)
        assert steps < 100 or high / low - 1 < 1e-9


def test_a_function_of_the_matrix_matches_its_eigendecomposition(kernel, eigen):
    w, u = eigen
    y = np.ones(N)
    got = lanczos_space(DenseOperator(kernel), y, 80).function(lambda x: np.exp(-x))
    np.testing.assert_allclose(got, u @ (np.exp(-w) * (u.T @ y)), atol=1e-10)


def test_an_invariant_space_ends_early_and_is_exact():
    space = lanczos_space(DenseOperator(np.diag([1.0, 2.0, 3.0])), np.array([1.0, 1.0, 0.0]), 10)
    assert space.steps == 2
    assert space.gauss(lambda x: 1 / x) == pytest.approx(1.5, rel=1e-14)
    assert space.radau(lambda x: 1 / x, 0.5) == pytest.approx(1.5, rel=1e-14)


def test_a_node_above_a_ritz_value_and_zero_targets_are_refused(kernel):
    with pytest.raises(InputError, match="cannot bound"):
        lanczos_space(DenseOperator(kernel), np.ones(N), 20).bracket(lambda x: 1 / x, 1e3)
    with pytest.raises(InputError, match="zero"):
        lanczos_space(DenseOperator(kernel), np.zeros(N), 5)
    with pytest.raises(InputError, match="finite"):
        lanczos_space(DenseOperator(kernel), np.full(N, np.nan), 5)


@pytest.mark.parametrize("ridge", [0.0, 0.2])
@pytest.mark.parametrize("error", [0.0, 1e-6, 1e-2])
def test_the_a_posteriori_pair_holds_for_any_x(kernel, ridge, error):
    w = np.linalg.eigvalsh(kernel)
    rng = np.random.default_rng(1)
    y = np.c_[rng.standard_normal((N, 4)), np.zeros(N)]
    a = kernel + ridge * np.eye(N)
    x = np.linalg.solve(a, y)
    truth = np.einsum("ij,ij->j", y, x)
    got = inverse_form(DenseOperator(kernel), y, x + error * rng.standard_normal(y.shape), w[0] * 0.999, ridge)
    assert (got.lower <= truth).all()
    assert (got.upper >= truth).all()
    assert (got.lower <= got.value).all()
    unproved = inverse_form(DenseOperator(kernel), y, x + error, 0.0)
    assert np.isinf(unproved.upper[:4]).all()


def test_traces_agree_with_the_spectrum_within_their_error_bars(kernel, eigen):
    w, _ = eigen
    sample = spectral_sample(DenseOperator(kernel), probes=24)
    logdet, dimension = sample.logdet(), sample.effective_dimension(0.5)
    assert abs(logdet.value - np.log(w).sum()) < 4 * logdet.error
    assert abs(dimension.value - (w / (w + 0.5)).sum()) < 4 * dimension.error
    edges = np.array([0.0, np.median(w), 2 * w[-1]])
    counts, errors = sample.density(edges)
    assert counts.sum() == pytest.approx(N)
    assert (np.abs(counts - N / 2) < 6 * errors + 0.05 * N).all()


def test_impossible_traces_are_refused(kernel):
    sample = spectral_sample(DenseOperator(np.diag([0.0, 1.0, 2.0])), probes=2)
    with pytest.raises(Unresolvable, match="positive definite"):
        sample.logdet()
    with pytest.raises(InputError, match="positive ridge"):
        sample.effective_dimension(0.0)
    with pytest.raises(InputError, match="two probes"):
        spectral_sample(DenseOperator(kernel), probes=1)


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_the_inverse_diagonal_is_lapack_s_and_the_estimate_says_its_error(kernel, ridge):
    truth = np.diagonal(np.linalg.inv(kernel + ridge * np.eye(N)))
    op = DenseOperator(kernel)
    np.testing.assert_allclose(inverse_diagonal(op, ridge=ridge).value, truth, rtol=1e-10)
    estimate = estimate_inverse_diagonal(op, preconditioner=rpcholesky(op, 40), ridge=ridge)
    assert not estimate.exact
    assert np.median(np.abs(estimate.value - truth) / truth) < 0.1
    assert np.mean(np.abs(estimate.value - truth) < 3 * estimate.error) > 0.95


def test_leave_one_out_from_the_inverse_diagonal_is_refitting(kernel):
    y = np.random.default_rng(3).standard_normal(N)
    loo = np.linalg.solve(kernel, y) / inverse_diagonal(DenseOperator(kernel)).value
    keep = np.arange(N) != 7
    refit = kernel[7, keep] @ np.linalg.solve(kernel[np.ix_(keep, keep)], y[keep])
    assert loo[7] == pytest.approx(y[7] - refit, rel=1e-9)


def test_a_singular_matrix_has_no_inverse_diagonal():
    op = DenseOperator(np.diag([1.0, 0.0, 1.0]))
    with pytest.raises(Unresolvable, match="row 1"):
        inverse_diagonal(op)
    with pytest.raises(Unresolvable, match="did not converge"):
        estimate_inverse_diagonal(op, probes=4)


@pytest.mark.parametrize("k", [1, 5, 20])
def test_leading_eigenpairs_are_lapack_s(kernel, eigen, k):
    w, _ = eigen
    found = leading_eigenpairs(DenseOperator(kernel), k)
    assert found.converged
    np.testing.assert_allclose(found.values, w[::-1][:k], rtol=1e-10)
    eps = 2.0**-52
    assert np.linalg.norm(found.vectors.T @ found.vectors - np.eye(k)) < 60 * N * eps
    np.testing.assert_allclose(
        np.linalg.norm(kernel @ found.vectors - found.vectors * found.values, axis=0),
        found.residual_norms,
        atol=1e-10,
    )


@pytest.mark.parametrize("n", [1, 2, 3, 12])
def test_every_eigenpair_of_a_tiny_or_repeated_spectrum_is_found(n):
    a = with_spectrum(np.r_[np.full(n // 2, 2.0), np.full(n - n // 2, 1.0)], np.random.default_rng(0))
    found = leading_eigenpairs(DenseOperator(a), n)
    np.testing.assert_allclose(found.values, np.linalg.eigvalsh(a)[::-1], atol=1e-12)
    with pytest.raises(InputError, match="between 1"):
        leading_eigenpairs(DenseOperator(a), n + 1)


def test_alignment_sums_to_the_whole_energy(eigen):
    _, u = eigen
    y = np.c_[np.random.default_rng(0).standard_normal((N, 2)), np.zeros(N)]
    np.testing.assert_allclose(target_alignment(u, y).sum(axis=0), [1, 1, 0], atol=1e-12)

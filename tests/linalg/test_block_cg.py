from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import one_hot, relu_ntk, spectrum, with_spectrum

from ntkdist.errors import InputError
from ntkdist.linalg import DenseOperator, block_cg, default_rank, rpcholesky


def true_residual(a, x, b, ridge=0.0):
    norms = np.linalg.norm(b, axis=0)
    return np.linalg.norm(b - a @ x - ridge * x, axis=0) / np.where(norms > 0, norms, 1)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 50])
@pytest.mark.parametrize("s", [1, 2, 15])
def test_any_size_and_any_number_of_columns(n, s):
    rng = np.random.default_rng(n * 100 + s)
    a, b = with_spectrum(np.linspace(0.1, 1, n), rng), rng.standard_normal((n, s))
    solve = block_cg(DenseOperator(a), b, preconditioner=rpcholesky(DenseOperator(a), default_rank(n)))
    assert solve.converged
    np.testing.assert_allclose(solve.x, np.linalg.solve(a, b), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(solve.residual_norms, true_residual(a, solve.x, b), atol=1e-14)


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize("preconditioned", [False, True])
def test_one_hot_duplicated_and_zero_columns_converge_together(ridge, preconditioned):
    rng = np.random.default_rng(0)
    a = relu_ntk(rng.standard_normal((300, 30)))
    hot = one_hot(300, rng)
    b = np.hstack([hot, hot[:, :2], np.zeros((300, 2)), 1e-150 * hot[:, :1], 1e150 * hot[:, 1:2]])
    op = DenseOperator(a)
    p = rpcholesky(op, 60) if preconditioned else None
    solve = block_cg(op, b, preconditioner=p, ridge=ridge)
    assert solve.converged
    assert (solve.x[:, 12:14] == 0).all()
    assert (solve.residual_norms[12:14] == 0).all()
    exact = np.linalg.solve(a + ridge * np.eye(300), hot)
    np.testing.assert_allclose(solve.x[:, :10], exact, atol=1e-6 * np.abs(exact).max())
    np.testing.assert_allclose(solve.x[:, 14] * 1e150, exact[:, 0], atol=1e-6 * np.abs(exact).max())
    np.testing.assert_allclose(solve.x[:, 15] * 1e-150, exact[:, 1], atol=1e-6 * np.abs(exact).max())


@pytest.mark.parametrize(
    ("kind", "kappa"),
    list(itertools.product(["logrand", "arith", "geo", "cluster0", "cluster1"], [1e2, 1e8, 1e10])),
)
def test_controlled_spectra_converge_or_explain(kind, kappa):
    rng = np.random.default_rng(7)
    a = with_spectrum(spectrum(kind, 50, kappa, rng), rng)
    b = rng.standard_normal((50, 15))
    solve = block_cg(DenseOperator(a), b, max_passes=600)
    assert np.isfinite(solve.x).all()
    rounding = 1e-15 * 50 * np.linalg.norm(solve.x, axis=0).max() / np.linalg.norm(b, axis=0).min()
    np.testing.assert_allclose(solve.residual_norms, true_residual(a, solve.x, b), rtol=1e-3, atol=rounding)
    assert solve.converged == bool((solve.residual_norms <= 1e-8).all())
    assert solve.converged or "stalled" in solve.reason or "stopped" in solve.reason
    if kappa <= 1e8:
        assert solve.converged
    # LAPACK's tester ratio, where float64 has given all it has.
    eps = 2.0**-52
    ratio = np.linalg.norm(b - a @ solve.x) / (
        50 * eps * (np.linalg.norm(a, 2) * np.linalg.norm(solve.x) + np.linalg.norm(b))
    )
    assert solve.converged or ratio < 30


def test_a_singular_inconsistent_system_ends_and_says_so():
    rng = np.random.default_rng(3)
    a = with_spectrum(np.r_[np.zeros(5), np.linspace(0.5, 1, 45)], rng)
    solve = block_cg(DenseOperator(a), rng.standard_normal((50, 3)))
    assert not solve.converged
    assert "singular" in solve.reason
    assert np.isfinite(solve.x).all()


def test_an_indefinite_matrix_ends_and_says_so():
    rng = np.random.default_rng(3)
    a = with_spectrum(np.r_[-0.5, np.linspace(0.5, 1, 49)], rng)
    solve = block_cg(DenseOperator(a), rng.standard_normal((50, 3)))
    assert np.isfinite(solve.x).all()
    assert solve.converged or "indefinite" in solve.reason or "singular" in solve.reason


def test_a_matrix_with_nan_ends_and_says_so():
    a = np.eye(20)
    a[3, 4] = a[4, 3] = np.nan
    solve = block_cg(DenseOperator(a), np.ones((20, 1)))
    assert not solve.converged
    assert np.isfinite(solve.x).all()
    assert solve.reason


@pytest.mark.parametrize("at", [0, -1])
def test_a_solve_resumed_from_any_checkpoint_ends_with_the_same_bits(at):
    rng = np.random.default_rng(1)
    a = with_spectrum(np.geomspace(1e-5, 1, 200), rng)
    b, states = rng.standard_normal((200, 2)), []
    op = DenseOperator(a)
    p = rpcholesky(op, 5)
    whole = block_cg(op, b, preconditioner=p, rtol=1e-6, checkpoint=states.append)
    assert whole.converged
    assert len(states) > 2
    again = block_cg(op, b, preconditioner=p, rtol=1e-6, resume=states[at])
    np.testing.assert_array_equal(again.x, whole.x)
    assert again.passes == whole.passes
    assert again.history == whole.history
    with pytest.raises(InputError, match="checkpoint"):
        block_cg(op, b[:, :1], preconditioner=p, resume=states[at])


def test_float32_entries_are_refined_to_1e_10_on_the_stored_matrix():
    rng = np.random.default_rng(1)
    stored = relu_ntk(rng.standard_normal((500, 12))).astype(np.float32)
    op, b = DenseOperator(stored), one_hot(500, rng)
    solve = block_cg(op, b, preconditioner=rpcholesky(op, 50), rtol=1e-10)
    assert solve.converged
    assert (true_residual(stored.astype(np.float64), solve.x, b) <= 1e-10).all()


def test_an_exact_start_costs_one_pass_and_progress_tells_the_residual():
    rng = np.random.default_rng(1)
    a, told = with_spectrum(np.linspace(0.5, 1, 30), rng), []
    x = rng.standard_normal((30, 2))
    assert block_cg(DenseOperator(a), a @ x, x0=x).passes == 1
    solve = block_cg(DenseOperator(a), a @ x, progress=lambda done, total, residual: told.append((done, residual)))
    assert [d for d, _ in told] == sorted(d for d, _ in told)
    assert told[-1][1] <= 1e-8
    assert solve.history


@pytest.mark.parametrize(
    ("b", "ridge"),
    [(np.ones(4), 0.0), (np.ones((3, 1)), 0.0), (np.full((4, 1), np.nan), 0.0), (np.ones((4, 1)), -1.0)],
)
def test_bad_input_is_refused_in_a_sentence(b, ridge):
    with pytest.raises(InputError, match="block_cg"):
        block_cg(DenseOperator(np.eye(4)), b, ridge=ridge)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 6), st.floats(0, 4), st.integers(0, 2**31))
def test_solving_commutes_with_scaling(n, s, decades, seed):
    rng = np.random.default_rng(seed)
    a = with_spectrum(np.geomspace(10**-decades, 1, n), rng)
    b = rng.standard_normal((n, s))
    one, two = block_cg(DenseOperator(a), b), block_cg(DenseOperator(a), 4.0 * b)
    assert one.converged
    assert two.converged
    np.testing.assert_allclose(two.x, 4 * one.x, rtol=0, atol=1e-6 * 10**decades * np.abs(b).max())


def test_a_start_that_is_not_finite_is_ignored_and_a_spent_budget_is_named():
    a = with_spectrum(np.geomspace(1e-3, 1, 30), np.random.default_rng(0))
    b = np.ones((30, 1))
    assert block_cg(DenseOperator(a), b, x0=np.full((30, 1), np.nan)).converged
    spent = block_cg(DenseOperator(a), b, max_passes=2)
    assert "max_passes" in spent.reason


def test_a_preconditioner_that_is_not_definite_is_named():
    class Negative:
        def apply(self, r, ridge=0.0):
            return -r

    solve = block_cg(DenseOperator(np.eye(10)), np.ones((10, 1)), preconditioner=Negative())
    assert not solve.converged
    assert "preconditioner" in solve.reason


def test_all_zero_right_hand_sides_cost_nothing():
    solve = block_cg(DenseOperator(np.eye(4)), np.zeros((4, 2)))
    assert solve.converged
    assert solve.passes == 0

"""Blocked CG reaches the dense solution on what users really give it, or says why not."""

from __future__ import annotations

import numpy as np
import pytest
from problems import relu_ntk, rows, with_spectrum

from ntkdist.linalg import DenseOperator, block_cg, cholesky_solve, choose_method, default_rank, rpcholesky

K = relu_ntk(rows(300, 20))
ONE_HOT = np.eye(10)[np.arange(300) % 10] - 0.1
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "b",
    [
        pytest.param(ONE_HOT, id="centred one-hot labels of rank 9"),
        pytest.param(np.repeat(RNG.standard_normal((300, 1)), 4, axis=1), id="equal columns"),
        pytest.param(RNG.standard_normal((300, 1)), id="one column"),
        pytest.param(np.hstack([np.zeros((300, 1)), RNG.standard_normal((300, 2))]), id="a zero column"),
        pytest.param(RNG.standard_normal((300, 3)) * [1e-150, 1.0, 1e150], id="badly scaled columns"),
    ],
)
@pytest.mark.parametrize("preconditioned", [True, False])
def test_it_reaches_the_dense_solution(b: np.ndarray, preconditioned: bool) -> None:
    op = DenseOperator(K)
    p = rpcholesky(op, default_rank(300)) if preconditioned else None
    solve = block_cg(op, b, preconditioner=p, rtol=1e-10)
    exact = np.linalg.solve(K, b)
    norms = np.linalg.norm(b, axis=0)
    true = np.linalg.norm(b - K @ solve.x, axis=0) / np.where(norms > 0, norms, 1)
    assert solve.converged
    assert true.max() <= 1e-10
    np.testing.assert_allclose(solve.residual_norms, true, atol=1e-12)
    np.testing.assert_allclose(
        solve.x / np.where(norms > 0, norms, 1), exact / np.where(norms > 0, norms, 1), atol=1e-7
    )


def test_a_ridge_is_part_of_the_system() -> None:
    solve = block_cg(DenseOperator(K), ONE_HOT, preconditioner=rpcholesky(DenseOperator(K), 50), ridge=0.7)
    np.testing.assert_allclose(solve.x, np.linalg.solve(K + 0.7 * np.eye(300), ONE_HOT), rtol=0, atol=1e-7)


def test_the_preconditioner_saves_passes() -> None:
    op = DenseOperator(with_spectrum(np.concatenate([np.logspace(6, 2, 40), np.ones(260)])))
    b = RNG.standard_normal((300, 2))
    plain = block_cg(op, b)
    helped = block_cg(op, b, preconditioner=rpcholesky(op, 75))
    assert helped.converged
    assert helped.passes < plain.passes / 2


def test_a_singular_matrix_with_an_unreachable_target_is_reported_not_looped_over() -> None:
    singular = K.copy()
    singular[1], singular[:, 1] = singular[0], singular[:, 0]
    singular[1, 1] = singular[0, 0]
    op = DenseOperator(singular)
    solve = block_cg(op, ONE_HOT, preconditioner=rpcholesky(op, 60), max_passes=300)
    assert not solve.converged
    assert np.isfinite(solve.x).all()
    assert solve.residual_norms.max() > 1e-3
    assert "singular" in solve.reason or "stopped" in solve.reason


def test_an_indefinite_matrix_is_reported() -> None:
    op = DenseOperator(with_spectrum(np.concatenate([[-5.0], np.linspace(1, 2, 99)])))
    solve = block_cg(op, np.ones((100, 1)), max_passes=50)
    assert np.isfinite(solve.x).all()
    assert solve.converged or "curvature" in solve.reason or "stopped" in solve.reason
    direct = cholesky_solve(op, np.ones((100, 1)))
    assert not direct.converged
    assert "indefinite" in direct.reason


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_the_smallest_systems_work(n: int) -> None:
    matrix = relu_ntk(rows(n, 4))
    b = np.random.default_rng(n).standard_normal((n, 3))
    for solve in (block_cg(DenseOperator(matrix), b), cholesky_solve(DenseOperator(matrix), b)):
        assert solve.converged, solve.reason
        np.testing.assert_allclose(matrix @ solve.x, b, atol=1e-7)


def test_all_zero_targets_need_no_pass() -> None:
    solve = block_cg(DenseOperator(K), np.zeros((300, 2)))
    assert solve.converged
    assert solve.passes == 0
    assert not solve.x.any()


def test_a_warm_start_is_used() -> None:
    exact = np.linalg.solve(K, ONE_HOT)
    assert block_cg(DenseOperator(K), ONE_HOT, x0=exact).passes <= 2


def test_the_cholesky_path_passes_lapacks_own_ratio() -> None:
    b = RNG.standard_normal((300, 4))
    x = cholesky_solve(DenseOperator(K), b).x
    ratio = np.linalg.norm(K @ x - b, 2) / (300 * 2.0**-53 * (np.linalg.norm(K, 2) * np.linalg.norm(x, 2)))
    assert 0 < ratio < 30


def test_the_choice_of_method_says_why() -> None:
    class Huge:
        shape = (200_000, 200_000)

    assert choose_method(DenseOperator(K), outputs=10).method == "cholesky"
    huge = choose_method(Huge(), outputs=10)
    assert huge.method == "cg"
    assert "does not fit" in huge.reason

"""λ_min and λ_max against LAPACK, and intervals that contain the truth."""

from __future__ import annotations

import numpy as np
import pytest
from problems import relu_ntk, rows, with_spectrum

from ntkdist.errors import InputError
from ntkdist.linalg import (
    DenseOperator,
    Eigenpair,
    certify,
    default_rank,
    lambda_max,
    lambda_min,
    rpcholesky,
    shifted_cholesky_bound,
)


def ends(matrix: np.ndarray, **options: int) -> tuple[Eigenpair, Eigenpair]:
    op = DenseOperator(matrix)
    p = rpcholesky(op, default_rank(len(matrix)))
    return lambda_min(op, p, **options), lambda_max(op)


@pytest.mark.parametrize(("n", "d"), [(600, 30), (600, 4), (500, 300)])
def test_the_iterative_eigensolvers_agree_with_lapack(n: int, d: int) -> None:
    matrix = relu_ntk(rows(n, d))
    exact = np.linalg.eigvalsh(matrix)
    low, high = ends(matrix, dense_below=0)
    assert low.converged
    assert high.converged
    np.testing.assert_allclose([low.value, high.value], exact[[0, -1]], rtol=1e-7)
    assert low.value >= exact[0] * (1 - 1e-12)  # a Rayleigh quotient is an upper bound
    assert low.residual_norm == pytest.approx(np.linalg.norm(matrix @ low.vector - low.value * low.vector))


def test_a_smallest_eigenvector_that_is_not_local_is_found() -> None:
    matrix = with_spectrum(np.concatenate([[0.01], np.linspace(1, 3, 599)]))
    low, _ = ends(matrix, dense_below=0)
    assert low.value == pytest.approx(0.01, rel=1e-7)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 33])
def test_the_smallest_matrices_work(n: int) -> None:
    matrix = relu_ntk(rows(n, 5))
    low, high = ends(matrix)
    exact = np.linalg.eigvalsh(matrix)
    np.testing.assert_allclose([low.value, high.value], exact[[0, -1]], rtol=1e-10)


def test_rigorous_intervals_contain_the_truth_in_every_trial() -> None:
    rng = np.random.default_rng(5)
    for trial in range(40):
        n = int(rng.integers(2, 60))
        values = np.exp(rng.uniform(-rng.uniform(0, 18), 3, n))
        matrix = with_spectrum(values, seed=trial)
        low, high = ends(matrix)
        op = DenseOperator(matrix)
        # Forming Q diag Qᵀ rounds; Weyl covers it.
        error = 50 * n * 2.0**-53 * values.max()
        a, b = certify(op, low, high, grade="rigorous", error_norm=error)
        assert a.lower <= values.min() <= a.upper, (trial, a)
        assert b.lower <= values.max() <= b.upper, (trial, b)
        assert a.grade in ("rigorous", "residual")


def test_a_rigorous_interval_is_tight_on_a_real_kernel() -> None:
    matrix = relu_ntk(rows(400, 40))
    low, high = ends(matrix)
    interval, top = certify(DenseOperator(matrix), low, high, grade="rigorous")
    assert interval.grade == top.grade == "rigorous"
    assert 0 < interval.upper - interval.lower < 1e-6 * interval.value


def test_the_factorization_fails_above_the_smallest_eigenvalue() -> None:
    matrix = relu_ntk(rows(200, 30))
    smallest = np.linalg.eigvalsh(matrix)[0]
    below = shifted_cholesky_bound(matrix.copy(), smallest * (1 - 1e-9))
    assert below is not None
    assert below <= smallest
    assert shifted_cholesky_bound(matrix.copy(), smallest * (1 + 1e-7)) is None


def test_probabilistic_lower_ends_hold() -> None:
    for seed in range(10):
        matrix = relu_ntk(rows(400, 25, seed))
        op = DenseOperator(matrix)
        p = rpcholesky(op, 100)
        low, _ = certify(op, lambda_min(op, p), lambda_max(op), grade="probabilistic", preconditioner=p)
        exact = np.linalg.eigvalsh(matrix)[0]
        assert low.lower <= exact <= low.upper
        assert "failure probability" in low.reason or "not positive" in low.reason


def test_the_residual_grade_says_that_it_proves_no_lower_bound() -> None:
    matrix = relu_ntk(rows(100, 10))
    low, high = ends(matrix)
    interval, _ = certify(DenseOperator(matrix), low, high, grade="residual")
    assert interval.grade == "residual"
    assert "not proved" in interval.reason


def test_equal_rows_give_zero_and_are_named() -> None:
    x = rows(50, 6)
    x[7] = x[3]
    matrix = relu_ntk(x)
    low, high = ends(matrix)
    interval, _ = certify(DenseOperator(matrix), low, high, duplicates=[np.array([3, 7])])
    assert (interval.lower, interval.value, interval.upper) == (0.0, 0.0, 0.0)
    assert "3 = 7" in interval.reason


def test_an_indefinite_matrix_gets_no_rigorous_grade() -> None:
    matrix = with_spectrum(np.concatenate([[-1.0], np.linspace(1, 2, 39)]))
    low, high = ends(matrix)
    interval, _ = certify(DenseOperator(matrix), low, high)
    assert interval.lower <= -1.0 + 1e-9
    assert interval.upper >= -1.0 - 1e-9


def test_an_unknown_grade_is_refused() -> None:
    low, high = ends(np.eye(3))
    with pytest.raises(InputError, match="Unknown certificate"):
        certify(DenseOperator(np.eye(3)), low, high, grade="certain")

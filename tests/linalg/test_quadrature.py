"""Bounds of yᵀK⁻¹y stand on the right side for any approximate solution."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import relu_ntk, rows, with_spectrum

from ntkdist.linalg import DenseOperator, inverse_form, rpcholesky


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6), noise=st.sampled_from([0.0, 1e-12, 1e-6, 1e-2, 1.0]), ridge=st.sampled_from([0.0, 0.5])
)
def test_the_bracket_contains_the_dense_value(seed: int, noise: float, ridge: float) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    matrix = with_spectrum(np.exp(rng.uniform(-5, 3, n)), seed)
    y = rng.standard_normal((n, 3))
    system = matrix + ridge * np.eye(n)
    exact_x = np.linalg.solve(system, y)
    exact = np.einsum("ij,ij->j", y, exact_x)
    x = exact_x * (1 + noise * rng.standard_normal(exact_x.shape))
    bracket = inverse_form(DenseOperator(matrix), y, x, np.linalg.eigvalsh(matrix)[0] * (1 - 1e-9), ridge)
    slack = 1e-11 * np.abs(exact)
    assert np.all(bracket.lower <= exact + slack)
    assert np.all(bracket.upper >= exact - slack)


def test_without_a_positive_bound_the_upper_end_is_infinite_not_invented() -> None:
    y = np.ones((5, 1))
    bracket = inverse_form(DenseOperator(np.eye(5)), y, 0.9 * y, 0.0)
    assert np.isinf(bracket.upper).all()


def test_the_low_rank_factor_reproduces_the_matrix_on_its_pivots() -> None:
    matrix = relu_ntk(rows(200, 5))
    p = rpcholesky(DenseOperator(matrix), 40)
    assert p.rank == len(p.pivots) == len(set(p.pivots.tolist())) == 40
    approximate = p.factor @ p.factor.T
    np.testing.assert_allclose(approximate[p.pivots], matrix[p.pivots], atol=1e-9)
    assert np.linalg.eigvalsh(matrix - approximate)[0] > -1e-9  # the remainder stays positive
    np.testing.assert_allclose(
        p.apply((approximate + p.mu * np.eye(200)) @ np.ones((200, 1))), np.ones((200, 1)), atol=1e-8
    )


def test_a_matrix_of_low_rank_is_exhausted_early() -> None:
    v = np.random.default_rng(0).standard_normal((30, 3))
    p = rpcholesky(DenseOperator(v @ v.T), 20)
    assert p.rank <= 6
    np.testing.assert_allclose(p.factor @ p.factor.T, v @ v.T, atol=1e-8)

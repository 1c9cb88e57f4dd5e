from __future__ import annotations

import numpy as np
import pytest
from problems import relu_ntk, with_spectrum

from ntkdist.linalg import (
    DenseOperator,
    FactorisedNystrom,
    block_cg,
    choose_preconditioner,
    default_rank,
    lambda_min,
    rpcholesky,
)


def low_dimensional(n=600, d=3):
    x = np.random.default_rng(0).standard_normal((n, d))
    return DenseOperator(relu_ntk(np.c_[x, np.ones(n)]))


def high_dimensional(n=600, d=600):
    return DenseOperator(relu_ntk(np.random.default_rng(0).standard_normal((n, d))))


def test_low_rank_apply_is_the_inverse_of_its_matrix():
    op = low_dimensional(120)
    p = rpcholesky(op, 30)
    r = np.random.default_rng(1).standard_normal((120, 3))
    for ridge in (0.0, 0.7):
        dense = p.factor @ p.factor.T + (p.mu + ridge) * np.eye(120)
        np.testing.assert_allclose(p.apply(r, ridge), np.linalg.solve(dense, r), rtol=1e-8, atol=1e-10)


def test_its_factor_reproduces_the_pivot_columns_and_leaves_a_psd_rest():
    op = low_dimensional(150)
    p = rpcholesky(op, 40)
    assert p.rank == len(p.pivots) == len(set(p.pivots.tolist())) == 40
    rest = op.array - p.factor @ p.factor.T
    np.testing.assert_allclose(rest[:, p.pivots], 0, atol=1e-8)
    assert np.linalg.eigvalsh(rest)[0] > -1e-8


def test_a_matrix_of_low_rank_ends_early_and_the_same_seed_repeats():
    rng = np.random.default_rng(0)
    op = DenseOperator(with_spectrum(np.r_[np.ones(5), np.zeros(45)], rng))
    assert rpcholesky(op, 30).rank <= 8
    a, b = rpcholesky(low_dimensional(100), 20, seed=4), rpcholesky(low_dimensional(100), 20, seed=4)
    assert np.array_equal(a.factor, b.factor)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 5000, 200_000])
def test_the_default_rank_fits_the_matrix(n):
    assert 1 <= default_rank(n) <= min(n, 1000)


def test_afn_is_symmetric_positive_definite_also_with_a_ridge():
    op = low_dimensional(120)
    p = FactorisedNystrom(op, rpcholesky(op, 20), neighbours=8)
    for ridge in (0.0, 0.5):
        inverse = p.apply(np.eye(120), ridge)
        np.testing.assert_allclose(inverse, inverse.T, atol=1e-8 * np.abs(inverse).max())
        assert np.linalg.eigvalsh((inverse + inverse.T) / 2)[0] > 0


def test_afn_with_every_earlier_row_is_the_exact_inverse():
    op = low_dimensional(60)
    p = FactorisedNystrom(op, rpcholesky(op, 10), neighbours=60)
    assert p.rank == 10
    np.testing.assert_allclose(p.apply(op.array), np.eye(60), atol=1e-6)


def test_low_dimensional_data_choose_neighbours_and_save_passes():
    op = low_dimensional()
    plain = rpcholesky(op, 60)
    chosen, why = choose_preconditioner(op, plain)
    assert isinstance(chosen, FactorisedNystrom)
    assert "AFN" in why
    b = np.random.default_rng(2).standard_normal((600, 5))
    few, many = block_cg(op, b, preconditioner=chosen), block_cg(op, b, preconditioner=plain)
    assert few.converged
    assert many.converged
    assert few.passes < 0.5 * many.passes
    truth = np.linalg.eigvalsh(op.array)[0]
    assert lambda_min(op, chosen).value == pytest.approx(truth, rel=1e-8)


def test_high_dimensional_data_keep_the_low_rank_form():
    op = high_dimensional()
    plain = rpcholesky(op, 60)
    chosen, why = choose_preconditioner(op, plain)
    assert chosen is plain
    assert "low rank" in why


def test_two_rows_are_enough_for_the_choice():
    op = DenseOperator(np.array([[2.0, 1.0], [1.0, 2.0]]))
    chosen, _ = choose_preconditioner(op, rpcholesky(op, 1))
    assert chosen.rank == 1

"""Float32 Cholesky, plain Nyström, neighbours in one scan, and what is kept of a preconditioner."""

from __future__ import annotations

import numpy as np
import pytest
from problems import one_hot, relu_ntk, with_spectrum

from ntkdist.errors import InputError, Unresolvable
from ntkdist.linalg import (
    DenseOperator,
    FactorisedNystrom,
    LowRankPreconditioner,
    SingleCholesky,
    block_cg,
    choose_preconditioner,
    default_rank,
    lambda_min,
    nystrom,
    rpcholesky,
    smallest_eigenpairs,
)
from ntkdist.linalg.neighbours import earlier_neighbours, entries


@pytest.fixture(scope="module")
def local():
    """Three-dimensional data, where neighbours explain what a low-rank factor leaves."""
    return DenseOperator(relu_ntk(np.random.default_rng(0).standard_normal((600, 3))), tile_size=128)


def test_neighbours_of_one_scan_are_those_of_largest_correlation(local):
    lengths = np.random.default_rng(4).uniform(0.2, 5.0, 600)
    local = DenseOperator(local.array * lengths * lengths[:, None], tile_size=128)
    order = np.random.default_rng(1).permutation(600)[:500]
    found = earlier_neighbours(local, order, 7)
    root = np.sqrt(local.array.diagonal())
    a = (local.array / root / root[:, None])[np.ix_(order, order)]
    for i in range(500):
        expected = np.sort(np.argsort(-a[i, :i], kind="stable")[:7])
        assert np.array_equal(found[i][found[i] >= 0], expected)


def test_rows_of_different_lengths_take_a_dozen_passes():
    rng = np.random.default_rng(0)
    lengths = np.exp(0.5 * rng.standard_normal(1500))
    op = DenseOperator(relu_ntk(rng.standard_normal((1500, 4))) * lengths * lengths[:, None], tile_size=256)
    chosen, _ = choose_preconditioner(op, rpcholesky(op, 200))
    assert isinstance(chosen, FactorisedNystrom)
    solve = block_cg(op, rng.standard_normal((1500, 10)), preconditioner=chosen)
    assert solve.converged
    assert solve.passes <= 16


def test_entries_come_from_either_triangle(local):
    rng = np.random.default_rng(1)
    rows, cols = rng.integers(0, 600, 300), rng.integers(0, 600, 300)
    assert np.array_equal(entries(local, rows, cols), local.array[rows, cols])


def test_local_data_are_recognised_and_solved_in_a_fraction_of_the_passes(local):
    low = rpcholesky(local, 60)
    chosen, why = choose_preconditioner(local, low)
    assert isinstance(chosen, FactorisedNystrom)
    assert "AFN" in why
    b = one_hot(600, np.random.default_rng(2))
    fast, slow = (block_cg(local, b, preconditioner=p) for p in (chosen, low))
    assert fast.converged
    assert fast.passes < slow.passes / 2
    again = FactorisedNystrom.from_arrays(local, chosen.arrays())
    r = np.random.default_rng(3).standard_normal((600, 4))
    assert np.array_equal(again.apply(r), chosen.apply(r))
    ridge = block_cg(local, b, preconditioner=again, ridge=0.5)
    assert ridge.converged
    np.testing.assert_allclose(ridge.x, np.linalg.solve(local.array + 0.5 * np.eye(600), b), atol=1e-6)


def test_high_dimensional_data_keep_the_low_rank_form():
    op = DenseOperator(relu_ntk(np.random.default_rng(0).standard_normal((400, 200))))
    low = rpcholesky(op, 50)
    assert choose_preconditioner(op, low)[0] is low
    kept = LowRankPreconditioner.from_arrays(low.arrays())
    r = np.random.default_rng(3).standard_normal((400, 4))
    assert np.array_equal(kept.apply(r), low.apply(r))
    assert default_rank(12000) == 600
    assert default_rank(12000, memory=1e8) == 130


def test_plain_nystrom_converges_and_randomly_pivoted_cholesky_is_not_worse(local):
    b = one_hot(600, np.random.default_rng(2))
    plain = block_cg(local, b, preconditioner=nystrom(local, 60))
    assert plain.converged
    assert block_cg(local, b, preconditioner=rpcholesky(local, 60)).passes <= 1.3 * plain.passes


@pytest.mark.parametrize("ridge", [0.0, 0.2])
def test_float32_cholesky_takes_a_few_steps(local, ridge):
    b = np.c_[one_hot(600, np.random.default_rng(2)), np.zeros(600)]
    p = SingleCholesky(local)
    solve = block_cg(local, b, preconditioner=p, ridge=ridge)
    assert solve.converged
    assert solve.passes <= 8


def test_float32_cholesky_shifts_where_float32_breaks_down_and_refuses_what_is_indefinite():
    rng = np.random.default_rng(0)
    hard = DenseOperator(with_spectrum(np.geomspace(1e-9, 1, 80), rng))
    p = SingleCholesky(hard)
    assert p.shift > 0
    solve = block_cg(hard, hard.array @ rng.standard_normal((80, 2)), preconditioner=p, rtol=1e-7)
    assert solve.converged
    with pytest.raises(Unresolvable, match="indefinite"):
        SingleCholesky(DenseOperator(with_spectrum(np.r_[-5.0, np.ones(30)], rng)))


def test_the_smallest_eigenpairs_are_lapack_s(local):
    w = np.linalg.eigvalsh(local.array)
    p, _ = choose_preconditioner(local, rpcholesky(local, 60))
    found = smallest_eigenpairs(local, p, 3)
    np.testing.assert_allclose([f.value for f in found], w[:3], rtol=1e-8)
    assert all(f.residual_norm < 1e-3 * f.value for f in found)
    with pytest.raises(InputError, match="between 1"):
        smallest_eigenpairs(local, p, 601)


def test_float32_entries_give_the_smallest_eigenvalue_of_what_is_stored(local):
    stored = DenseOperator(local.array.astype(np.float32))
    w = np.linalg.eigvalsh(stored.array.astype(np.float64))
    pair = lambda_min(stored, rpcholesky(stored, 100))
    assert pair.value == pytest.approx(w[0], rel=1e-8)


@pytest.mark.parametrize("n", [20, 600])
def test_nan_in_a_tile_ends_the_eigensolver_with_a_sentence(n):
    a = np.eye(n)
    a[1, 2] = a[2, 1] = np.nan
    with pytest.raises(Unresolvable, match="not finite"):
        lambda_min(DenseOperator(a), rpcholesky(DenseOperator(np.eye(n)), 2))

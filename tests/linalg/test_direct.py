from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from problems import relu_ntk, with_spectrum

from ntkdist.errors import InputError, Unresolvable
from ntkdist.linalg import (
    Deduplicated,
    DenseOperator,
    Rates,
    accumulate_lower_tile,
    cholesky_solve,
    choose_method,
    lambda_min,
    numerical_rank,
    rpcholesky,
    solve_ridges,
    solve_ridges_shared,
    tiled_cholesky,
)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 19, 20, 21, 61])
@pytest.mark.parametrize("tile", [1, 3, 20])
def test_tiled_cholesky_passes_lapack_s_ratio(n, tile):
    rng = np.random.default_rng(n)
    a, b = with_spectrum(np.geomspace(1e-6, 1, n), rng), rng.standard_normal((n, 2))
    with ThreadPoolExecutor(2) as pool:
        factor = tiled_cholesky(DenseOperator(a, tile_size=tile), run=pool.map)
    x = factor.solve(b)
    eps = 2.0**-52
    norm = np.linalg.norm(a, 2)
    assert np.linalg.norm(a @ x - b) / (n * eps * (norm * np.linalg.norm(x) + np.linalg.norm(b))) < 30
    assert factor.logdet() == pytest.approx(np.linalg.slogdet(a)[1], rel=1e-8, abs=1e-8)


def test_tiled_cholesky_names_the_row_it_broke_at_and_takes_a_ridge():
    op = DenseOperator(np.diag([1.0, 1, 1, -1, 1]), tile_size=2)
    with pytest.raises(Unresolvable, match="row 3"):
        tiled_cholesky(op)
    told = []
    factor = tiled_cholesky(op, ridge=2.0, progress=lambda done, total, residual: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert factor.solve(np.ones((5, 1)))[3, 0] == pytest.approx(1.0)
    with pytest.raises(InputError, match="shape"):
        factor.solve(np.ones(5))


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_the_dense_path_solves_and_says_when_it_cannot(ridge):
    rng = np.random.default_rng(0)
    a, b = relu_ntk(rng.standard_normal((100, 20))), np.c_[rng.standard_normal((100, 2)), np.zeros(100)]
    solve = cholesky_solve(DenseOperator(a), b, ridge=ridge)
    assert solve.converged
    np.testing.assert_allclose(solve.x, np.linalg.solve(a + ridge * np.eye(100), b), atol=1e-9)
    broken = cholesky_solve(DenseOperator(-a), b)
    assert not broken.converged
    assert "singular or indefinite" in broken.reason


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "s"), [((1, 1), 1), ((7, 5), 3), ((8, 9), 10), ((30, 20), 40)])
def test_the_fused_product_is_both_products(dtype, shape, s):
    rng = np.random.default_rng(0)
    tile = rng.standard_normal(shape).astype(dtype)
    v_i, v_j = rng.standard_normal((shape[0], s)), rng.standard_normal((shape[1], s))
    out_i, out_j = np.ones((shape[0], s)), np.ones((shape[1], s))
    accumulate_lower_tile(tile, v_i, v_j, out_i, out_j)
    wide = tile.astype(np.float64)
    np.testing.assert_allclose(out_i, 1 + wide @ v_j, atol=1e-12)
    np.testing.assert_allclose(out_j, 1 + wide.T @ v_i, atol=1e-12)
    accumulate_lower_tile(tile, v_i, v_j, out_i, None)
    np.testing.assert_allclose(out_i, 1 + 2 * (wide @ v_j), atol=1e-12)


def test_many_ridges_agree_with_dense_solves_and_share_their_passes():
    rng = np.random.default_rng(0)
    a, b = relu_ntk(rng.standard_normal((300, 100))), np.c_[rng.standard_normal((300, 3)), np.zeros(300)]
    op, ridges = DenseOperator(a), [1.0, 0.0, 10.0, 0.1]
    p = rpcholesky(op, 50)
    own, shared = solve_ridges(op, b, ridges, preconditioner=p), solve_ridges_shared(op, b, ridges)
    for ridge, x, y in zip(ridges, own, shared, strict=True):
        exact = np.linalg.solve(a + ridge * np.eye(300), b)
        assert x.converged
        assert y.converged
        np.testing.assert_allclose(x.x, exact, atol=1e-6)
        np.testing.assert_allclose(y.x, exact, atol=1e-6)
    assert shared[0].passes < sum(s.passes for s in own)
    assert not solve_ridges_shared(op, b, [0.0], max_passes=2)[0].converged
    with pytest.raises(InputError, match="ridges"):
        solve_ridges(op, b, [-1.0])


def test_repeated_rows_are_dropped_and_the_rank_counts_the_rest():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 60))
    rows = np.r_[np.arange(40), np.arange(5), 0]
    full = relu_ntk(x)[np.ix_(rows, rows)]
    groups = [np.array([0, 40, 45]), *(np.array([i, 40 + i]) for i in range(1, 5))]
    op = DenseOperator(full)
    unique = Deduplicated(op, groups)
    assert unique.shape == (40, 40)
    assert numerical_rank(op).rank == 40
    pair = lambda_min(unique, rpcholesky(unique, 10))
    assert pair.value == pytest.approx(np.linalg.eigvalsh(relu_ntk(x))[0], rel=1e-9)
    v = rng.standard_normal((40, 2))
    np.testing.assert_allclose(unique.matmat(v), relu_ntk(x) @ v, atol=1e-12)
    with pytest.raises(InputError, match="row 99"):
        Deduplicated(op, [np.array([0, 99])])
    assert numerical_rank(DenseOperator(np.zeros((3, 3)))).rank == 0


def test_the_choice_of_method_is_the_cheapest_prediction_and_gives_all_three():
    small = choose_method(DenseOperator(np.eye(50)), outputs=10)
    assert small.method == "cholesky"
    assert "fewer than" in small.reason
    op = DenseOperator(np.eye(1200))
    rates = Rates(1e11, 2e11, 2e10)
    slow = choose_method(op, outputs=10, rates=rates, pass_seconds=1.0)
    assert [p.method for p in slow.predictions] == ["cholesky", "cholesky32", "cg"]
    assert slow.method == "cholesky"
    assert "predicted seconds" in slow.reason
    quick = choose_method(op, outputs=10, rates=Rates(1e7, 1e7, 2e10), pass_seconds=1e-4, rank=0)
    assert quick.method == "cg"
    single = choose_method(op, outputs=10, rates=Rates(1e7, 2e7, 2e6), pass_seconds=1e-3)
    assert single.method == "cholesky32"
    local = choose_method(op, outputs=10, rates=rates, pass_seconds=1e-3, local=True)
    assert (
        local.predictions[2].seconds
        < choose_method(op, outputs=10, rates=rates, pass_seconds=1e-3).predictions[2].seconds
    )
    assert choose_method(op, outputs=10).reason.startswith("predicted seconds")

    class Huge:
        shape = (200_000, 200_000)
        dtype = np.dtype(np.float32)

    large = choose_method(Huge(), outputs=10)
    assert large.method == "cg"
    assert "does not fit" in large.reason

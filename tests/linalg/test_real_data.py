"""λ_min, λ_max and solves against dense LAPACK on digits and concrete."""

from __future__ import annotations

import numpy as np
import pytest
from problems import one_hot, relu_ntk
from sklearn.datasets import load_digits

from ntkdist.linalg import (
    DenseOperator,
    block_cg,
    certify,
    cholesky_solve,
    choose_preconditioner,
    default_rank,
    lambda_max,
    lambda_min,
    rpcholesky,
)


def digits(_shared):
    return load_digits().data


def concrete(shared):
    rows = np.loadtxt(shared / "data" / "uci_concrete.txt", comments="#")[:, :8]
    rows = np.unique(rows, axis=0)
    return (rows - rows.mean(axis=0)) / rows.std(axis=0)


@pytest.mark.parametrize("read", [digits, concrete])
def test_ends_of_the_spectrum_and_solves_are_lapack_s(read, shared_dir):
    x = read(shared_dir)
    op = DenseOperator(relu_ntk(x))
    n = len(x)
    w = np.linalg.eigvalsh(op.array)
    p, _ = choose_preconditioner(op, rpcholesky(op, default_rank(n)))
    pair, top = lambda_min(op, p), lambda_max(op)
    assert pair.value == pytest.approx(w[0], rel=1e-8)
    assert top.value == pytest.approx(w[-1], rel=1e-8)
    low, high = certify(op, pair, top, grade="rigorous")
    error = 4e-15 * n * w[-1]
    assert low.lower - error <= w[0] <= low.upper + error
    assert high.lower - error <= w[-1] <= high.upper + error
    b = one_hot(n, np.random.default_rng(0))
    solve, direct = block_cg(op, b, preconditioner=p), cholesky_solve(op, b)
    assert solve.converged
    assert direct.converged
    assert (np.linalg.norm(b - op.array @ solve.x, axis=0) <= 1e-8 * np.linalg.norm(b, axis=0)).all()
    np.testing.assert_allclose(solve.x, direct.x, atol=1e-5 * np.abs(direct.x).max())

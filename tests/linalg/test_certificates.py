from __future__ import annotations

import numpy as np
import pytest
from problems import relu_ntk, spectrum, with_spectrum
from scipy.linalg import ldl

from ntkdist.errors import InputError
from ntkdist.linalg import (
    DenseOperator,
    Eigenpair,
    certify,
    lambda_max,
    lambda_min,
    rpcholesky,
    shifted_cholesky_bound,
)


def exact_ends(a):
    """LAPACK's extreme eigenvalues and the error they may carry themselves."""
    w = np.linalg.eigvalsh(a)
    return w[0], w[-1], 4e-15 * len(a) * np.abs(w).max()


def rayleigh(a, v):
    v = v / np.linalg.norm(v)
    theta = float(v @ a @ v)
    return Eigenpair(theta, v, float(np.linalg.norm(a @ v - theta * v)), 1, True, "")


def random_matrix(trial):
    rng = np.random.default_rng(trial)
    n = int(rng.integers(1, 60))
    w = 10.0 ** rng.uniform(-8, 0, n) * 10.0 ** rng.uniform(-3, 3)
    if trial % 5 == 0:
        w[0] = 0.0
    if trial % 7 == 0:
        w[0] = -0.1 * w.max()
    return with_spectrum(w, rng), rng


def test_rigorous_intervals_contain_the_truth_in_200_of_200_trials():
    for trial in range(200):
        a, rng = random_matrix(trial)
        op = DenseOperator(a)
        # Every third start is a random vector: the certificate may not lean on a good eigenvector.
        v = rng.standard_normal(len(a)) if trial % 3 == 0 else np.linalg.eigh(a)[1][:, 0]
        low, high = certify(op, rayleigh(a, v), lambda_max(op), grade="rigorous")
        first, last, error = exact_ends(a)
        assert low.grade == high.grade == "rigorous"
        assert low.lower - error <= first <= low.upper + error
        assert high.lower - error <= last <= high.upper + error
        if trial % 3 and first > 1e-4 * last:
            assert low.lower > first * (1 - 1e-7)


def test_probabilistic_bounds_hold_in_every_trial():
    for trial in range(40):
        rng = np.random.default_rng(trial)
        a = relu_ntk(rng.standard_normal((450, 8 + 4 * (trial % 5))))
        op = DenseOperator(a)
        p = rpcholesky(op, 60, seed=trial)
        low, _ = certify(
            op,
            rayleigh(a, np.linalg.eigh(a)[1][:, 0]),
            lambda_max(op),
            grade="probabilistic",
            preconditioner=p,
        )
        assert low.lower <= np.linalg.eigvalsh(a)[0] * (1 + 1e-10)
        if low.grade == "probabilistic":
            assert "failure probability" in low.reason
            assert low.lower > 0


def test_the_residual_grade_says_in_words_that_it_is_no_lower_bound():
    a, _ = random_matrix(1)
    op = DenseOperator(a)
    low, high = certify(op, rayleigh(a, np.ones(len(a))), lambda_max(op), grade="residual")
    assert "some eigenvalue lies within" in low.reason
    assert "not proved" in low.reason
    assert "some eigenvalue lies within" in high.reason
    assert low.upper >= exact_ends(a)[0]


def test_the_matrix_s_own_error_widens_every_rigorous_end():
    a, _ = random_matrix(2)
    op = DenseOperator(a)
    pair, top = rayleigh(a, np.linalg.eigh(a)[1][:, 0]), lambda_max(op)
    plain, wide = certify(op, pair, top), certify(op, pair, top, error_norm=1e-3)
    for narrow, broad in zip(plain, wide, strict=True):
        assert broad.lower <= narrow.lower - 0.999e-3 * (narrow is plain[0])
        assert broad.upper >= narrow.upper


def test_float32_storage_is_covered_by_its_error_norm():
    a = relu_ntk(np.random.default_rng(0).standard_normal((120, 20)))
    stored = a.astype(np.float32)
    op = DenseOperator(stored)
    error = float(np.linalg.norm(a - stored))
    pair = lambda_min(op, rpcholesky(op, 30))
    low, high = certify(op, pair, lambda_max(op), error_norm=error)
    w = np.linalg.eigvalsh(a)
    assert low.lower <= w[0] <= low.upper
    assert high.lower <= w[-1] <= high.upper


def test_equal_rows_make_the_matrix_singular_by_name():
    op = DenseOperator(np.ones((3, 3)))
    low, _ = certify(op, rayleigh(np.ones((3, 3)), np.r_[1.0, -1, 0]), lambda_max(op), duplicates=[np.array([0, 1, 2])])
    assert (low.lower, low.upper) == (0.0, 0.0)
    assert "0 = 1 = 2" in low.reason


def test_a_shift_above_lambda_min_is_never_certified():
    for trial in range(30):
        rng = np.random.default_rng(trial)
        w = np.sort(spectrum("logrand", 40, 1e4, rng))
        a = with_spectrum(w, rng)
        assert shifted_cholesky_bound(a.copy(), w[0] * (1 + 1e-8)) is None
        bound = shifted_cholesky_bound(a.copy(), w[0] * (1 - 1e-6))
        assert bound is not None
        assert bound <= w[0]


def test_a_matrix_that_is_not_finite_is_not_certified():
    a = np.eye(5)
    a[1, 2] = a[2, 1] = np.nan
    pair = Eigenpair(1.0, np.eye(5)[0], 0.0, 1, True, "")
    low, _ = certify(DenseOperator(a), pair, pair, grade="rigorous")
    assert low.grade == "residual"
    assert "finite" in low.reason


def test_an_unknown_grade_is_refused():
    pair = Eigenpair(1.0, np.eye(2)[0], 0.0, 1, True, "")
    with pytest.raises(InputError, match="Unknown certificate"):
        certify(DenseOperator(np.eye(2)), pair, pair, grade="sure")


@pytest.mark.parametrize("n", [1, 2, 3, 500])
def test_lambda_min_counts_no_eigenvalue_below_itself(n):
    """A Sturm count (inertia of LDLᵀ) knows λ_min without an eigensolver."""
    a = relu_ntk(np.random.default_rng(n).standard_normal((n, 12)))
    op = DenseOperator(a)
    pair = lambda_min(op, rpcholesky(op, max(1, n // 5)))

    def below(sigma):
        _, d, _ = ldl(a - sigma * np.eye(n))
        return int((np.linalg.eigvalsh(d) < 0).sum())

    assert pair.converged
    assert below(pair.value * (1 - 1e-7)) == 0
    assert below(pair.value * (1 + 1e-7)) >= 1
    top = lambda_max(op)
    assert below(top.value * (1 + 1e-7)) == n
    assert below(top.value * (1 - 1e-7)) < n

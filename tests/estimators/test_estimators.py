"""The estimators keep scikit-learn's contract and equal dense kernel regression."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import WhiteKernel
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

import ntkdist as ntk
from ntkdist.errors import InputError
from ntkdist.estimators import engine

X, LABEL = load_digits(return_X_y=True)


@parametrize_with_checks([ntk.NTKRegressor(), ntk.NTKClassifier()])
def test_scikit_learns_contract_is_kept(estimator: Any, check: Any) -> None:
    check(estimator)


def test_regression_is_dense_kernel_ridge_regression() -> None:
    x, y, z = X[:150], LABEL[:150].astype(float), X[200:240]
    kernel = ntk.Kernel(depth=2, sigma_b=0.2)
    found = ntk.NTKRegressor(kernel=kernel, ridge=0.3).fit(x, y).predict(z)
    dense = kernel.cross(z, x) @ np.linalg.solve(kernel.tile(x, x) + 0.3 * np.eye(150), y)
    np.testing.assert_allclose(found, dense, rtol=1e-6, atol=1e-6)
    both = ntk.NTKRegressor(depth=2, sigma_b=0.2, ridge=0.3).fit(x, np.stack([y, -y], axis=1)).predict(z)
    np.testing.assert_allclose(both[:, 0], -both[:, 1], atol=1e-6)


def test_more_rows_give_the_fit_of_all_rows_and_keep_the_old_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "TILE", 50)
    whole = ntk.NTKClassifier(depth=1).fit(X[:180], LABEL[:180])
    grown = ntk.NTKClassifier(depth=1).fit(X[:120], LABEL[:120])
    kept = engine.whole_tiles(grown.fit_.gram)
    grown.add_rows(X[120:180], LABEL[120:180])
    assert set(kept) == {(0, 0), (1, 0), (1, 1)}
    assert all(grown.fit_.gram.operator.tile.tiles[place] is tile for place, tile in kept.items())
    np.testing.assert_allclose(
        grown.decision_function(X[500:520]), whole.decision_function(X[500:520]), rtol=1e-6, atol=1e-8
    )
    with pytest.raises(InputError, match="only have the classes"):
        grown.add_rows(X[:1], ["cat"])
    with pytest.raises(InputError, match="new targets"):
        grown.add_rows(X[:2], [1])
    with pytest.raises(InputError, match="columns"):
        ntk.NTKRegressor().fit(X[:20], LABEL[:20]).add_rows(X[:2], np.ones((2, 3)))


@pytest.mark.parametrize("names", [False, True])
def test_a_saved_classifier_opens_and_continues(names: bool, tmp_path: Path) -> None:
    label = np.array([f"digit {d}" for d in LABEL]) if names else LABEL
    fitted = ntk.NTKClassifier(depth=2, ridge="loo").fit(X[:100], label[:100])
    path = fitted.save(tmp_path / "machine.npz")
    opened = ntk.NTKClassifier.open(path)
    np.testing.assert_array_equal(opened.decision_function(X[300:320]), fitted.decision_function(X[300:320]))
    assert opened.get_params() == fitted.get_params()
    assert opened.ridge_ == fitted.ridge_
    opened.add_rows(X[100:140], label[100:140])
    again = ntk.NTKClassifier(depth=2, ridge="loo").fit(X[:140], label[:140])
    np.testing.assert_allclose(opened.decision_function(X[300:320]), again.decision_function(X[300:320]), atol=1e-6)


def test_what_cannot_be_opened_or_saved_is_said(tmp_path: Path) -> None:
    regressor = ntk.NTKRegressor(kernel=ntk.Kernel(depth=1)).fit(X[:30], LABEL[:30])
    path = regressor.save(tmp_path / "r.npz")
    np.testing.assert_array_equal(ntk.NTKRegressor.open(path).predict(X[:5]), regressor.predict(X[:5]))
    with pytest.raises(InputError, match="NTKRegressor, not a NTKClassifier"):
        ntk.NTKClassifier.open(path)
    (tmp_path / "bad.npz").write_bytes(b"no")
    for bad in ("bad.npz", "absent.npz"):
        with pytest.raises(InputError, match="not a saved"):
            ntk.NTKRegressor.open(tmp_path / bad)
    objects = ntk.NTKClassifier().fit(X[:30], np.array([str(v) for v in LABEL[:30]], dtype=object))
    with pytest.raises(InputError, match="objects"):
        objects.save(tmp_path / "o.npz")


@pytest.mark.parametrize("ridge", [-1.0, "best"])
def test_a_ridge_that_makes_no_sense_is_refused(ridge: Any) -> None:
    with pytest.raises(InputError, match="ridge"):
        ntk.NTKRegressor(ridge=ridge).fit(X[:20], LABEL[:20])


def test_leave_one_out_needs_a_size_that_can_be_decomposed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_DENSE_ROWS", 10)
    with pytest.raises(InputError, match="gcv"):
        ntk.NTKRegressor(ridge="loo").fit(X[:40], LABEL[:40])


def test_pipelines_and_grid_searches_work() -> None:
    search = GridSearchCV(ntk.NTKClassifier(), {"depth": [1, 2], "ridge": [1e-3, 1.0]}, cv=2)
    assert search.fit(X[:100], LABEL[:100]).best_score_ > 0.7
    machine = make_pipeline(StandardScaler(), ntk.NTKRegressor(sigma_b=0.1)).fit(X[:100], LABEL[:100])
    assert machine.score(X[:100], LABEL[:100]) > 0.99


def test_a_kernel_serves_support_vector_machines_and_gaussian_processes() -> None:
    kernel = ntk.Kernel(depth=2)
    machine = SVC(kernel=kernel, C=10).fit(X[:200], LABEL[:200])
    assert machine.score(X[200:300], LABEL[200:300]) > 0.85
    y = LABEL[:80].astype(float)
    process = GaussianProcessRegressor(ntk.NTKGPKernel(kernel) + WhiteKernel(0.5, "fixed")).fit(X[:80], y)
    mean, deviation = process.predict(X[90:95], return_std=True)
    sigma = kernel.tile(X[:80], X[:80], which="nngp") + 0.5 * np.eye(80)
    cross = kernel.cross(X[90:95], X[:80], which="nngp")
    np.testing.assert_allclose(mean, cross @ np.linalg.solve(sigma, y), rtol=1e-6)
    variance = kernel.diagonal(X[90:95], "nngp") + 0.5 - np.einsum("ij,ji->i", cross, np.linalg.solve(sigma, cross.T))
    np.testing.assert_allclose(deviation**2, variance, rtol=1e-6)
    alone = ntk.NTKGPKernel()
    values, gradient = alone(X[:3], eval_gradient=True)
    assert gradient.shape == (3, 3, 0)
    assert values.shape == (3, 3)
    assert not alone.is_stationary()
    assert "which='nngp'" in repr(alone)
    assert alone == ntk.NTKGPKernel()
    with pytest.raises(AttributeError, match="no attribute"):
        ntk.NTKSomething  # noqa: B018

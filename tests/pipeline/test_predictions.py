"""Held-out predictions of whole runs against dense formulas: NNGP beside NTK, variances, and the chosen ridge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

import ntkdist as ntk
from ntkdist.config import parse_config
from ntkdist.errors import Unresolvable
from ntkdist.pipeline import bayes
from ntkdist.pipeline.run import run
from ntkdist.store import RunStore

QUICK = ["theory.sizes=[]", "theory.two_layer=false", "theory.ensemble_rows=0"]


def digits(folder: Path, *overrides: str, rows: int = 200) -> tuple[Path, dict[str, Any]]:
    x, y = load_digits(return_X_y=True)
    np.savez(folder / "d.npz", x=x[:rows], y=y[:rows])
    store = folder / f"{len(list(folder.iterdir()))}.zarr"
    tree = {"data": {"path": str(folder / "d.npz")}, "gram": {"tile": 64}, "store": str(store)}
    return store, run(parse_config(tree, [*QUICK, *overrides]))


def test_nngp_posterior_and_ntk_ensemble_are_the_dense_ones(tmp_path: Path) -> None:
    store, results = digits(tmp_path, "solve.ridge=0.5", "predict.variance_rows=20")
    opened = ntk.open(store)
    x, z = opened.inputs["x_train"].values, opened.inputs["x_test"].values
    y, kernel = opened.inputs["y_train"].values, opened.kernel
    sigma = kernel.tile(x, x, which="nngp") + 0.5 * np.eye(len(x))
    cross, diagonal = kernel.cross(z, x, which="nngp"), kernel.diagonal(z[:20], which="nngp")
    read = RunStore(store).read_array
    np.testing.assert_allclose(read("predictions/f_nngp"), cross @ np.linalg.solve(sigma, y), atol=1e-5)
    explained = np.einsum("ij,ji->i", cross[:20], np.linalg.solve(sigma, cross[:20].T))
    np.testing.assert_allclose(read("predictions/variance_nngp"), diagonal - explained, rtol=1e-5, atol=1e-5)
    section = results["predictions"]["side_by_side"]
    assert section["nngp"]["lower"] - 1e-9 <= float((diagonal - explained).mean()) <= section["nngp"]["upper"] + 1e-9
    gain = np.linalg.solve(kernel.tile(x, x) + 0.5 * np.eye(len(x)), kernel.cross(z[:20], x).T)
    prior = kernel.tile(x, x, which="nngp")
    spread = diagonal + (gain * (prior @ gain - 2 * cross[:20].T)).sum(axis=0)
    np.testing.assert_allclose(read("predictions/variance_ensemble"), spread, rtol=1e-4)
    assert 0.0 <= section["ensemble"]["calibration_error"] <= 1.0
    assert results["predictions"]["nngp_metrics"]["accuracy"] > 0.8


def test_the_ridge_is_chosen_on_the_training_rows_alone(tmp_path: Path) -> None:
    for way in ("loo", "gcv"):
        store, results = digits(tmp_path, f"solve.ridge={way}", "predict.nngp=false", rows=120)
        theta, y = ntk.open(store).gram.to_numpy(), ntk.open(store).inputs["y_train"].values
        path = results["theory"]["ridge_path"]
        errors = []
        for ridge in path["ridges"]:
            inverse = np.linalg.inv(theta + ridge * np.eye(len(y)))
            weight = np.diag(inverse)[:, None] if way == "loo" else np.mean(np.diag(inverse))
            errors.append(float(np.mean((inverse @ y / weight) ** 2)))
        at = path["ridges"].index(results["solution"]["ridge"])
        assert errors[at] <= min(errors) * (1 + 1e-6)
        assert "ridges" in results["solution"]["ridge_how"]
        assert "not computed" in results["predictions"]["side_by_side"]["note"]
    with pytest.raises(Unresolvable, match=r"ridge=loo.*gcv"):
        digits(tmp_path, "solve.ridge=loo", "theory.dense_rows=10", rows=120)


def test_regression_runs_say_how_often_two_deviations_cover_the_target(tmp_path: Path) -> None:
    tree = {
        "data": {"path": "sklearn:diabetes", "normalise": "standardise"},
        "solve": {"ridge": 50.0},
        "store": str(tmp_path / "a.zarr"),
    }
    section = run(parse_config(tree, QUICK))["predictions"]["side_by_side"]
    for kind in ("nngp", "ensemble"):
        assert 0.0 <= section[kind]["coverage"] <= 1.0
        assert section[kind]["promised"] == pytest.approx(0.9545, abs=1e-4)


@pytest.mark.parametrize("at", [1, 3])
def test_a_solve_that_fails_leaves_a_note_and_the_run_complete(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = bayes.solve_weights, []

    def failing(*args: Any, **options: Any) -> Any:
        calls.append(args)
        if len(calls) == at:
            raise Unresolvable("the matrix is singular")
        return real(*args, **options)

    monkeypatch.setattr(bayes, "solve_weights", failing)
    _, results = digits(tmp_path, rows=100)
    assert results["complete"]
    assert "singular" in results["predictions"]["side_by_side"]["note"]
    assert ("nngp" in results["predictions"]["side_by_side"]) == (at == 3)

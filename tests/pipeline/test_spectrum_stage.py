"""The spectrum stage against dense LAPACK: ends, leading eigenpairs, density, effective dimension, equal rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.datasets import load_digits

import ntkdist as ntk
from ntkdist.config import load_config
from ntkdist.linalg import SingleCholesky, memory
from ntkdist.pipeline import preconditioner as forms
from ntkdist.pipeline.prepare import prepare
from ntkdist.pipeline.progress import Silent
from ntkdist.pipeline.results import collect_results
from ntkdist.pipeline.run import claimed_store, ensure_gram, open_session
from ntkdist.pipeline.solve import compute_solution
from ntkdist.pipeline.spectrum import compute_spectrum
from ntkdist.store import RunStore


def make(folder: Path, **changes: Any) -> dict[str, Any]:
    x, y = load_digits(return_X_y=True)
    rows = np.r_[np.arange(330), changes.pop("repeat", [])].astype(int)
    np.savez(folder / "d.npz", x=x[rows], y=y[rows])
    tree: dict[str, Any] = {
        "data": {"path": str(folder / "d.npz"), "test_fraction": 0.0, "task": "classification"},
        "gram": {"tile": 100},
        "store": str(folder / "a.zarr"),
        **changes,
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(tree))
    config, progress = load_config(folder / "c.yaml"), Silent()
    prepared = prepare(config, progress)
    with claimed_store(prepared) as store, open_session(store, prepared.kernel, config) as session:
        ensure_gram(session, progress)
        compute_spectrum(session)
        compute_solution(session)
    return collect_results(store)


def test_every_number_of_the_stage_is_lapack_s(tmp_path: Path) -> None:
    results = make(tmp_path, spectrum={"top": 5, "bottom": 3, "ridges": [0.5, 50.0]})
    spectrum, opened = results["spectrum"], ntk.open(tmp_path / "a.zarr")
    w, v = np.linalg.eigh(opened.gram.to_numpy())
    np.testing.assert_allclose(spectrum["lowest"], w[:3], rtol=1e-8)
    np.testing.assert_allclose(spectrum["highest"], w[::-1][:5], rtol=1e-8)
    ends = spectrum["condition_number"]
    assert ends["lower"] <= w[-1] / w[0] <= ends["upper"]
    np.testing.assert_allclose(
        spectrum["effective_dimension"]["values"], [(w / (w + r)).sum() for r in (0.5, 50.0)], rtol=1e-9
    )
    assert spectrum["logdet"]["value"] == pytest.approx(np.log(w).sum(), rel=1e-9)
    density = spectrum["density"]
    step = np.log(density["x"][1] / density["x"][0])
    assert sum(density["density"]) * step == pytest.approx(1, rel=1e-6)
    y = opened.inputs.y_train.to_numpy()
    share = ((v[:, ::-1][:, :5].T @ y) ** 2).sum(axis=1) / (y**2).sum()
    np.testing.assert_allclose(spectrum["alignment"], share, atol=1e-7)
    stored = opened.spectrum
    assert stored.lambda_min.lower <= w[0] <= stored.lambda_min.upper
    assert stored.eigenvectors.shape == (330, 5)
    assert stored.alignment.shape == (5, 10)
    text = repr(opened)
    for name in ("Effective dimension", "log det", "Energy of the targets"):
        assert name in text


def test_estimates_carry_error_bars_that_hold_the_truth(tmp_path: Path) -> None:
    results = make(tmp_path, spectrum={"dense_rows": 0, "probes": 16, "steps": 30, "ridges": [50.0]})
    w = np.linalg.eigvalsh(ntk.open(tmp_path / "a.zarr").gram.to_numpy())
    found = results["spectrum"]["effective_dimension"]
    assert abs(found["values"][0] - (w / (w + 50)).sum()) < 4 * found["errors"][0]
    assert not results["spectrum"]["density"]["exact"]
    logdet = results["spectrum"]["logdet"]
    assert abs(logdet["value"] - np.log(w).sum()) < 4 * logdet["error"]


def test_equal_rows_are_named_with_rank_and_the_smallest_eigenvalue_of_the_rest(tmp_path: Path) -> None:
    results = make(tmp_path, repeat=[4, 7, 4], solve={"ridge": 0.1})
    spectrum = results["spectrum"]
    assert spectrum["lambda_min"]["upper"] == 0.0
    assert spectrum["condition_number"]["upper"] is None
    singular = spectrum["singular"]
    assert [4, 330, 332] in singular["groups"]
    assert (singular["group_count"], singular["rows_dropped"], singular["rank"]) == (2, 3, 330)
    w = np.linalg.eigvalsh(ntk.open(tmp_path / "a.zarr").gram.to_numpy()[:330, :330])
    assert singular["lambda_min"]["lower"] <= w[0] <= singular["lambda_min"]["upper"]
    assert singular["lambda_min"]["grade"] == "rigorous"
    assert spectrum["logdet"]["value"] is None
    assert "positive definite" in spectrum["logdet"]["reason"]
    assert "equal rows" in repr(ntk.open(tmp_path / "a.zarr")).lower()


def test_the_preconditioner_is_made_once_and_read_by_later_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(tmp_path, solve={"method": "cg", "preconditioner": "factorised", "rank": 30})
    assert first["solution"]["preconditioner"]["form"] == "factorised"
    store = RunStore(tmp_path / "a.zarr")
    kept = store.stage("preconditioner")
    assert kept is not None
    assert set(kept.arrays) == {"factor", "mu", "pivots", "nearest"}

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr(forms, "rpcholesky", refuse)
    again = make(tmp_path, solve={"method": "cg", "preconditioner": "factorised", "rank": 30, "rtol": 1e-9})
    assert max(again["solution"]["residual_norms"]) <= 1e-9


@pytest.mark.parametrize("form", ["low-rank", "nystrom"])
def test_other_forms_of_the_preconditioner_reach_the_same_weights(tmp_path: Path, form: str) -> None:
    results = make(tmp_path, solve={"method": "cg", "preconditioner": form})
    assert results["solution"]["preconditioner"]["form"] == form
    assert max(results["solution"]["residual_norms"]) <= 1e-8


def test_float32_cholesky_is_a_method(tmp_path: Path) -> None:
    results = make(tmp_path, solve={"method": "cholesky32"})
    assert results["solution"]["passes"] <= 6
    assert max(results["solution"]["residual_norms"]) <= 1e-8
    assert SingleCholesky(ntk.open(tmp_path / "a.zarr").gram.operator).shift == 0.0


@pytest.mark.parametrize("cluster", [{"type": "in-process"}, {"type": "local", "workers": 2}])
def test_beyond_memory_solve_and_certificate_go_by_tiles_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: dict[str, Any]
) -> None:
    monkeypatch.setattr(memory, "LARGEST_DENSE", 100)
    results = make(tmp_path, solve={"method": "cholesky"}, cluster=cluster, spectrum={"dense_rows": 0})
    low = results["spectrum"]["lambda_min"]
    assert low["grade"] == "rigorous"
    assert "tile by tile" in low["reason"]
    w = np.linalg.eigvalsh(ntk.open(tmp_path / "a.zarr").gram.to_numpy())
    assert low["lower"] <= w[0] <= low["upper"]
    assert max(results["solution"]["residual_norms"]) <= 1e-8
    assert not list(tmp_path.glob("*.scratch"))

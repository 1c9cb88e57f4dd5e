"""A whole run against dense LAPACK, with any tile size, mode and precision; opened again as labelled views."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from sklearn.datasets import load_digits

import ntkdist as ntk
from ntkdist.config import RunConfig, parse_config
from ntkdist.errors import InputError, Unresolvable
from ntkdist.pipeline.results import collect_results
from ntkdist.pipeline.run import run
from ntkdist.report import write_report
from ntkdist.store import RunStore


def config(folder: Path, *overrides: str, rows: int = 300, store: str = "a.zarr") -> RunConfig:
    file = folder / "digits.npz"
    if not file.exists():
        x, y = load_digits(return_X_y=True)
        np.savez(file, x=x[:rows], y=y[:rows])
    tree = {"data": {"path": str(file)}, "gram": {"tile": 100}, "store": str(folder / store)}
    return parse_config(tree, overrides)


def relu_ntk(x: np.ndarray, z: np.ndarray, depth: int = 3) -> np.ndarray:
    """The He ReLU NTK, written independently; the exact diagonal is (L+1)|x|²."""
    norms = np.sqrt(np.outer((x * x).sum(1), (z * z).sum(1)))
    rho = np.clip(x @ z.T / norms, -1, 1)
    theta = rho.copy()
    for _ in range(depth):
        angle = np.arccos(rho)
        rho, slope = (np.sin(angle) + (np.pi - angle) * rho) / np.pi, (np.pi - angle) / np.pi
        rho = np.clip(rho, -1, 1)
        theta = theta * slope + rho
    return theta * norms


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("run")
    return folder, run(config(folder))


def dense(folder: Path, store: str = "a.zarr") -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    read = RunStore(folder / store).read_array
    x, z = read("inputs/x_train"), read("inputs/x_test")
    k = relu_ntk(x, x)
    k[np.diag_indices_from(k)] = 4 * (x * x).sum(1)
    return k, relu_ntk(z, x), read("inputs/y_train"), read("inputs/y_test")


def test_the_gram_matrix_is_the_recursions(finished: tuple[Path, dict[str, Any]]) -> None:
    k, *_ = dense(finished[0])
    gram = ntk.open(finished[0] / "a.zarr").gram
    np.testing.assert_allclose(gram.to_numpy(), k, rtol=1e-6)  # arccos near θ = 0 limits the truth here
    away = k < 0.9 * np.sqrt(np.outer(np.diag(k), np.diag(k)))
    np.testing.assert_allclose(gram.to_numpy()[away], k[away], rtol=1e-12)


def test_eigenvalues_weights_and_bounds_are_lapacks(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, results = finished
    k = ntk.open(folder / "a.zarr").gram.to_numpy()
    y = RunStore(folder / "a.zarr").read_array("inputs/y_train")
    exact = np.linalg.eigvalsh(k)
    low, high = results["spectrum"]["lambda_min"], results["spectrum"]["lambda_max"]
    assert low["lower"] <= exact[0] <= low["upper"]
    assert high["lower"] <= exact[-1] <= high["upper"]
    assert low["value"] == pytest.approx(exact[0], rel=1e-8)
    assert low["grade"] == high["grade"] == "rigorous"
    weights = ntk.open(folder / "a.zarr").solution
    np.testing.assert_allclose(weights.values, np.linalg.solve(k, y), atol=1e-6 * np.abs(weights.values).max())
    norm = float(np.einsum("ij,ij->", y, np.linalg.solve(k, y)))
    statements = {s["key"]: s for s in results["theory"]["statements"]}
    assert statements["norm_per_row"]["lower"] <= norm / len(y) <= statements["norm_per_row"]["upper"]
    assert statements["sqrt_bound"]["value"] == pytest.approx(np.sqrt(2 * norm / len(y)), rel=1e-6)
    assert statements["rate"]["value"] == pytest.approx(exact[0], rel=1e-8)
    assert statements["stable_step"]["value"] == pytest.approx(2 / exact[-1], rel=1e-8)
    assert max(results["solution"]["residual_norms"]) <= 1e-8


def test_predictions_and_accuracy_are_those_of_dense_kernel_regression(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, results = finished
    k, cross, y, y_test = dense(folder)
    f = cross @ np.linalg.solve(k, y)
    np.testing.assert_allclose(ntk.open(folder / "a.zarr").predictions.values, f, atol=1e-5)
    right = float(np.mean(f.argmax(1) == y_test.argmax(1)))
    metrics = results["predictions"]["metrics"]
    assert metrics["accuracy"] == pytest.approx(right)
    assert metrics["accuracy_interval"][0] < right < metrics["accuracy_interval"][1]
    assert sum(map(sum, results["predictions"]["confusion"])) == len(y_test)


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param(["gram.tile=17"], id="small ragged tiles"),
        pytest.param(["gram.tile=1000"], id="one tile"),
        pytest.param(["gram.mode=streamed"], id="streamed"),
        pytest.param(["gram.mode=recomputed"], id="recomputed"),
        pytest.param(["cluster.type=local", "cluster.workers=2"], id="two worker processes"),
        pytest.param(["solve.method=cg"], id="block CG"),
    ],
)
def test_tile_size_mode_and_workers_change_results_by_rounding_only(
    finished: tuple[Path, dict[str, Any]], overrides: list[str]
) -> None:
    folder, results = finished
    other = run(config(folder, *overrides, store=f"{abs(hash(tuple(overrides)))}.zarr"))
    for end in ("lambda_min", "lambda_max"):
        assert other["spectrum"][end]["value"] == pytest.approx(results["spectrum"][end]["value"], rel=1e-9)
    assert other["predictions"]["metrics"]["accuracy"] == results["predictions"]["metrics"]["accuracy"]
    assert other["predictions"]["metrics"]["mse"] == pytest.approx(results["predictions"]["metrics"]["mse"], rel=1e-5)
    assert other["complete"]


def test_float32_storage_widens_the_interval_to_contain_the_exact_value(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, results = finished
    rounded = run(config(folder, "gram.storage=float32", store="f32.zarr"))
    low, exact = rounded["spectrum"]["lambda_min"], results["spectrum"]["lambda_min"]
    assert low["lower"] <= exact["value"] <= low["upper"]
    assert low["upper"] - low["lower"] > exact["upper"] - exact["lower"]
    assert rounded["gram"]["bytes"] * 2 == results["gram"]["bytes"]


def test_regression_targets_are_scored_by_r2(tmp_path: Path) -> None:
    results = run(
        parse_config(
            {
                "data": {"path": "sklearn:diabetes", "normalise": "standardise"},
                "solve": {"ridge": 50.0},
                "store": str(tmp_path / "a.zarr"),
            }
        )
    )
    assert results["data"]["task"] == "regression"
    assert 0.2 < results["predictions"]["metrics"]["r2"] < 0.7
    assert results["solution"]["ridge"] == 50.0


def test_equal_rows_with_different_targets_are_explained(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3))
    x[1] = x[0]
    np.savez(tmp_path / "d.npz", x=x, y=rng.standard_normal(40))
    tree = {"data": {"path": str(tmp_path / "d.npz"), "test_fraction": 0}, "store": str(tmp_path / "a.zarr")}
    with pytest.raises(Unresolvable, match=r"1 groups of equal rows.*solve\.ridge"):
        run(parse_config(tree))
    half = collect_results(RunStore(tmp_path / "a.zarr"))
    assert half["spectrum"]["lambda_min"]["value"] == 0.0
    assert not half["complete"]
    results = run(parse_config(tree, ["solve.ridge=1e-3"]))
    assert results["complete"]
    assert results["data"]["duplicate_rows"] == 1


def test_the_same_command_again_repeats_no_stage_and_keeps_every_bit(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, results = finished
    again = run(config(folder))
    for document in (again, results):
        document["gram"] = {k: v for k, v in document["gram"].items() if k != "mode_reason"}
    for stage in ("spectrum", "solution", "theory", "predictions", "gram"):
        assert again[stage] == results[stage], stage
    assert again["theory"]["seconds"] == results["theory"]["seconds"]


def test_an_opened_run_is_labelled_lazy_and_symmetric(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, results = finished
    opened = ntk.open(folder / "a.zarr")
    view = opened.gram.to_xarray()
    assert isinstance(view, xr.DataArray)
    assert view.dims == ("row", "column")
    assert view.chunks is not None
    part = opened.gram.isel(row=slice(3, 8), column=slice(150, 155)).values
    np.testing.assert_array_equal(part, opened.gram.isel(row=slice(150, 155), column=slice(3, 8)).values.T)
    np.testing.assert_array_equal(view.values, opened.gram.to_numpy())
    np.testing.assert_array_equal(view["dataset_row"].values, opened.inputs["train"].values)
    assert opened.spectrum.lambda_min.value == results["spectrum"]["lambda_min"]["value"]
    vector = opened.spectrum.vectors["vector_min"].values
    assert np.linalg.norm(opened.gram @ vector - opened.spectrum.lambda_min.value * vector) < 1e-2
    x, _ = load_digits(return_X_y=True)
    rows = opened.inputs["test"].values
    np.testing.assert_allclose(opened.predict(x[rows]).values, opened.predictions.values, atol=1e-9)
    assert list(opened.solution["output"].values) == [str(k) for k in range(10)]
    assert opened.metadata["kernel"]["layers"][0]["activation"] == "relu"
    assert opened.bounds["rate"]["unit"] == "1/time"
    assert opened.kernel.depth == 3
    assert "λ_min" in repr(opened)
    assert "<table>" in opened._repr_html_()
    json.dumps(opened.results, allow_nan=False)
    with pytest.raises(InputError, match="the run was made with 64"):
        opened.predict(np.ones((2, 3)))


def test_the_report_is_one_file_without_external_requests(
    finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    page = html.unescape(write_report(finished[1], tmp_path / "a.html").read_text())
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert "λ_min" in page

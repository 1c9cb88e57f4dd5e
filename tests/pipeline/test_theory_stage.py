"""The theory stage of whole runs against dense float64 formulas: digits, and concrete with equal rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

import ntkdist as ntk
from ntkdist.config import parse_config
from ntkdist.errors import InputError
from ntkdist.pipeline.run import run
from ntkdist.store import RunStore
from ntkdist.theory.two_layer import two_layer_kernel

Finished = tuple[Path, dict[str, Any]]


def digits_file(folder: Path, rows: int = 240) -> str:
    x, y = load_digits(return_X_y=True)
    np.savez(folder / "digits.npz", x=x[:rows], y=y[:rows])
    return str(folder / "digits.npz")


def analyse(folder: Path, data: str, name: str, *overrides: str) -> Finished:
    tree = {"data": {"path": data}, "gram": {"tile": 70}, "store": str(folder / f"{name}.zarr")}
    return folder / f"{name}.zarr", run(parse_config(tree, overrides))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("theory")
    return analyse(folder, digits_file(folder), "a")


def concrete(folder: Path, shared: Path, *, equal_rows: bool) -> Finished:
    table = np.loadtxt(shared / "data" / "uci_concrete.txt")[:300]
    if not equal_rows:
        _, first = np.unique(table[:, :-1], axis=0, return_index=True)
        table = table[np.sort(first)]
    y = (table[:, -1] - table[:, -1].mean()) / table[:, -1].std()
    np.savez(folder / "c.npz", x=table[:, :-1], y=y)
    options = ["data.normalise=standardise", "solve.ridge=0.1", "data.task=regression"]
    return analyse(folder, str(folder / "c.npz"), "c", *options)


@pytest.fixture(scope="module")
def concrete_equal(shared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return concrete(tmp_path_factory.mktemp("equal"), shared_dir, equal_rows=True)


@pytest.fixture(scope="module")
def concrete_distinct(shared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return concrete(tmp_path_factory.mktemp("distinct"), shared_dir, equal_rows=False)


def lines(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {s["key"]: s for s in results["theory"]["statements"]}


def opened(finished: Finished) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Θ, y, Θ(x*, X), y* as dense float64."""
    opened = ntk.open(finished[0])
    inputs = opened.inputs
    cross = opened.kernel.cross(inputs["x_test"].values, inputs["x_train"].values)
    return opened.gram.to_numpy(), inputs["y_train"].values, cross, inputs["y_test"].values


@pytest.mark.parametrize("case", ["digits", "concrete_equal", "concrete_distinct"])
def test_training_curve_and_held_out_curve_are_those_of_the_dense_spectrum(
    case: str, request: pytest.FixtureRequest
) -> None:
    finished = request.getfixturevalue(case)
    theta, y, cross, y_test = opened(finished)
    values, vectors = np.linalg.eigh(theta)
    values = np.maximum(values, 0.0)
    curve = finished[1]["theory"]["curve"]
    rotated = vectors.T @ y
    for i, t in enumerate(curve["times"][:-1]):
        loss = 0.5 * float((np.exp(-2 * values * t)[:, None] * rotated**2).sum())
        assert curve["lower"][i] <= loss * (1 + 1e-8) + 1e-20
        assert loss <= curve["upper"][i] * (1 + 1e-8)
        assert curve["upper"][i] <= curve["envelope"][i] * (1 + 1e-9)
        gain = np.where(values * t > 1e-12, -np.expm1(-values * t) / np.where(values > 0, values, 1), t)
        f = cross @ (vectors @ (gain[:, None] * rotated))
        room = curve["test"]["largest_error_of_f"][i]
        mse = float(np.mean((f - y_test) ** 2))
        assert abs(np.sqrt(mse) - np.sqrt(curve["test"]["mse"][i])) <= room + 1e-8
    assert curve["times"][0] == 0.0
    assert curve["times"][-1] is None  # t = ∞
    assert curve["loss"][0] == pytest.approx(0.5 * float((y**2).sum()))
    assert curve["descent"]["loss"][0] == pytest.approx(curve["loss"][0])
    assert curve["clocks"]["mean_loss"][5] == pytest.approx(len(y) * curve["times"][5])
    assert curve["clocks"]["descent"][5] == pytest.approx(curve["times"][5] / curve["step"])


def test_descent_of_the_run_is_real_descent_on_the_kernel_machine(digits: Finished) -> None:
    theta, y, _, _ = opened(digits)
    descent = digits[1]["theory"]["curve"]["descent"]
    f, seen = np.zeros_like(y), {}
    for j in range(101):
        seen[j] = 0.5 * float(((f - y) ** 2).sum())
        f -= descent["step"] * theta @ (f - y)
    assert descent["stable"]
    for steps, loss, lower, upper in zip(
        descent["times"], descent["loss"], descent["lower"], descent["upper"], strict=True
    ):
        if steps <= 100:
            assert lower <= seen[int(steps)] * (1 + 1e-9)
            assert seen[int(steps)] <= upper * (1 + 1e-9)
            assert loss == pytest.approx(seen[int(steps)], rel=1e-3)


@pytest.mark.parametrize("case", ["digits", "concrete_equal", "concrete_distinct"])
def test_leave_one_out_gcv_and_effective_dimension_are_the_dense_ones(
    case: str, request: pytest.FixtureRequest
) -> None:
    finished = request.getfixturevalue(case)
    theta, y, _, _ = opened(finished)
    ridge, n = finished[1]["solution"]["ridge"], len(y)
    found = lines(finished[1])
    for_all = theta + ridge * np.eye(n)
    refits = []
    for i in range(n):
        rest = np.arange(n) != i
        refits.append(y[i] - theta[i, rest] @ np.linalg.solve(for_all[np.ix_(rest, rest)], y[rest]))
    assert found["loo_mse"]["value"] == pytest.approx(float(np.mean(np.square(refits))), rel=1e-7)
    inverse = np.linalg.inv(for_all)
    alpha = inverse @ y
    assert found["gcv"]["value"] == pytest.approx(np.mean(alpha**2) / np.mean(np.diag(inverse)) ** 2, rel=1e-7)
    assert found["effective_dimension"]["value"] == pytest.approx(np.trace(theta @ inverse), rel=1e-8)
    path = finished[1]["theory"]["ridge_path"]
    at = int(np.argmin(np.abs(np.array(path["ridges"]) - 1.0)))
    dense = np.trace(theta @ np.linalg.inv(theta + path["ridges"][at] * np.eye(n)))
    assert path["effective_dimension"][at] == pytest.approx(dense, rel=1e-8)
    best = min((s, r) for s, r in zip(path["loo"], path["ridges"], strict=True) if s is not None)[1]
    assert path["best_loo"] == best


def test_aroras_bound_is_about_its_own_kernel_on_unit_rows(digits: Finished) -> None:
    inputs = ntk.open(digits[0]).inputs
    x, y = inputs["x_train"].values, inputs["y_train"].values
    h = two_layer_kernel(x / np.linalg.norm(x, axis=1)[:, None])
    forms = np.einsum("ij,ij->j", y, np.linalg.solve(h, y))
    found = lines(digits[1])
    bound = found["arora_bound"]
    assert bound["value"] == pytest.approx(np.sqrt(2 * forms.max() / len(y)), rel=1e-8)
    assert bound["lower"] <= np.sqrt(2 * forms.max() / len(y)) * (1 + 1e-12) <= bound["upper"] * (1 + 2e-12)
    assert [a["holds"] for a in bound["assumptions"][:3]] == [True, True, True]
    low = float(np.linalg.eigvalsh(h)[0])
    assert found["width_du"]["value"] == pytest.approx(len(y) ** 6 / (low**4 * 0.05**3), rel=1e-5)
    assert found["cao_gu_bound"]["grade"] == "estimate"


def test_equal_rows_with_equal_targets_count_once_in_the_two_layer_bound(
    concrete_equal: Finished, concrete_distinct: Finished
) -> None:
    assert concrete_equal[1]["data"]["duplicate_rows"] > 0
    inputs = ntk.open(concrete_equal[0]).inputs
    x, first = np.unique(inputs["x_train"].values, axis=0, return_index=True)
    y = inputs["y_train"].values
    h = two_layer_kernel(x / np.linalg.norm(x, axis=1)[:, None])
    z = y[first] / max(1.0, np.abs(y).max())
    form = float((z.T @ np.linalg.solve(h, z))[0, 0])
    equal, distinct = lines(concrete_equal[1]), lines(concrete_distinct[1])
    assert equal["arora_bound"]["value"] == pytest.approx(np.sqrt(2 * form / len(y)), rel=1e-6)
    assert equal["width_du"]["value"] is None
    assert distinct["width_du"]["value"] is not None
    assert "divided by max |y|" in distinct["arora_bound"]["convention"]
    assert any("Cao & Gu" in text for text in concrete_equal[1]["theory"]["skipped"])


def test_equal_rows_with_other_targets_leave_the_two_layer_bound_infinite_and_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3))
    x[1] = x[0]
    np.savez(tmp_path / "d.npz", x=x, y=rng.standard_normal(40))
    found = lines(analyse(tmp_path, str(tmp_path / "d.npz"), "d", "data.test_fraction=0", "solve.ridge=1e-3")[1])
    assert found["arora_bound"]["value"] is None
    assert "infinite" in found["arora_bound"]["note"]
    assert found["loo_mse"]["value"] is not None


def test_the_measured_learning_curve_ends_at_the_runs_own_error_near_its_prediction(digits: Finished) -> None:
    curve = digits[1]["theory"]["learning_curve"]
    assert curve["n"][-1] == digits[1]["gram"]["n"]
    assert curve["mse"][-1] / 10 == pytest.approx(digits[1]["predictions"]["metrics"]["mse"], rel=1e-6)
    for measured, predicted in zip(curve["mse"], curve["predicted_mse"], strict=True):
        assert predicted is None or 0.4 < measured / predicted < 2.5


def test_the_ensemble_starts_at_the_prior_and_is_the_dense_one_at_the_end(digits: Finished) -> None:
    opened_run = ntk.open(digits[0])
    inputs, kernel = opened_run.inputs, opened_run.kernel
    x, z, y = inputs["x_train"].values, inputs["x_test"].values[:16], inputs["y_train"].values
    theta, sigma = kernel.tile(x, x), kernel.tile(x, x, which="nngp")
    gain = np.linalg.solve(theta, kernel.cross(z, x).T).T
    prior = kernel.cross(z, x, which="nngp")
    dense = kernel.diagonal(z, "nngp") + np.einsum("ij,ij->i", gain @ sigma - 2 * prior, gain)
    read = RunStore(digits[0]).read_array
    np.testing.assert_allclose(read("theory/ensemble_variance")[0], kernel.diagonal(z, "nngp"))
    np.testing.assert_allclose(read("theory/ensemble_variance")[-1], dense, rtol=1e-3)
    np.testing.assert_allclose(read("theory/ensemble_mean")[-1], gain @ y, atol=1e-3)
    section = digits[1]["theory"]["ensemble"]
    assert section["lower"][-1] <= dense.mean() <= section["upper"][-1]


def test_times_are_counted_on_the_asked_clock(tmp_path: Path) -> None:
    data = digits_file(tmp_path, 80)
    quick = ["theory.sizes=[]", "theory.two_layer=false", "theory.ensemble_rows=0"]
    flow = analyse(tmp_path, data, "flow", "theory.times=[0, 1e-5, 1e-3]", *quick)[1]
    mean = analyse(tmp_path, data, "mean", "theory.clock=mean_loss", "theory.times=[0, 64e-5, 64e-3]", *quick)[1]
    steps = analyse(
        tmp_path, data, "steps", "theory.clock=descent", "theory.step=1e-6", "theory.times=[0, 10, 1000]", *quick
    )[1]
    assert flow["gram"]["n"] == 64
    for other in (mean, steps):
        np.testing.assert_allclose(other["theory"]["curve"]["loss"], flow["theory"]["curve"]["loss"], rtol=1e-6)
    assert flow["theory"]["learning_curve"] is None
    assert flow["theory"]["ensemble"] is None
    assert any("two-layer" in text for text in flow["theory"]["skipped"])


def test_training_starts_from_a_given_network_or_from_a_draw(tmp_path: Path) -> None:
    data = digits_file(tmp_path, 80)
    quick = ["theory.sizes=[]", "theory.two_layer=false", "theory.ensemble_rows=0", "theory.times=[0, 1e-4, 1e9]"]
    f0 = np.random.default_rng(1).standard_normal((80, 10))
    np.save(tmp_path / "f0.npy", f0)
    given = analyse(tmp_path, data, "g", "theory.initial=given", f"theory.initial_path={tmp_path}/f0.npy", *quick)
    theta, y, cross, y_test = opened(given)
    read = RunStore(given[0]).read_array
    train, test = read("inputs/train_rows"), read("inputs/test_rows")
    curve = given[1]["theory"]["curve"]
    assert curve["loss"][0] == pytest.approx(0.5 * float(((f0[train] - y) ** 2).sum()))
    assert curve["test"]["mse"][0] == pytest.approx(float(np.mean((f0[test] - y_test) ** 2)))
    end = f0[test] + cross @ np.linalg.solve(theta, y - f0[train])
    np.testing.assert_allclose(read("theory/f_test")[-1], end, atol=1e-4)
    drawn = analyse(tmp_path, data, "d", "theory.initial=nngp", *quick)[1]["theory"]["curve"]
    assert "prior" in drawn["initial"]
    assert drawn["loss"][0] > 10 * curve["loss"][0]  # Σ(x, x) is in the hundreds here
    np.save(tmp_path / "f0.npy", f0[:5])
    with pytest.raises(InputError, match=r"\(80, 10\)"):
        analyse(tmp_path, data, "g", "theory.initial=given", f"theory.initial_path={tmp_path}/f0.npy", *quick)
    for path in ("absent.npy", "digits.npz"):
        with pytest.raises(InputError, match="initial_path"):
            analyse(tmp_path, data, path, "theory.initial=given", f"theory.initial_path={tmp_path}/{path}", *quick)
    with pytest.raises(InputError, match="initial_path goes with"):
        parse_config({"data": {"path": data}}, ["theory.initial=given"])


def test_a_large_run_uses_no_dense_decomposition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ntkdist.pipeline import risk

    monkeypatch.setattr(risk, "EXACT", 50)
    data = digits_file(tmp_path, 240)
    exact = lines(analyse(tmp_path, data, "exact", "solve.ridge=100", "theory.dense_rows=1000")[1])
    results = analyse(tmp_path, data, "large", "solve.ridge=100", "theory.dense_rows=50")[1]
    found, theory = lines(results), results["theory"]
    assert found["loo_mse"]["grade"] == "estimate"
    assert found["loo_mse"]["value"] == pytest.approx(exact["loo_mse"]["value"], rel=0.2)
    assert theory["ridge_path"]["best_loo"] is None
    assert theory["ridge_path"]["best_gcv"] is not None
    assert "Lanczos" in theory["learning_curve"]["predicted_how"]
    for measured, predicted in zip(
        theory["learning_curve"]["mse"], theory["learning_curve"]["predicted_mse"], strict=True
    ):
        assert predicted is None or 0.3 < measured / predicted < 3


def test_the_library_function_trains_and_scores_without_a_store() -> None:
    x, label = load_digits(return_X_y=True)
    x, y = x[:90] / 16, np.eye(10)[label[:90]]
    gram = ntk.gram(x, ntk.Kernel(depth=2))
    told = ntk.theory(gram, y)
    theta = gram.to_numpy()
    inverse = np.linalg.inv(theta)
    assert told["loo_mse"].value == pytest.approx(float(np.mean((inverse @ y / np.diag(inverse)[:, None]) ** 2)))
    run = told.dynamics([0.1, np.inf])
    values, vectors = np.linalg.eigh(theta)
    f = y - vectors @ (np.exp(-0.1 * values)[:, None] * (vectors.T @ y))
    np.testing.assert_allclose(run.train([0.1]).value[0], f, atol=1e-3)
    assert "loo_mse" in told.to_dict()
    with pytest.raises(KeyError, match="there are"):
        told["absent"]

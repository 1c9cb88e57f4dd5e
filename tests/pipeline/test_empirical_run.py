"""A run on the empirical kernel of a real network: the same stages, store, resume and verification."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

import ntkdist as ntk
from ntkdist.config import RunConfig, parse_config
from ntkdist.errors import InputError
from ntkdist.kernels.finite_width import Architecture, EmpiricalKernel, save_network
from ntkdist.pipeline.run import run
from ntkdist.pipeline.verify import verify_run
from ntkdist.store import RunStore

EMPIRICAL = {"type": "empirical", "depth": 2, "width": 96, "input_scaling": "1/d", "seeds": [0, 1]}


def config(folder: Path, kernel: dict[str, Any], *overrides: str) -> RunConfig:
    x, y = load_digits(return_X_y=True)
    np.savez(folder / "d.npz", x=x[:150], y=y[:150])
    tree = {"data": {"path": str(folder / "d.npz")}, "kernel": kernel, "gram": {"tile": 50}}
    return parse_config({**tree, "store": str(folder / "a.zarr")}, overrides)


def test_a_run_on_finite_networks_resumes_verifies_and_opens(tmp_path: Path) -> None:
    results = run(config(tmp_path, EMPIRICAL))
    assert results["complete"]
    assert "Empirical NTK: 2 × 96 relu" in results["kernel"]["description"]
    store = RunStore(tmp_path / "a.zarr")
    x = store.read_array("inputs/x_train")
    kernel = EmpiricalKernel(Architecture(2, 96, input_scaling="1/d"), [0, 1])
    exact = kernel.tile(x)
    opened = ntk.open(tmp_path / "a.zarr")
    np.testing.assert_allclose(opened.gram.to_numpy(), exact, rtol=1e-12)
    low = results["spectrum"]["lambda_min"]
    assert low["lower"] <= np.linalg.eigvalsh(exact)[0] <= low["upper"]
    assert opened.kernel == kernel
    f = kernel.cross(store.read_array("inputs/x_test"), x) @ np.linalg.solve(exact, store.read_array("inputs/y_train"))
    np.testing.assert_allclose(opened.predictions.values, f, atol=1e-5)
    store.tiles.forget([(1, 0)])
    again = run(config(tmp_path, EMPIRICAL))
    assert again["spectrum"]["lambda_min"] == low
    assert verify_run(tmp_path / "a.zarr")["damaged"] == []
    with pytest.raises(InputError, match="another kernel"):
        run(config(tmp_path, {**EMPIRICAL, "seeds": [0, 2]}))


def test_a_run_on_a_saved_network(tmp_path: Path) -> None:
    path = save_network(Architecture(1, 64, 10, input_scaling="1/d").draw(64, 3), tmp_path / "net.npz")
    results = run(config(tmp_path, {"type": "empirical", "checkpoint": str(path), "output": 4}, "solve.ridge=1"))
    assert results["complete"]
    assert "output 4" in results["kernel"]["description"]


def test_a_run_on_a_torch_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    (tmp_path / "digits_model.py").write_text(
        "from torch import nn\n"
        "def small():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 40), nn.ReLU(), nn.Linear(40, 3))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("digits_model", None)
    kernel = {"type": "empirical", "model": "digits_model:small", "input_shape": [8, 8]}
    results = run(config(tmp_path, kernel, "solve.ridge=1"))
    assert results["complete"]
    assert "digits_model:small" in results["kernel"]["description"]
    with pytest.raises(InputError, match="a row has 64"):
        run(config(tmp_path, {**kernel, "input_shape": [8, 7]}, f"store={tmp_path}/b.zarr"))


@pytest.mark.parametrize(
    ("kernel", "sentence"),
    [
        ({"type": "fourier"}, "type must be dense .* or empirical"),
        ({"type": "empirical", "width": 3, "checkpoint": "a.npz"}, "the checkpoint fixes the architecture, so width"),
        ({"type": "empirical", "method": "products"}, "method belong to a PyTorch model"),
        ({"type": "empirical", "parameterization": {"a": [0], "b": [0], "c": 0}}, "one exponent per weight matrix"),
        ({"type": "empirical", "seeds": []}, "kernel.seeds"),
    ],
)
def test_refusals(tmp_path: Path, kernel: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        run(config(tmp_path, kernel))

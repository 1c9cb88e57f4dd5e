"""Agreement with an independent implementation (neural-tangents 0.6.5 in float64, numbers only)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ntkdist.kernels import Kernel, Layer

NAMES = {
    "relu": "relu", "leaky0.2": "leaky_relu(0.2)", "abs": "abs", "erf": "erf", "gelu": "gelu", "sin": "sin",
    "cos": "cos", "rbf1": "rbf(1)", "sigmoid_like": "sigmoid_like", "exp": "exp(1,0.5)",
    "gaussian": "gaussian",
    "mono3": "monomial(3)", "sign": "sign", "poly(0,1,.5)": "polynomial(0,1,0.5)",
}  # fmt: skip


@pytest.fixture(scope="module")
def oracle(shared_dir: Path) -> dict:
    return json.loads((shared_dir / "oracle" / "neural_tangents_0.6.5_float64.json").read_text())


@pytest.mark.parametrize("which", ["nngp", "ntk"])
@pytest.mark.parametrize("case", ["L1|sw1.0|sb0.0", "L2|sw1.4|sb0.3"])
@pytest.mark.parametrize("name", NAMES)
def test_every_activation_agrees(oracle, name, case, which):
    if name == "sign" and which == "ntk":
        pytest.skip("sign has no NTK; the other implementation sets its derivative to zero")
    depth, sw, sb = case.split("|")
    kernel = Kernel(int(depth[1:]), NAMES[name], float(sw[2:]), float(sb[2:]))
    x = np.array(oracle["X"])
    want = np.array(oracle[f"{name}|{case}"][which])
    scale = np.sqrt(np.outer(np.diag(want), np.diag(want)))
    # The other implementation takes arccos and square roots of cancelled differences on the diagonal.
    got = kernel.tile(x, x, which)
    off = ~np.eye(len(x), dtype=bool)
    assert np.max((abs(got - want) / scale)[off]) < 2e-13
    assert np.max((abs(got - want) / scale)[~off]) < 2e-8
    assert np.array_equal(np.diag(got), kernel.diagonal(x, which))


@pytest.mark.parametrize("which", ["nngp", "ntk"])
def test_layernorm_agrees(oracle, which):
    kernel = Kernel(
        layers=[Layer("relu", 1.0, 0.1, layernorm=True, epsilon=1e-12)], input_scaling="1/d", first_bias=0.1
    )
    x = np.array(oracle["X"])
    np.testing.assert_allclose(kernel.tile(x, x, which), oracle["layernorm-relu"][which], rtol=2e-8)


@pytest.mark.parametrize("which", ["nngp", "ntk"])
def test_residual_network_agrees(oracle, which):
    block = Layer("relu", 1.4, 0.1, residual=True)
    kernel = Kernel(layers=[block, block, Layer("relu", 1.0)], input_scaling="1/d", first_bias=0.1)
    x = np.array(oracle["X"])
    np.testing.assert_allclose(kernel.tile(x, x, which), oracle["residual2"][which], rtol=2e-8)

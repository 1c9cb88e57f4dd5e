"""The structured empirical kernel against Jacobians made in other ways, and against its infinite-width limit."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ntkdist.errors import InputError
from ntkdist.kernels import Kernel
from ntkdist.kernels.finite_width import (
    Architecture,
    EmpiricalKernel,
    Network,
    features,
    load_network,
    save_network,
    structured_ntk,
    train,
)
from ntkdist.kernels.finite_width.structured import structured_diagonal

PRESETS = ("ntk", "standard", "mean-field", "mup")
ROWS = np.random.default_rng(0).standard_normal((7, 4))


def architecture(activation: str = "gelu", name: str = "ntk", **changes: object) -> Architecture:
    given = {"depth": 2, "width": 12, "outputs": 2, "sigma_w": 1.3, "sigma_b": 0.4, "first_bias": 0.2}
    given |= {"activation": activation, "input_scaling": "1/d", "parameterization": name, **changes}
    return Architecture(**given)  # type: ignore[arg-type]


def moved(network: Network, array: int, place: tuple[int, ...], by: float) -> Network:
    arrays = [a.copy() for a in (*network.weights, *[b for b in network.biases if b is not None])]
    arrays[array][place] += by
    layers = len(network.weights)
    return replace(network, weights=tuple(arrays[:layers]), biases=tuple(arrays[layers:]))


def jacobian_by_differences(network: Network, x: np.ndarray, h: float = 1e-3) -> np.ndarray:
    """∂f/∂θ (n, k, P): central differences in extended precision, one Richardson step: error O(h⁴)."""
    wide, x = network.astype(np.longdouble), x.astype(np.longdouble)
    columns = []
    for array, values in enumerate((*wide.weights, *[b for b in wide.biases if b is not None])):
        for place in np.ndindex(values.shape):
            coarse, fine = (
                (moved(wide, array, place, s)(x) - moved(wide, array, place, -s)(x)) / (2 * s) for s in (h, h / 2)
            )
            columns.append((4 * fine - coarse) / 3)
    return np.stack(columns, axis=2)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("activation", ["sin", "relu"])
def test_it_is_the_product_of_finite_difference_jacobians(activation: str, name: str) -> None:
    of = architecture(activation, name)
    network = of.draw(4, seed=3)
    jacobian = jacobian_by_differences(network, ROWS, 1e-3 if activation == "sin" else 1e-7)
    expected = np.einsum("ikp,jlp->ijkl", jacobian, jacobian).astype(float) * of.width ** -float(of.abc.c)
    rows = features(network, ROWS)
    full = structured_ntk(network, rows, rows, "full")
    np.testing.assert_allclose(full, expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    np.testing.assert_allclose(structured_ntk(network, rows, rows), np.einsum("ijkk->ij", full) / 2, rtol=1e-12)
    np.testing.assert_allclose(structured_ntk(network, rows, rows, 1), full[:, :, 1, 1], rtol=1e-12)
    np.testing.assert_allclose(structured_diagonal(network, rows, 1), np.diag(full[:, :, 1, 1]), rtol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "gelu", "erf", "sin", "leaky_relu(0.2)"])
@pytest.mark.parametrize("name", PRESETS)
def test_it_is_torch_funcs_kernel(activation: str, name: str) -> None:
    torch = pytest.importorskip("torch")
    of = architecture(activation, name, width=64, depth=3)
    network = of.draw(4, seed=1)
    act = {
        "relu": torch.relu, "gelu": torch.nn.functional.gelu, "erf": torch.erf, "sin": torch.sin,
        "leaky_relu(0.2)": lambda h: torch.nn.functional.leaky_relu(h, 0.2),
    }[activation]  # fmt: skip

    def f(weights, biases, x):
        for layer, (w, b) in enumerate(zip(weights, biases, strict=True), 1):
            h = of.factor(layer, 4) * (w @ x) + of.bias_factor(layer) * b
            x = act(h)
        return h

    weights, biases = ([torch.tensor(a) for a in part] for part in (network.weights, network.biases))
    made = torch.func.vmap(torch.func.jacrev(f, (0, 1)), (None, None, 0))(weights, biases, torch.tensor(ROWS))
    jacobian = torch.cat([j.reshape(7, 2, -1) for part in made for j in part], 2)
    expected = torch.einsum("ikp,jlp->ijkl", jacobian, jacobian).numpy() * of.width ** -float(of.abc.c)
    rows = features(network, ROWS)
    full = structured_ntk(network, rows, rows, "full")
    np.testing.assert_allclose(full, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


def test_after_training_it_is_the_kernel_of_the_moved_weights() -> None:
    network = architecture("sin").draw(4, seed=0)
    y = np.random.default_rng(1).standard_normal((7, 2))
    trained = train(network, ROWS, y, step=0.02, steps=40).network
    jacobian = jacobian_by_differences(trained, ROWS).astype(float)
    tile = EmpiricalKernel(network=trained).tile(ROWS)
    np.testing.assert_allclose(tile, np.einsum("ikp,jkp->ij", jacobian, jacobian) / 2, rtol=1e-10)
    assert not np.allclose(tile, EmpiricalKernel(network=network).tile(ROWS), rtol=1e-2)


@pytest.mark.parametrize("name", ["ntk", "mup", "mean-field"])
@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_wide_networks_tend_to_the_exact_kernel(activation: str, name: str) -> None:
    of = architecture(activation, name, width=1500, outputs=3)
    exact = of.infinite().tile(ROWS)
    tile = EmpiricalKernel(of, seeds=range(6)).tile(ROWS)
    assert np.linalg.norm(tile - exact) < 0.05 * np.linalg.norm(exact)
    conjugate = EmpiricalKernel(of, seeds=range(6)).tile(ROWS, which="nngp")
    nngp = of.infinite().tile(ROWS, which="nngp")
    if name == "ntk":
        assert np.linalg.norm(conjugate - nngp) < 0.05 * np.linalg.norm(nngp)


def test_the_standard_parameterization_loses_the_input_layer_in_the_limit() -> None:
    of = architecture("relu", "standard", width=4000, sigma_b=0.0, first_bias=0.0, depth=1)
    exact = Kernel(1, "relu", 1.3, 0.0, "1/d", first_frozen=True).tile(ROWS)
    assert np.linalg.norm(EmpiricalKernel(of, seeds=range(4)).tile(ROWS) - exact) < 0.05 * np.linalg.norm(exact)


def test_an_ensemble_is_the_mean_of_its_members() -> None:
    of = architecture()
    members = [EmpiricalKernel(of, [seed]).tile(ROWS) for seed in (4, 9)]
    np.testing.assert_allclose(EmpiricalKernel(of, [4, 9]).tile(ROWS), sum(members) / 2, rtol=1e-14)


@pytest.mark.parametrize("which", ["ntk", "nngp"])
def test_tiles_keep_the_protocol(which: str) -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((40, 6))
    x[17] = x[3]
    kernel = EmpiricalKernel(architecture(), seeds=[2, 3])
    whole = kernel.tile(x, which=which)
    np.testing.assert_array_equal(whole, whole.T)
    np.testing.assert_array_equal(np.diag(whole), kernel.diagonal(x, which))
    assert whole[17, 3] == whole[3, 3]
    np.testing.assert_allclose(kernel.tile(x[5:9], x, which), whole[5:9], rtol=1e-12)
    np.testing.assert_allclose(kernel.cross(x[:3], x[20:], which), whole[:3, 20:], rtol=1e-12)
    np.testing.assert_array_equal(kernel.tile(x, which=which, threads=2), kernel(x) if which == "ntk" else whole)
    out = np.empty((40, 40))
    assert kernel.tile(x, which=which, out=out) is out
    again = pickle.loads(pickle.dumps(kernel))
    np.testing.assert_array_equal(again.tile(x, which=which), whole)
    assert np.linalg.eigvalsh(whole)[0] > -1e-10
    assert EmpiricalKernel.from_spec(kernel.spec()) == kernel
    assert kernel.work(40, 40, 6) > 0
    assert not kernel.needs_direction
    assert EmpiricalKernel(architecture("relu", sigma_b=0.0, first_bias=0.0)).needs_direction
    assert EmpiricalKernel(architecture(input_scaling="unit")).needs_direction


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_error_of_an_entry_is_below_its_bound(dtype: type) -> None:
    of = architecture("erf", width=300, depth=3)
    x = np.random.default_rng(2).standard_normal((30, 4))
    kernel = EmpiricalKernel(of)
    tile = kernel.tile(x.astype(dtype))
    assert tile.dtype == dtype
    weights = of.draw(4, 0, dtype)
    wide = np.longdouble if dtype is np.float64 else np.float64
    sine = replace(of, activation="sin")
    # erf has no extended precision in SciPy: the float64 case is checked with sin.
    network = replace(weights, architecture=sine if dtype is np.float64 else of)
    rows = features(network, x.astype(dtype))
    exact_rows = features(network.astype(wide), x.astype(dtype).astype(wide))
    exact = structured_ntk(network.astype(wide), exact_rows, exact_rows)
    error = np.abs(structured_ntk(network, rows, rows) - exact)
    scale = np.sqrt(np.outer(np.diag(exact), np.diag(exact)))
    bound = kernel.entry_error(dtype)
    assert np.max(error / scale) < bound.relative < 1e-3
    assert "Higham" not in bound.how
    assert bound.dtype == np.dtype(dtype).name


def test_a_saved_network_gives_the_same_kernel(tmp_path: Path) -> None:
    network = architecture("relu").draw(4, 7)
    path = save_network(network, tmp_path / "net.npz")
    kernel = EmpiricalKernel(checkpoint=str(path), output=1)
    np.testing.assert_array_equal(kernel.tile(ROWS), EmpiricalKernel(network=network, output=1).tile(ROWS))
    assert kernel.fingerprint == EmpiricalKernel(network=load_network(path), output=1).fingerprint
    assert EmpiricalKernel.from_spec(kernel.spec()) == kernel
    save_network(architecture("relu").draw(4, 8), path)
    with pytest.raises(InputError, match="other weights"):
        EmpiricalKernel.from_spec(kernel.spec())
    with pytest.raises(InputError, match="4 features, the rows have 5"):
        kernel.for_inputs((5,))
    with pytest.raises(InputError, match="rows of 4 features"):
        kernel.tile(np.ones((2, 5)))


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one of architecture, network and checkpoint"):
        EmpiricalKernel()
    with pytest.raises(InputError, match="seeds"):
        EmpiricalKernel(architecture(), [])
    with pytest.raises(InputError, match="from 0 to 1"):
        EmpiricalKernel(architecture(), output=2)
    with pytest.raises(InputError, match="one number per pair"):
        EmpiricalKernel(architecture(), output="full")
    with pytest.raises(InputError, match="width"):
        architecture(width=0)
    with pytest.raises(InputError, match="no derivative"):
        architecture("sign")
    with pytest.raises(InputError, match="not a network saved by ntkdist"):
        load_network(tmp_path / "absent.npz")
    (tmp_path / "bad.npz").write_bytes(b"not a zip")
    with pytest.raises(InputError, match="not a network saved by ntkdist"):
        load_network(tmp_path / "bad.npz")
    network = architecture().draw(4, 0)
    odd = replace(network, weights=(network.weights[0][:, :3], *network.weights[1:-1], network.weights[-1][:, :5]))
    with pytest.raises(InputError, match="layer 3 do not fit"):
        load_network(save_network(odd, tmp_path / "odd.npz"))
    network.weights[1][0, 0] = np.nan
    with pytest.raises(InputError, match="not finite"):
        load_network(save_network(network, tmp_path / "nan.npz"))
    with pytest.raises(InputError, match="in memory only"):
        EmpiricalKernel.from_spec(EmpiricalKernel(network=architecture().draw(4, 0)).spec())
    with pytest.raises(InputError, match="another version"):
        EmpiricalKernel.from_spec({**EmpiricalKernel(architecture()).spec(), "version": 9})
    with pytest.raises(InputError, match="not a kernel specification"):
        EmpiricalKernel.from_spec({"version": 1})
    with pytest.raises(InputError, match="not an architecture"):
        Architecture.from_spec({"depth": 1})
    with pytest.raises(InputError, match="two-dimensional"):
        EmpiricalKernel(architecture()).tile(np.ones(3))
    with pytest.raises(InputError, match="float32 or float64"):
        EmpiricalKernel(architecture()).entry_error(np.float16)
    with pytest.raises(InputError, match="row 1 is zero"):
        EmpiricalKernel(architecture(input_scaling="unit")).tile(np.array([[1.0, 2], [0, 0]]))

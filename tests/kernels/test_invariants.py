"""What holds for every activation on any data: symmetric, positive semidefinite, finite, exact on equal
rows.
"""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkdist.errors import InputError, NtkdistError
from ntkdist.kernels import ACTIVATIONS, Kernel, Layer
from ntkdist.kernels.named_functions import SMOOTH

TABLES = sorted({*SMOOTH, "elu"})
NAMES = sorted(set(ACTIVATIONS) - {"exp", *TABLES})


def data(seed: int, d: int, dtype=np.float64) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((24, d)) / np.sqrt(d)
    x[5], x[11], x[17], x[20] = x[2], x[2], -x[3], x[4] * (1 + 1e-9)
    return x.astype(dtype)


@pytest.mark.parametrize("scaling", ["none", "unit"])
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10**6), d=st.sampled_from([1, 2, 5, 30]))
def test_every_kernel_is_symmetric_semidefinite_and_exact_on_equal_rows(name, scaling, seed, d):
    check_rows(name, scaling, data(seed, d), 2, 5, 11)


@pytest.mark.parametrize("name", TABLES)
def test_tabulated_kernels_are_symmetric_semidefinite_and_exact_on_equal_rows(name):
    # An entry is an integral in two dimensions there, so a few rows cost what the others' do.
    check_rows(name, "none", data(1, 3)[[2, 5, 11, 3, 17, 4, 20, 0]], 0, 1, 2)


def check_rows(name, scaling, x, first, second, third):
    """Rows first, second and third are equal."""
    for which in ("nngp", "ntk") if ACTIVATIONS[name].has_ntk else ("nngp",):
        # A jump takes the root of the angle at each layer, so two layers see 1e-16 of input as 1e-4.
        depth = 2 if ACTIVATIONS[name].has_ntk else 1
        kernel = Kernel(depth, str(ACTIVATIONS[name]), 1.2, 0.0 if name == "monomial" else 0.2, scaling)
        tile = kernel.tile(x, x, which)
        other = kernel.tile(x, x.copy(), which)
        diagonal = kernel.diagonal(x, which)
        assert np.all(np.isfinite(tile))
        assert np.array_equal(tile, tile.T)
        assert np.array_equal(np.diag(tile), diagonal)
        assert np.array_equal(np.diag(other), diagonal)
        assert tile[first, third] == tile[second, first] == other[third, second] == diagonal[first]
        np.testing.assert_allclose(tile, other, rtol=0, atol=1e-12 * diagonal.max())
        assert np.linalg.eigvalsh(tile)[0] >= -2e-13 * np.linalg.eigvalsh(tile)[-1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_change_no_bit_and_tiles_no_digit(dtype):
    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((700, 9)).astype(dtype), rng.standard_normal((1300, 9)).astype(dtype)
    for kernel in (Kernel(3), Kernel(2, "erf", 1.1, 0.2)):
        whole = kernel.tile(x, z)
        assert np.array_equal(whole, kernel.tile(x, z, threads=3))
        assert np.array_equal(whole, kernel.tile(x, z))
        part = kernel.tile(x[100:133], z[7:77])
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(part, whole[100:133, 7:77], rtol=0, atol=40 * eps * whole.max())
        out = np.zeros((700, 1300), dtype, order="F")
        assert kernel.tile(x, z, out=out) is out
        assert np.array_equal(out, whole)


def test_collapse_agrees_with_the_recursion(monkeypatch):
    x, z = data(1, 6), data(2, 6)
    for kernel in (Kernel(3), Kernel(4, "gelu", 1.3, 0.1, "unit"), Kernel(2, "leaky_relu(0.3)", 1.0)):
        fast = kernel.tile(x, z)
        with monkeypatch.context() as patch:
            patch.setattr("ntkdist.kernels.tile.fit", lambda *_: None)
            slow = kernel.tile(x, z)
        scale = np.sqrt(np.outer(kernel.diagonal(x), kernel.diagonal(z)))
        assert np.max(abs(fast - slow) / scale) < 1e-13


def test_identity_survives_pickling_and_specs():
    kernel = Kernel(layers=[Layer("erf", 1.2, 0.1), Layer("leaky_relu(0.2)", residual=True)], first_bias=0.3)
    x = data(3, 4)
    tile = kernel(x)
    for twin in (pickle.loads(pickle.dumps(kernel)), Kernel.from_spec(kernel.spec())):
        assert twin == kernel
        assert twin.fingerprint == kernel.fingerprint
        assert np.array_equal(twin(x), tile)
    assert Kernel(3).fingerprint != Kernel(4).fingerprint
    assert "erf" in str(kernel)
    assert len(pickle.dumps(kernel)) < 3000


def test_frozen_layers_add_nothing():
    x = data(4, 4)
    frozen = [Layer("relu", frozen=True), Layer("relu", frozen=True)]
    assert np.all(Kernel(layers=frozen, first_frozen=True).tile(x) == 0)
    last = Kernel(layers=[Layer("relu", frozen=True), Layer("relu")], first_frozen=True)
    np.testing.assert_allclose(last.tile(x), last.tile(x, which="nngp"), rtol=1e-12, atol=1e-14)


def test_standard_parameterization_of_one_layer():
    x = data(5, 4)
    kernel = Kernel(1, "relu", 2**0.5, parameterization="standard", width=512.0)
    ntk, nngp = Kernel(1).tile(x), Kernel(1).tile(x, which="nngp")
    np.testing.assert_allclose(kernel.tile(x), (ntk - nngp) + 512 / 2 * nngp, rtol=1e-12, atol=1e-12)


def test_presets_name_their_conventions():
    x = data(6, 4)
    np.testing.assert_allclose(Kernel(preset="nt").tile(x), Kernel(3).tile(x) * 2 / 4, rtol=1e-12, atol=1e-14)
    assert Kernel(preset="arora").input_scaling == "unit"
    assert Kernel(preset="leoyu").layers[0].sigma_w == 1
    assert Kernel(preset="jacot").first_bias == 0.1


def test_zero_rows():
    x = np.zeros((2, 3))
    assert Kernel(3).needs_direction
    assert np.all(Kernel(3).tile(x) == 0)
    assert Kernel(3, input_scaling="unit").needs_direction
    assert not Kernel(3, sigma_b=0.1).needs_direction
    assert np.all(Kernel(2, "erf", 1.0, 0.1).tile(x) > 0)


FOREIGN = {**Kernel(1).spec(), "layers": [{"activation": "os:getcwd"}]}
BAD = {
    "nearest": (lambda: Kernel(3, "rleu"), "relu"),
    "number": (lambda: Kernel(3, "erf(x)"), "numbers"),
    "count": (lambda: Kernel(3, "relu(1)"), "takes 0"),
    "infinite": (lambda: Kernel(3, "erf(inf)"), "finite"),
    "bell": (lambda: Kernel(3, "gaussian(1,1)"), "b < 0"),
    "gamma": (lambda: Kernel(3, "rbf(-1)"), "positive"),
    "zero": (lambda: Kernel(3, "abrelu(0,0)"), "zero"),
    "order": (lambda: Kernel(3, "monomial(0)"), "order"),
    "power": (lambda: Kernel(3, "rectified_monomial(1.5)"), "order"),
    "hermite": (lambda: Kernel(3, "hermite(99)"), "order"),
    "polynomial": (lambda: Kernel(3, "polynomial(1)"), "coefficients"),
    "sigma_w": (lambda: Kernel(3, sigma_w=0), "sigma_w"),
    "sigma_b": (lambda: Kernel(3, sigma_b=-1), "sigma_b"),
    "nan": (lambda: Kernel(3, sigma_w=float("nan")), "finite"),
    "text": (lambda: Kernel(3, sigma_w="1"), "sigma_w"),
    "depth": (lambda: Kernel(0), "depth"),
    "both": (lambda: Kernel(3, layers=[Layer()]), "not both"),
    "none": (lambda: Kernel(layers=[]), "empty"),
    "scaling": (lambda: Kernel(3, input_scaling="units"), "unit"),
    "preset": (lambda: Kernel(3, preset="arorra"), "arora"),
    "width": (lambda: Kernel(3, width=5.0), "width"),
    "sign": (lambda: Kernel(3, "sign").tile(np.ones((1, 1))), "nngp"),
    "which": (lambda: Kernel(3).tile(np.ones((1, 1)), which="ntkk"), "ntk"),
    "overflow": (lambda: Kernel(9, "exp", 3.0).tile(np.ones((1, 1))), "layer"),
    "unit zero": (lambda: Kernel(3, input_scaling="unit").tile(np.zeros((1, 2))), "direction"),
    "norm zero": (lambda: Kernel(layers=[Layer(layernorm=True)]).tile(np.zeros((1, 2))), "LayerNorm"),
    "shape": (lambda: Kernel(3).tile(np.ones(3)), "two-dimensional"),
    "columns": (lambda: Kernel(3).tile(np.ones((1, 3)), np.ones((1, 2))), "columns"),
    "not finite": (lambda: Kernel(3).tile(np.array([[np.nan]])), "finite"),
    "out": (lambda: Kernel(3).tile(np.ones((1, 3)), out=np.ones((2, 2))), "out"),
    "precision": (lambda: Kernel(3).entry_error(np.float16), "float16"),
    "spec": (lambda: Kernel.from_spec({"version": 1}), "specification"),
    "version": (lambda: Kernel.from_spec({"version": 99}), "version"),
    "store": (lambda: Kernel.from_spec(FOREIGN, allow_import=False), "not imported"),
    "module": (lambda: Kernel(1, "no_such_module_here:f"), "imported"),
    "nan function": (lambda: Kernel(1, "numpy:log"), "finite"),
    "not a function": (lambda: Kernel(1, "math:atan2"), "failed"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence(name):
    act, word = BAD[name]
    with pytest.raises(NtkdistError, match=word) as caught:
        act()
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, (InputError, ArithmeticError))


def test_user_function_matches_its_closed_form():
    x = data(7, 3)
    user, known = Kernel(2, "numpy:sin", 1.1, 0.2), Kernel(2, "sin", 1.1, 0.2)
    np.testing.assert_allclose(user.tile(x), known.tile(x), rtol=1e-11, atol=1e-12)
    assert 0 < user.entry_error().relative < 1e-10
    assert "series" in user.entry_error().how
    assert Kernel(3).entry_error("float32").gram_norm(10) > 1e-6
    assert Kernel(3).work(2, 3, 4) > 48

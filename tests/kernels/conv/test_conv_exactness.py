"""Convolutional kernels against brute force over all pairs of positions, and against an independent implementation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from brute_force import brute_force
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkdist.kernels import ConvKernel

ORACLE = Path(__file__).parents[4] / "shared" / "oracle" / "neural_tangents_0.6.5_float64.json"


def images(seed: int, n: int, h: int, w: int, c: int) -> np.ndarray[Any, Any]:
    """Random images with an empty corner (patches of zeros), and the last equal to the first."""
    x = np.random.default_rng(seed).standard_normal((n, h, w, c))
    x[0, : (h + 1) // 2, : (w + 1) // 2] = 0
    x[-1] = x[0]
    return x


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 99),
    h=st.integers(1, 6),
    w=st.integers(1, 7),
    c=st.integers(1, 4),
    depth=st.integers(1, 6),
    sigma_b=st.sampled_from([0.0, 0.3]),
    readout=st.sampled_from(["flatten", "gap"]),
    activation=st.sampled_from(["relu", "leaky_relu(0.2)", "abs"]),
    options=st.sampled_from(
        [
            {"filter": 1},
            {"filter": 5},
            {"residual": True},
            {"flip": True},
            {"first_frozen": True, "last_frozen": True, "input_scaling": "none"},
        ]
    ),
)
def test_tiles_equal_brute_force_over_all_pairs_of_positions(
    seed: int,
    h: int,
    w: int,
    c: int,
    depth: int,
    sigma_b: float,
    readout: str,
    activation: str,
    options: Any,
) -> None:
    x = images(seed, 4, h, w, c)
    kernel = ConvKernel(depth, readout=readout, activation=activation, sigma_w=1.3, sigma_b=sigma_b, **options)
    for which in ("ntk", "nngp"):
        want = brute_force(kernel, x[:2], x, which)
        room = np.sqrt(np.outer(np.diag(want[:, :2]), brute_diagonal(kernel, x, which)))
        assert np.all(abs(kernel.tile(x[:2], x, which) - want) <= 1e-12 * room)
        if not {"filter", "residual"} & set(options):  # one float32 pass to compile
            single = kernel.tile(x[:2].astype(np.float32), x.astype(np.float32), which)
            assert np.all(abs(single - want) <= (kernel.entry_error("float32", which).relative + 1e-6) * room)


def brute_diagonal(kernel: ConvKernel, x: np.ndarray[Any, Any], which: str) -> np.ndarray[Any, Any]:
    return np.array([brute_force(kernel, image[None], image[None], which)[0, 0] for image in x])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_layer_of_a_deep_network_knows_equal_patches(dtype: str) -> None:
    x = images(0, 64, 1, 3, 1).astype(dtype)
    kernel = ConvKernel(21, filter=1, sigma_w=1.3, sigma_b=0.3)
    # One pixel with itself: ρ = 1 in every layer, so K ← σ_w² K/2 + σ_b² and Θ ← σ_w² Θ/2 + K.
    k = 1.3**2 * x.astype(float) ** 2 * kernel.input_scale(1) + 0.3**2
    theta = k.copy()
    for _ in range(20):
        k = 1.3**2 * k / 2 + 0.3**2
        theta = 1.3**2 * theta / 2 + k
    want = ((theta + k) / 2).mean(axis=(1, 2, 3))
    own = np.array([kernel.tile(x[i : i + 1], x[i : i + 1].copy())[0, 0] for i in range(len(x))])
    room = 1e-13 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(own, want, rtol=room)


@pytest.mark.parametrize("readout", ["flatten", "gap"])
@pytest.mark.parametrize("pool_after", [(1,), (1, 2)])
def test_poolings_inside_mix_displacements_as_brute_force_does(readout: str, pool_after: tuple[int, ...]) -> None:
    x = images(3, 4, 8, 4, 2)
    kernel = ConvKernel(3, 3, readout, pool_after=pool_after, sigma_b=0.1)
    for which in ("ntk", "nngp"):
        want = brute_force(kernel, x[:3], x[:3], which)
        assert np.allclose(kernel.tile(x[:3], which=which), want, rtol=1e-12, atol=0)
        assert np.allclose(kernel.diagonal(x[:3], which), np.diag(want), rtol=1e-12, atol=0)


@pytest.mark.skipif(not ORACLE.exists(), reason="the oracle's values are not in this checkout")
@pytest.mark.parametrize(("readout", "key"), [("gap", "conv3-gap"), ("flatten", "conv3-flat")])
@pytest.mark.parametrize("which", ["ntk", "nngp"])
def test_values_of_an_independent_implementation(readout: str, key: str, which: str) -> None:
    x = np.random.RandomState(0).randn(3, 4, 4, 2)
    want = np.array(json.loads(ORACLE.read_text())[key][which])
    got = ConvKernel(3, readout=readout).tile(x, which=which)
    off = ~np.eye(3, dtype=bool)
    assert np.allclose(got[off], want[off], rtol=1e-12, atol=0)
    # The oracle's flatten diagonal is itself 6.6e-10 low, from arccos at the cusp.
    assert np.allclose(np.diag(got), np.diag(want), rtol=1e-9 if (readout, which) == ("flatten", "ntk") else 1e-12)


def test_published_digits_of_the_convention() -> None:
    x = np.random.RandomState(0).randn(3, 4, 4, 2)
    for readout, ntk, nngp in (
        ("gap", 0.315265342519, 0.211929382645),
        ("flatten", 0.443454843656, 0.262274967901),
    ):
        kernel = ConvKernel(3, readout=readout)
        assert abs(kernel.tile(x)[0, 1] - ntk) < 1e-12
        assert abs(kernel.tile(x, which="nngp")[0, 1] - nngp) < 1e-12


def test_the_flatten_diagonal_of_he_relu_is_depth_plus_one_times_nngp() -> None:
    x = images(5, 3, 5, 6, 3)
    kernel = ConvKernel(7)
    assert np.allclose(kernel.diagonal(x), 8 * kernel.diagonal(x, "nngp"), rtol=1e-13)

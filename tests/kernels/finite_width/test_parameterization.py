"""The classification of Yang & Hu 2021 on the parameterizations they discuss."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkdist.errors import InputError
from ntkdist.kernels.finite_width import Architecture, parameterization, train

exponents = st.fractions(min_value=-1, max_value=1, max_denominator=4)


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize(
    ("name", "r", "regime"),
    [
        ("ntk", "1/2", "kernel"),
        ("standard", "1/2", "kernel"),
        ("mean-field", "0", "features"),
        ("mup", "0", "features"),
    ],
)
def test_presets_have_the_papers_r(name: str, r: str, regime: str, depth: int) -> None:
    found = parameterization(name, depth).classification()
    assert (found.r, found.regime, found.stable, found.nontrivial) == (Fraction(r), regime, True, True)


def test_standard_with_a_step_that_does_not_shrink_is_unstable() -> None:
    found = parameterization({"a": [0, 0, 0], "b": [0, 0.5, 0.5], "c": 0}, 2).classification()
    assert found.regime == "unstable"
    assert "r ≥ 0" in found.violated
    assert "2 a_3 + c ≥ 1" in found.violated


def test_a_step_too_small_is_trivial() -> None:
    found = parameterization({"a": [0, "1/2", "1/2"], "b": [0, 0, 0], "c": 1}, 2).classification()
    assert (found.regime, found.stable, found.nontrivial) == ("trivial", True, False)


@given(theta=exponents, a=st.lists(exponents, min_size=3, max_size=3), b=st.lists(exponents, min_size=3, max_size=3))
def test_the_classification_is_the_networks_not_its_exponents(
    theta: Fraction, a: list[Fraction], b: list[Fraction]
) -> None:
    one = parameterization({"a": a, "b": b, "c": Fraction(1, 3)}, 2)
    assert one.classification() == one.shifted(theta).classification() or one.classification().violated
    assert one.r == one.shifted(theta).r
    assert one.classification().regime == one.shifted(theta).classification().regime


@pytest.mark.parametrize("depth", [1, 3])
def test_mean_field_is_mup_shifted_and_trains_to_the_same_function(depth: int) -> None:
    mup, mean_field = parameterization("mup", depth), parameterization("mean-field", depth)
    shifted = mup.shifted(Fraction(1, 2))
    assert (shifted.a, shifted.b, shifted.c) == (mean_field.a, mean_field.b, mean_field.c)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((9, 3)), rng.standard_normal((9, 2))
    f = [
        train(Architecture(depth, 30, 2, parameterization=p).draw(3, 1), x, y, 0.01, 25).network(x)
        for p in (mup, mean_field)
    ]
    np.testing.assert_allclose(f[0], f[1], rtol=1e-9)


def test_refusals() -> None:
    with pytest.raises(InputError, match="did you mean mup"):
        parameterization("mu-p", 2)
    with pytest.raises(InputError, match="'c' is missing"):
        parameterization({"a": [0, 0], "b": [0, 0]}, 1)
    with pytest.raises(InputError, match="2 hidden layers, the network has 3"):
        parameterization({"a": [0, 0, 0], "b": [0, 0, 0], "c": 0}, 3)
    with pytest.raises(InputError, match="not a number"):
        parameterization({"a": [0, "x"], "b": [0, 0], "c": 0}, 1)
    with pytest.raises(InputError, match="lists"):
        parameterization({"a": "00", "b": [0, 0], "c": 0}, 1)
    with pytest.raises(InputError, match="one exponent per weight matrix"):
        parameterization({"a": [0, 0], "b": [0], "c": 0}, 1)

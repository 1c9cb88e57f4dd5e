"""Named and user's activations without a closed form, against integrals that the package does not compute."""

from __future__ import annotations

from itertools import pairwise

import mpmath
import numpy as np
import pytest
from activations_of_a_user import declared_ramp, my_relu
from scipy.special import erf

from ntkdist.errors import InputError, Unresolvable
from ntkdist.kernels import ACTIVATIONS, Kernel, Layer
from ntkdist.kernels.named_functions import SMOOTH
from ntkdist.kernels.piecewise import piecewise
from ntkdist.kernels.user_function import expand

USER = "activations_of_a_user:"
MP = {
    "tanh": (mpmath.tanh, []),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), []),
    "silu": (lambda x: x / (1 + mpmath.exp(-x)), []),
    "softplus": (lambda x: mpmath.log1p(mpmath.exp(x)), []),
    "mish": (lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))), []),
    "softsign": (lambda x: x / (1 + abs(x)), [0]),
    "elu": (lambda x: x if x > 0 else mpmath.expm1(x), [0]),
    "selu": (
        lambda x: (
            mpmath.mpf("1.0507009873554804934193349852946")
            * (x if x > 0 else mpmath.mpf("1.6732632423543772848170429916717") * mpmath.expm1(x))
        ),
        [0],
    ),
    "hard_tanh": (lambda x: max(mpmath.mpf(-1), min(mpmath.mpf(1), x)), [-1, 1]),
    "relu6": (lambda x: max(mpmath.mpf(0), min(mpmath.mpf(6), x)), [0, 6]),
}


def density(z):
    return mpmath.exp(-z * z / 2) / mpmath.sqrt(2 * mpmath.pi)


def panels(ends):
    """Nodes and weights of Gauss–Legendre with 60 points between each pair of ends."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    pairs = [((b - a) / 2, (a + b) / 2) for a, b in pairwise(sorted(ends))]
    return np.concatenate([h * nodes + m for h, m in pairs]), np.concatenate([h * weights for h, _ in pairs])


def expectation(phi, kinks, q1, q2, rho):
    """E φ(u)φ(v) to rounding, by nested Gauss–Legendre split at kinks: u first, then v given u."""
    r1, r2, s = np.sqrt(q1), np.sqrt(q2), np.sqrt(1 - rho * rho)
    cuts = {-9.0, -3.0, 0.0, 3.0, 9.0}
    total = 0.0
    for z, weight in zip(*panels({*cuts, *(k / r1 for k in kinks)}), strict=True):
        y, inner = panels({*cuts, *(t for k in kinks if -9 < (t := (k / r2 - rho * z) / s) < 9)})
        given = float(np.sum(inner * phi(r2 * (rho * z + s * y)) * np.exp(-y * y / 2)))
        total += weight * given * float(phi(r1 * z)) * np.exp(-z * z / 2)
    return total / (2 * np.pi)


@pytest.mark.parametrize(
    ("name", "phi", "kinks"), [("tanh", np.tanh, []), ("hard_tanh", lambda x: np.clip(x, -1, 1), [-1, 1])]
)
def test_nngp_of_one_layer_is_the_gaussian_integral(name, phi, kinks):
    kernel = Kernel(1, name, sigma_w=1.0)
    x, z = np.array([[0.9, 0.3]]), np.array([[-0.2, 1.1]])
    q1, q2 = float(np.sum(x * x)), float(np.sum(z * z))
    want = expectation(phi, kinks, q1, q2, float((x @ z.T)[0, 0]) / np.sqrt(q1 * q2))
    top = np.sqrt(kernel.diagonal(x, "nngp") * kernel.diagonal(z, "nngp"))[0]
    assert abs(kernel.tile(x, z, "nngp")[0, 0] - want) <= 1e-13 * top


@pytest.mark.parametrize("name", sorted(MP))
def test_diagonal_is_a_one_dimensional_integral(name):
    phi, kinks = MP[name]
    kernel = Kernel(1, name, sigma_w=1.0)
    x = np.array([[0.6, -0.5], [1.9, 0.4]])
    with mpmath.workdps(25):
        for q, value, tangent in zip(
            np.sum(x * x, axis=1), kernel.diagonal(x, "nngp"), kernel.diagonal(x, "ntk"), strict=True
        ):
            ends = sorted({-12.0, 0.0, 12.0, *(k / float(q) ** 0.5 for k in kinks)})
            root = mpmath.sqrt(q)
            want = mpmath.quad(lambda z, r=root: phi(r * z) ** 2 * density(z), ends, maxdegree=8)
            assert value == pytest.approx(float(want), rel=2e-13)
            slope = mpmath.quad(lambda z, r=root: mpmath.diff(phi, r * z) ** 2 * density(z), ends, maxdegree=5)
            assert tangent == pytest.approx(float(q * slope + want), rel=1e-9)


@pytest.mark.parametrize("name", sorted(SMOOTH))
def test_given_derivatives_are_those_of_the_functions(name):
    value, slope, kinks = SMOOTH[name]
    x = np.linspace(-8, 8, 331) + 0.0123
    x = x[np.all([np.abs(x - k) > 1e-3 for k in kinks], axis=0)] if kinks else x
    np.testing.assert_allclose(slope(x), (value(x + 1e-6) - value(x - 1e-6)) / 2e-6, atol=2e-9)


@pytest.mark.parametrize(
    ("user", "known", "scaling"),
    [("numpy:abs", "abs", "none"), ("numpy:sin", "sin", "unit"), (USER + "my_relu", "relu", "unit")],
)
def test_the_general_path_agrees_with_closed_forms_at_every_angle(user, known, scaling):
    """The closed form keeps 13 digits there (test_exactness); this is the same bar."""
    angle = np.array([0.0, 1e-8, 1e-5, 1e-3, 0.1, 0.3, 0.36, 0.5, 1.2, 2.0, 2.8, 3.0, np.pi - 1e-4, np.pi])
    x = np.array([[1.1, 0.0]])
    z = 1.3 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for which in ("ntk", "nngp"):
        a, b = Kernel(2, user, 1.1, 0.2, scaling), Kernel(2, known, 1.1, 0.2, scaling)
        top = np.sqrt(b.diagonal(x, which)[0] * b.diagonal(z, which))
        assert np.max(abs(a.tile(x, z, which)[0] - b.tile(x, z, which)[0]) / top) <= 2e-13


def test_a_homogeneous_user_function_collapses():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 5))
    mine, relu = Kernel(3, USER + "my_relu"), Kernel(3)
    assert mine.work(1, 1, 1) == relu.work(1, 1, 1)
    np.testing.assert_allclose(mine.tile(x), relu.tile(x), rtol=1e-12, atol=1e-12)


def test_a_kink_found_is_as_good_as_a_kink_declared():
    found = Kernel(2, USER + "shifted_ramp", 1.1, 0.1)
    told = Kernel(layers=[Layer(expand(declared_ramp, "declared"), 1.1, 0.1)] * 2)
    x = np.random.default_rng(1).standard_normal((12, 4))
    np.testing.assert_allclose(found.tile(x), told.tile(x), rtol=1e-11)
    table = piecewise(lambda x: np.maximum(x - 0.3, 0.0) + 0.1 * x, "ramp")
    np.testing.assert_allclose(table.kinks, [0.3], atol=1e-13)


def test_kinks_of_the_second_derivative_and_jumps():
    curved = Kernel(1, USER + "curved_kink", tolerance=1e-9)
    assert 0 < curved.activations[0].error < 1e-9
    step = Kernel(1, USER + "step")
    x = np.array([[1.0, 0.0], [0.0, 1.0]])
    # P(u > ½) = ½ erfc(½/√2), and independent rows multiply.
    chance = (1 - erf(0.5 / np.sqrt(2))) / 2
    got = step.tile(x, which="nngp")
    np.testing.assert_allclose(got, 2 * np.array([[chance, chance**2], [chance**2, chance]]), rtol=1e-12)
    with pytest.raises(InputError, match="NNGP"):
        step.tile(x)


BAD = {
    "nan_above_twenty_one": (InputError, "not at x = 2[0-9]"),
    "nan_in_the_middle": (InputError, "finite"),
    "sum_of_all": (InputError, "one number for each"),
    "zero": (InputError, "zero everywhere"),
    "noise": (Unresolvable, "oscillates"),
    "root": (Unresolvable, "not smooth"),
    "staircase": (Unresolvable, "kinks"),
    "not_homogeneous": (InputError, "homogeneous"),
    "wrong_kinks": (InputError, "kinks"),
    "infinite_kinks": (InputError, "kinks"),
    "wrong_degree": (InputError, "degree"),
    "NOT_A_FUNCTION": (InputError, "not a function"),
    "missing": (InputError, "imported"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_function_that_cannot_be_used_is_refused_in_one_sentence(name):
    kind, word = BAD[name]
    with pytest.raises(kind, match=word) as caught:
        Kernel(1, USER + name)
    assert "\n" not in str(caught.value)


def test_a_tolerance_that_is_not_reached_is_refused():
    with pytest.raises(Unresolvable, match="not the tolerance 1e-17"):
        Kernel(2, USER + "my_relu", tolerance=1e-17)
    with pytest.raises(InputError, match="tolerance"):
        Kernel(2, tolerance=0)
    kernel = Kernel(2, USER + "my_relu", tolerance=1e-10)
    assert Kernel.from_spec(kernel.spec()) == kernel
    assert kernel.fingerprint != Kernel(2, USER + "my_relu").fingerprint


def test_rows_too_long_for_the_table_or_the_series_are_refused_naming_the_layer():
    with pytest.raises(InputError, match=r"layer 1: .*scale the inputs"):
        Kernel(1, "tanh").diagonal(np.array([[1e4]]))
    with pytest.raises(Unresolvable, match=r"layer 1: .*tolerance"):
        Kernel(1, "numpy:sin").diagonal(np.array([[12.0]]))


def test_aliases_are_one_kernel():
    assert Kernel(2, "swish") == Kernel(2, "silu")
    assert Kernel(2, "HardTanh") == Kernel(2, "hard_tanh")
    assert "swish" not in ACTIVATIONS
    with pytest.raises(InputError, match="alpha"):
        Kernel(2, "elu(-1)")
    assert my_relu.degree == 1
    with pytest.raises(KeyError):
        ACTIVATIONS["rleu"]
    assert len(ACTIVATIONS) == len(list(ACTIVATIONS))

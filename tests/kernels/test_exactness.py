"""Agreement with 50-digit arithmetic, from the textbook formulas and not from the package's own."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkdist.kernels import ACTIVATIONS, Kernel, Layer
from ntkdist.kernels.duals.portable import mp_twin
from ntkdist.kernels.named_functions import SMOOTH
from ntkdist.kernels.recursion import dual

ANGLES = [1e-8, 1e-6, 1e-4, 1e-3, 0.03, 0.3, 1.0, 1.57, 2.0, 3.0, 3.1415, np.pi - 1e-5, np.pi - 1e-8]


def relu_dual(q1, q2, c):
    p = mpmath.sqrt(q1 * q2)
    theta = mpmath.acos(max(mpmath.mpf(-1), min(mpmath.mpf(1), c / p)))
    f = p * (mpmath.sin(theta) + (mpmath.pi - theta) * mpmath.cos(theta)) / (2 * mpmath.pi)
    return f, (mpmath.pi - theta) / (2 * mpmath.pi)


def erf_dual(q1, q2, c):
    norm = (1 + 2 * q1) * (1 + 2 * q2)
    return 2 / mpmath.pi * mpmath.asin(2 * c / mpmath.sqrt(norm)), 4 / mpmath.pi / mpmath.sqrt(norm - 4 * c * c)


DUALS = {"relu": relu_dual, "erf": erf_dual}


def reference(layers, x, z):
    """Return (Σ, Θ) at 60 digits; layers are (activation, σ_w, σ_b, residual, layernorm)."""
    with mpmath.workdps(60):
        a, b = [mpmath.mpf(float(v)) for v in x], [mpmath.mpf(float(v)) for v in z]
        q1, q2 = sum(v * v for v in a), sum(v * v for v in b)
        c = sum(u * v for u, v in zip(a, b, strict=True))
        theta = c
        for name, sw, sb, residual, norm in layers:
            w2, b2 = mpmath.mpf(sw) ** 2, mpmath.mpf(sb) ** 2
            u1, u2, u, t = q1, q2, c, theta
            if norm:
                u1, u2, u, t = (
                    mpmath.mpf(1),
                    mpmath.mpf(1),
                    c / mpmath.sqrt(q1 * q2),
                    theta / mpmath.sqrt(q1 * q2),
                )
            f, fdot = DUALS[name](u1, u2, u)
            n1, n2 = DUALS[name](u1, u1, u1)[0], DUALS[name](u2, u2, u2)[0]
            branch = w2 * f + b2
            theta = t * w2 * fdot + branch + (theta if residual else 0)
            c = branch + (c if residual else 0)
            q1, q2 = w2 * n1 + b2 + (q1 if residual else 0), w2 * n2 + b2 + (q2 if residual else 0)
        return c, theta


def rows_at(angle, d=8, ratio=1.0):
    rng = np.random.default_rng(7)
    basis, _ = np.linalg.qr(rng.standard_normal((d, 2)))
    return basis[:, 0] * 1.3, ratio * 1.3 * (np.cos(angle) * basis[:, 0] + np.sin(angle) * basis[:, 1])


@pytest.mark.parametrize("depth", [1, 2, 3, 10, 50])
def test_relu_keeps_thirteen_digits_at_every_angle(depth):
    kernel = Kernel(depth)
    for angle in ANGLES:
        x, z = rows_at(angle)
        sigma, theta = reference([("relu", 2**0.5, 0.0, False, False)] * depth, x, z)
        top = np.sqrt(kernel.diagonal(x[None]) * kernel.diagonal(z[None]))[0]
        assert abs(kernel.tile(x[None], z[None])[0, 0] - float(theta)) <= 1e-13 * top
        low = np.sqrt(kernel.diagonal(x[None], "nngp") * kernel.diagonal(z[None], "nngp"))[0]
        assert abs(kernel.tile(x[None], z[None], "nngp")[0, 0] - float(sigma)) <= 1e-13 * low


ARCHITECTURES = {
    "biases": [("relu", 1.3, 0.4, False, False)] * 3,
    "residual": [("relu", 1.1, 0.2, True, False)] * 3,
    "layernorm": [("relu", 1.1, 0.2, False, True)] * 3,
    "residual layernorm": [("relu", 1.1, 0.2, True, True)] * 3,
    "mixed": [
        ("erf", 1.5, 0.1, False, False),
        ("relu", 1.4, 0.2, False, False),
        ("erf", 0.8, 0.0, True, True),
    ],
    "erf then relu": [("erf", 1.5, 0.0, False, False), ("relu", 1.4, 0.0, False, False)],
}


@pytest.mark.parametrize("ratio", [1.0, 1.7])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_agree_with_fifty_digits(name, ratio):
    layers = ARCHITECTURES[name]
    kernel = Kernel(layers=[Layer(a, w, b, residual=skip, layernorm=norm) for a, w, b, skip, norm in layers])
    for angle in ANGLES:
        x, z = rows_at(angle, ratio=ratio)
        _, theta = reference(layers, x, z)
        top = np.sqrt(kernel.diagonal(x[None]) * kernel.diagonal(z[None]))[0]
        assert abs(kernel.tile(x[None], z[None])[0, 0] - float(theta)) <= 1e-13 * top


@pytest.mark.parametrize("depth", [10, 50])
@pytest.mark.parametrize("name", ["biases", "residual", "layernorm", "mixed", "residual layernorm"])
def test_deep_architectures_agree_with_fifty_digits(name, depth):
    """Repeated to ``depth`` layers with σ_w scaled so that 50 residual layers neither vanish nor overflow."""
    layers = [(a, w / (2 if skip else 1), b, skip, norm) for a, w, b, skip, norm in ARCHITECTURES[name]]
    layers = (layers * depth)[:depth]
    kernel = Kernel(layers=[Layer(a, w, b, residual=skip, layernorm=norm) for a, w, b, skip, norm in layers])
    for angle in ANGLES[::2]:
        x, z = rows_at(angle, ratio=1.7)
        sigma, theta = reference(layers, x, z)
        for which, want in (("ntk", theta), ("nngp", sigma)):
            top = np.sqrt(kernel.diagonal(x[None], which) * kernel.diagonal(z[None], which))[0]
            assert abs(kernel.tile(x[None], z[None], which)[0, 0] - float(want)) <= 1e-13 * top, (angle, which)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    d=st.integers(2, 40),
    exponent=st.floats(-8, 0.3),
    opposite=st.booleans(),
    depth=st.sampled_from([1, 2, 3, 10, 50]),
    name=st.sampled_from(["relu", *ARCHITECTURES]),
)
def test_random_pairs_at_random_angles_agree_with_fifty_digits(seed, d, exponent, opposite, depth, name):
    layers = ARCHITECTURES.get(name, [("relu", 2**0.5, 0.0, False, False)])
    layers = ([(a, w / (2 if skip else 1), b, skip, norm) for a, w, b, skip, norm in layers] * depth)[:depth]
    kernel = Kernel(layers=[Layer(a, w, b, residual=skip, layernorm=norm) for a, w, b, skip, norm in layers])
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.standard_normal((d, 2)))
    angle = np.pi - 10**exponent if opposite else 10**exponent
    lengths = np.exp(rng.uniform(-1, 1, 2))
    x = lengths[0] * basis[:, 0]
    z = lengths[1] * (np.cos(angle) * basis[:, 0] + np.sin(angle) * basis[:, 1])
    sigma, theta = reference(layers, x, z)
    for which, want in (("ntk", theta), ("nngp", sigma)):
        top = np.sqrt(kernel.diagonal(x[None], which) * kernel.diagonal(z[None], which))[0]
        assert abs(kernel.tile(x[None], z[None], which)[0, 0] - float(want)) <= 1e-13 * top


@pytest.mark.parametrize("name", ["relu", *ARCHITECTURES])
def test_float32_is_good_to_two_in_a_million_away_from_the_cusp(name):
    for depth in (1, 2, 3, 10, 50):
        layers = ARCHITECTURES.get(name, [("relu", 2**0.5, 0.0, False, False)])
        layers = ([(a, w / (2 if skip else 1), b, skip, norm) for a, w, b, skip, norm in layers] * depth)[:depth]
        kernel = Kernel(layers=[Layer(a, w, b, residual=skip, layernorm=norm) for a, w, b, skip, norm in layers])
        for angle in ANGLES[4:10]:
            x, z = (v.astype(np.float32) for v in rows_at(angle))
            _, theta = reference(layers, x, z)
            got = kernel.tile(x[None], z[None])
            assert got.dtype == np.float32
            assert abs(float(got[0, 0]) - float(theta)) <= 2e-6 * kernel.diagonal(x[None])[0], (depth, angle)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {*SMOOTH, "elu"}))
def test_image_distances_are_those_of_the_dual(name):
    """V′ = 2(√(G1 G2) − F) and W′ = 2(√(G1 G2) + F), whose cancellation 60 digits do not feel."""
    phi = ACTIVATIONS[name]
    with mpmath.workdps(60):
        for q1, q2, angle in [
            (1.0, 1.0, 1e-6),
            (1.0, 1.0, 0.5),
            (0.7, 1.9, 1.2),
            (1.0, 1.0, 2.8),
            (1.1, 1.1, 3.1415926),
        ]:
            p = mpmath.sqrt(mpmath.mpf(q1) * mpmath.mpf(q2))
            v = 4 * p * mpmath.sin(mpmath.mpf(angle) / 2) ** 2
            w = 4 * p - v
            c = p - v / 2
            row1 = row2 = np.zeros(1)
            if phi.coefficients is not None:
                row1, row2 = phi.coefficients(np.array([q1])), phi.coefficients(np.array([q2]))
                row1, row2 = row1[0], row2[0]
            par = np.array([*phi.par, 0.0])
            exact = mp_twin(dual)
            m1, m2 = mpmath.mpf(q1), mpmath.mpf(q2)
            own1 = exact(phi.op, m1, m1, 0 * p, 0 * p, m1, 0 * p, 4 * m1, par, 0, row1, row1, 0)[0]
            own2 = exact(phi.op, m2, m2, 0 * p, 0 * p, m2, 0 * p, 4 * m2, par, 0, row2, row2, 0)[0]
            f, fdot, _, _ = exact(phi.op, m1, m2, own1, own2, c, v, w, par, 0, row1, row2, 0)
            images = (float(own1), float(own2))
            got = dual(phi.op, q1, q2, *images, float(c), float(v), float(w), par, 0, row1, row2, 0)
            middle = mpmath.sqrt(own1 * own2)
            want = (f, fdot, 2 * (middle - f), 2 * (middle + f))
            top = float(mpmath.sqrt(own1 * own2))
            assert abs(got[0] - float(want[0])) <= 2e-14 * top
            assert abs(got[1] - float(want[1])) <= 2e-14 * max(1.0, abs(float(want[1])))
            for value, truth in zip(got[2:], want[2:], strict=True):
                room = 1e-15 * float(mpmath.sqrt(top * abs(truth))) + 1e-13 * abs(float(truth)) + 1e-30
                assert abs(value - float(truth)) <= 20 * room, (name, angle, value, float(truth))

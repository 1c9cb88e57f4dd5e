"""φ′ is the derivative of φ, φ is the one the exact kernel means, and gradient descent follows the gradient."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ntkdist.errors import InputError
from ntkdist.kernels import ACTIVATIONS, Kernel
from ntkdist.kernels.finite_width import Architecture, Network, train
from ntkdist.kernels.finite_width.pointwise import pointwise

NAMES = [name for name in ACTIVATIONS if name not in ("sign", "polynomial")]
EXTRA = ["leaky_relu(0.3)", "abrelu(0.2,1.5)", "sin(2,0.5,0.3)", "polynomial(1,-2,0,3)", "hermite(3)", "erf(0.7)"]


@pytest.mark.parametrize("text", NAMES + EXTRA)
def test_the_slope_is_the_derivative(text: str) -> None:
    act = pointwise(text)
    x = np.array([-1.7, -0.6, 0.4, 1.3])
    h = 1e-4
    differences = (8 * (act.value(x + h) - act.value(x - h)) - act.value(x + 2 * h) + act.value(x - 2 * h)) / (12 * h)
    np.testing.assert_allclose(act.slope(x), differences, atol=1e-9)
    assert act.value(x.astype(np.float32)).dtype == np.float32
    assert act.slope(x.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("text", [n for n in NAMES if n not in ("exp", "gaussian")] + EXTRA)
def test_its_gaussian_mean_is_the_exact_kernels_dual(text: str) -> None:
    # Panels of 1/6 in z, so that kinks at 0, ±1 and 6 in √q z fall between them.
    nodes, panel = np.polynomial.legendre.leggauss(16)
    z = (np.arange(-72, 72)[:, None] + (nodes + 1) / 2).ravel() / 6
    weights = np.tile(panel, 144) * np.exp(-(z**2) / 2)
    q = 0.36
    nngp = Kernel(1, text, 1.0, 0.0).tile(np.array([[q**0.5]]), which="nngp")[0, 0]
    mean = np.sum(weights * pointwise(text).value(q**0.5 * z) ** 2) / weights.sum()
    assert mean == pytest.approx(nngp, rel=1e-9)


def test_a_users_function_brings_its_derivative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    sys.modules.pop("user_functions", None)
    x = np.array([0.3])
    assert pointwise("user_functions:softplus").slope(x)[0] == pytest.approx(1 / (1 + np.exp(-0.3)))
    with pytest.raises(InputError, match=r"needs a function as its attribute \.derivative"):
        pointwise("user_functions:bare")
    with pytest.raises(InputError, match="cannot be imported"):
        pointwise("user_functions:absent")
    with pytest.raises(InputError, match="not imported from a store"):
        pointwise("user_functions:softplus", allow_import=False)
    with pytest.raises(InputError, match="no derivative"):
        pointwise("rectified_monomial(0)")


@pytest.mark.parametrize("name", ["ntk", "standard", "mean-field", "mup"])
def test_a_step_is_the_gradient_of_the_loss(name: str) -> None:
    of = Architecture(2, 9, 2, "gelu", 1.2, 0.5, "1/d", first_bias=0.3, parameterization=name)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((6, 3)), rng.standard_normal((6, 2))
    network = of.draw(3, 0)
    step = 1e-3
    after = train(network, x, y, step, 1).network
    rate = step * of.width ** -float(of.abc.c)

    def loss(n: Network) -> float:
        return float(0.5 * np.sum((n(x) - y) ** 2))

    h = 1e-5
    for part in ("weights", "biases"):
        for before, moved in zip(getattr(network, part), getattr(after, part), strict=True):
            for place in list(np.ndindex(before.shape))[:6]:
                kept = before[place]
                before[place] = kept + h
                up = loss(network)
                before[place] = kept - h
                down = loss(network)
                before[place] = kept
                assert (kept - moved[place]) / rate == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-6)


def test_descent_ends_for_a_stated_reason() -> None:
    of = Architecture(1, 200, 1, "relu", input_scaling="1/d")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((8, 10)), rng.standard_normal((8, 1))
    top = float(np.linalg.eigvalsh(of.infinite().tile(x))[-1])
    seen: list[int] = []
    done = train(of.draw(10, 0), x, y, 1 / top, 5, watch=lambda step, forward: seen.append(step))
    assert (done.stopped, done.steps, seen) == ("done", 5, [0, 1, 2, 3, 4, 5])
    assert np.all(np.diff(done.losses) < 0)
    assert train(of.draw(10, 0), x, y, 1 / top, 5000, until=1e-2).stopped == "reached"
    assert train(of.draw(10, 0), x, y, 200 / top, 500).stopped == "diverged"

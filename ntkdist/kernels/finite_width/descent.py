"""Full-batch gradient descent of a finite network on L = ½ Σ (f − y)², with explicit gradients.

    w^l ← w^l − η m^{−c} c_l Σ_{i,k} (f_k(x_i) − y_ik) D_l^k(x_i) ⊗ A_{l−1}(x_i)

The residual is contracted with the outputs before the backward pass, so a step costs about 6 n Σ m_l m_{l−1} flops
for any number of outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from ntkdist.kernels.finite_width.network import Forward, Network

Array = NDArray[Any]


@dataclass(frozen=True)
class Descent:
    """A finished training: the ``network``, the loss before every step and after the last, and why it ended.

    ``losses`` (steps + 1,); ``stopped`` is done, reached (``until``), or diverged (loss above ``bound`` times the
    first one, or not finite).
    """

    network: Network
    losses: NDArray[np.float64]
    stopped: str

    @property
    def steps(self) -> int:
        """Steps made."""
        return len(self.losses) - 1


def train(
    network: Network,
    x: Array,
    y: Array,
    step: float,
    steps: int,
    *,
    bound: float = 1e6,
    until: float = 0.0,
    watch: Callable[[int, Forward], None] | None = None,
) -> Descent:
    """Make at most ``steps`` steps of size η = ``step`` (times m^{−c}); ``watch(step, forward)`` sees each point.

    Stops early where the loss falls below ``until`` times the first one or rises above ``bound`` times it.  The
    network given is not changed.
    """
    xp: Any = array_namespace(network.weights[0])
    weights = [xp.asarray(w, copy=True) for w in network.weights]
    biases = [None if b is None else xp.asarray(b, copy=True) for b in network.biases]
    trained = Network(network.architecture, tuple(weights), tuple(biases))
    losses: list[float] = []
    stopped = "done"
    for number in range(steps + 1):
        forward = trained.forward(x)
        residual = forward.f - y
        losses.append(float(0.5 * xp.sum(residual * residual)))
        if watch is not None:
            watch(number, forward)
        if not np.isfinite(losses[-1]) or losses[-1] > bound * losses[0]:
            stopped = "diverged"
            break
        if losses[-1] <= until * losses[0]:
            stopped = "reached"
            break
        if number < steps:
            _step(trained, forward, residual, step)
    return Descent(trained, np.array(losses), stopped)


def _step(network: Network, forward: Forward, residual: Array, step: float) -> None:
    """Move the parameters in place."""
    of, d = network.architecture, network.features
    rate = step * of.step_factor
    xp: Any = array_namespace(residual)
    back = residual
    for layer in range(of.depth + 1, 0, -1):
        weight, bias, factor = network.weights[layer - 1], network.biases[layer - 1], of.factor(layer, d)
        below = (back @ weight) * factor * forward.slopes[layer - 2] if layer > 1 else None
        gradient = back.T @ forward.activations[layer - 1]
        gradient *= rate * factor
        weight -= gradient
        if bias is not None:
            bias -= rate * of.bias_factor(layer) * xp.sum(back, axis=0)
        if below is not None:
            back = below

"""What one network of finite width does on a task: its kernel at initialisation, its training, how far both moved.

Training is full-batch gradient descent on L = ½ Σ (f − y)² with f = f_w − f_{w(0)}: the initial output is subtracted,
so that every network starts from f = 0 as kernel regression does, and the kernel at initialisation is unchanged.
Distances are in Frobenius norms; the three coordinates of the parameters' way are

* raw: ‖w(T) − w(0)‖ over all trained parameters;
* relative: the same over ‖w(0)‖;
* effective: ‖W(T) − W(0)‖ of W^l = σ_w m^{−a_l} w^l over the layers l ≥ 2 that a hidden layer feeds, which is
  σ_w w/√m in the NTK parameterization, where Lee et al. 2019 (Thm 2.1) bound it by O(1/√m).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.kernels.finite_width.descent import Descent, train
from ntkdist.kernels.finite_width.network import Architecture, Network
from ntkdist.kernels.finite_width.structured import Features, features, structured_ntk
from ntkdist.theory.alignment import alignment
from ntkdist.theory.linearised import linearised_descent

Floats = NDArray[np.float64]
FIRST = 0
LINEAR_ROWS = 100
_CURVE = 60


@dataclass(frozen=True)
class WidthProblem:
    """Rows and encoded targets of the study: x (n, d), y (n, k), and held-out ones."""

    x: Floats
    y: Floats
    x_test: Floats
    y_test: Floats
    classes: bool


@dataclass(frozen=True)
class Initial:
    """The kernel of the first output at initialisation: its distance to the limit, ends of its spectrum, steps.

    ``kernel_distance`` is ‖Θ_m − Θ_∞‖/‖Θ_∞‖, None without a known limit; ``stable_step`` is 2/λ_max, the η of step
    η m^{−c}, and ``raw_step`` the size of that step, m^{−c}·2/λ_max.
    """

    kernel_distance: float | None
    lambda_min: float
    lambda_max: float
    stable_step: float
    raw_step: float
    alignment: float


@dataclass(frozen=True)
class Trained:
    """What training did; None where it diverged before.

    ``linear_distance``: ‖f − f_lin‖/‖f_lin‖ on the first 100 held-out rows (training rows if there are none) against
    gradient descent of the linearised network.
    """

    stopped: str
    steps: int
    steps_to_epsilon: int | None
    loss: float | None
    test_loss: float | None
    accuracy: float | None
    test_accuracy: float | None
    raw: float | None
    relative: float | None
    effective: float | None
    drift: float | None
    representation: float | None
    linear_distance: float | None
    alignment: float | None
    curve_steps: tuple[int, ...]
    curve: tuple[float, ...]


@dataclass(frozen=True)
class Measured:
    """One network's measures; ``trained`` is None where it was only looked at."""

    initial: Initial
    trained: Trained | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def measure(
    architecture: Architecture,
    seed: int,
    problem: WidthProblem,
    limit: Floats | None,
    *,
    step: float,
    steps: int,
    epsilon: float,
    training: bool = True,
) -> Measured:
    """Draw a network, measure its kernel, and train it by ``steps`` steps η = ``step``."""
    network = architecture.draw(problem.x.shape[1], seed)
    rows = features(network, problem.x)
    theta = structured_ntk(network, rows, rows, FIRST)
    values = np.linalg.eigvalsh(theta)
    top = float(values[-1])
    initial = Initial(
        _relative(theta, limit) if limit is not None else None,
        float(values[0]),
        top,
        2 / top,
        2 / top * architecture.step_factor,
        alignment(theta, problem.y).centred,
    )
    if not training:
        return Measured(initial, None)
    f0 = rows.f
    descent = train(network, problem.x, problem.y + f0, step, steps)
    return Measured(initial, _trained(network, rows, theta, descent, problem, step, epsilon))


def _trained(
    before: Network,
    rows: Features,
    theta: Floats,
    descent: Descent,
    problem: WidthProblem,
    step: float,
    epsilon: float,
) -> Trained:
    losses, after = descent.losses, descent.network
    reached = np.flatnonzero(losses <= epsilon * losses[0])
    shown = np.unique(np.linspace(0, descent.steps, _CURVE).round().astype(int))
    shown = shown[np.isfinite(losses[shown])]
    common: dict[str, Any] = {
        "stopped": descent.stopped,
        "steps": descent.steps,
        "steps_to_epsilon": int(reached[0]) if reached.size else None,
        "curve_steps": tuple(int(s) for s in shown),
        "curve": tuple(float(v / losses[0]) for v in losses[shown]),
    }
    if descent.stopped == "diverged":
        unknown: dict[str, Any] = dict.fromkeys(n for n in Trained.__dataclass_fields__ if n not in common)
        return Trained(**common, **unknown)
    now, test0 = features(after, problem.x), before.forward(problem.x_test)
    f, f_test = now.f - rows.f, after(problem.x_test) - test0.f
    moved = structured_ntk(after, now, now, FIRST)
    some = features(before, problem.x_test[:LINEAR_ROWS] if len(problem.x_test) else problem.x)
    linear = linearised_descent(
        structured_ntk(before, rows, rows, "full"),
        structured_ntk(before, some, rows, "full"),
        problem.y,
        np.zeros_like(f),
        np.zeros_like(some.f),
        step,
        descent.steps,
    )
    raw = _norm(b - a for a, b in _parameters(before, after))
    n, m = len(f), len(f_test)
    return Trained(
        **common,
        loss=float(0.5 * np.sum((f - problem.y) ** 2) / n),
        test_loss=float(0.5 * np.sum((f_test - problem.y_test) ** 2) / m) if m else None,
        accuracy=_accuracy(f, problem.y) if problem.classes else None,
        test_accuracy=_accuracy(f_test, problem.y_test) if problem.classes and m else None,
        raw=raw,
        relative=raw / _norm(a for a, _ in _parameters(before, after)),
        effective=effective_distance(before, after),
        drift=_relative(moved, theta),
        representation=_relative(now.activations[-1], rows.activations[-1]),
        linear_distance=_relative(f_test[:LINEAR_ROWS] if m else f, linear.f_test),
        alignment=alignment(moved, problem.y).centred,
    )


def effective_distance(before: Network, after: Network) -> float:
    """‖W(T) − W(0)‖_F of the effective weights σ_w m^{−a_l} w^l over l ≥ 2."""
    of = before.architecture
    pairs = list(zip(before.weights, after.weights, strict=True))[1:]
    return _norm(of.factor(l, before.features) * (b - a) for l, (a, b) in enumerate(pairs, 2))


def _parameters(before: Network, after: Network) -> Iterator[tuple[Floats, Floats]]:
    for part in ("weights", "biases"):
        for a, b in zip(getattr(before, part), getattr(after, part), strict=True):
            if a is not None:
                yield a, b


def _norm(arrays: Iterator[Floats]) -> float:
    return float(np.sqrt(sum(float(np.vdot(a, a)) for a in arrays)))


def _relative(a: Floats, b: Floats) -> float:
    way = float(np.linalg.norm(a - b))
    return way / float(np.linalg.norm(b)) if way else 0.0  # nothing moved: also where b is zero


def _accuracy(f: Floats, y: Floats) -> float:
    return float(np.mean(f.argmax(axis=1) == y.argmax(axis=1)))

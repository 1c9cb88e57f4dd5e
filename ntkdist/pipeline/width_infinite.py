"""The infinite row of the narrow / wide / infinite table: kernel gradient descent and kernel regression with Θ_∞."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.kernels.finite_width import Architecture
from ntkdist.pipeline.width_tasks import Settings
from ntkdist.theory.alignment import alignment
from ntkdist.theory.linearised import linearised_descent
from ntkdist.theory.width_measures import WidthProblem

Floats = NDArray[np.float64]
MOST_STEPS = 1_000_000


def infinite_row(
    limit: Floats, architecture: Architecture, problem: WidthProblem, settings: Settings
) -> dict[str, Any]:
    """Spectrum, losses after the study's steps and at the end of training, and steps to ε, all from f(0) = 0."""
    y, y_test = problem.y, problem.y_test
    cross = np.asarray(architecture.infinite().cross(problem.x_test, problem.x), np.float64)
    values, vectors = np.linalg.eigh(limit)
    zeros, zeros_test = np.zeros_like(y), np.zeros_like(y_test)
    found = linearised_descent(limit, cross, y, zeros, zeros_test, settings.step, settings.steps)
    rounding = len(values) * np.finfo(np.float64).eps * values[-1]
    resolved = bool(values[0] > rounding)
    regression = cross @ (vectors @ ((vectors.T @ y) / values[:, None])) if resolved else None
    n, m = len(y), max(1, len(y_test))

    def test_loss(f: Floats) -> float | None:
        return float(0.5 * np.sum((f - y_test) ** 2) / m) if len(y_test) else None

    def accuracy(f: Floats, truth: Floats) -> float | None:
        return float(np.mean(f.argmax(1) == truth.argmax(1))) if problem.classes and len(truth) else None

    return {
        "lambda_min": float(values[0]),
        "lambda_max": float(values[-1]),
        "alignment": alignment(limit, y).centred,
        "loss": float(0.5 * np.sum((found.f - y) ** 2) / n),
        "accuracy": accuracy(found.f, y),
        "test_loss": test_loss(found.f_test),
        "test_accuracy": accuracy(found.f_test, y_test),
        "steps_to_epsilon": steps_to(values, vectors.T @ y, settings.step, settings.epsilon),
        "regression_test_loss": None if regression is None else test_loss(regression),
        "regression_test_accuracy": None if regression is None else accuracy(regression, y_test),
    }


def steps_to(values: Floats, parts: Floats, step: float, epsilon: float) -> int | None:
    """Steps until Σ (1 − ηλ)^{2j} ‖y_λ‖² ≤ ε ‖y‖², by bisection; None beyond a million or where it never does."""
    energy = np.sum(parts**2, axis=1)
    factor = np.abs(1 - step * values)

    def loss(j: int) -> float:
        return float(np.sum(factor ** (2.0 * j) * energy))

    goal = epsilon * float(energy.sum())
    if not loss(MOST_STEPS) <= goal:
        return None
    low, high = 0, MOST_STEPS
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if loss(middle) <= goal else (middle + 1, high)
    return high

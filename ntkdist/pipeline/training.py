"""Training as a function of time: one Krylov space, from which the theory stage reads every curve.

The loss with its bounds and envelope, f(t) on held-out rows, learning times, the time to reach ε, the same moments
on three clocks, and gradient descent with a finite step. Nothing of size n² is formed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.linalg import Interval
from ntkdist.pipeline.cross import cross_product, self_values
from ntkdist.pipeline.initial import Initial, initial_outputs
from ntkdist.pipeline.progress import Progress
from ntkdist.pipeline.session import Session
from ntkdist.theory.descent import descent_curve
from ntkdist.theory.dynamics import Dynamics, LossCurve, dynamics
from ntkdist.theory.learning_times import learning_times
from ntkdist.theory.statement import Statement
from ntkdist.theory.time_to_reach import time_to_reach
from ntkdist.theory.times import auto_times, descent_steps, mean_loss_time

Array = NDArray[Any]
RTOL = 1e-3
_BASIS_BYTES = 2 << 30
_DIRECTIONS = 400
_KEPT_ENTRIES = 4_000_000


@dataclass(frozen=True)
class Training:
    """The Krylov space of a run's training and what it starts from."""

    dynamics: Dynamics
    initial: Initial
    times: Array
    step: float


def train(
    session: Session, low: Interval, high: Interval, times: Array | None = None, progress: Progress | None = None
) -> Training:
    """Grow the Krylov space until the loss is known to 0.1% at all ``times`` or the passes are spent."""
    settings, n = session.config.theory, session.identity.n
    step = 1.0 / high.upper if settings.step == "auto" else float(settings.step)
    if times is None:
        times = asked_times(settings.times, settings.clock, n, step, low, high)
    start = initial_outputs(session)

    def tell(passes: int, width: float) -> None:
        if progress is not None:
            progress.update(passes, f"loss known to {width:.1e}")

    run = dynamics(
        session.gram,
        session.targets,
        times,
        f0=start.train,
        lambda_lower=max(low.lower, 0.0),
        rtol=RTOL,
        max_passes=settings.passes,
        max_columns=max(2 * session.targets.shape[1], min(4000, _BASIS_BYTES // (8 * n))),
        callback=tell,
    )
    return Training(run, start, times, step)


def asked_times(
    times: str | tuple[float, ...], clock: str, n: int, step: float, low: Interval, high: Interval
) -> Array:
    """Gradient-flow times (T,) from ``theory.times`` counted on ``theory.clock``; auto spans the spectrum."""
    if isinstance(times, str):
        return auto_times(min(max(low.lower, 0.0), high.upper), high.upper)
    given = np.asarray(times, np.float64)
    return {"flow": given, "mean_loss": given / n, "descent": given * step}[clock]


def training_section(session: Session, training: Training, high: Interval) -> tuple[dict[str, Any], dict[str, Array]]:
    """What the results document and the store keep of the training: plain JSON, and arrays."""
    run, times = training.dynamics, training.times
    curve = run.loss(times)
    section = _curve(curve) | {
        "initial": training.initial.how,
        "passes": run.passes,
        "converged": run.converged,
        "reason": run.reason,
        "clocks": {
            "flow": _finite(times),
            "mean_loss": _finite(mean_loss_time(times, len(run.y))),
            "descent": _finite(descent_steps(times, training.step)),
        },
        "step": training.step,
        "descent": _descent(run, training.step, high, times),
        "learning_times": _learning(run),
    }
    arrays: dict[str, Array] = {}
    if session.n_test:
        measured, f = held_out(session, training)
        section |= {"test": measured}
        if f.size <= _KEPT_ENTRIES:
            arrays = {"times": times, "f_test": f}
    return section, arrays


def held_out(session: Session, training: Training) -> tuple[dict[str, Any], Array]:
    """Mean squared error (and accuracy) on held-out rows over time, with the predictions (T, m, k)."""
    x, y = session.store.read_array("inputs/x_test"), session.store.read_array("inputs/y_test")
    run = training.dynamics
    projected = cross_product(session, x, run.directions)
    band = run.predict_projected(projected, training.times, self_values(session, x), training.initial.test)
    width = (band.upper - band.lower).reshape(len(training.times), -1).max(axis=1) / 2
    inputs = session.store.stage("inputs")
    assert inputs is not None
    measured: dict[str, Any] = {
        "mse": [float(np.mean((f - y) ** 2)) for f in band.value],
        "largest_error_of_f": [float(w) if np.isfinite(w) else None for w in width],
    }
    if inputs.result["task"] == "classification":
        truth = y.argmax(axis=1)
        measured["accuracy"] = [float(np.mean(f.argmax(axis=1) == truth)) for f in band.value]
    return measured, band.value


def reach_statement(training: Training, epsilon: float, grade: str) -> Statement:
    """When the exact curve reaches ``epsilon`` of its start."""
    loss0 = 0.5 * float(np.sum(training.dynamics.residual0**2))
    return time_to_reach(training.dynamics, max(epsilon * loss0, 1e-300), grade=grade)


def _curve(curve: LossCurve) -> dict[str, Any]:
    return {
        "times": _finite(curve.times),
        "loss": _finite(curve.loss.value),
        "lower": _finite(curve.loss.lower),
        "upper": _finite(curve.loss.upper),
        "envelope": _finite(curve.envelope),
        "convention": curve.convention,
    }


def _descent(run: Dynamics, step: float, high: Interval, times: Array) -> dict[str, Any]:
    """The loss after whole numbers of steps, spaced like the times but at most ten thousand."""
    finite = times[np.isfinite(times)]
    last = min(float(finite.max(initial=0.0)) / step, 1e4)
    steps = np.unique(np.concatenate(([0.0, 1.0], np.round(np.geomspace(1.0, max(last, 2.0), 30)))))
    curve = descent_curve(run, steps, step, high.upper)
    return _curve(curve) | {"step": step, "stable": bool(step < 2.0 / high.upper)}


def _learning(run: Dynamics) -> dict[str, Any]:
    """Learning times 1/λ of the Ritz directions from fast to slow, with the label energy each carries."""
    table = learning_times(run)
    kept = slice(0, _DIRECTIONS)
    return {
        "kind": table.kind,
        "directions": len(table.time),
        "eigenvalue": _finite(table.eigenvalue[kept]),
        "time": _finite(table.time[kept]),
        "energy": _finite(table.energy[kept]),
        "learned": _finite(table.learned[kept]),
    }


def _finite(values: Array) -> list[float | None]:
    """Floats, None for what is infinite: JSON has no infinity."""
    return [float(v) if np.isfinite(v) else None for v in values]

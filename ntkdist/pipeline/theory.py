"""Stage 5, the theory: training over time, convergence, generalization and risk, each with its assumptions."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.kernels import Kernel
from ntkdist.linalg import Interval, inverse_form
from ntkdist.pipeline.ensemble import ensemble_section
from ntkdist.pipeline.gram_matrix import Gram
from ntkdist.pipeline.initial import initial_key
from ntkdist.pipeline.learning_curve import curve_section
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.pipeline.risk import auto_ridges, risk_lines, score_ridges
from ntkdist.pipeline.second_kernel import affordable
from ntkdist.pipeline.session import Session
from ntkdist.pipeline.spectrum import intervals
from ntkdist.pipeline.theorems import cao_gu_line, two_layer_lines
from ntkdist.pipeline.training import reach_statement, train, training_section
from ntkdist.theory.convergence import convergence
from ntkdist.theory.generalization import generalization
from ntkdist.theory.statement import Statement
from ntkdist.theory.widths import lambda_min_scaling

Array = NDArray[Any]


def state_theory(
    gram: Gram,
    y: Array,
    weights: Array,
    lambda_min: Interval,
    lambda_max: Interval,
    *,
    loss0: float | None = None,
    ridge: float = 0.0,
    epsilon: float = 1e-3,
    delta: float = 0.05,
    rows_unit_norm: bool | None = None,
) -> tuple[Statement, ...]:
    """Convergence and generalization statements for targets y (n, k) and their weights.

    ``loss0`` = ½ Σ (f(0) − y)², ½‖y‖² unless given; ``epsilon`` is the loss to reach relative to it; ``delta`` the
    failure probability.
    """
    loss0 = 0.5 * float(np.sum(y**2)) if loss0 is None else loss0
    form = inverse_form(gram.operator, y, weights, max(lambda_min.lower, 0.0), ridge=ridge)
    misfit = np.abs(ridge * weights).sum(axis=1)
    return (
        *convergence(lambda_min, lambda_max, loss0, n=len(y), epsilon=max(epsilon * loss0, 1e-300)),
        *generalization(
            y,
            form,
            float(np.sum(gram.diagonal())),
            len(y),
            delta=delta,
            rows_unit_norm=rows_unit_norm,
            kernel=str(gram.kernel),
            grade=lambda_min.grade,
            ridge=ridge,
            empirical_loss=float(np.mean(np.minimum(1.0, misfit))),
        ),
    )


def compute_theory(session: Session, spectrum: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """The theory stage of a run, on a finished spectrum and solution."""
    progress = progress or Silent()
    settings = session.config.theory
    solution, inputs = session.store.stage("solution"), session.store.stage("inputs")
    assert solution is not None
    assert inputs is not None
    low, high = intervals(spectrum)
    key = session.key("theory", settings.model_dump(), solution.key, spectrum, initial_key(session))
    finished = session.store.stage("theory", key)
    if finished is not None:
        return finished.result
    start = time.perf_counter()
    progress.start("theory", None, "passes")
    ridge, task = float(solution.result["ridge"]), inputs.result["task"]
    weights = session.store.stage_array("solution", "weights")
    training = train(session, low, high, progress=progress)
    loss0 = 0.5 * float(np.sum(training.dynamics.residual0**2))
    section, arrays = training_section(session, training, high)
    squared_norm, unit = _row_norms(session)
    statements = [
        *state_theory(
            session.gram,
            session.targets,
            weights,
            low,
            high,
            loss0=loss0,
            ridge=ridge,
            epsilon=settings.epsilon,
            delta=settings.delta,
            rows_unit_norm=unit,
        ),
        *risk_lines(session.gram, session.targets, weights, ridge, task),
    ]
    statements.insert(3, reach_statement(training, settings.epsilon, low.grade))
    skipped = []
    if not isinstance(session.kernel, Kernel):
        skipped.append("Cao & Gu's bound is for the kernel of an infinitely wide fully connected network")
    elif task == "classification":
        statements.append(cao_gu_line(session, low, unit, delta=settings.delta))
    else:
        skipped.append("Cao & Gu's bound is for labels ±1; the targets are real")
    if affordable(session, settings.two_layer):
        certificate = session.config.spectrum.certificate
        statements += two_layer_lines(session, certificate=certificate, delta=settings.delta)
    else:
        skipped.append("the two-layer kernel H^∞ was not computed at this size (theory.two_layer: true computes it)")
    statements.append(lambda_min_scaling(low, squared_norm))
    ridges = score_ridges(
        session.gram, session.targets, auto_ridges(session.gram), dense_rows=settings.dense_rows, seed=settings.seed
    )
    ensemble, more = ensemble_section(session, training, low)
    result = {
        "statements": [statement.to_dict() for statement in statements],
        "curve": section,
        "ridge_path": asdict(ridges),
        "learning_curve": curve_section(session, training.dynamics, ridge),
        "ensemble": ensemble,
        "skipped": skipped,
        "loss0": loss0,
        "epsilon": settings.epsilon,
        "trace": float(np.sum(session.gram.diagonal())),
        "seconds": time.perf_counter() - start,
    }
    session.store.finish_stage("theory", key, result, arrays | more)
    progress.finish()
    return result


def _row_norms(session: Session) -> tuple[float, bool]:
    """Mean ‖x‖² over the training rows, and whether every row has unit norm."""
    total, unit = 0.0, True
    for band in range(session.tiling.bands):
        rows = session.store.read_array("inputs/x_train", session.tiling.rows(band))
        squared = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
        total += float(squared.sum())
        unit = unit and np.allclose(squared, 1.0, rtol=0, atol=1e-6)
    return max(total / session.identity.n, 1e-300), unit

"""Stage 5, the theory: convergence and generalization statements with their assumptions and errors."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.linalg import Interval, inverse_form
from ntkdist.pipeline.gram_matrix import Gram
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.pipeline.session import Session
from ntkdist.pipeline.spectrum import intervals
from ntkdist.theory.convergence import convergence
from ntkdist.theory.generalization import generalization
from ntkdist.theory.statement import Statement

Array = NDArray[Any]


def state_theory(
    gram: Gram,
    y: Array,
    weights: Array,
    lambda_min: Interval,
    lambda_max: Interval,
    *,
    ridge: float = 0.0,
    epsilon: float = 1e-3,
    delta: float = 0.05,
    rows_unit_norm: bool | None = None,
) -> tuple[Statement, ...]:
    """Convergence and generalization statements for targets y (n, k) and their weights, f(0) = 0.

    ``epsilon`` is the loss to reach relative to the initial loss ½‖y‖²; ``delta`` the failure probability.
    """
    loss0 = 0.5 * float(np.sum(y**2))
    form = inverse_form(gram.operator, y, weights, max(lambda_min.lower, 0.0), ridge=ridge)
    misfit = np.abs(ridge * weights).sum(axis=1)
    return (
        *convergence(lambda_min, lambda_max, loss0, n=len(y), epsilon=epsilon * loss0),
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
    solution = session.store.stage("solution")
    assert solution is not None
    low, high = intervals(spectrum)
    key = session.key("theory", settings.model_dump(), solution.key, spectrum)
    finished = session.store.stage("theory", key)
    if finished is not None:
        return finished.result
    start = time.perf_counter()
    progress.start("theory", None, "statements")
    statements = state_theory(
        session.gram,
        session.targets,
        session.store.stage_array("solution", "weights"),
        low,
        high,
        ridge=float(solution.result["ridge"]),
        epsilon=settings.epsilon,
        delta=settings.delta,
        rows_unit_norm=_unit_rows(session),
    )
    progress.update(len(statements))
    result = {
        "statements": [statement.to_dict() for statement in statements],
        "loss0": 0.5 * float(np.sum(session.targets**2)),
        "epsilon": settings.epsilon,
        "trace": float(np.sum(session.gram.diagonal())),
        "seconds": time.perf_counter() - start,
    }
    session.store.finish_stage("theory", key, result)
    progress.finish()
    return result


def _unit_rows(session: Session) -> bool:
    for band in range(session.tiling.bands):
        rows = session.store.read_array("inputs/x_train", session.tiling.rows(band))
        if not np.allclose(np.einsum("ij,ij->i", rows, rows, dtype=np.float64), 1.0, rtol=0, atol=1e-6):
            return False
    return True

"""Stage 5, the theory: convergence and generalization statements with their assumptions and errors."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ntkdist.linalg import inverse_form
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.pipeline.session import Session
from ntkdist.pipeline.spectrum import intervals
from ntkdist.theory.convergence import convergence
from ntkdist.theory.generalization import generalization


def compute_theory(
    session: Session, spectrum: dict[str, Any], progress: Progress | None = None
) -> dict[str, Any]:
    """Evaluate the statements of the theory on a finished spectrum and solution."""
    progress = progress or Silent()
    settings = session.config.theory
    solution = session.store.stage("solution")
    assert solution is not None
    key = session.key("theory", settings.model_dump(), solution.key, spectrum)
    finished = session.store.stage("theory", key)
    if finished is not None:
        return finished.result
    start = time.perf_counter()
    progress.start("theory", None, "statements")
    operator, y = session.chosen.operator, session.targets
    weights = session.store.stage_array("solution", "weights")
    low, high = intervals(spectrum)
    ridge = float(solution.result["ridge"])
    loss0 = 0.5 * float(np.sum(y**2))
    form = inverse_form(operator, y, weights, max(low.lower, 0.0), ridge=ridge)
    trace = float(np.sum(operator.diagonal()))
    fitted = y - ridge * weights
    statements = (
        *convergence(low, high, loss0, n=len(y), epsilon=settings.epsilon * loss0),
        *generalization(
            y,
            form,
            trace,
            len(y),
            delta=settings.delta,
            rows_unit_norm=_unit_rows(session),
            kernel=str(session.kernel),
            grade=low.grade,
            ridge=ridge,
            empirical_loss=float(np.mean(np.minimum(1.0, np.abs(fitted - y).sum(axis=1)))),
        ),
    )
    result = {
        "statements": [statement.to_dict() for statement in statements],
        "loss0": loss0,
        "epsilon": settings.epsilon,
        "trace": trace,
        "seconds": time.perf_counter() - start,
    }
    session.store.finish_stage("theory", key, result)
    progress.finish()
    return result


def _unit_rows(session: Session) -> bool:
    norms = []
    for band in range(session.tiling.bands):
        rows = session.store.read_array("inputs/x_train", session.tiling.rows(band))
        norms.append(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    return bool(np.allclose(np.concatenate(norms), 1.0, rtol=0, atol=1e-6))

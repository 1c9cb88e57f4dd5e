"""Stage 4, the regression weights: (Θ + ridge·I) α = y for all outputs at once."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import Unresolvable
from ntkdist.linalg import Solve, block_cg, choose_method, cholesky_solve
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.pipeline.session import Session

Array = NDArray[Any]


def compute_solution(session: Session, progress: Progress | None = None) -> dict[str, Any]:
    """Solve for the weights; finished weights with the same settings are reused.

    Raises
    ------
    Unresolvable
        The matrix is singular or indefinite to the working precision, so that the weights do not exist.
    """
    progress = progress or Silent()
    settings = session.config.solve
    key = session.key("solution", settings.model_dump())
    finished = session.store.stage("solution", key)
    if finished is not None:
        return finished.result
    start = time.perf_counter()
    operator, y = session.chosen.operator, session.targets
    method, why = settings.method, "as configured (solve.method)"
    if method == "auto":
        choice = choose_method(operator, outputs=y.shape[1], rtol=settings.rtol)
        method, why = choice.method, choice.reason
    progress.start("solve", None, "passes")

    def tell(done: int, total: int | None, residual: float) -> None:
        progress.update(done, f"residual {residual:.1e}")

    if method == "cholesky":
        solve = cholesky_solve(operator, y, ridge=settings.ridge, rtol=settings.rtol)
    else:
        solve = block_cg(
            operator,
            y,
            preconditioner=session.preconditioner,
            ridge=settings.ridge,
            rtol=settings.rtol,
            max_passes=settings.max_passes,
            progress=tell,
        )
    progress.finish()
    _refuse_nonsense(solve)
    result = {
        "method": method,
        "why": why,
        "ridge": settings.ridge,
        "rtol": settings.rtol,
        "residual_norms": [float(r) for r in solve.residual_norms],
        "residual_of": "stored" if session.chosen.stored else "kernel",
        "passes": solve.passes,
        "converged": bool(solve.converged),
        "reason": solve.reason,
        "history": [[int(p), float(r)] for p, r in solve.history],
        "seconds": time.perf_counter() - start,
    }
    session.store.finish_stage("solution", key, result, {"weights": solve.x})
    return result


def _refuse_nonsense(solve: Solve) -> None:
    if not np.isfinite(solve.x).all():
        raise Unresolvable(f"The weights could not be computed: {solve.reason}.")

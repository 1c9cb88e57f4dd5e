"""Stage 4, the regression weights: (Θ + ridge·I) α = y for all outputs at once."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import Unresolvable
from ntkdist.linalg import Solve, block_cg, cholesky_solve, choose_method
from ntkdist.pipeline.gram_matrix import Gram
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.pipeline.ridge_choice import chosen_ridge
from ntkdist.pipeline.session import Session

Array = NDArray[Any]


def solve_weights(
    gram: Gram,
    y: Array,
    *,
    ridge: float = 0.0,
    rtol: float = 1e-8,
    method: str = "auto",
    max_passes: int = 2000,
    progress: Progress | None = None,
) -> tuple[Solve, str, str]:
    """Solve for the weights of all columns of y (n, k); return (solution, method, why this method).

    Raises
    ------
    Unresolvable
        The weights are not finite: the matrix is singular or indefinite to the working precision.
    """
    progress = progress or Silent()
    why = "as configured"
    if method == "auto":
        choice = choose_method(gram.operator, outputs=y.shape[1], rtol=rtol)
        method, why = choice.method, choice.reason
    progress.start("solve", None, "passes")

    def tell(done: int, total: int | None, residual: float) -> None:
        progress.update(done, f"residual {residual:.1e}")

    if method == "cholesky":
        solve = cholesky_solve(gram.operator, y, ridge=ridge, rtol=rtol)
    else:
        solve = block_cg(
            gram.operator,
            y,
            preconditioner=gram.preconditioner,
            ridge=ridge,
            rtol=rtol,
            max_passes=max_passes,
            progress=tell,
        )
    progress.finish()
    if not np.isfinite(solve.x).all() or not solve.converged:
        worst = float(np.max(solve.residual_norms, initial=0.0))
        equal = f"{len(gram.duplicates)} groups of equal rows make the matrix singular; " if gram.duplicates else ""
        raise Unresolvable(
            f"The weights were not reached to rtol {rtol:g} (largest residual {worst:.2g}): {equal}{solve.reason}; "
            "give a ridge with --set solve.ridge=1e-3, or relax --set solve.rtol=…"
        )
    return solve, method, why


def compute_solution(session: Session, progress: Progress | None = None) -> dict[str, Any]:
    """The solution stage of a run; finished weights with the same settings are reused."""
    settings = session.config.solve
    key = session.key("solution", settings.model_dump())
    finished = session.store.stage("solution", key)
    if finished is not None:
        return finished.result
    start = time.perf_counter()
    ridge, how = chosen_ridge(session)
    options = settings.model_dump() | {"ridge": ridge}
    solve, method, why = solve_weights(session.gram, session.targets, progress=progress, **options)
    result = {
        "method": method,
        "why": why,
        "ridge": ridge,
        "ridge_how": how,
        "rtol": settings.rtol,
        "residual_norms": [float(r) for r in solve.residual_norms],
        "residual_of": session.gram.residual_of,
        "passes": solve.passes,
        "converged": bool(solve.converged),
        "reason": solve.reason,
        "history": [[int(p), float(r)] for p, r in solve.history],
        "seconds": time.perf_counter() - start,
    }
    session.store.finish_stage("solution", key, result, {"weights": solve.x})
    return result

"""Stage 4, the regression weights: (Θ + ridge·I) α = y for all outputs at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import Unresolvable
from ntkdist.linalg import (
    FactorisedNystrom,
    Preconditioner,
    SingleCholesky,
    Solve,
    block_cg,
    cholesky_solve,
    choose_method,
    fits_dense,
)
from ntkdist.moments import _checkpoint
from ntkdist.pipeline.checkpoints import Checkpoints
from ntkdist.pipeline.gram_matrix import Gram
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.pipeline.ridge_choice import chosen_ridge
from ntkdist.pipeline.ridge_path import Conditioning, solve_path
from ntkdist.pipeline.scratch import scratch_tiles
from ntkdist.pipeline.session import Session

Array = NDArray[Any]


def pick_method(gram: Gram, outputs: int, rtol: float, method: str = "auto") -> tuple[str, str]:
    """The method of a solve and why: as configured, or the cheapest of the predictions."""
    if method != "auto":
        return method, "as configured"
    prepared = gram.__dict__.get("prepared")  # only if a stage before has made it
    local = prepared is not None and isinstance(prepared.preconditioner, FactorisedNystrom)
    choice = choose_method(gram.operator, outputs=outputs, rtol=rtol, local=local, rank=None if prepared is None else 0)
    return choice.method, choice.reason


def solve_weights(
    gram: Gram,
    y: Array,
    *,
    ridge: float = 0.0,
    rtol: float = 1e-8,
    method: str = "auto",
    max_passes: int = 2000,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
    x0: Array | None = None,
) -> tuple[Solve, str, str]:
    """Solve for the weights of all columns of y (n, k); return (solution, method, why this method).

    With ``checkpoints``, an iteration that was killed goes on from its last state, to the same bits. ``x0`` (n, k)
    is where an iteration starts.

    Raises
    ------
    Unresolvable
        The weights are not finite: the matrix is singular or indefinite to the working precision.
    """
    progress = progress or Silent()
    method, why = pick_method(gram, y.shape[1], rtol, method)
    progress.start("solve", None, "passes")

    def tell(done: int, total: int | None, residual: float) -> None:
        progress.update(done, f"residual {residual:.1e}")

    if method == "cholesky":
        solve = _direct(gram, y, ridge, rtol, tell)
    else:
        preconditioner: Preconditioner
        preconditioner = SingleCholesky(gram.operator, ridge) if method == "cholesky32" else gram.preconditioner
        solve = block_cg(
            gram.operator,
            y,
            preconditioner=preconditioner,
            ridge=ridge,
            rtol=rtol,
            max_passes=max_passes,
            x0=x0,
            progress=tell,
            checkpoint=None if checkpoints is None else _saver(checkpoints),
            resume=None if checkpoints is None else checkpoints.load(),
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


def _saver(checkpoints: Checkpoints) -> Callable[[dict[str, Array]], None]:
    def save(state: dict[str, Array]) -> None:
        checkpoints.save(state)
        _checkpoint("solve.checkpoint", int(state["passes"][0]))

    return save


def _direct(gram: Gram, y: Array, ridge: float, rtol: float, tell: Callable[[int, int | None, float], None]) -> Solve:
    if fits_dense(gram.n):
        return cholesky_solve(gram.operator, y, ridge=ridge, rtol=rtol, progress=tell)
    with scratch_tiles(gram.n, gram.folder) as store:
        return cholesky_solve(gram.operator, y, ridge=ridge, rtol=rtol, store=store, progress=tell)


def compute_solution(session: Session, progress: Progress | None = None) -> dict[str, Any]:
    """The solution stage of a run; finished weights with the same settings are reused."""
    settings = session.config.solve
    key = session.key("solution", settings.model_dump())
    finished = session.store.stage("solution", key)
    if finished is not None:
        return finished.result
    start = time.perf_counter()
    gram, y = session.gram, session.targets
    ridge, how = chosen_ridge(session)
    checkpoints = Checkpoints(session.store, key)
    # A solve that was killed goes on in the way it had begun, whatever the machine predicts now.
    begun = checkpoints.note()
    method, why = (
        (begun["method"], begun["why"]) if begun else pick_method(gram, y.shape[1], settings.rtol, settings.method)
    )
    checkpoints.about = {"method": method, "why": why}
    x0 = None if method == "cholesky" else session.earlier_weights
    solve, _, _ = solve_weights(
        gram,
        y,
        ridge=ridge,
        rtol=settings.rtol,
        method=method,
        max_passes=settings.max_passes,
        progress=progress,
        checkpoints=checkpoints,
        x0=x0,
    )
    result: dict[str, Any] = {
        "start": "zero" if x0 is None else "the weights before rows were appended",
        "method": method,
        "why": why,
        "ridge": ridge,
        "ridge_how": how,
        "rtol": settings.rtol,
        "residual_norms": [float(r) for r in solve.residual_norms],
        "residual_of": gram.residual_of,
        "preconditioner": _preconditioner_words(gram, method),
        "passes": solve.passes,
        "converged": bool(solve.converged),
        "reason": solve.reason,
        "history": [[int(p), float(r)] for p, r in solve.history],
    }
    arrays = {"weights": solve.x}
    if isinstance(settings.ridge, tuple):
        result["path"], arrays["ridge_weights"] = solve_path(
            gram,
            y,
            settings.ridge,
            solve,
            method,
            rtol=settings.rtol,
            max_passes=settings.max_passes,
            conditioning=conditioning(session),
            progress=progress,
        )
    result["seconds"] = time.perf_counter() - start
    session.store.finish_stage("solution", key, result, arrays)
    checkpoints.clear()
    return result


def conditioning(session: Session) -> Conditioning | None:
    """What the spectrum stage found of the matrix's conditioning, if it has run."""
    spectrum = session.store.stage("spectrum")
    if spectrum is None or not spectrum.result.get("highest"):
        return None
    top = spectrum.result["highest"]
    return Conditioning(float(spectrum.result["lambda_min"]["lower"]), float(top[-1]), len(top))


def _preconditioner_words(gram: Gram, method: str) -> dict[str, Any] | None:
    if method == "cholesky":
        return None
    if method == "cholesky32":
        return {"form": "float32 Cholesky", "rank": gram.n, "reason": "method cholesky32"}
    return gram.prepared.describe()

"""Stage 3, the spectrum: λ_max and λ_min with their certificates."""

from __future__ import annotations

import time
from typing import Any

from ntkdist.linalg import Interval, certify, lambda_max, lambda_min
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.pipeline.session import Session


def compute_spectrum(session: Session, progress: Progress | None = None) -> dict[str, Any]:
    """λ_max and λ_min of the Gram matrix as intervals; finished results with the same settings are reused."""
    progress = progress or Silent()
    settings = session.config.spectrum
    key = session.key("spectrum", settings.model_dump())
    finished = session.store.stage("spectrum", key)
    if finished is not None:
        return finished.result
    start = time.perf_counter()
    operator = session.chosen.operator
    progress.start("spectrum", None, "passes")

    def tell(done: int, total: int | None, residual: float) -> None:
        progress.update(done, f"residual {residual:.1e}")

    top = lambda_max(operator, rtol=settings.rtol, progress=tell)
    bottom = lambda_min(
        operator, session.preconditioner, rtol=settings.rtol, duplicates=session.duplicates, progress=tell
    )
    progress.update(top.passes + bottom.passes, f"certificate: {settings.certificate}")
    low, high = certify(
        operator,
        bottom,
        top,
        grade=settings.certificate,
        error_norm=session.error_norm,
        preconditioner=session.preconditioner,
        duplicates=session.duplicates,
    )
    result = {
        "lambda_min": _interval(low),
        "lambda_max": _interval(high),
        "residual_norm_min": bottom.residual_norm,
        "residual_norm_max": top.residual_norm,
        "passes": top.passes + bottom.passes,
        "precision": session.identity.storage if session.chosen.stored else session.identity.compute,
        "error_norm": session.error_norm,
        "converged": bool(top.converged and bottom.converged),
        "seconds": time.perf_counter() - start,
    }
    arrays = {"vector_min": bottom.vector, "vector_max": top.vector}
    session.store.finish_stage("spectrum", key, result, arrays)
    progress.finish()
    return result


def intervals(result: dict[str, Any]) -> tuple[Interval, Interval]:
    """(λ_min, λ_max) of a spectrum result."""
    return Interval(**result["lambda_min"]), Interval(**result["lambda_max"])


def _interval(interval: Interval) -> dict[str, Any]:
    return {
        "value": interval.value,
        "lower": interval.lower,
        "upper": interval.upper,
        "grade": interval.grade,
        "reason": interval.reason,
    }

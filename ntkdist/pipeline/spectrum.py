"""Stage 3, the spectrum: λ_max and λ_min with their certificates."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

from ntkdist.linalg import Eigenpair, Interval, certify, lambda_max, lambda_min
from ntkdist.pipeline.gram_matrix import Gram
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.pipeline.session import Session


@dataclass(frozen=True)
class Spectrum:
    """The extreme eigenvalues of a Gram matrix as intervals, with the eigenpairs they come from."""

    lambda_min: Interval
    lambda_max: Interval
    smallest: Eigenpair
    largest: Eigenpair
    error_norm: float

    @property
    def passes(self) -> int:
        """Products K·V spent on both ends."""
        return self.smallest.passes + self.largest.passes


def extreme_eigenvalues(
    gram: Gram, certificate: str = "rigorous", rtol: float = 1e-9, progress: Progress | None = None
) -> Spectrum:
    """λ_max and λ_min of ``gram`` as intervals of the grade ``certificate``."""
    progress = progress or Silent()
    progress.start("spectrum", None, "passes")

    def tell(done: int, total: int | None, residual: float) -> None:
        progress.update(done, f"residual {residual:.1e}")

    top = lambda_max(gram.operator, rtol=rtol, progress=tell)
    bottom = lambda_min(gram.operator, gram.preconditioner, rtol=rtol, progress=tell)
    progress.update(top.passes + bottom.passes, f"certificate: {certificate}")
    low, high = certify(
        gram.operator,
        bottom,
        top,
        grade=certificate,
        error_norm=gram.error_norm,
        preconditioner=gram.preconditioner,
        duplicates=gram.duplicates,
    )
    progress.finish()
    how = f"{gram.kernel.entry_error(gram.compute_dtype, which=gram.which).how}, to first order"
    low, high = (replace(end, reason=f"{end.reason}; error of the entries: {how}") for end in (low, high))
    return Spectrum(low, high, bottom, top, gram.error_norm)


def compute_spectrum(session: Session, progress: Progress | None = None) -> dict[str, Any]:
    """The spectrum stage of a run; a finished result with the same settings is reused."""
    settings = session.config.spectrum
    key = session.key("spectrum", settings.model_dump())
    finished = session.store.stage("spectrum", key)
    if finished is not None:
        return finished.result
    start = time.perf_counter()
    found = extreme_eigenvalues(session.gram, settings.certificate, settings.rtol, progress)
    result = {
        "lambda_min": asdict(found.lambda_min),
        "lambda_max": asdict(found.lambda_max),
        "residual_norm_min": found.smallest.residual_norm,
        "residual_norm_max": found.largest.residual_norm,
        "passes": found.passes,
        "precision": str(session.gram.dtype),
        "of": session.gram.residual_of,
        "error_norm": found.error_norm,
        "converged": bool(found.largest.converged and found.smallest.converged),
        "seconds": time.perf_counter() - start,
    }
    arrays = {"vector_min": found.smallest.vector, "vector_max": found.largest.vector}
    session.store.finish_stage("spectrum", key, result, arrays)
    return result


def intervals(result: dict[str, Any]) -> tuple[Interval, Interval]:
    """(λ_min, λ_max) of a spectrum result."""
    return Interval(**result["lambda_min"]), Interval(**result["lambda_max"])

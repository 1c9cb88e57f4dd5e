"""Stage 3, the spectrum: both ends certified, the leading eigenpairs, and estimates of all the rest."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.linalg import (
    Eigenpair,
    Interval,
    Leading,
    certify,
    lambda_max,
    leading_eigenpairs,
    smallest_eigenpairs,
    target_alignment,
)
from ntkdist.pipeline.certificate import certificate_tools
from ntkdist.pipeline.gram_matrix import Gram
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.pipeline.session import Session
from ntkdist.pipeline.singularity import describe_singularity, null_pair
from ntkdist.pipeline.spectral_density import ridge_grid, sample_spectrum, summarise

Array = NDArray[Any]


@dataclass(frozen=True)
class Spectrum:
    """The extreme eigenvalues of a Gram matrix as intervals, with the eigenpairs they come from."""

    lambda_min: Interval
    lambda_max: Interval
    smallest: Eigenpair
    largest: Eigenpair
    error_norm: float
    lowest: tuple[float, ...] = ()
    leading: Leading | None = None

    @property
    def passes(self) -> int:
        """Products K·V spent on both ends."""
        return self.smallest.passes + self.largest.passes

    @property
    def condition_number(self) -> tuple[float, float | None]:
        """λ_max/λ_min between a lower and an upper bound; None above where λ_min is not resolved from zero."""
        low, high = self.lambda_min, self.lambda_max
        lower = high.lower / low.upper if low.upper > 0 else float("inf")
        return lower, high.upper / low.lower if low.lower > 0 else None


def extreme_eigenvalues(
    gram: Gram,
    certificate: str = "rigorous",
    rtol: float = 1e-9,
    progress: Progress | None = None,
    *,
    top: int = 1,
    bottom: int = 1,
    session: Session | None = None,
) -> Spectrum:
    """λ_max and λ_min of ``gram`` as intervals of the grade ``certificate``, and the next ``top`` and ``bottom``."""
    progress = progress or Silent()
    progress.start("spectrum", None, "passes")

    def tell(done: int, total: int | None, residual: float) -> None:
        progress.update(done, f"residual {residual:.1e}")

    leading = None
    if top > 1 and gram.n > 1:
        leading = leading_eigenpairs(gram.operator, min(top, gram.n), rtol=rtol, progress=tell)
        largest = leading.largest()
    else:
        largest = lambda_max(gram.operator, rtol=rtol, progress=tell)
    if gram.duplicates:
        lowest = [null_pair(gram.duplicates, gram.n)]
    else:
        count = min(bottom, gram.n)
        lowest = smallest_eigenpairs(gram.operator, gram.preconditioner, count, rtol=rtol, progress=tell)
    smallest = lowest[0]
    progress.update(largest.passes + smallest.passes, f"certificate: {certificate}")
    with certificate_tools(gram, session) as tools:
        low, high = certify(
            gram.operator,
            smallest,
            largest,
            grade=certificate,
            error_norm=gram.error_norm,
            preconditioner=None if gram.duplicates else gram.prepared.low_rank,
            duplicates=gram.duplicates,
            progress=lambda done, total, _: progress.update(done, f"certificate: tile {done} of {total}"),
            **tools,
        )
    progress.finish()
    how = f"{gram.kernel.entry_error(gram.compute_dtype, which=gram.which).how}, to first order"
    low, high = (replace(end, reason=f"{end.reason}; error of the entries: {how}") for end in (low, high))
    return Spectrum(low, high, smallest, largest, gram.error_norm, tuple(float(p.value) for p in lowest), leading)


def compute_spectrum(session: Session, progress: Progress | None = None) -> dict[str, Any]:
    """The spectrum stage of a run; a finished result with the same settings is reused."""
    settings = session.config.spectrum
    key = session.key("spectrum", settings.model_dump())
    finished = session.store.stage("spectrum", key)
    if finished is not None:
        return finished.result
    start = time.perf_counter()
    progress = progress or Silent()
    gram = session.gram
    found = extreme_eigenvalues(
        gram,
        settings.certificate,
        settings.rtol,
        progress,
        top=settings.top,
        bottom=settings.bottom,
        session=session,
    )
    low, high = found.lambda_min, found.lambda_max
    condition = found.condition_number
    leading = found.leading
    result: dict[str, Any] = {
        "lambda_min": asdict(low),
        "lambda_max": asdict(high),
        "residual_norm_min": found.smallest.residual_norm,
        "residual_norm_max": found.largest.residual_norm,
        "condition_number": {"lower": condition[0] if np.isfinite(condition[0]) else None, "upper": condition[1]},
        "lowest": list(found.lowest),
        "highest": [float(v) for v in leading.values] if leading else [high.value],
        "passes": found.passes,
        "precision": str(gram.dtype),
        "of": gram.residual_of,
        "error_norm": found.error_norm,
        "preconditioner": None if gram.duplicates else gram.prepared.describe(),
        "converged": bool(found.largest.converged and found.smallest.converged),
    }
    arrays = {"vector_min": found.smallest.vector, "vector_max": found.largest.vector}
    if gram.duplicates:
        rows = session.store.stage_array("inputs", "train_rows")
        result["singular"], passes = describe_singularity(
            gram, found.largest, settings.certificate, rtol=settings.rtol, rows=rows
        )
        result["passes"] += passes
    if leading is not None:
        share = target_alignment(leading.vectors, session.targets)
        energy = np.einsum("ij,ij->j", session.targets, session.targets)
        total = float(energy.sum())
        result["alignment"] = [float(v) for v in (share @ energy) / total] if total > 0 else [0.0] * len(share)
        result["highest_residuals"] = [float(v) for v in leading.residual_norms]
        arrays |= {"vectors": leading.vectors, "alignment": share}
    result |= _whole(session, low, high, progress)
    result["seconds"] = time.perf_counter() - start
    session.store.finish_stage("spectrum", key, result, arrays)
    return result


def _whole(session: Session, low: Interval, high: Interval, progress: Progress) -> dict[str, Any]:
    settings, gram = session.config.spectrum, session.gram
    progress.start("density", None, "passes")
    sample, exact = sample_spectrum(
        gram.operator,
        probes=settings.probes,
        steps=settings.steps,
        dense_rows=settings.dense_rows,
        progress=lambda done, total, _: progress.update(done, f"{settings.probes} probes"),
    )
    progress.finish()
    if not high.value > 0:
        return {}
    # Below n·u·λ_max float64 knows no eigenvalue of this matrix.
    floor = gram.n * 2.0**-53 * high.value
    bottom = max(low.value, floor)
    ridges = ridge_grid(bottom, high.value) if settings.ridges == "auto" else settings.ridges
    return summarise(sample, exact, bottom, high.value, ridges)


def intervals(result: dict[str, Any]) -> tuple[Interval, Interval]:
    """(λ_min, λ_max) of a spectrum result."""
    return Interval(**result["lambda_min"]), Interval(**result["lambda_max"])

"""Held-out predictions as distributions: the NNGP posterior and the NTK ensemble, side by side.

The NNGP posterior is the infinitely wide Bayesian network; the ensemble is that network trained by gradient flow to
the end from random starts (Lee et al. 2018, 2019). Both are Gaussian with one variance for all outputs. Means cover
every held-out row; variances cost a solve per row and cover the first ``predict.variance_rows``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import Unresolvable
from ntkdist.linalg import inverse_form
from ntkdist.pipeline.cross import cross_block, cross_product, self_values
from ntkdist.pipeline.gram_matrix import Gram
from ntkdist.pipeline.second_kernel import second_gram
from ntkdist.pipeline.session import Session
from ntkdist.pipeline.solve import solve_weights
from ntkdist.pipeline.spectrum import extreme_eigenvalues
from ntkdist.theory.posterior import posterior
from ntkdist.theory.scores import argmax_probabilities, calibration, coverage

Array = NDArray[Any]
_RTOL = 1e-6


@dataclass(frozen=True)
class Bayes:
    """``section`` for the results document and ``arrays`` for the store."""

    section: dict[str, Any]
    arrays: dict[str, Array]


def side_by_side(session: Session, x: Array, y: Array, f: Array, ridge: float, task: str) -> Bayes:
    """NNGP mean on all rows x (m, features) and both variances on the first ones; ``f`` (m, k) is the NTK's mean.

    ``ridge`` is the observation noise of the posterior. A singular matrix leaves a note instead of numbers.
    """
    try:
        prior = second_gram(session, session.kernel, "nngp")
        alpha = solve_weights(prior, session.targets, ridge=ridge, rtol=_RTOL)[0].x
    except Unresolvable as error:
        return Bayes({"note": f"NNGP: {error}"}, {})
    mean = cross_product(session, x, alpha, which="nngp")
    form = inverse_form(prior.operator, session.targets, alpha, 0.0, ridge=ridge)
    section: dict[str, Any] = {"norm_per_row": float(form.value.sum()) / len(alpha), "ridge": ridge}
    arrays: dict[str, Array] = {"f_nngp": mean}
    rows = min(session.config.predict.variance_rows, len(x))
    if rows == 0:
        return Bayes(section, arrays)
    low = extreme_eigenvalues(prior, "residual").lambda_min
    some, truth = x[:rows], y[:rows]
    cross, diagonal = cross_block(session, some, which="nngp"), self_values(session, some, which="nngp")
    solved = solve_weights(prior, cross.T, ridge=ridge, rtol=_RTOL)[0].x
    residual = cross.T - (prior @ solved + ridge * solved)
    band = posterior(cross, diagonal, alpha, solved, residual, max(low.lower, 0.0) + ridge).variance
    section["nngp"] = {
        "mean_variance": float(band.value.mean()),
        "lower": float(band.lower.mean()),
        "upper": float(band.upper.mean()),
        "grade": low.grade,
    } | _trust(mean[:rows], band.value, truth, ridge, diagonal, task)
    arrays["variance_nngp"] = band.value
    try:
        spread = _ensemble_variance(session, prior, some, cross, diagonal, ridge)
    except Unresolvable as error:
        section["note"] = f"ensemble: {error}"
    else:
        section["ensemble"] = {"mean_variance": float(spread.mean())} | _trust(
            f[:rows], spread, truth, ridge, diagonal, task
        )
        arrays["variance_ensemble"] = spread
    section["variance_rows"] = rows
    return Bayes(section, arrays)


def _ensemble_variance(
    session: Session, prior: Gram, x: Array, sigma_cross: Array, sigma_diagonal: Array, ridge: float
) -> Array:
    """Σ(x*, x*) + gᵀΣg − 2gᵀΣ(X, x*), g = (Θ + ridge·I)⁻¹Θ(X, x*): (m,)."""
    gain = solve_weights(session.gram, cross_block(session, x).T, ridge=ridge, rtol=_RTOL)[0].x
    pulled = prior @ gain - 2.0 * sigma_cross.T
    return np.asarray(np.maximum(sigma_diagonal + (gain * pulled).sum(axis=0), 0.0))


def _trust(mean: Array, variance: Array, y: Array, noise: float, scale: Array, task: str) -> dict[str, Any]:
    """Calibration for classes, coverage of two deviations for numbers; variances include the noise there."""
    spread = np.maximum(variance, 1e-14 * scale)
    if task != "classification":
        found = coverage(mean, spread + noise, y)
        return {
            "coverage": found.observed,
            "promised": found.promised,
            "log_likelihood": found.log_likelihood,
        }
    bins = calibration(argmax_probabilities(mean, spread), y.argmax(axis=1), bins=10)
    return {
        "calibration_error": bins.error,
        "confidence": [float(v) for v in bins.confidence],
        "accuracy": [float(v) for v in bins.accuracy],
        "count": [int(v) for v in bins.count],
    }

"""The ensemble over initialisations on some held-out rows: mean and variance at moments of training.

f(0) ~ N(0, Σ) with the NNGP kernel Σ of the same network; the result is Gaussian at every time. Each held-out row
costs a column of a Krylov space, so the first ``theory.ensemble_rows`` rows are taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.linalg import Interval, lambda_max
from ntkdist.pipeline.cross import cross_block, self_values
from ntkdist.pipeline.second_kernel import affordable, has_prior, second_gram
from ntkdist.pipeline.session import Session
from ntkdist.pipeline.training import Training
from ntkdist.theory.ensemble import ensemble

Array = NDArray[Any]
_MOMENTS = 8


def ensemble_section(
    session: Session, training: Training, low: Interval
) -> tuple[dict[str, Any] | None, dict[str, Array]]:
    """Mean variance over rows at some moments, and the arrays (T, m, k) and (T, m); None if not asked for."""
    rows = min(session.config.theory.ensemble_rows, session.n_test)
    if rows == 0 or not has_prior(session) or not affordable(session, "auto"):
        return None, {}
    times = _moments(training.times)
    x = session.store.read_array("inputs/x_test", slice(0, rows))
    prior = second_gram(session, session.kernel, "nngp")
    found = ensemble(
        session.gram,
        prior,
        session.targets,
        times,
        theta_cross=cross_block(session, x),
        sigma_cross=cross_block(session, x, which="nngp"),
        sigma_diag=self_values(session, x, which="nngp"),
        sigma_upper=float(lambda_max(prior.operator, rtol=1e-3).value) * 1.01,
        lambda_lower=max(low.lower, 0.0),
        max_passes=session.config.theory.passes,
    )
    variance = found.variance
    section = {
        "rows": rows,
        "times": [float(t) if np.isfinite(t) else None for t in times],
        "mean_variance": [float(v) for v in variance.value.mean(axis=1)],
        "lower": [float(v) for v in variance.lower.mean(axis=1)],
        "upper": [float(v) if np.isfinite(v) else None for v in variance.upper.mean(axis=1)],
        "convention": "f(0) drawn from the NNGP prior; variance of one output, the same for every output",
        "source": "Lee et al. 2019 (NeurIPS), eqs. 14-16",
    }
    arrays = {
        "ensemble_times": times,
        "ensemble_mean": found.mean.value,
        "ensemble_variance": found.variance.value,
    }
    return section, arrays


def _moments(times: Array) -> Array:
    """At most ``_MOMENTS`` of the times, first and last included."""
    order = np.sort(times)
    if len(order) <= _MOMENTS:
        return order
    return np.asarray(order[np.unique(np.linspace(0, len(order) - 1, _MOMENTS).round().astype(int))])

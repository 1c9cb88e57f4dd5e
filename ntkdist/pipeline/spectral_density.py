"""The whole spectrum at once: density, log-determinant and effective dimension, exact or estimated with error bars."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import Unresolvable
from ntkdist.linalg import Operator, SpectralSample, dense, spectral_sample

Array = NDArray[Any]
_BINS = 48
_RIDGES = 13


def sample_spectrum(
    op: Operator, *, probes: int, steps: int, dense_rows: int, progress: Any = None
) -> tuple[SpectralSample, bool]:
    """The spectral measure of K, and whether it is exact: all eigenvalues up to ``dense_rows`` rows, else
    ``probes`` random probes of ``steps`` Lanczos steps."""
    n = op.shape[0]
    if n <= dense_rows:
        values = np.linalg.eigvalsh(dense(op))
        # One exact measure, told twice: its estimates have standard error zero.
        return SpectralSample((values, values), (np.ones(n), np.ones(n)), n), True
    return spectral_sample(op, probes=probes, steps=steps, progress=progress), False


def ridge_grid(low: float, high: float) -> tuple[float, ...]:
    """Ridges from a tenth of the smallest resolved eigenvalue to the largest, evenly in the logarithm."""
    return tuple(float(r) for r in np.geomspace(0.1 * low, high, _RIDGES))


def summarise(
    sample: SpectralSample, exact: bool, low: float, high: float, ridges: tuple[float, ...]
) -> dict[str, Any]:
    """Density per unit of ln λ (share of the eigenvalues), log det, effective dimension; ends (low, high) > 0."""
    edges = np.geomspace(low * (1 - 1e-9), high * (1 + 1e-9), _BINS + 1)
    # Ritz values of a sample may lie a little outside the ends that the eigensolvers found.
    inside = SpectralSample(tuple(np.clip(x, edges[0], edges[-1]) for x in sample.nodes), sample.weights, sample.n)
    counts, errors = inside.density(edges)
    width = np.diff(np.log(edges))
    try:
        found = sample.logdet()
        logdet = {"value": found.value, "error": found.error, "reason": ""}
    except Unresolvable as unresolved:
        logdet = {"value": None, "error": None, "reason": str(unresolved)}
    dimensions = [sample.effective_dimension(r) for r in ridges]
    how = "all eigenvalues by LAPACK" if exact else f"{len(sample.nodes)} random probes; ± is one standard error"
    return {
        "density": {
            "x": [float(v) for v in np.sqrt(edges[:-1] * edges[1:])],
            "density": [float(v) for v in counts / width / sample.n],
            "error": [float(v) for v in errors / width / sample.n],
            "unit": "share of the eigenvalues per unit of ln λ",
            "exact": exact,
            "how": how,
        },
        "logdet": logdet,
        "effective_dimension": {
            "ridges": list(ridges),
            "values": [d.value for d in dimensions],
            "errors": [d.error for d in dimensions],
            "how": how,
        },
    }

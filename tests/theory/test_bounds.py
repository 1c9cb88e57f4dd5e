"""Bounds of the training dynamics on random kernels: spectra over nine decades, singular ones, few passes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ntkdist.theory.dynamics import dynamics
from ntkdist.theory.times import auto_times


class Matrix:
    def __init__(self, a: NDArray[np.float64]) -> None:
        self.a = a
        self.shape = (len(a), len(a))

    def matmat(self, v: NDArray[np.float64], /) -> NDArray[np.float64]:
        return self.a @ v


@pytest.mark.parametrize("singular", [False, True])
def test_loss_and_predictions_lie_in_their_bounds_in_every_trial(singular: bool) -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n, k = int(rng.integers(4, 60)), int(rng.integers(1, 5))
        q = np.linalg.qr(rng.standard_normal((n, n)))[0]
        spectrum = 10 ** rng.uniform(-6, 3, n)
        if singular:
            spectrum[: n // 2] = 0.0
        full = (q * spectrum) @ q.T
        full = (full + full.T) / 2
        m = n // 4
        theta, cross, y = full[m:, m:], full[:m, m:], rng.standard_normal((n - m, k))
        values, vectors = np.linalg.eigh(theta)
        values = np.maximum(values, 0.0)
        low = values[0] * (1 - 1e-6) if values[0] > 1e-9 * values[-1] else 0.0
        times = auto_times(low, values[-1], 12)[:-1]
        passes = int(rng.integers(1, 12))
        run = dynamics(Matrix(theta), y, times, lambda_lower=low, max_passes=passes, rtol=1e-9)
        curve, rotated = run.loss(times).loss, vectors.T @ y
        truth = np.array([0.5 * (np.exp(-2 * values * t)[:, None] * rotated**2).sum() for t in times])
        assert (curve.lower <= truth * (1 + 1e-9) + 1e-25).all(), seed
        assert (truth * (1 - 1e-9) - 1e-25 <= curve.upper).all(), seed
        seen = values > 1e-13 * values[-1]
        learned = -np.expm1(-np.multiply.outer(times, values[seen])) / values[seen]
        f = np.stack([cross @ (vectors[:, seen] @ (g[:, None] * rotated[seen])) for g in learned])
        band = run.predict(cross, times, np.diag(full)[:m])
        slack = 1e-9 * (1 + np.abs(f))
        assert (band.lower <= f + slack).all(), seed
        assert (f <= band.upper + slack).all(), seed

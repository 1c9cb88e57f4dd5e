"""Training time and its conventions: gradient flow, mean loss, steps of gradient descent.

Here t is the time of gradient flow on L = ½ Σ (f − y)², so that a direction of eigenvalue λ is learned
after about 1/λ. The mean loss L/n makes everything n times slower; gradient descent with step η on L has
done j steps at t ≈ ηj; neural-tangents writes e^{−Θ η t/(n k)} for n rows and k outputs, so t here is η
t_NT/(n k).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ntkdist.errors import InputError


def checked_times(times: ArrayLike) -> NDArray[np.float64]:
    """Times as float64 (T,); raises InputError if one is negative or NaN. Infinity is allowed."""
    t = np.atleast_1d(np.asarray(times, np.float64))
    if t.ndim != 1 or bool((t < 0.0).any()) or bool(np.isnan(t).any()):
        raise InputError("times must be a list of numbers >= 0 (infinity allowed)")
    return t


def auto_times(lambda_lower: float, lambda_upper: float, count: int = 40) -> NDArray[np.float64]:
    """0, ``count`` times spaced logarithmically over all scales of training, and ∞: (count + 2,).

    From a tenth of the fastest time 1/λ_max to ten times the slowest 1/λ_min; with λ_min unknown (0) the
    slow end is at 10⁶ fastest times. ``lambda_lower``, ``lambda_upper``: ends of the spectrum.
    """
    if not (lambda_upper > 0.0 and math.isfinite(lambda_upper)) or not 0.0 <= lambda_lower <= lambda_upper:
        raise InputError(f"auto_times needs 0 <= lambda_lower <= lambda_upper, got {lambda_lower}, {lambda_upper}")
    slowest = min(1.0 / lambda_lower, 1e12 / lambda_upper) if lambda_lower > 0.0 else 1e6 / lambda_upper
    return np.concatenate(([0.0], np.geomspace(0.1 / lambda_upper, 10.0 * slowest, count), [np.inf]))


def mean_loss_time(times: ArrayLike, n: int) -> NDArray[np.float64]:
    """The same moments on the clock of gradient flow on the mean loss L/n: n·t."""
    return checked_times(times) * n


def descent_steps(times: ArrayLike, step: float) -> NDArray[np.float64]:
    """The number of steps of size η that gradient descent on L needs to reach about time t: t/η."""
    if not step > 0.0:
        raise InputError(f"a step of gradient descent is positive, got {step}")
    return checked_times(times) / step


def neural_tangents_time(times: ArrayLike, n: int, outputs: int, step: float = 1.0) -> NDArray[np.float64]:
    """The same moments as neural-tangents counts them for its mean squared loss: t·n·k/η."""
    return descent_steps(times, step) * (n * outputs)

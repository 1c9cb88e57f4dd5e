"""A power law v ≈ C m^s fitted to values at several widths, with its confidence interval and band.

Ordinary least squares of log v on log m, every seed a point of its own, with Student's t at the given confidence
(the classical linear model: Draper & Smith, "Applied Regression Analysis", ch. 1).  It assumes that the relative
scatter is the same at every width and that one power law holds over the range; ``residual_spread`` is what to look at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from ntkdist.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PowerLaw:
    """v = e^{intercept} m^{exponent}; ``lower`` and ``upper`` bound the exponent at ``confidence``.

    ``residual_spread`` is the standard deviation of log v about the line; ``points`` how many were fitted.
    """

    exponent: float
    lower: float
    upper: float
    intercept: float
    residual_spread: float
    confidence: float
    points: int
    _centre: float
    _spread: float

    def __call__(self, widths: ArrayLike) -> Floats:
        """The fitted values at ``widths``."""
        line: Floats = np.exp(self.intercept + self.exponent * np.log(np.asarray(widths, np.float64)))
        return line

    def band(self, widths: ArrayLike) -> tuple[Floats, Floats]:
        """Ends of the confidence band of the line at ``widths``."""
        away = np.log(np.asarray(widths, np.float64)) - self._centre
        half = self._quantile * self.residual_spread * np.sqrt(1 / self.points + away**2 / self._spread)
        middle = self(widths)
        return middle * np.exp(-half), middle * np.exp(half)

    @property
    def _quantile(self) -> float:
        return float(student.ppf(0.5 + self.confidence / 2, self.points - 2))


def fit_power_law(widths: ArrayLike, values: ArrayLike, confidence: float = 0.95) -> PowerLaw:
    """Fit v ≈ C m^s to positive values (n,) at widths (n,).

    Raises ``InputError`` for fewer than three points, a single width, or values that are not positive numbers.
    """
    m, v = np.asarray(widths, np.float64), np.asarray(values, np.float64)
    if m.shape != v.shape or m.ndim != 1 or len(m) < 3 or len(np.unique(m)) < 2:
        raise InputError("an exponent needs at least three values at two or more widths")
    if not (np.all(np.isfinite(v)) and np.all(v > 0) and np.all(m > 0)):
        raise InputError("an exponent is fitted to positive, finite values only")
    x, y = np.log(m), np.log(v)
    centre = float(x.mean())
    spread = float(np.sum((x - centre) ** 2))
    slope = float(np.sum((x - centre) * y) / spread)
    intercept = float(y.mean() - slope * centre)
    residual = y - intercept - slope * x
    sigma = float(np.sqrt(np.sum(residual**2) / (len(m) - 2)))
    half = float(student.ppf(0.5 + confidence / 2, len(m) - 2)) * sigma / spread**0.5
    return PowerLaw(slope, slope - half, slope + half, intercept, sigma, confidence, len(m), centre, spread)

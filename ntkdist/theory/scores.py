"""How good predictions are: accuracy, regression error, and calibration of probabilities and of variances.

Accuracy is the share of rows whose largest output is the label; R² = 1 − Σ(f − y)²/Σ(y − ȳ)²; the expected
calibration error compares confidence with accuracy in bins (Guo, Pleiss, Sun & Weinberger 2017); coverage
compares how often the target lies within z standard deviations with what a Gaussian promises. Cost: O(mk).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf, log_ndtr

from ntkdist.errors import InputError


@dataclass(frozen=True)
class Regression:
    """``rmse``, ``mae`` over rows and outputs; ``r2`` averaged over outputs, None if one is constant."""

    rmse: float
    mae: float
    r2: float | None


@dataclass(frozen=True)
class Calibration:
    """Bins that hold rows: mean ``confidence``, ``accuracy``, ``count``; ``error``: weighted distance."""

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    count: NDArray[np.int64]
    error: float


@dataclass(frozen=True)
class Coverage:
    """Share of targets within ``z`` deviations, ``observed`` and ``promised``; mean ``log_likelihood``."""

    z: float
    observed: float
    promised: float
    log_likelihood: float


def accuracy(outputs: ArrayLike, labels: ArrayLike) -> float:
    """Share of rows whose largest output (m, k) is at the label (m,), 0..k−1; ties go to the first."""
    scores, truth = np.asarray(outputs, np.float64), np.asarray(labels)
    if scores.ndim != 2 or truth.shape != (len(scores),) or not len(scores):
        raise InputError(f"accuracy needs outputs (m, k) and labels (m,), got {scores.shape} and {truth.shape}")
    return float(np.mean(scores.argmax(axis=1) == truth))


def regression(outputs: ArrayLike, targets: ArrayLike) -> Regression:
    """Errors of ``outputs`` against ``targets``, both (m,) or (m, k)."""
    f, y = np.asarray(outputs, np.float64), np.asarray(targets, np.float64)
    if f.shape != y.shape or not f.size:
        raise InputError(f"regression needs outputs and targets of one shape, got {f.shape} and {y.shape}")
    error = (f - y).reshape(len(y), -1)
    spread = ((y - y.mean(axis=0)) ** 2).reshape(len(y), -1).sum(axis=0)
    r2 = float(np.mean(1.0 - (error**2).sum(axis=0) / spread)) if bool((spread > 0.0).all()) else None
    return Regression(float(np.sqrt(np.mean(error**2))), float(np.mean(np.abs(error))), r2)


def calibration(probabilities: ArrayLike, labels: ArrayLike, bins: int = 15) -> Calibration:
    """Expected calibration error of ``probabilities`` (m, k) against ``labels`` (m,), equal-width bins."""
    p, truth = np.asarray(probabilities, np.float64), np.asarray(labels)
    if p.ndim != 2 or truth.shape != (len(p),) or bins < 1 or not np.allclose(p.sum(axis=1), 1.0):
        raise InputError("calibration needs probabilities (m, k) that sum to one per row, and labels (m,)")
    sure, right = p.max(axis=1), p.argmax(axis=1) == truth
    index = np.minimum((sure * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    held = count > 0
    confidence = np.bincount(index, sure, bins)[held] / count[held]
    hit = np.bincount(index, right, bins)[held] / count[held]
    error = float((count[held] * np.abs(confidence - hit)).sum() / len(p))
    return Calibration(confidence, hit, count[held], error)


def argmax_probabilities(mean: ArrayLike, variance: ArrayLike, nodes: int = 61) -> NDArray[np.float64]:
    """P(output c is the largest), (m, k), for independent Gaussian outputs ``mean`` (m, k), ``variance`` (m,) > 0.

    P_c = ∫ φ(z) Π_{j≠c} Φ(z + (f_c − f_j)/σ) dz by Gauss–Hermite quadrature, normalised to sum to one.
    """
    f, v = np.asarray(mean, np.float64), np.asarray(variance, np.float64)
    if f.ndim != 2 or v.shape != (len(f),) or not bool((v > 0.0).all()):
        raise InputError("argmax_probabilities needs means (m, k) and positive variances (m,)")
    z, weight = np.polynomial.hermite_e.hermegauss(nodes)
    scaled = f / np.sqrt(v)[:, None]
    out = np.empty_like(f)
    for c in range(f.shape[1]):
        gap = np.delete(scaled[:, [c]] - scaled, c, axis=1)
        below = log_ndtr(z + gap[:, :, None]).sum(axis=1)
        out[:, c] = np.exp(below) @ weight
    total = out.sum(axis=1, keepdims=True)
    return np.asarray(out / total)


def coverage(mean: ArrayLike, variance: ArrayLike, targets: ArrayLike, z: float = 2.0) -> Coverage:
    """Gaussian coverage at ``z``; ``mean``, ``targets`` (m, k), ``variance`` (m,) > 0, noise included."""
    f, y, v = (np.asarray(a, np.float64) for a in (mean, targets, variance))
    if f.shape != y.shape or f.ndim != 2 or v.shape != (len(f),) or not bool((v > 0.0).all()):
        raise InputError("coverage needs mean and targets (m, k) and positive variances (m,)")
    standard = (f - y) ** 2 / v[:, None]
    likelihood = -0.5 * (standard + np.log(2.0 * np.pi * v)[:, None])
    promised = float(erf(z / np.sqrt(2.0)))
    return Coverage(z, float(np.mean(standard <= z * z)), promised, float(likelihood.mean()))

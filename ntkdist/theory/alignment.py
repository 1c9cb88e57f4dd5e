"""How well a kernel points at the targets before any training: alignment and what the spectrum says.

Kernel–target alignment A = ⟨K, YYᵀ⟩_F / (‖K‖_F ‖YYᵀ‖_F) (Cristianini et al. 2001), and its centred form with HKH and
HY, H = I − 11ᵀ/n, which does not reward a constant part of K (Cortes, Mohri & Rostamizadeh 2012).  Cost: O(n²(k + 1)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Alignment:
    """``plain`` and ``centred`` alignment, both in [−1, 1] and at least 0 for a positive semi-definite kernel."""

    plain: float
    centred: float


@dataclass(frozen=True)
class KernelPortrait:
    """A kernel matrix on a task before training.

    ``condition`` is λ_max/λ_min (None where λ_min is not above its rounding); ``effective_rank`` is (Σλ)²/Σλ²;
    ``top_share`` is λ_max/Σλ; ``learned_share`` is the part of ‖Y‖² in the ``leading`` eigenvectors with the largest
    eigenvalues, the directions gradient descent learns first.
    """

    alignment: Alignment
    lambda_min: float
    lambda_max: float
    condition: float | None
    effective_rank: float
    top_share: float
    learned_share: float
    leading: int


def alignment(kernel: Floats, y: Floats) -> Alignment:
    """Alignment of a kernel matrix (n, n) with targets y (n, k).

    Raises ``InputError`` where shapes disagree or the targets (or the kernel) are zero.
    """
    k = np.asarray(kernel, np.float64)
    targets = np.asarray(y, np.float64)
    targets = targets[:, None] if targets.ndim == 1 else targets
    if k.ndim != 2 or k.shape[0] != k.shape[1] or len(targets) != len(k):
        raise InputError(f"alignment needs a square kernel and a target per row, got {k.shape} and {targets.shape}")
    plain = _ratio(k, targets)
    means = k.mean(axis=0)
    centred = k - means[None, :] - means[:, None] + means.mean()
    return Alignment(plain, _ratio(centred, targets - targets.mean(axis=0)))


def portrait(kernel: Floats, y: Floats, leading: int = 10) -> KernelPortrait:
    """Alignment and spectrum of a kernel matrix (n, n) on targets y (n, k), by a dense eigendecomposition."""
    found = alignment(kernel, y)
    values, vectors = np.linalg.eigh(np.asarray(kernel, np.float64))
    top = float(values[-1])
    rounding = len(values) * np.finfo(np.float64).eps * top
    share = vectors[:, ::-1][:, :leading].T @ (y if y.ndim == 2 else y[:, None])
    return KernelPortrait(
        found,
        float(values[0]),
        top,
        top / float(values[0]) if values[0] > rounding else None,
        float(values.sum() ** 2 / np.sum(values**2)),
        top / float(values.sum()),
        float(np.sum(share**2) / np.sum(np.asarray(y) ** 2)),
        min(leading, len(values)),
    )


def _ratio(kernel: Floats, y: Floats) -> float:
    gram = y.T @ y
    scale = float(np.linalg.norm(kernel)) * float(np.linalg.norm(gram))
    if not scale > 0:
        raise InputError("alignment is not defined: the kernel or the targets are zero (after centring)")
    return float(np.sum(y * (kernel @ y))) / scale

"""Gradient-flow training of the infinitely wide network at any list of times, on training and test points.

f(t) = y − e^{−Θt} r(0) on the training set, r(0) = y − f(0), and off it f(x*, t) = f(x*, 0) + Θ(x*, X) v(t)
with v(t) = Θ⁻¹(I − e^{−Θt}) r(0) (Jacot, Gabriel & Hongler 2018; Lee et al. 2019). Both come from one block
Krylov space of (Θ, r(0)), never from a dense eigendecomposition, with a lower and an upper value from the
defect of the space (:mod:`ntkdist.theory.defect`). The loss L(t) = ½ Σ r(t)² is shown beside its envelope
e^{−2λ_min t} L(0). Cost: one operator pass per step of the space, none per time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ntkdist.errors import InputError
from ntkdist.theory.defect import DefectBound, decay, defect_bound, integrated, limit_bound
from ntkdist.theory.krylov import BlockLanczos, KrylovSpace, MatMat
from ntkdist.theory.statement import GRADIENT_FLOW
from ntkdist.theory.times import checked_times


@dataclass(frozen=True)
class Band:
    """Values with lower and upper bounds, arrays of one shape."""

    value: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]


@dataclass(frozen=True)
class LossCurve:
    """L(t) = ½ Σ (f(t) − y)² at ``times`` (T,), summed over rows and outputs, with its envelope.

    ``loss``: bands (T,). ``envelope``: e^{−2 λ_lower t} L(0), the convergence theorem's. ``per_output``:
    (T, k).
    """

    times: NDArray[np.float64]
    loss: Band
    per_output: Band
    envelope: NDArray[np.float64]
    convention: str = GRADIENT_FLOW


@dataclass(frozen=True)
class Dynamics:
    """Training as a function of time, read from one Krylov space.

    ``y`` (n, k) targets, ``residual0`` (n, k) = y − f(0), ``space`` the Krylov space of (Θ, residual0),
    ``lambda_lower`` ≤ λ_min(Θ), ``passes`` operator products used; ``converged`` says whether the loss
    reached the asked accuracy at all asked times, ``reason`` how.
    """

    y: NDArray[np.float64]
    residual0: NDArray[np.float64]
    space: KrylovSpace
    lambda_lower: float
    passes: int
    converged: bool
    reason: str

    def loss(self, times: ArrayLike) -> LossCurve:
        """The loss curve at ``times`` (T,), ≥ 0, in any order, ∞ allowed."""
        return loss_curve(self.space, self.residual0, checked_times(times), self.lambda_lower)

    def train(self, times: ArrayLike) -> Band:
        """f(t) on the training set, (T, n, k), with bounds: each entry errs by at most ‖r − r_m‖₂."""
        t = checked_times(times)
        value = np.stack([self.y - self.space.expand(self._fading(s)) for s in t]) if len(t) else np.empty(0)
        half = _at(self.space, t, self.lambda_lower).residual[:, None, :]
        return Band(value, value - half, value + half)

    def dual(self, times: ArrayLike) -> NDArray[np.float64]:
        """v(t) with f(x*, t) = f(x*, 0) + Θ(x*, X) v(t): (T, n, k); at t = ∞ the regression weights."""
        pieces = integrated(self.space.theta, checked_times(times), self.space.null)
        return np.stack([self.space.expand(p[:, None] * self.space.start) for p in pieces])

    def predict(self, k_cross: ArrayLike, times: ArrayLike, k_diag: ArrayLike, f0: ArrayLike = 0.0) -> Band:
        """f(x*, t) for rows ``k_cross`` (m, n) = Θ(x*, X): (T, m, k), with bounds.

        ``k_diag`` (m,) = Θ(x*, x*), which bounds the error: |error| ≤ √Θ(x*, x*) ‖∫(r − r_m)‖_Θ because the
        kernel is positive semi-definite on training and test rows together. ``f0`` (m, k): the network's
        output at t = 0.
        """
        cross = np.asarray(k_cross, np.float64)
        if cross.ndim != 2 or cross.shape[1] != len(self.y):
            raise InputError(f"k_cross must be (m, {len(self.y)}), kernel values to all training rows")
        size = np.linalg.norm(cross, axis=1)
        return self.predict_projected(cross @ self.directions, times, k_diag, f0, k_norm=size)

    @property
    def directions(self) -> NDArray[np.float64]:
        """(n, M): the space's eigendirections; Θ(x*, X) times these is all a prediction needs."""
        return np.asarray(self.space.basis @ self.space.vectors)

    def predict_projected(
        self,
        projected: ArrayLike,
        times: ArrayLike,
        k_diag: ArrayLike,
        f0: ArrayLike = 0.0,
        *,
        k_norm: ArrayLike = np.inf,
    ) -> Band:
        """:meth:`predict` from ``projected`` (m, M) = Θ(x*, X) :attr:`directions`, for streamed rows.

        ``k_norm`` (m,): ‖Θ(x*, X)‖₂ where known; it can tighten the bounds.
        """
        t, p = checked_times(times), np.asarray(projected, np.float64)
        pieces = integrated(self.space.theta, t, self.space.null)
        value = np.asarray(f0, np.float64) + (p[None] * pieces[:, None, :]) @ self.space.start
        bound = _at(self.space, t, self.lambda_lower)
        reach = np.sqrt(np.maximum(np.asarray(k_diag, np.float64), 0.0))[:, None]
        half = reach * bound.energy[:, None, :]
        size = np.broadcast_to(np.asarray(k_norm, np.float64), len(p))[:, None]
        if np.isfinite(size).all():
            half = np.minimum(half, size * bound.dual[:, None, :])
        return Band(value, value - half, value + half)

    def _fading(self, t: float) -> NDArray[np.float64]:
        return fading(self.space, t)


def dynamics(
    op: MatMat,
    y: ArrayLike,
    times: ArrayLike,
    *,
    f0: ArrayLike | None = None,
    lambda_lower: float = 0.0,
    rtol: float = 1e-3,
    max_passes: int = 200,
    max_columns: int = 2000,
    callback: Callable[[int, float], None] | None = None,
) -> Dynamics:
    """Grow the Krylov space of (Θ, y − f(0)) until the loss is known to ``rtol`` at all ``times``.

    ``op``: (n, n), Θ (plus ridge, if training has one). ``y`` (n,) or (n, k). ``f0``: the network at t = 0
    on the training rows, default zero. ``lambda_lower``: a lower bound of λ_min(Θ), 0 if nothing is known.
    The relative width is (upper − lower)/upper, ignored where the loss is below 1e-20 of L(0).
    ``callback(passes, width)``. Raises InputError for bad shapes or values, Unresolvable if Θ is not
    positive semi-definite.
    """
    targets = np.asarray(y, np.float64)
    targets = targets[:, None] if targets.ndim == 1 else targets
    if targets.ndim != 2 or not np.isfinite(targets).all():
        raise InputError(f"y must be finite with shape (n,) or (n, k), got {targets.shape}")
    if not (lambda_lower >= 0.0 and math.isfinite(lambda_lower)):
        raise InputError(f"lambda_lower is a lower bound of an eigenvalue of a Gram matrix, got {lambda_lower}")
    start = np.zeros_like(targets) if f0 is None else np.asarray(f0, np.float64).reshape(targets.shape)
    residual0 = targets - start
    asked = checked_times(times)
    lanczos = BlockLanczos(op, residual0)
    width, reason = math.inf, "no pass was needed: the start is the target"
    while not lanczos.exhausted:
        lanczos.advance()
        last = lanczos.passes >= max_passes or lanczos.columns >= max_columns or lanczos.exhausted
        if not last and lanczos.passes % 4:
            continue
        space = lanczos.space()
        width = _width(loss_curve(space, residual0, asked, lambda_lower).loss)
        if callback is not None:
            callback(lanczos.passes, width)
        if width <= rtol:
            reason = f"the loss is known to {width:.1e} at all times"
            break
        if last:
            reason = f"stopped at {lanczos.passes} passes: the loss is known to {width:.1e}"
            break
    else:
        width = 0.0
    return Dynamics(targets, residual0, lanczos.space(), lambda_lower, lanczos.passes, width <= rtol, reason)


def loss_curve(
    space: KrylovSpace, residual0: NDArray[np.float64], times: NDArray[np.float64], lambda_lower: float
) -> LossCurve:
    """½‖r(t)‖² per output and in total from the space, bounded by the defect and by what is always true."""
    initial = 0.5 * (residual0**2).sum(axis=0)
    norms = np.stack([np.linalg.norm(fading(space, s), axis=0) for s in times]) if len(times) else np.empty((0, 1))
    error = _at(space, times, lambda_lower).residual
    always = np.array([_envelope(lambda_lower, t) for t in times])
    per = Band(
        0.5 * norms**2,
        0.5 * np.maximum(norms - error, 0.0) ** 2,
        np.minimum(0.5 * (norms + error) ** 2, always[:, None] * initial * (1.0 + 1e-14)),
    )
    per = Band(per.value, np.minimum(per.lower, per.upper), per.upper)
    total = Band(per.value.sum(axis=1), per.lower.sum(axis=1), per.upper.sum(axis=1))
    return LossCurve(times, total, per, always * initial.sum())


def fading(space: KrylovSpace, t: float) -> NDArray[np.float64]:
    """Coefficients (M, k) of r_m(t); at t = ∞ what lies in the kernel's null space stays."""
    if math.isinf(t):
        return np.asarray(np.where(space.theta[:, None] <= space.null, space.start, 0.0))
    return np.asarray(decay(space.theta, np.array([t]))[0][:, None] * space.start)


def _envelope(lambda_lower: float, t: float) -> float:
    return 1.0 if lambda_lower == 0.0 else math.exp(-2.0 * lambda_lower * t)


def _at(space: KrylovSpace, times: NDArray[np.float64], lambda_lower: float) -> DefectBound:
    """Defect bounds at times in any order; at ∞ they are those of the limit."""
    finite = np.isfinite(times)
    order = np.argsort(times[finite])
    bound = defect_bound(space, times[finite][order], lambda_lower)
    filled = []
    for name in ("residual", "energy", "dual"):
        full = np.full((len(times), space.start.shape[1]), np.inf)
        place = np.nonzero(finite)[0][order]
        full[place] = getattr(bound, name)
        filled.append(full)
    if not finite.all():
        limit = limit_bound(space, lambda_lower)
        for full, end in zip(filled, limit, strict=True):
            full[~finite] = end
    return DefectBound(*filled)


def _width(loss: Band) -> float:
    """The largest relative width of the band, ignoring losses that are zero for every purpose."""
    if not len(loss.value):
        return 0.0
    floor = 1e-20 * float(loss.upper.max())
    seen = loss.upper > floor
    return float(((loss.upper - loss.lower)[seen] / loss.upper[seen]).max()) if seen.any() else 0.0


def dual_error(run: Dynamics, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bound of the 2-norm error of each column of ``run.dual(times)``: (T, k), infinite if none is known."""
    return _at(run.space, times, run.lambda_lower).dual

"""Direct, float32-preconditioned or iterative: the cheapest by predicted seconds on this machine, and why.

    T64 = n³/3R₆₄                                    float64 Cholesky
    T32 = n³/3R₃₂ + 4 passes                         float32 Cholesky as preconditioner, then block CG
    Tit = 6nk²/R₆₄ + N·(t_pass + 4nks/R_skinny)      low-rank or factorised preconditioner, then block CG

The rates R and the seconds of a pass are measured here and now (a fraction of a second); the number of passes N
comes from what was measured on image data and is the uncertain part. So the iterative path must win by a fifth.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.linalg.lapack import dpotrf, spotrf

from ntkdist.kernels.blas import one_blas_thread
from ntkdist.linalg.memory import fits_dense
from ntkdist.linalg.operator import Operator
from ntkdist.linalg.rpcholesky import default_rank

_PROBE = 1536
_ALWAYS_DIRECT = 1000
# Passes of block CG with rank n/20 to 1e-8 on CIFAR-10 at 4,000 rows, and how they grow with n.
_PASSES, _GROWTH = 40.0, 0.25
# What local data take with neighbours in the preconditioner.
_LOCAL_PASSES = 14.0
_MARGIN = 0.8


@dataclass(frozen=True)
class Rates:
    """Flops per second of the factorizations in float64 and float32, and of thin one-thread products."""

    float64: float
    float32: float
    skinny: float


@dataclass(frozen=True)
class Prediction:
    """Predicted seconds of one way to solve, or infinity where it does not fit in memory."""

    method: str
    seconds: float


@dataclass(frozen=True)
class Choice:
    """``cholesky``, ``cholesky32`` or ``cg``, with the predictions it was chosen from and the reason in words."""

    method: str
    reason: str
    predictions: tuple[Prediction, ...]


@lru_cache(maxsize=1)
def measure_rates() -> Rates:
    """Time a small factorization in both precisions and a thin product; about 0.2 seconds, once per process."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((_PROBE, _PROBE))
    spd = np.asfortranarray(a @ a.T / _PROBE + np.eye(_PROBE))
    flops = _PROBE**3 / 3
    double = flops / _best(lambda: dpotrf(spd, lower=1))
    single32 = spd.astype(np.float32)
    single = flops / _best(lambda: spotrf(single32, lower=1))
    thin = rng.standard_normal((_PROBE, 10))
    with one_blas_thread():
        skinny = 2.0 * _PROBE * _PROBE * 10 / _best(lambda: a @ thin)
    return Rates(double, single, skinny)


def choose_method(
    op: Operator,
    *,
    outputs: int,
    rtol: float = 1e-8,
    local: bool = False,
    rank: int | None = None,
    rates: Rates | None = None,
    pass_seconds: float | None = None,
) -> Choice:
    """Compare the three predictions for ``outputs`` right-hand sides.

    ``local`` says that neighbours explain the remainder (the factorised preconditioner); ``rank`` 0 that the
    preconditioner exists already and costs nothing; ``pass_seconds`` is measured on the operator unless given.
    """
    n = op.shape[0]
    k = default_rank(n) if rank is None else rank
    fits64, fits32 = fits_dense(n), fits_dense(n, 4)
    if not fits64 and not fits32:
        gigabytes = 8 * n * n / 1e9
        words = f"a dense factorization of {n} rows ({gigabytes:.3g} GB, {gigabytes / 2:.3g} in float32) does not fit"
        return Choice("cg", words, ())
    if n < _ALWAYS_DIRECT and fits64:
        return Choice("cholesky", f"fewer than {_ALWAYS_DIRECT} rows are factorized in a fraction of a second", ())
    known = rates or measure_rates()
    seconds = _pass_seconds(op, outputs) if pass_seconds is None else pass_seconds
    decades = -math.log10(min(max(rtol, 1e-16), 0.1)) / 8
    passes = math.ceil(decades * (_LOCAL_PASSES if local else _PASSES * max(1.0, n / 4000) ** _GROWTH))
    t64 = n**3 / 3 / known.float64 + seconds if fits64 else math.inf
    t32 = n**3 / 3 / known.float32 + 4 * seconds if fits32 else math.inf
    width = default_rank(n)
    setup = 6.0 * n * k**2 / known.float64
    iterative = setup + passes * (seconds + 4.0 * n * width * outputs / known.skinny)
    predictions = (Prediction("cholesky", t64), Prediction("cholesky32", t32), Prediction("cg", iterative))
    direct = min(predictions[:2], key=lambda p: p.seconds)
    method = "cg" if iterative < _MARGIN * direct.seconds else direct.method
    words = (
        f"predicted seconds: {_seconds(t64)} Cholesky, {_seconds(t32)} float32 Cholesky and block CG, "
        f"{_seconds(iterative)} block CG in about {passes} passes"
    )
    return Choice(method, words, predictions)


def _seconds(value: float) -> str:
    return f"{value:.2g}" if math.isfinite(value) else "(does not fit)"


def _pass_seconds(op: Operator, outputs: int) -> float:
    v = np.random.default_rng(0).standard_normal((op.shape[0], outputs))
    return _best(lambda: op.matmat(v), repeat=2)


def _best(work: object, repeat: int = 3) -> float:
    assert callable(work)
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)

"""Risk without a test score: leave-one-out, generalised cross-validation, effective dimension, a path of ridges.

The diagonal of the inverse is exact from one factorisation up to ``EXACT`` rows and estimated from random probes
beyond; a path of ridges comes from one eigendecomposition up to ``theory.dense_rows`` rows, beyond that from one
block Krylov space (weights) and stochastic Lanczos quadrature (traces), where only GCV is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from ntkdist.errors import InputError, Unresolvable
from ntkdist.linalg import (
    InverseDiagonal,
    estimate_inverse_diagonal,
    inverse_diagonal,
    solve_ridges_shared,
    spectral_sample,
)
from ntkdist.pipeline.gram_matrix import Gram
from ntkdist.theory.leave_one_out import gcv, leave_one_out, ridge_path
from ntkdist.theory.statement import Assumption, Statement

Array = NDArray[Any]
EXACT = 6000
"""Rows up to which the diagonal of the inverse is exact, at about the cost of two factorisations."""
_PROBES = 32
_ALLEN = "Allen 1974; Rasmussen & Williams 2006, eq. 5.12"
_GCV = "Golub, Heath & Wahba 1979 (Technometrics 21)"
_DIMENSION = "Zhang 2005 (Neural Computation 17); Caponnetto & De Vito 2007"


@dataclass(frozen=True)
class RidgeScores:
    """Along ``ridges`` (R,): mean squared ``loo`` (or None) and ``gcv`` errors and ``effective_dimension``.

    Entries are None where unresolved; ``best_loo`` and ``best_gcv`` the minimisers; ``how`` they were found.
    """

    ridges: list[float]
    loo: list[float | None]
    gcv: list[float | None]
    effective_dimension: list[float | None]
    best_loo: float | None
    best_gcv: float | None
    how: str


def risk_lines(gram: Gram, y: Array, weights: Array, ridge: float, task: str) -> tuple[Statement, ...]:
    """Leave-one-out error (and accuracy), GCV and effective dimension of the solution at its ridge."""
    try:
        diagonal = _diagonal(gram, ridge)
        left_out = leave_one_out(y, weights, diagonal.value)
        trace = float(diagonal.value.sum())
        score = gcv(weights, trace)
    except Unresolvable as error:
        return (_line("loo_mse", "Leave-one-out mean squared error", None, "1", "", _ALLEN, note=str(error)),)
    told = (
        "exact up to the residual of the solve"
        if diagonal.exact
        else f"estimated: diag K^-1 from {_PROBES} random probes, median relative error "
        f"{float(np.median(diagonal.error / diagonal.value)):.1e}"
    )
    grade = "exact" if diagonal.exact else "estimate"
    lines = [
        _line(
            "loo_mse", "Leave-one-out mean squared error", left_out.mse, "squared target", "mean (alpha_i/(K^-1)_ii)^2",
            _ALLEN, note=told, grade=grade,
        )
    ]  # fmt: skip
    if task == "classification" and y.shape[1] > 1:
        lines.append(
            _line(
                "loo_accuracy", "Leave-one-out accuracy", left_out.accuracy(), "1", "argmax (y_i - alpha_i/(K^-1)_ii)",
                _ALLEN, note=told, grade=grade,
            )
        )  # fmt: skip
    dimension = len(y) - ridge * trace
    lines += [
        _line(
            "gcv", "Generalised cross-validation", score, "squared target", "(|alpha|^2/n)/((tr K^-1)/n)^2", _GCV,
            note=told, grade=grade,
        ),
        _line(
            "effective_dimension", f"Effective dimension at ridge {ridge:g}", dimension, "directions",
            "tr Theta (Theta + ridge)^-1", _DIMENSION, grade=grade,
            note=told if ridge else "without a ridge it is the number of rows",
        ),
    ]  # fmt: skip
    return tuple(lines)


def auto_ridges(gram: Gram, count: int = 13) -> list[float]:
    """0 and a logarithmic grid from 1e-9 to 10 times the mean of the diagonal."""
    mean = float(gram.diagonal().mean())
    return [0.0, *(float(r) for r in np.geomspace(1e-9 * mean, 10.0 * mean, count))]


def score_ridges(gram: Gram, y: Array, ridges: list[float], *, dense_rows: int, seed: int = 0) -> RidgeScores:
    """Scores along a grid from one decomposition or one Krylov space; never a test score."""
    if not ridges:
        raise InputError("a ridge is chosen from a list of at least one.")
    if gram.n <= dense_rows:
        values, vectors = eigh(gram.to_numpy().astype(np.float64))
        path = ridge_path(values, vectors, y, ridges)
        loo, score = _finite(path.loo), _finite(path.gcv)
        dimension = _finite(path.effective_dimension)
        return RidgeScores(ridges, loo, score, dimension, path.best_loo, path.best_gcv, "one dense eigendecomposition")
    positive = [r for r in ridges if r > 0.0]
    solves = solve_ridges_shared(gram.operator, y, positive, rtol=1e-4, max_passes=100)
    sample = spectral_sample(gram.operator, probes=8, steps=40, seed=seed)
    gcvs: list[float | None] = []
    for ridge, solve in zip(positive, solves, strict=True):
        trace = sample.trace(_inverse(ridge)).value
        gcvs.append(gcv(solve.x, trace) if solve.converged else None)
    dimension = [sample.effective_dimension(r).value for r in positive]
    known = [(score, r) for score, r in zip(gcvs, positive, strict=True) if score is not None]
    how = (
        "one block Krylov space for all ridges, traces by stochastic Lanczos quadrature (8 probes): GCV only, "
        "estimated; ridges that were not solved to 1e-4 in 100 passes are left out"
    )
    return RidgeScores(
        positive, [None] * len(positive), gcvs, list(dimension), None, min(known)[1] if known else None, how
    )


def _diagonal(gram: Gram, ridge: float) -> InverseDiagonal:
    if gram.n <= EXACT:
        return inverse_diagonal(gram.operator, ridge=ridge)
    return estimate_inverse_diagonal(gram.operator, preconditioner=gram.preconditioner, ridge=ridge, probes=_PROBES)


def _inverse(ridge: float) -> Any:
    return lambda values: 1.0 / (values + ridge)


def _finite(values: Array) -> list[float | None]:
    return [float(v) if math.isfinite(v) else None for v in values]


def _line(
    key: str,
    name: str,
    value: float | None,
    unit: str,
    formula: str,
    source: str,
    *,
    note: str,
    grade: str = "estimate",
) -> Statement:
    return Statement(
        key=key,
        name=name,
        value=value,
        lower=None,
        upper=None,
        unit=unit,
        formula=formula,
        source=source,
        convention="targets as solved for (coding and centring included); mean over rows and outputs",
        assumptions=(Assumption("the rows are drawn independently from one distribution", None),),
        grade=grade,
        note=note,
    )

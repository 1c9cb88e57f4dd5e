"""Bounds that are about another kernel or other labels than the run's, each from a solve of its own.

Arora et al. 2019 and Du et al. 2019 speak of H^∞, the kernel of a two-layer ReLU network with only its first layer
trained, on rows of unit norm; Cao & Gu 2019 of labels ±1. So these are computed with that kernel and those labels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import Unresolvable
from ntkdist.kernels import Kernel, Layer
from ntkdist.linalg import (
    Bracket,
    Deduplicated,
    Interval,
    Operator,
    block_cg,
    cholesky_solve,
    choose_method,
    default_rank,
    inverse_form,
    rpcholesky,
)
from ntkdist.pipeline.gram_matrix import Gram
from ntkdist.pipeline.second_kernel import second_gram
from ntkdist.pipeline.session import Session
from ntkdist.pipeline.solve import solve_weights
from ntkdist.pipeline.spectrum import extreme_eigenvalues
from ntkdist.theory.cao_gu import cao_gu
from ntkdist.theory.statement import Statement
from ntkdist.theory.two_layer import arora
from ntkdist.theory.widths import widths

Array = NDArray[Any]
_RTOL = 1e-8


def two_layer_kernel_spec() -> Kernel:
    """H^∞ as a kernel of this library: unit rows, x·x' (π − θ)/(2π), the second layer frozen."""
    return Kernel(layers=[Layer("relu", sigma_w=1.0, frozen=True)], input_scaling="unit")


def two_layer_lines(session: Session, *, certificate: str, delta: float) -> tuple[Statement, ...]:
    """Arora et al.'s bound and the widths of Du, Arora and Nguyen et al., from λ_min(H^∞) and a solve with it."""
    gram = second_gram(session, two_layer_kernel_spec(), "ntk")
    smallest = extreme_eigenvalues(gram, certificate).lambda_min
    scale = float(np.abs(session.targets).max(initial=0.0))
    y = session.targets / max(1.0, scale)
    form = _form(gram, y, smallest)
    line = arora(np.ones(len(y)), y, form, lambda_min=smallest, delta=delta, grade=smallest.grade)
    told = "rows divided by their norms" + (f", targets divided by max |y| = {scale:.6g}" if scale > 1.0 else "")
    line = replace(line, convention=f"{line.convention}; {told}")
    return (line, *widths(smallest, len(y), delta=delta, rows_unit_norm=True))


def cao_gu_line(session: Session, low: Interval, rows_unit_norm: bool, *, delta: float) -> Statement:
    """Cao & Gu's leading term with the labels ±1 of one class against the rest, of the worst class."""
    signs = np.where(session.targets > 0.0, 1.0, -1.0)
    try:
        weights = solve_weights(session.gram, signs, rtol=1e-6)[0].x
        form = inverse_form(session.gram.operator, signs, weights, max(low.lower, 0.0))
    except Unresolvable:
        form = _unbounded(signs.shape[1])
    layers = getattr(session.kernel, "layers", ())
    plain = bool(layers) and all(
        str(layer.activation) == "relu"
        and layer.sigma_b == 0.0
        and not (layer.residual or layer.layernorm or layer.frozen)
        and abs(layer.sigma_w**2 - 2.0) < 1e-12
        for layer in layers
    )
    return cao_gu(
        signs,
        form,
        layers=len(layers) + 1,
        rows_unit_norm=rows_unit_norm or getattr(session.kernel, "input_scaling", "") == "unit",
        relu_without_bias=plain and session.identity.which == "ntk",
        delta=delta,
        grade=low.grade,
    )


def _form(gram: Gram, y: Array, smallest: Interval) -> Bracket:
    """y_kᵀ(H^∞)⁻¹y_k; rows that repeat with equal targets count once, with other targets the form is infinite."""
    if any(np.ptp(y[group], axis=0).any() for group in gram.duplicates):
        return _unbounded(y.shape[1])
    op: Operator = gram.operator
    lower = max(smallest.lower, 0.0)
    if gram.duplicates:
        distinct = Deduplicated(gram.operator, gram.duplicates)
        op, y, lower = distinct, y[distinct.rows], 0.0
    if choose_method(op, outputs=y.shape[1], rtol=_RTOL).method == "cholesky":
        solve = cholesky_solve(op, y, rtol=_RTOL)
    else:
        solve = block_cg(op, y, preconditioner=rpcholesky(op, default_rank(op.shape[0]), seed=0), rtol=_RTOL)
    if not np.isfinite(solve.x).all() or not solve.converged:
        return _unbounded(y.shape[1])
    return inverse_form(op, y, solve.x, lower)


def _unbounded(outputs: int) -> Bracket:
    return Bracket(np.zeros(outputs), np.full(outputs, np.inf), np.full(outputs, np.inf))

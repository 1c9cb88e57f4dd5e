"""One network at initialisation: a draw f(0) ~ N(0, Σ) from the NNGP prior, without factorising Σ.

f(0) = Σ^{1/2} z with z standard normal, one column per output, so outputs are independent (Lee et al. 2018).
Σ^{1/2}z is read from the block Krylov space of (Σ, z), grown until two consecutive spaces agree (Higham 2008,
ch. 13). The square root is singular at zero, so small eigenvalues need more passes; what is missing is reported.
Cost: one operator pass per step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.theory.krylov import BlockLanczos, MatMat


@dataclass(frozen=True)
class PriorDraw:
    """``f0`` (n, k); ``error``: relative change over the last passes (an estimate); ``passes`` used."""

    f0: NDArray[np.float64]
    error: float
    passes: int


def prior_draw(
    sigma: MatMat, outputs: int, seed: int = 0, *, rtol: float = 1e-6, max_passes: int = 300, max_columns: int = 3000
) -> PriorDraw:
    """Draw f(0) for all rows of ``sigma`` (n, n) at once; the same ``seed`` draws the same network.

    Raises InputError for ``outputs`` < 1 and Unresolvable if Σ is indefinite.
    """
    if outputs < 1:
        raise InputError(f"a network has at least one output, not {outputs}")
    n = sigma.shape[0]
    noise = np.random.default_rng(seed).standard_normal((n, outputs))
    lanczos = BlockLanczos(sigma, noise)
    before, error = np.zeros_like(noise), np.inf
    while not lanczos.exhausted and lanczos.passes < max_passes and lanczos.columns < max(max_columns, 2 * outputs):
        lanczos.advance()
        if lanczos.passes % 4 and not lanczos.exhausted:
            continue
        space = lanczos.space()
        now = space.expand(np.sqrt(space.theta)[:, None] * space.start)
        size = float(np.linalg.norm(now))
        error = float(np.linalg.norm(now - before)) / size if size > 0.0 else 0.0
        before = now
        if error <= rtol:
            break
    if lanczos.exhausted:
        error = 0.0
    return PriorDraw(before, error, lanczos.passes)

"""Many ridges for the price of few: the rest of a list of ridges after its first has been solved for.

Direct solves factorize once per ridge. Iterative ones share one Krylov space where the matrix is so well conditioned
that its unpreconditioned passes are fewer than the preconditioned ones of all ridges together; otherwise every solve
starts from the Galerkin solution in the span of those before it, ridges descending.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from ntkdist.errors import Unresolvable
from ntkdist.linalg import Solve, cholesky_solve, solve_ridges, solve_ridges_shared
from ntkdist.pipeline.gram_matrix import Gram
from ntkdist.pipeline.progress import Progress, Silent

Array = NDArray[Any]


@dataclass(frozen=True)
class Conditioning:
    """(λ_min, an upper eigenvalue left when the first ``count`` are resolved, λ_max), as far as the run knows them."""

    smallest: float
    upper: float
    count: int

    def passes(self, ridge: float, rtol: float, columns: int) -> float:
        """CG passes without preconditioner: the resolved eigenvalues at one per column, ½√κ ln(2/rtol) for the rest."""
        low = self.smallest + ridge
        if low <= 0:
            return math.inf
        kappa = max(1.0, (self.upper + ridge) / low)
        return self.count / columns + 0.5 * math.sqrt(kappa) * math.log(2 / rtol)


def solve_path(
    gram: Gram,
    y: Array,
    ridges: tuple[float, ...],
    first: Solve,
    method: str,
    *,
    rtol: float,
    max_passes: int,
    conditioning: Conditioning | None = None,
    progress: Progress | None = None,
) -> tuple[list[dict[str, Any]], Array]:
    """(what a report says of each ridge, the weights (ridges, n, k)); ``first`` belongs to the first ridge.

    Raises
    ------
    Unresolvable
        A ridge of the list is too small for the matrix to be definite in float64.
    """
    progress = progress or Silent()
    progress.start("ridges", len(ridges), "ridges")
    rest = ridges[1:]
    if method == "cholesky":
        how = "one factorization per ridge"
        solves = [cholesky_solve(gram.operator, y, ridge=ridge, rtol=rtol) for ridge in rest]
    elif _shared_pays(gram, y, rest, first, rtol, conditioning):
        how = "one Krylov space for all ridges"
        limit = max(100, 4 * first.passes)
        solves = list(solve_ridges_shared(gram.operator, y, rest, rtol=rtol, max_passes=limit))
    else:
        how = "preconditioned, from the Galerkin solution in the span of the others"
        solves = list(
            solve_ridges(
                gram.operator,
                y,
                rest,
                preconditioner=gram.preconditioner,
                rtol=rtol,
                max_passes=max_passes,
                span=first.x,
            )
            if rest
            else ()
        )
    path = []
    for ridge, solve in zip(ridges, [first, *solves], strict=True):
        if not solve.converged or not np.isfinite(solve.x).all():
            raise Unresolvable(f"solve.ridge = {ridge:g} of the list was not reached to rtol {rtol:g}: {solve.reason}.")
        entry = {
            "ridge": ridge,
            "residual_norm": float(np.max(solve.residual_norms, initial=0.0)),
            "passes": solve.passes,
            "train_mse": float(np.mean((ridge * solve.x) ** 2)),
            "how": how if solve is not first else f"method {method}",
        }
        path.append(entry)
        progress.update(len(path), f"ridge {ridge:g}")
    progress.finish()
    return path, np.stack([first.x, *(s.x for s in solves)])


def _shared_pays(
    gram: Gram, y: Array, ridges: tuple[float, ...], first: Solve, rtol: float, known: Conditioning | None
) -> bool:
    if known is None or not ridges:
        return False
    passes = known.passes(min(ridges), rtol, y.shape[1])
    fits = 2 * 8 * gram.n * y.shape[1] * passes < 0.25 * psutil.virtual_memory().available
    return fits and passes < first.passes * len(ridges)

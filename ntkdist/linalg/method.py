"""Direct or iterative: the cheaper by predicted work, and why.

Work is counted in flops of a factorization: n³/3 for Cholesky, against 6nk² for the preconditioner and, per
pass, 2n²s for the product and 4nks for P⁻¹, weighted because a thin product runs slower than a factorization.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import psutil

from ntkdist.linalg.certificates import LARGEST_DENSE
from ntkdist.linalg.operator import Operator
from ntkdist.linalg.rpcholesky import default_rank

# Passes per decade of residual on high-dimensional data; a thin product's flops run slower by this factor.
_PASSES_PER_DECADE, _SLOWER = 5.0, 2.5


@dataclass(frozen=True)
class Choice:
    """``cholesky`` or ``cg``, with the predicted costs in words."""

    method: str
    reason: str


def choose_method(op: Operator, *, outputs: int, rtol: float = 1e-8) -> Choice:
    """Compare n³/3 flops of a factorization with the preconditioner and passes of block CG."""
    n, rank = op.shape[0], default_rank(op.shape[0])
    decades = -math.log10(min(max(rtol, 1e-16), 0.1))
    passes = math.ceil(_PASSES_PER_DECADE * decades)
    direct = n**3 / 3
    iterative = 6.0 * n * rank**2 + _SLOWER * passes * (2.0 * n * n * outputs + 4.0 * n * rank * outputs)
    words = (
        f"predicted {direct:.2g} flops for Cholesky, {iterative:.2g} (weighted) for about {passes} passes of block CG"
    )
    if n > LARGEST_DENSE or 8 * n * n > 0.5 * psutil.virtual_memory().available:
        return Choice("cg", f"a dense factorization of {n} rows does not fit; {words}")
    return Choice("cholesky" if direct < iterative else "cg", words)

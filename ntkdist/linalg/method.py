"""Direct or iterative: the cheaper by predicted flops, and why."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from ntkdist.linalg.certificates import LARGEST_DENSE
from ntkdist.linalg.operator import Operator
from ntkdist.linalg.rpcholesky import default_rank

# Passes of the preconditioned iteration on high-dimensional data, and how much slower its flops are.
_PASSES, _SLOWER = 60, 4.0


@dataclass(frozen=True)
class Choice:
    """``cholesky`` or ``cg``, with the predicted costs in words."""

    method: str
    reason: str


def choose_method(op: Operator, *, outputs: int, rtol: float = 1e-8) -> Choice:
    """Compare n³/3 flops of a factorization with the preconditioner and passes of block CG."""
    n, rank = op.shape[0], default_rank(op.shape[0])
    direct = n**3 / 3
    iterative = 6.0 * n * rank**2 + _SLOWER * _PASSES * (2.0 * n * n * outputs + 4.0 * n * rank * outputs)
    words = f"predicted {direct:.2g} flops for Cholesky, {iterative:.2g} (weighted) for about {_PASSES} block CG passes"
    if 8 * n * n > 0.5 * psutil.virtual_memory().available or n > LARGEST_DENSE:
        return Choice("cg", f"a dense factorization of {n} rows does not fit; {words}")
    return Choice("cholesky" if direct < iterative else "cg", words)

"""The preconditioner of a run: built once, kept in the store, used by every solve and eigensolve.

Low rank (randomly pivoted Cholesky) unless the neighbours of sampled rows explain what it leaves; then the factorised
Nyström form, which takes a fraction of the passes on low-dimensional data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psutil

from ntkdist.linalg import (
    FactorisedNystrom,
    LowRankPreconditioner,
    choose_preconditioner,
    default_rank,
    nystrom,
    rpcholesky,
)
from ntkdist.pipeline.progress import Progress, Silent

FORMS = ("auto", "low-rank", "factorised", "nystrom")
_SEED = 0


@dataclass(frozen=True)
class Prepared:
    """A preconditioner, its form (``low-rank``, ``factorised`` or ``nystrom``) and why it was chosen."""

    preconditioner: LowRankPreconditioner | FactorisedNystrom
    form: str
    reason: str

    @property
    def low_rank(self) -> LowRankPreconditioner:
        """Its low-rank part, which the probabilistic certificate stands on."""
        whole = self.preconditioner
        return whole.low_rank if isinstance(whole, FactorisedNystrom) else whole

    def describe(self) -> dict[str, Any]:
        """What a report says of it."""
        neighbours = self.preconditioner.neighbours if isinstance(self.preconditioner, FactorisedNystrom) else 0
        return {
            "form": self.form,
            "rank": self.preconditioner.rank,
            "neighbours": neighbours,
            "mu": float(self.low_rank.mu),
            "reason": self.reason,
        }


def build_preconditioner(
    op: Any, *, form: str = "auto", rank: int | None = None, progress: Progress | None = None
) -> Prepared:
    """Build it from the operator; the rank comes from n and the available memory unless given."""
    progress = progress or Silent()
    n = op.shape[0]
    size = min(rank, n) if rank else default_rank(n, psutil.virtual_memory().available)
    progress.start("preconditioner", None, "columns")
    if form == "nystrom":
        found = Prepared(nystrom(op, size, seed=_SEED), form, "as configured (solve.preconditioner)")
    else:
        low = rpcholesky(op, size, seed=_SEED)
        progress.update(low.rank)
        if form == "low-rank":
            found = Prepared(low, form, "as configured (solve.preconditioner)")
        elif form == "factorised":
            found = Prepared(FactorisedNystrom(op, low, seed=_SEED), form, "as configured (solve.preconditioner)")
        else:
            chosen, reason = choose_preconditioner(op, low, seed=_SEED)
            found = Prepared(chosen, "low-rank" if chosen is low else "factorised", f"auto: {reason}")
    progress.finish()
    return found


def restore_preconditioner(op: Any, result: dict[str, Any], arrays: dict[str, Any]) -> Prepared:
    """The preconditioner of a store from its description and arrays."""
    form = str(result["form"])
    made: LowRankPreconditioner | FactorisedNystrom
    made = (
        FactorisedNystrom.from_arrays(op, arrays, seed=_SEED)
        if form == "factorised"
        else LowRankPreconditioner.from_arrays(arrays)
    )
    return Prepared(made, form, str(result["reason"]))

"""A singular Gram matrix said so: the equal rows, the numerical rank, λ_min of the matrix without repetitions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.linalg import Deduplicated, Eigenpair, certify, default_rank, lambda_min, numerical_rank, rpcholesky
from ntkdist.pipeline.gram_matrix import Gram
from ntkdist.pipeline.scratch import scratch_tiles

Array = NDArray[Any]
_NAMED = 20
_RANK_ROWS = 6000


def null_pair(groups: list[Array], n: int) -> Eigenpair:
    """An exact null vector, (e_i − e_j)/√2 of two equal rows, as the smallest eigenpair."""
    vector = np.zeros(n)
    first = np.sort(np.asarray(groups[0]))
    vector[first[0]], vector[first[1]] = np.sqrt(0.5), -np.sqrt(0.5)
    return Eigenpair(0.0, vector, 0.0, 0, True, "two equal training rows")


def describe_singularity(
    gram: Gram, largest: Eigenpair, certificate: str, *, rtol: float, rows: Array | None = None, progress: Any = None
) -> tuple[dict[str, Any], int]:
    """(what a report says of equal rows, the passes it took); ``rows`` are the dataset's numbers of the rows."""
    op = Deduplicated(gram.operator, gram.duplicates)
    kept = op.shape[0]
    low_rank = rpcholesky(op, default_rank(kept))
    pair = lambda_min(op, low_rank, rtol=rtol, progress=progress)
    # λ_max of the whole matrix is not that of its part, but only the lower end is used here.
    low, _ = certify(
        op,
        pair,
        Eigenpair(pair.value, pair.vector, pair.residual_norm, 0, True, ""),
        grade=certificate,
        error_norm=gram.error_norm,
        preconditioner=low_rank,
        scratch=lambda: scratch_tiles(kept, gram.folder),
    )
    names = np.arange(gram.n) if rows is None else rows
    groups = [[int(names[r]) for r in group] for group in gram.duplicates]
    rank = numerical_rank(gram.operator) if gram.n <= _RANK_ROWS else None
    return {
        "groups": groups[:_NAMED],
        "group_count": len(groups),
        "rows_dropped": gram.n - kept,
        "rank": None if rank is None else rank.rank,
        "rank_tolerance": None if rank is None else rank.tolerance,
        "rank_reason": "completely pivoted Cholesky in float64"
        if rank is not None
        else f"at most {kept}: not computed beyond {_RANK_ROWS} rows",
        "lambda_min": asdict(low),
    }, pair.passes

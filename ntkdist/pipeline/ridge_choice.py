"""The ridge of the solution stage: a number, or the minimiser of leave-one-out or of GCV over a grid.

The grid is scored by :func:`ntkdist.pipeline.risk.score_ridges` on the training rows; no test score is looked at.
"""

from __future__ import annotations

from ntkdist.errors import Unresolvable
from ntkdist.pipeline.risk import auto_ridges, score_ridges
from ntkdist.pipeline.session import Session


def chosen_ridge(session: Session) -> tuple[float, str]:
    """The ridge and how it was chosen.

    Raises Unresolvable if leave-one-out is asked for beyond ``theory.dense_rows`` rows, or no ridge is resolved.
    """
    asked = session.config.solve.ridge
    if isinstance(asked, tuple):
        return float(asked[0]), f"the first of {len(asked)} given"
    if not isinstance(asked, str):
        return float(asked), "as configured"
    grid = auto_ridges(session.gram)
    scores = score_ridges(session.gram, session.targets, grid, dense_rows=session.config.theory.dense_rows)
    best = scores.best_loo if asked == "loo" else scores.best_gcv
    if best is None:
        raise Unresolvable(
            f"solve.ridge={asked} found no ridge by {scores.how}; "
            + ("use solve.ridge=gcv, or raise theory.dense_rows." if asked == "loo" else "give a number.")
        )
    name = "leave-one-out" if asked == "loo" else "generalised cross-validation"
    return best, f"least {name} error of {len(scores.ridges)} ridges, {scores.how}"

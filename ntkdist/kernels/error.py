"""How far an entry computed in a given precision may be from the exact kernel.

The bound is first order: a dot product of unit rows is wrong by a few u (the unit roundoff), which moves the
angle by u/√close where ``close`` is the squared angle below which row differences take over, and each layer
adds a few u.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Below this share of q1 + q2 a squared distance is recomputed from row differences.
CLOSE = {"float64": 0.01, "float32": 0.05}


@dataclass(frozen=True)
class EntryError:
    """``relative`` bounds |K̃_ij − K_ij| / √(K_ii K_jj); ``how`` says where the number comes from.

    ``gram_norm(n)`` is the bound it implies on ‖K̃ − K‖₂ / max K_ii, which by Weyl bounds every eigenvalue's
    shift.
    """

    relative: float
    dtype: str
    how: str

    def gram_norm(self, n: int) -> float:
        """Return the bound on ‖K̃ − K‖₂ relative to the largest diagonal entry, n times the entries' bound."""
        return n * self.relative


def entry_error(dtype: str, depth: int, approximation: float) -> EntryError:
    """Return the a-priori bound for ``depth`` layers in ``dtype`` plus ``approximation`` (series,
    collapse).
    """
    unit = float(np.finfo(dtype).eps) / 2
    bound = 4 * unit * (depth + 2) / CLOSE[dtype] ** 0.5 + approximation
    how = f"a-priori: 4·u·(L+2)/√{CLOSE[dtype]:g}, u = {unit:.2g}"
    if approximation:
        how += f", plus {approximation:.2g} of series truncation and fit"
    return EntryError(float(bound), dtype, how)

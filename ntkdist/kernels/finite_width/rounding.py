"""How far an entry of an empirical kernel may be from the exact kernel of the stored weights, by rounding.

Every entry goes through 2(L+1) matrix products of inner length up to p = max(m, d).  By the probabilistic analysis of
Higham & Mary 2019 (SIAM J. Sci. Comput. 41, Thm 3.1) a product of length p is wrong by at most λ√p u |a|·|b| with
probability 1 − 2p e^{−λ²/2} per entry; λ = 8 makes that 1 − p·2.5e-14.  For random weights |a|·|b| ≤ ‖a‖‖b‖, and the
errors of the passes enter the kernel twice.  The estimate leaves out one event: where φ′ jumps (ReLU), a
pre-activation within rounding of the kink changes the entries of its row by 1/m of their size; its probability is of
the order n L m · p u.
"""

from __future__ import annotations

import numpy as np

from ntkdist.errors import InputError
from ntkdist.kernels.error import EntryError

CONFIDENCE = 8.0


def product_error(dtype: object, depth: int, length: int) -> EntryError:
    """The first-order probabilistic bound for L = ``depth`` and inner products of ``length``."""
    name = np.dtype(dtype).name  # type: ignore[call-overload]
    if name not in ("float32", "float64"):
        raise InputError(f"kernels are computed in float32 or float64, not {name}")
    unit = float(np.finfo(name).eps) / 2
    relative = 4 * (depth + 1) * CONFIDENCE * float(length) ** 0.5 * unit
    how = f"probabilistic, first order: 4(L+1)·λ√p·u, λ = {CONFIDENCE:g}, p = {length}, u = {unit:.2g}"
    return EntryError(relative, name, how)

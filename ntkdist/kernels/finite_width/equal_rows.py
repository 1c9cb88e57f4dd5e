"""Which rows of two blocks are equal: their kernel entry is the diagonal value, not a product that rounds."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import is_cupy_array
from numpy.typing import NDArray


def equal_pairs(x: NDArray[Any], z: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (i, j) of all x_i = z_j, for (n1, d) and (n2, d) of one dtype; O((n1 + n2) d), zeros of both signs equal.

    CuPy rows are compared on the host.
    """
    left, right = (_host(x) + 0.0, _host(z) + 0.0)
    places: dict[bytes, list[int]] = {}
    for j, row in enumerate(right):
        places.setdefault(row.tobytes(), []).append(j)
    pairs = [(i, j) for i, row in enumerate(left) for j in places.get(row.tobytes(), ())]
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _host(x: Any) -> NDArray[Any]:
    return np.asarray(x.get() if is_cupy_array(x) else x)

"""Sums of a leaf where its tiles are: in the host's memory (Numba and BLAS) or on a GPU (CuPy).

A tile that is a NumPy array is summed by :mod:`ntkdist.linalg`; any other array is multiplied on its own device in
float64 and only the sum of the leaf is copied out.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.cluster.summation import leaf_product
from ntkdist.tiling import Tile, Tiling

Array = NDArray[Any]


def array_module(array: Any) -> Any:
    """The module an array belongs to: NumPy, or CuPy for an array on a GPU."""
    return np if isinstance(array, np.ndarray) else importlib.import_module(type(array).__module__.partition(".")[0])


def to_host(array: Any) -> Array:
    """The array as a NumPy array, copied from its device if it is on one."""
    return array if isinstance(array, np.ndarray) else np.asarray(array_module(array).asnumpy(array))


def leaf_sum(tiling: Tiling, tiles: Iterable[tuple[Tile, Any]], stop: int, v: Array) -> Array:
    """Σ of one leaf as in :func:`leaf_product`, on the device its tiles are on; the sum is a NumPy array."""
    found: Iterator[tuple[Tile, Any]] = iter(tiles)
    first = next(found)
    together = chain([first], found)
    if isinstance(first[1], np.ndarray):
        return leaf_product(tiling, together, stop, v)
    xp = array_module(first[1])
    columns, out = xp.asarray(v), xp.zeros((stop, v.shape[1]), dtype=np.float64)
    for (i, j), tile in together:
        rows, cols = tiling.rows(i), tiling.rows(j)
        full = tile.astype(np.float64)
        out[rows] += full @ columns[cols]
        if i != j:
            out[cols] += full.T @ columns[rows]
    return to_host(out)

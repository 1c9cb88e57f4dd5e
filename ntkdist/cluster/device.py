"""Arrays on a GPU: which workers have one, sums of a leaf where its tiles are, and the copy to the host.

A tile that is a NumPy array is summed by :mod:`ntkdist.linalg`; any other array is multiplied on its own device in
float64 and only the sum of the leaf is copied out. The copy runs on a stream of its own, so that the device goes on
computing meanwhile.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
from distributed import Client
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


def synchronize(array: Any) -> None:
    """Wait until a device has finished computing ``array``; nothing to wait for on the host."""
    if not isinstance(array, np.ndarray):
        array_module(array).cuda.get_current_stream().synchronize()


def copy_out(array: Any) -> Array:
    """A finished array on the host: itself, or copied through pinned memory beside what the device computes next."""
    if isinstance(array, np.ndarray):
        return array
    xp = array_module(array)
    pinned = importlib.import_module(f"{xp.__name__}x").empty_pinned(array.shape, array.dtype)
    stream = xp.cuda.Stream(non_blocking=True)
    array.get(stream=stream, out=pinned)
    stream.synchronize()
    return np.asarray(pinned)


def has_device(module: str) -> bool:
    """Whether this process can compute with an array module of this name on a device."""
    if importlib.util.find_spec(module) is None:
        return False
    return bool(importlib.import_module(module).cuda.is_available())


def device_of(client: Client, kernel: Any) -> str:
    """The array module to compute tiles with: one of the kernel's ``devices`` that every worker has, else NumPy."""
    for module in getattr(kernel, "devices", ()):
        if module != "numpy" and all(client.run(has_device, module).values()):
            return str(module)
    return "numpy"


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

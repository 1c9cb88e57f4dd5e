"""What a reader offers: rows and targets by blocks, never the whole dataset at once."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError


class Source(Protocol):
    """A dataset of n rows. ``rows`` and ``targets`` read a block; examples of ``shape`` are flat."""

    name: str
    n: int
    features: int
    shape: tuple[int, ...]
    has_targets: bool

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Rows start…stop−1, (stop − start, features), float64 or float32, C-contiguous."""

    def targets(self, start: int, stop: int) -> NDArray[Any] | None:
        """Targets start…stop−1, one- or two-dimensional, or None."""


class ArraySource:
    """A source over anything that slices like an array (NumPy, memory map, Zarr, HDF5).

    Raises :class:`InputError` for rows that are not numbers, or x and y of different length.
    """

    def __init__(self, name: str, x: Any, y: Any | None) -> None:
        if len(x.shape) == 0:
            raise InputError(f"{name}: x is a single value, but must have one row per example.")
        if np.dtype(x.dtype).kind not in "fiub":
            raise InputError(f"{name}: x has dtype {x.dtype}, but must hold real numbers.")
        if y is not None and (len(y.shape) not in (1, 2) or y.shape[0] != x.shape[0]):
            shape = tuple(y.shape)
            raise InputError(
                f"{name}: x has {x.shape[0]} rows and y has shape {shape}; there must be one target row per row of x."
            )
        self.name = name
        self._x, self._y = x, y
        self.n = int(x.shape[0])
        self.shape = tuple(int(v) for v in x.shape[1:]) or (1,)
        self.features = int(np.prod(x.shape[1:], dtype=np.int64))
        self.has_targets = y is not None
        if self.n == 0 or self.features == 0:
            raise InputError(f"{name}: x is empty, its shape is {tuple(x.shape)}.")

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Rows start…stop−1 as floating-point numbers."""
        block = np.asarray(self._x[start:stop]).reshape(min(stop, self.n) - start, self.features)
        dtype = np.float32 if block.dtype == np.float32 else np.float64
        return np.ascontiguousarray(block, dtype=dtype)

    def targets(self, start: int, stop: int) -> NDArray[Any] | None:
        """Targets start…stop−1."""
        return None if self._y is None else np.asarray(self._y[start:stop])

"""The Gram matrix as its users see it: an operator with its kernel, its error and its lazy labelled view."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ntkdist.cluster import TiledOperator
from ntkdist.kernels import TileKernel
from ntkdist.linalg import FactorisedNystrom, LowRankPreconditioner
from ntkdist.pipeline.preconditioner import Prepared, build_preconditioner

Array = NDArray[Any]


class Gram:
    """A symmetric (n, n) kernel matrix over its training rows.

    ``gram @ v`` multiplies, ``gram.diagonal()`` is exact, ``gram.to_numpy()`` is dense on request (size-checked),
    ``gram.to_xarray()`` is the lazy, symmetric, labelled view; ``gram[i, j]`` and ``gram.isel(...)`` index that view.
    ``error_norm`` bounds the spectral norm of the difference to the exact kernel matrix (compute and storage).
    """

    def __init__(
        self,
        operator: TiledOperator,
        kernel: TileKernel,
        which: str,
        *,
        stored: bool,
        mode: str,
        reason: str,
        rounding: float = 0.0,
        compute: str = "float64",
        duplicates: list[Array] | None = None,
        labels: dict[str, Array] | None = None,
        prepare: Callable[[TiledOperator], Prepared] = build_preconditioner,
        folder: Path | None = None,
    ) -> None:
        self.operator = operator
        self.kernel = kernel
        self.which = which
        self.stored = stored
        self.mode = mode
        self.reason = reason
        self.compute_dtype = np.dtype(compute)
        self.duplicates = duplicates or []
        self._rounding = rounding
        self._labels = labels or {}
        self._prepare = prepare
        self.folder = folder
        self.shape = operator.shape
        self.dtype = operator.dtype

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.shape[0])

    def __matmul__(self, v: Array) -> Array:
        """K v in float64, for v of shape (n,) or (n, s)."""
        return self.operator @ v

    def matmat(self, v: Array) -> Array:
        """K V in float64 for V of shape (n, s)."""
        return self.operator.matmat(v)

    def diagonal(self) -> Array:
        """diag K, (n,) float64."""
        return self.operator.diagonal()

    def to_numpy(self, *, max_bytes: int = 8 << 30) -> Array:
        """The dense symmetric matrix; :class:`InputError` beyond ``max_bytes``."""
        return self.operator.to_numpy(max_bytes=max_bytes)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Dense, like :meth:`to_numpy`."""
        dense = self.to_numpy()
        return dense if dtype is None else dense.astype(dtype)

    @cached_property
    def _view(self) -> xr.DataArray:
        operator, tiling = self.operator, self.operator.tiling
        sizes = tuple(tiling.size(i) for i in range(tiling.bands))

        def load(block_id: tuple[int, int]) -> Array:
            i, j = block_id
            return operator.tile(i, j) if i >= j else operator.tile(j, i).T

        lazy = da.map_blocks(load, chunks=(sizes, sizes), dtype=self.dtype, meta=np.empty((0, 0), self.dtype))
        coords: dict[str, Any] = {}
        for name, values in self._labels.items():
            coords[name] = ("row", values)
            coords[f"{name}_column"] = ("column", values)
        attrs = {"long_name": f"Gram matrix ({self.which.upper()})", "kernel": str(self.kernel)}
        return xr.DataArray(lazy, dims=("row", "column"), coords=coords, name="gram", attrs=attrs)

    def to_xarray(self) -> xr.DataArray:
        """Lazy, symmetric, labelled (n, n) view (dims ``row`` and ``column``); nothing is read until asked."""
        return self._view

    def __getitem__(self, index: Any) -> xr.DataArray:
        """Positional indexing of the lazy view."""
        return self._view[index]

    def isel(self, **indexers: Any) -> xr.DataArray:
        """Index the lazy view by position: ``gram.isel(row=slice(10), column=0)``."""
        return self._view.isel(**indexers)

    def sel(self, **indexers: Any) -> xr.DataArray:
        """Index the lazy view by label."""
        return self._view.sel(**indexers)

    def compute(self) -> xr.DataArray:
        """The labelled view with its values in memory."""
        return self._view.compute()

    @property
    def values(self) -> Array:
        """Dense values, like :meth:`to_numpy`."""
        return self.to_numpy()

    @property
    def dims(self) -> tuple[str, str]:
        """Names of the dimensions of the labelled view."""
        return ("row", "column")

    @property
    def coords(self) -> Any:
        """Coordinates of the labelled view: the dataset's row numbers."""
        return self._view.coords

    @property
    def residual_of(self) -> str:
        """What a residual computed with this operator is a residual of."""
        return "stored" if self.stored else "kernel"

    @property
    def entry_error(self) -> float:
        """A-priori relative error of an entry in the compute precision."""
        return float(self.kernel.entry_error(self.compute_dtype, which=self.which).relative)

    @cached_property
    def error_norm(self) -> float:
        """Bound on ‖K̃ − K‖₂: the entries' compute error, plus the Frobenius norm of the storage rounding.

        |K_ij| ≤ √(K_ii K_jj), so entry errors of relative size ε have Frobenius norm at most ε·tr K.
        """
        compute = self.entry_error * float(np.sum(self.diagonal()))
        return float((compute + np.sqrt(self._rounding)) * (1 + 1e-12))

    @cached_property
    def prepared(self) -> Prepared:
        """The preconditioner that solves and eigensolves share, with its form and the reason for it."""
        return self._prepare(self.operator)

    @property
    def preconditioner(self) -> LowRankPreconditioner | FactorisedNystrom:
        """The preconditioner itself."""
        return self.prepared.preconditioner

    def __repr__(self) -> str:
        """One line: size, kernel, mode."""
        return f"Gram({self.n} × {self.n}, {self.dtype}, {self.mode}: {self.kernel})"

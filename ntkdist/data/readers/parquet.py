"""Parquet files and folders: numeric columns are features, the column ``y`` (else the last) is the target.

Row groups are read as they are needed, and the last one read is kept.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.data.source import Source
from ntkdist.errors import InputError


def open_parquet(path: Path, x: str, y: str) -> Source:
    """Open one Parquet file, or all of a folder in the order of their names."""
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise InputError(f'{path} needs pyarrow, which is not installed: pip install "ntkdist[parquet]".') from None
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    return ParquetSource(str(path), [parquet.ParquetFile(f) for f in files], y)


class ParquetSource:
    """Rows of one or several Parquet files."""

    def __init__(self, name: str, files: list[Any], y: str) -> None:
        self.name = name
        columns = files[0].schema_arrow.names
        if len(columns) < 2 or any(f.schema_arrow.names != columns for f in files):
            raise InputError(f"{name} needs the same two or more columns in every file (features and a target).")
        self._target = y if y in columns else columns[-1]
        self._columns = [c for c in columns if c != self._target]
        self._groups = [(f, g) for f in files for g in range(f.num_row_groups)]
        sizes = [f.metadata.row_group(g).num_rows for f, g in self._groups]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
        self.n = int(self._starts[-1])
        self.features = len(self._columns)
        self.has_targets = True
        self._kept: tuple[int, Any] | None = None
        if self.n == 0:
            raise InputError(f"{name} holds no rows.")

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Rows start…stop−1, (stop − start, features) float64."""
        parts = [
            np.stack([self._numbers(table, c) for c in self._columns], axis=1) for table in self._tables(start, stop)
        ]
        return np.ascontiguousarray(np.concatenate(parts), dtype=np.float64)

    def targets(self, start: int, stop: int) -> NDArray[Any] | None:
        """Targets start…stop−1."""
        parts = [np.asarray(t.column(self._target).to_numpy()) for t in self._tables(start, stop)]
        return np.concatenate(parts)

    def _numbers(self, table: Any, column: str) -> NDArray[Any]:
        values = np.asarray(table.column(column).to_numpy())
        if values.dtype.kind not in "fiub":
            raise InputError(f"{self.name}: column {column!r} holds {values.dtype}, but must hold real numbers.")
        return values.astype(np.float64)

    def _tables(self, start: int, stop: int) -> list[Any]:
        tables = []
        stop = min(stop, self.n)
        for g in range(len(self._groups)):
            low, high = int(self._starts[g]), int(self._starts[g + 1])
            if low < stop and start < high:
                table = self._group(g)
                tables.append(table.slice(max(0, start - low), min(stop, high) - max(start, low)))
        return tables

    def _group(self, g: int) -> Any:
        if self._kept is None or self._kept[0] != g:
            file, index = self._groups[g]
            self._kept = (g, file.read_row_group(index))
        return self._kept[1]
